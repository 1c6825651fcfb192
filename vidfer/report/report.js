// What makes report.html move: the chart, the video beside it, and the faces drawn over the video.
// The page's data is in <script id="data">: see vidfer/report/report_data.py. Plotly draws the chart; where
// its file is not found, the still picture that the page carries stays.
'use strict';

const data = JSON.parse(document.getElementById('data').textContent);
const video = document.querySelector('video');
const canvas = document.querySelector('.stage canvas');
const chart = document.getElementById('chart');
const cursor = document.getElementById('cursor');
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const clock = seconds => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, '0')}`;
let now = 0;  // seconds from the first frame that cursor and drawing stand at; the video's clock is data.start ahead

// ---- which faces, boxes and landmarks are on ----

const checked = selector => [...document.querySelectorAll(selector)].filter(box => box.checked);
const labelOf = new Map(data.faces.map(face => [face.id, face.label]));
const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');  // Plotly reads markup
const visibleFaces = () => {
  const ids = new Set(checked('#faces input').map(box => +box.value));
  return data.faces.filter(face => ids.has(face.id));
};
const hiddenIds = () => new Set([...document.querySelectorAll('#faces input')].filter(b => !b.checked).map(b => +b.value));

function applySwitches() {
  const hidden = hiddenIds();
  for (const row of document.querySelectorAll('[data-face]')) row.hidden = hidden.has(+row.dataset.face);
  applyToNumbers(hidden);
  drawChart();
  show(now);
}

// The clip's numbers are those of the faces that are on, each weighed by how long it is seen.
const wholeTable = document.querySelector('#emotions tbody')?.innerHTML;
function applyToNumbers(hidden) {
  const body = document.querySelector('#emotions tbody');
  if (!body) return;
  body.innerHTML = wholeTable;
  const faces = [...document.querySelectorAll('tr[data-numbers]')].filter(row => !hidden.has(+row.dataset.face))
    .map(row => JSON.parse(row.dataset.numbers));
  if (!hidden.size) return;
  const seconds = faces.reduce((sum, face) => sum + face[0][0], 0);
  const mean = (row, column) => faces.reduce((sum, face) => sum + face[0][0] * face[row][column], 0) / seconds;
  [...body.rows].forEach((cells, row) => {
    const [share, probability, episodes, peak] = [...cells.cells].slice(1);
    share.textContent = seconds ? `${(100 * mean(row + 1, 0)).toFixed(0)} %` : '–';
    if (row === body.rows.length - 1) return;
    probability.textContent = seconds ? `${(100 * mean(row + 1, 1)).toFixed(0)} %` : '–';
    episodes.textContent = faces.reduce((sum, face) => sum + face[row + 1][2], 0);
    if ('person' in peak.dataset && hidden.has(+peak.dataset.person)) peak.textContent = '–';
  });
}

// ---- from page to page ----

const nav = document.querySelector('nav'), clips = window.vidferClips ?? [];
const place = nav ? clips.indexOf(nav.dataset.clip) : -1;
if (place >= 0) {
  const link = (text, path) => Object.assign(document.createElement('a'), {textContent: text, href: nav.dataset.up + path});
  const page = clip => `${clip.split('/').map(encodeURIComponent).join('/')}/report.html`;
  nav.append(link('all clips', 'index.html'));
  if (place > 0) nav.append(link('← previous', page(clips[place - 1])));
  if (place + 1 < clips.length) nav.append(link('next →', page(clips[place + 1])));
  nav.hidden = false;
}

// ---- the chart ----

const themed = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const lineColour = label => themed(`--${data.emotions[label]}`) || data.colours[label];  // two are too dark for dark pages
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawChart());

const CURVES = 150, RIBBON = 20, SPACE = 34, BOTTOM = 34, LEGEND_ROW = 19, LEGEND_ITEM = 112, SIDES = 56, LANE = 28,
  TOOLS = 22;  // px; Plotly's buttons, which a touch screen always shows

// The axis is one of dates, for its ticks; numbers of four digits would be taken for years, hence the offset.
const MIDNIGHT = Date.UTC(2000, 0, 1);
const toAxis = seconds => MIDNIGHT + seconds * 1000;
const fromAxis = value => ((typeof value === 'number' ? value
  : Date.parse(value.length > 10 ? value.replace(' ', 'T') + 'Z' : value)) - MIDNIGHT) / 1000;

const withLanes = () => document.getElementById('show-lanes')?.checked ?? false;
const stacked = () => document.getElementById('show-areas').checked;

function traces(faces) {
  return faces.flatMap((face, panel) => {
    const x = face.seconds.map(toAxis);
    const axis = `y${panel ? 2 * panel + 1 : ''}`;
    const common = label => ({type: 'scatter', mode: 'lines', yaxis: axis, legendgroup: data.emotions[label]});
    const leading = new Set(face.episodes.map(episode => episode.emotion));
    const areas = stacked(), edges = areas ? stack(face) : face;
    const fills = data.emotions.flatMap((name, label) => edges.low[label] && (areas || leading.has(label)) ? [{...common(label), ...band(edges, label, x), name,
      showlegend: areas && panel === 0, hoverinfo: 'skip', fill: 'toself', line: {width: 0, color: lineColour(label)},
      fillcolor: lineColour(label) + (areas ? '' : '1f')}] : []);
    const lines = data.emotions.map((name, label) => ({...common(label), x, y: face.probabilities[label], name,
      showlegend: !areas && panel === 0, hovertemplate: '%{y:.2f}', line: {color: lineColour(label),
        width: areas ? 0 : leading.has(label) ? 2.2 : 1}, opacity: areas || leading.has(label) ? 1 : 0.75}));
    const episodes = face.episodes;
    const ribbon = {type: 'bar', orientation: 'h', yaxis: `y${2 * panel + 2}`, y: episodes.map(() => 0), width: 1,
      base: episodes.map(e => toAxis(e.start)), x: episodes.map(e => (e.end - e.start) * 1000), showlegend: false,
      text: episodes.map(e => data.emotions[e.emotion]), textposition: 'inside', insidetextanchor: 'middle',
      textangle: 0, textfont: {size: 11, color: episodes.map(e => data.ink[e.emotion])}, name: '',
      marker: {color: episodes.map(e => data.colours[e.emotion]), line: {color: '#fff', width: episodes.length < 40 ? 1 : 0}},
      hovertext: episodes.map(e => `${data.emotions[e.emotion]} ${clock(e.start)} – ${clock(e.end)}, ` +
        `strongest at ${clock(e.peak)}`), hovertemplate: '%{hovertext}<extra></extra>'};
    const unsure = {type: 'bar', orientation: 'h', yaxis: `y${2 * panel + 2}`, y: face.unsure.map(() => 0), width: 1,
      base: face.unsure.map(([from]) => toAxis(from)), x: face.unsure.map(([from, to]) => (to - from) * 1000),
      text: face.unsure.map(() => data.unsure.name), textposition: 'inside', insidetextanchor: 'middle', textangle: 0,
      textfont: {size: 11, color: '#000'}, name: data.unsure.name, showlegend: false, marker: {color: data.unsure.colour},
      hovertext: face.unsure.map(([from, to]) => `${data.unsure.name} ${clock(from)} – ${clock(to)}`),
      hovertemplate: '%{hovertext}<extra></extra>'};
    const lanes = withLanes() && face.lanes ? laneTraces(face.lanes, `y${2 * faces.length + panel + 1}`) : [];
    return [...fills, ...lines, ribbon, unsure, ...lanes];
  });
}

// Eyes, mouth and brows below each other: one movement filled, one as a line, ticks where the lids are lowest.
function laneTraces(lanes, yaxis) {
  const x = lanes.seconds.map(toAxis), count = data.lanes.length;
  const common = {type: 'scatter', mode: 'lines', yaxis, showlegend: false};
  const drawn = data.lanes.flatMap((lane, row) => {
    const bottom = count - 1 - row, high = column => column.map(value => value === null ? null : bottom + 0.86 * value);
    const area = band({low: [high(lanes.filled[row]).map(value => value === null ? null : bottom)], high: [high(lanes.filled[row])]}, 0, x);
    const line = (column, name, width) => ({...common, x, y: high(column), customdata: column, name,
      hovertemplate: '%{customdata:.2f}', line: {color: themed('--ink'), width}});
    return [{...common, ...area, hoverinfo: 'skip', fill: 'toself', line: {width: 0}, fillcolor: '#8fa9c2aa'},
      line(lanes.filled[row], lane.filled, 0.6), ...(lane.line ? [line(lanes.lines[row], lane.line, 1.4)] : [])];
  });
  const ticks = lanes.blinks.flatMap(seconds => [toAxis(seconds), toAxis(seconds), null]);
  return [...drawn, {...common, x: ticks, y: ticks.map((_, i) => i % 3 ? i % 3 === 1 ? count : null : count - 0.28),
    hoverinfo: 'skip', line: {color: '#d0392b', width: 1.5}}];
}

function stack(face) {  // the labels' probabilities on top of each other: the lower and the upper edge of each
  const low = [], high = [];
  face.probabilities.forEach((column, label) => {
    low.push(label ? high[label - 1] : column.map(value => value === null ? null : 0));
    high.push(column.map((value, i) => value === null ? null : low[label][i] + value));
  });
  return {low, high};
}

function band(face, label, x) {  // one outline for each stretch without a gap
  const low = face.low[label], high = face.high[label], xs = [], ys = [];
  for (let start = 0; start < x.length; start++) {
    let end = start;
    while (end < x.length && low[end] !== null) end++;
    for (let i = start; i < end; i++) { xs.push(x[i]); ys.push(high[i]); }
    for (let i = end - 1; i >= start; i--) { xs.push(x[i]); ys.push(low[i]); }
    xs.push(null); ys.push(null);
    start = end;
  }
  return {x: xs, y: ys};
}

function layout(faces) {
  const tall = faces.length === 1 ? 1.7 : 1, lanes = withLanes() ? 6 + LANE * data.lanes.length : 0,
    panel = CURVES * tall + 4 + RIBBON + lanes + SPACE;
  const perRow = Math.max(1, Math.floor((chart.clientWidth - SIDES) / LEGEND_ITEM));
  const TOP = TOOLS + 26 + LEGEND_ROW * Math.ceil(data.emotions.length / perRow);
  const height = TOP + BOTTOM + faces.length * panel - SPACE + 14, inner = height - TOP - BOTTOM;
  const result = {
    width: chart.clientWidth, height, margin: {l: 44, r: 12, t: TOP, b: BOTTOM}, paper_bgcolor: themed('--card'), plot_bgcolor: themed('--card'), uirevision: 'keep',
    font: {family: 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif', size: 12, color: themed('--ink')},
    hovermode: 'x unified', hoverlabel: {namelength: -1}, dragmode: 'zoom', barmode: 'overlay', bargap: 0,
    uniformtext: {minsize: 9, mode: 'hide'}, legend: {orientation: 'h', x: 0, y: 1, yanchor: 'bottom', yref: 'container',
      itemwidth: 30, entrywidth: LEGEND_ITEM - 42, entrywidthmode: 'pixels', traceorder: 'normal'},
    modebar: {bgcolor: 'transparent', color: themed('--faint'), activecolor: themed('--ink')}, shapes: [], annotations: [],
    xaxis: {type: 'date', range: [toAxis(0), toAxis(data.end)], minallowed: toAxis(0), maxallowed: toAxis(data.end),
      anchor: `y${(lanes ? 3 : 2) * faces.length}`, showgrid: false, zeroline: false, ticks: 'outside', tickcolor: '#bbb',
      tickformat: data.end >= 3600 ? '%-H:%M:%S' : '%-M:%S', hoverformat: data.end >= 3600 ? '%-H:%M:%S.%2f' : '%-M:%S.%2f',
      tickformatstops: [{dtickrange: [null, 999], value: '%-M:%S.%2f'}]},
  };
  result.legend.y = 1 - (TOOLS + 4) / height;
  result.legend.yanchor = 'top';
  faces.forEach((face, index) => {
    const top = inner - index * panel - 14, curves = `yaxis${index ? 2 * index + 1 : ''}`;
    const domain = (high, low) => [clamp((top - low) / inner, 0, 1), clamp((top - high) / inner, 0, 1)];
    result[curves] = {domain: domain(0, CURVES * tall), range: [0, 1.02], fixedrange: true, tickvals: [0, 0.5, 1],
      gridcolor: themed('--line'), zeroline: false};
    result[`yaxis${2 * index + 2}`] = {domain: domain(CURVES * tall + 4, CURVES * tall + 4 + RIBBON), range: [-0.5, 0.5],
      fixedrange: true, visible: false};
    if (lanes) result[`yaxis${2 * faces.length + index + 1}`] = {
      domain: domain(CURVES * tall + 10 + RIBBON, CURVES * tall + 4 + RIBBON + lanes), range: [0, data.lanes.length],
      fixedrange: true, zeroline: false, showgrid: false, tickvals: data.lanes.map((_, row) => data.lanes.length - row - 0.55),
      ticktext: data.lanes.map(lane => lane.name), tickfont: {size: 10}};
    const box = {type: 'rect', xref: 'x', layer: 'below', line: {width: 0}, fillcolor: themed('--page')};
    for (const [from, to] of face.gaps)
      result.shapes.push({...box, x0: toAxis(from), x1: toAxis(to), y0: 0, y1: 1, yref: `y${index ? 2 * index + 1 : ''} domain`});
    for (const [from, to] of face.unsure)  // behind lines; over areas, which would hide it
      result.shapes.push({...box, fillcolor: data.unsure.colour, opacity: stacked() ? 0.72 : 0.4, layer: stacked() ? 'above' : 'below',
        x0: toAxis(from), x1: toAxis(to), y0: 0, y1: 1, yref: `y${index ? 2 * index + 1 : ''} domain`});
    result.annotations.push({text: `<b>${escaped(face.label)}</b>  ${face.note}`, showarrow: false, xref: 'paper', yref: 'paper',
      x: 0, xanchor: 'left', y: (top + 2) / inner, yanchor: 'bottom', font: {size: 12}});
  });
  if (!faces.length) result.annotations.push({text: 'everybody is switched off', showarrow: false, xref: 'paper',
    yref: 'paper', x: 0.5, y: 0.5, font: {size: 14}});
  return result;
}

function drawChart() {
  if (typeof Plotly === 'undefined' || !data.faces.length) return;
  const faces = visibleFaces();
  chart.hidden = false;
  document.getElementById('band').hidden = stacked() || !faces.some(face => face.low.some(edge => edge));
  document.getElementById('still').hidden = true;
  Plotly.react(chart, traces(faces), layout(faces), {displaylogo: false, doubleClick: 'reset',
    modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'resetScale2d']]});
}

// Where the plot lies on the screen and which seconds it shows, or null while there is no chart.
function timeAxis() {
  const plot = chart.querySelector('.nsewdrag');
  if (!plot || chart.hidden) return null;
  const [from, to] = chart.layout.xaxis.range.map(fromAxis);
  return {box: plot.getBoundingClientRect(), from, to};
}

function moveCursor() {
  const axis = timeAxis();
  cursor.hidden = !axis || now < axis.from || now > axis.to;
  if (cursor.hidden) return;
  const left = axis.box.left - chart.parentElement.getBoundingClientRect().left;
  const top = chart.parentElement.getBoundingClientRect().top;
  cursor.style.top = `${axis.box.top - top}px`;
  cursor.style.height = `${chart.getBoundingClientRect().bottom - BOTTOM - axis.box.top}px`;
  cursor.style.left = `${left + axis.box.width * (now - axis.from) / (axis.to - axis.from)}px`;
}

// ---- faces over the video ----

const unpack = (text, Type) => new Type(Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer);
const faces = data.overlay && {
  seconds: unpack(data.overlay.seconds, Float32Array), first: unpack(data.overlay.first, Uint32Array),
  id: unpack(data.overlay.face, Int32Array), box: unpack(data.overlay.box, Int16Array),
  emotion: unpack(data.overlay.emotion, Uint8Array), percent: unpack(data.overlay.percent, Uint8Array),
  points: unpack(data.overlay.landmarks, Uint8Array),
};
// Stretches of the 68 landmarks (iBUG 300-W): [first, last, closed].
const PARTS = [[0, 16], [17, 21], [22, 26], [27, 30], [31, 35], [36, 41, 1], [42, 47, 1], [48, 59, 1], [60, 67, 1]];

const LABEL = 18;  // px, the height of what stands beside a face
const apart = (a, b) => a.left + a.room <= b.left || b.left + b.room <= a.left || Math.abs(a.top - b.top) >= LABEL;

function drawFaces() {
  if (!canvas || !faces) return;
  const pixels = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * pixels) || canvas.height !== Math.round(height * pixels)) {
    canvas.width = Math.round(width * pixels);
    canvas.height = Math.round(height * pixels);
  }
  const pen = canvas.getContext('2d'), scale = width / data.overlay.width;
  pen.setTransform(pixels, 0, 0, pixels, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (now < -0.002) return;  // only sound as yet
  const frame = frameAt(now), hidden = hiddenIds(), labels = [];
  for (let row = faces.first[frame]; row < faces.first[frame + 1]; row++)
    if (!hidden.has(faces.id[row])) drawFace(pen, row, scale, labels);
}

function frameAt(seconds) {  // the last sampled frame at or before this time
  let low = 0, high = faces.seconds.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (faces.seconds[middle] <= seconds + 0.002) low = middle; else high = middle - 1;
  }
  return low;
}

function drawFace(pen, row, scale, labels) {
  const [x, y, w, h] = faces.box.subarray(4 * row, 4 * row + 4).map(value => value);
  const sure = faces.emotion[row] < data.emotions.length;
  const colour = sure ? data.colours[faces.emotion[row]] : data.unsure.colour;
  if (document.getElementById('show-landmarks').checked) {
    pen.strokeStyle = 'rgba(255,255,255,.9)';
    pen.lineWidth = 1.2;
    pen.shadowColor = '#000';
    pen.shadowBlur = 2;
    for (const [first, last, closed] of PARTS) {
      pen.beginPath();
      for (let point = first; point <= last; point++) {
        const at = axis => faces.points[136 * row + 2 * point + axis] / 255 * 1.5 - 0.25;  // see overlay_data
        pen.lineTo((x + at(0) * w) * scale, (y + at(1) * h) * scale);
      }
      if (closed) pen.closePath();
      pen.stroke();
    }
    pen.shadowBlur = 0;
  }
  if (!document.getElementById('show-boxes').checked) return;
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  pen.strokeRect(x * scale, y * scale, w * scale, h * scale);
  const name = sure ? `${data.emotions[faces.emotion[row]]} ${faces.percent[row]} %` : data.unsure.name;
  const who = labelOf.get(faces.id[row]) ?? faces.id[row], text = `${who.replace(/^face (?=\d+$)/, '')}  ${name}`;
  pen.font = '600 12px system-ui, sans-serif';
  const room = pen.measureText(text).width + 10, left = clamp(x * scale - 1.25, 0, canvas.clientWidth - room);
  const above = y * scale - LABEL, below = (y + h) * scale;
  const places = [above, below, above - LABEL, below + LABEL].filter(top => top >= 0 && top + LABEL <= canvas.clientHeight);
  const top = places.find(top => labels.every(other => apart(other, {left, top, room}))) ?? places[0] ?? below;
  labels.push({left, top, room});
  pen.fillStyle = colour;
  pen.fillRect(left, top, room, LABEL);
  pen.fillStyle = sure ? data.ink[faces.emotion[row]] : '#000';
  pen.fillText(text, left + 5, top + 13);
}

// ---- time: one clock for video, cursor and drawing ----

function show(seconds) {
  now = seconds;
  moveCursor();
  drawFaces();
}

function seek(seconds) {
  const time = clamp(seconds, 0, data.end);
  if (video && !video.hidden) video.currentTime = time + data.start;
  show(time);
}

function watchVideo() {
  const failed = () => {
    document.getElementById('no-video').hidden = false;
    document.querySelector('.stage').hidden = true;
    video.hidden = true;
  };
  const next = () => video.requestVideoFrameCallback ? video.requestVideoFrameCallback(tick) : requestAnimationFrame(tick);
  const tick = (_, frame) => {
    // A frame from before a jump may be told of after it: while paused, the position alone counts.
    const seconds = video.paused ? video.currentTime : frame?.mediaTime ?? video.currentTime;
    if (!video.seeking) show(seconds - data.start);
    next();
  };
  video.lastElementChild.addEventListener('error', failed);  // of the last source: none of them can be played
  // All sources failed before this ran. Without a currentSrc none has been tried yet, which is the same state.
  if (video.networkState === HTMLMediaElement.NETWORK_NO_SOURCE && video.currentSrc) failed();
  video.addEventListener('loadedmetadata', () => {  // the overlay was written upright
    if (video.currentSrc.endsWith('/overlay_blurred.mp4')) video.removeAttribute('style');
  });
  video.addEventListener('seeked', () => show(video.currentTime - data.start));
  if (data.start > 0) {  // else it shows nothing as yet
    if (video.readyState) seek(now);
    else video.addEventListener('loadedmetadata', () => seek(now), {once: true});
  }
  if (video.error) failed();
  next();
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest('input, select, a, button, summary, video')) return;
  const step = event.shiftKey ? 0.1 : 1, letter = event.key.toLowerCase(), boxes = document.querySelectorAll('#faces input');
  if (event.key === ' ' && video && !video.hidden) { if (video.paused) video.play(); else video.pause(); }
  else if (event.key === 'ArrowLeft') seek(now - step);
  else if (event.key === 'ArrowRight') seek(now + step);
  else if (letter === 'b') document.getElementById('show-boxes').click();
  else if (letter === 'a') document.getElementById('show-areas')?.click();
  else if (letter === 'l') document.getElementById('show-landmarks').click();
  else if (boxes[+event.key - 1]) boxes[+event.key - 1].click();
  else return;
  event.preventDefault();
}

for (const row of document.querySelectorAll('[data-seconds]')) {
  row.addEventListener('click', () => seek(+row.dataset.seconds));
  row.addEventListener('keydown', event => { if (event.key === 'Enter') seek(+row.dataset.seconds); });
}
for (const box of document.querySelectorAll('#faces input')) box.addEventListener('change', applySwitches);
for (const box of document.querySelectorAll('#layers input')) box.addEventListener('change', () => show(now));
chart.addEventListener('click', event => {
  const axis = timeAxis();
  if (!axis || event.target.closest('.legend, .modebar')) return;
  const part = (event.clientX - axis.box.left) / axis.box.width;
  if (part >= 0 && part <= 1) seek(axis.from + part * (axis.to - axis.from));
});
document.addEventListener('keydown', onKey);
drawChart();
if (chart.on) for (const event of ['plotly_relayout', 'plotly_afterplot']) chart.on(event, moveCursor);
for (const name of ['show-areas', 'show-lanes']) document.getElementById(name)?.addEventListener('change', applySwitches);
let width = chart.clientWidth;
window.addEventListener('resize', () => {
  if (chart.clientWidth !== width) drawChart();  // the legend may need more rows
  width = chart.clientWidth;
  show(now);
});
if (video) watchVideo();
const goToLink = () => { const at = /^#t=([\d.]+)$/.exec(location.hash); if (at) seek(+at[1]); else show(0); };
window.addEventListener('hashchange', goToLink);
goToLink();
