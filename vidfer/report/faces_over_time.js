// What the pages of `vidfer live` and `vidfer export web` draw: the picture with its faces, and the course of one of
// them. Faces come and go, so which one is shown follows: who was pressed, while that face is there; else who has been
// there longest. `picture` and `chart` are canvases, `people` holds the buttons, `who` says in words who is shown.
'use strict';

class FacesOverTime {
  static SPAN_SECONDS = 30;  // of the chart while there is no end in sight
  static AWAY_SECONDS = 1;  // a face that is missed for less is still there: nobody else is shown in between
  static GAP_SECONDS = 3;  // of nothing: no line is drawn over more
  static MOST_POINTS = 1500;  // of a line in the chart

  // `colours` and `inks`, which can be read on them, go by label.
  constructor(elements, {labels, colours, inks}) {
    Object.assign(this, elements, {labels, colours, inks});
    this.begin();
    this.drawLegend();
  }

  // Forgets all; a video has a length in seconds, a camera has none.
  begin(duration = null) {
    Object.assign(this, {duration, rows: [], shown: null, pressed: null, lookedBack: false});
    this.seen = new Map();  // when each face of the chart was seen last
    this.names = new Map();  // of those that have one, by which people know it
    this.people.replaceChildren();
    this.who.textContent = '';
  }

  // Takes and draws the next picture: its time in seconds, and its faces as {faceId, box, probabilities}, and `name`
  // where it is known whose the face is.
  add(seconds, faces, image) {
    this.rows.push({seconds, faces});
    for (const {faceId, name} of faces) {
      this.seen.set(faceId, seconds);
      if (name) this.names.set(faceId, name);
    }
    for (const [faceId, last] of this.seen) if (last < this.span()[0]) [this.seen, this.names].forEach((map) => map.delete(faceId));
    this.follow();
    this.drawPicture(image, faces);
    this.draw();
  }

  get now() { return this.rows.at(-1)?.seconds ?? 0; }

  span() {
    const {SPAN_SECONDS} = FacesOverTime, {now, duration} = this;
    return duration ? [0, duration] : [Math.max(0, now - SPAN_SECONDS), Math.max(now, SPAN_SECONDS)];
  }

  nameOf(faceId) { return this.names.get(faceId) ?? `face ${faceId}`; }

  isThere(faceId) { return this.now - this.seen.get(faceId) < FacesOverTime.AWAY_SECONDS; }

  follow() {
    if (this.isThere(this.pressed)) this.lookedBack = false;
    else if (!this.lookedBack || !this.seen.has(this.pressed)) this.pressed = null;
    const there = [...this.seen.keys()].filter((faceId) => this.isThere(faceId));
    const last = this.seen.has(this.shown) ? this.shown : null;
    this.shown = this.pressed ?? (there.length ? Math.min(...there) : last);
    this.tell(there);
  }

  // One who has left is looked back at until another is pressed, or the chart has moved on.
  press(faceId) {
    Object.assign(this, {pressed: faceId, lookedBack: !this.isThere(faceId)});
    this.follow();
    this.draw();
  }

  tell(there) {
    const {shown, people, seen} = this, known = new Set();
    for (const button of [...people.children]) if (seen.has(+button.value)) known.add(+button.value); else button.remove();
    for (const faceId of seen.keys()) {
      if (known.has(faceId)) continue;
      const button = Object.assign(document.createElement('button'), {value: faceId});
      button.onclick = () => this.press(faceId);
      people.append(button);
    }
    for (const button of people.children) {
      const name = this.nameOf(+button.value);
      if (button.textContent !== name) button.textContent = name;
      button.setAttribute('aria-pressed', +button.value === shown);
      button.title = this.isThere(+button.value) ? '' : 'left the picture';
    }
    const why = !there.includes(shown) ? ', who has left the picture' : there.length < 2 ? ''
      : shown === this.pressed ? ', as you pressed' : ', there the longest';
    const text = shown === null ? 'Nobody is in the picture.' : `Shown: ${this.nameOf(shown)}${why}.`;
    if (this.who.textContent !== text) this.who.textContent = text;
  }

  colourOf(emotion) {  // the page's style may have another for its ground
    return getComputedStyle(document.documentElement).getPropertyValue(`--${emotion}`) || this.colours[emotion];
  }

  leading({probabilities}) { return probabilities.indexOf(Math.max(...probabilities)); }

  drawLegend() {
    this.legend.replaceChildren(...this.labels.map((emotion) => {
      const entry = document.createElement('li'), mark = document.createElement('i');
      mark.style.background = this.colourOf(emotion);
      entry.append(mark, emotion, document.createElement('b'));
      return entry;
    }));
  }

  drawPicture(image, faces) {
    const {picture: canvas, labels, colours} = this, {width, height} = image, pen = canvas.getContext('2d');
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    pen.drawImage(image, 0, 0);
    pen.lineWidth = Math.max(2, width / 250);
    const size = Math.max(14, width / 36), high = size * 1.4, labelled = [];
    pen.font = `600 ${size}px system-ui, sans-serif`;
    for (const face of faces) {
      const [left, top, right, bottom] = face.box, which = this.leading(face), colour = colours[labels[which]];
      const text = `${this.nameOf(face.faceId).replace('face ', '')} ${labels[which]} ${Math.round(100 * face.probabilities[which])} %`;
      pen.strokeStyle = pen.fillStyle = colour;
      pen.strokeRect(left, top, right - left, bottom - top);
      const room = pen.measureText(text).width + size * 0.6, from = Math.max(0, Math.min(left, width - room));
      const above = Math.max(top - high, 0);
      const isFree = (y) => labelled.every((other) => from + room <= other.from || other.to <= from || Math.abs(y - other.y) >= high);
      const y = [above, bottom, above - high, bottom + high].find((y) => y >= 0 && y + high <= height && isFree(y)) ?? above;
      labelled.push({from, to: from + room, y});
      pen.fillRect(from, y, room, high);
      pen.fillStyle = this.inks[labels[which]];
      pen.fillText(text, from + size * 0.3, y + size);
    }
  }

  // The course of the face that is shown, and what the last picture said of it.
  draw() {
    const {chart: canvas, shown, labels} = this, ratio = devicePixelRatio, {clientWidth: width, clientHeight: height} = canvas;
    Object.assign(canvas, {width: width * ratio, height: height * ratio});
    const last = this.rows.at(-1)?.faces.find(({faceId}) => faceId === shown);
    [...this.legend.children].forEach((entry, i) => {
      entry.lastChild.textContent = last ? `${Math.round(100 * last.probabilities[i])} %` : '–';
    });
    const pen = canvas.getContext('2d'), [from, to] = this.span(), edge = {left: 50, right: 24, top: 14, bottom: 28};
    const x = (seconds) => edge.left + ((seconds - from) / (to - from)) * (width - edge.left - edge.right);
    const y = (share) => edge.top + (1 - share) * (height - edge.top - edge.bottom);
    pen.scale(ratio, ratio);
    pen.font = '12px system-ui, sans-serif';
    const own = getComputedStyle(document.documentElement);
    Object.assign(pen, {fillStyle: own.getPropertyValue('--quiet'), strokeStyle: own.getPropertyValue('--line'), lineWidth: 1});
    for (const share of [0, 0.5, 1]) {
      pen.beginPath();
      pen.moveTo(edge.left, y(share));
      pen.lineTo(width - edge.right, y(share));
      pen.stroke();
      pen.textAlign = 'right';
      pen.fillText(`${100 * share} %`, edge.left - 6, y(share) + 4);
    }
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((one) => ((to - from) / one) * 52 < width) ?? 7200;
    for (let seconds = Math.ceil(from / step) * step; seconds <= to; seconds += step) {
      pen.textAlign = 'center';
      pen.fillText(`${seconds} s`, x(seconds), height - 9);
    }
    Object.assign(pen, {lineWidth: 2, lineJoin: 'round'});
    const rows = this.rows.filter(({seconds}) => seconds >= from), every = Math.ceil(rows.length / FacesOverTime.MOST_POINTS);
    const drawn = rows.filter((_, i) => i % every === 0);
    labels.forEach((emotion, i) => {
      pen.strokeStyle = this.colourOf(emotion);
      pen.beginPath();
      let before = -Infinity;
      for (const {seconds, faces} of drawn) {
        const face = faces.find(({faceId}) => faceId === shown);
        const goesOn = seconds - before < every * FacesOverTime.GAP_SECONDS;
        if (face) pen[goesOn ? 'lineTo' : 'moveTo'](x(seconds), y(face.probabilities[i]));
        before = face ? seconds : -Infinity;
      }
      pen.stroke();
    });
  }
}
