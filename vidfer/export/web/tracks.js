// Who is who from frame to frame: vidfer/faces/tracking.py and boxes.py.

export function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  return shared / Math.max(area(a) + area(b) - shared, 1e-9);
}

const area = ([left, top, right, bottom]) => Math.max(right - left, 0) * Math.max(bottom - top, 0);
const sizeOf = (box) => Math.sqrt(area(box));
const centreOf = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];

function contained(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return (Math.max(width, 0) * Math.max(height, 0)) / Math.min(area(a), area(b));
}

// Returns for each row the column of the pairs that cost least in sum, -1 for none: the Hungarian algorithm
// (Kuhn 1955) with shortest augmenting paths.
function pairUp(cost) {
  const turned = cost.length > cost[0].length;
  const costs = turned ? cost[0].map((_, j) => cost.map((row) => row[j])) : cost;
  const n = costs.length, m = costs[0].length;
  const u = new Float64Array(n + 1), v = new Float64Array(m + 1), rowOf = new Int32Array(m + 1);
  for (let i = 1; i <= n; i++) {
    const least = new Float64Array(m + 1).fill(Infinity), way = new Int32Array(m + 1), used = new Uint8Array(m + 1);
    rowOf[0] = i;
    let column = 0;
    do {
      used[column] = 1;
      let next = 0, step = Infinity;
      for (let j = 1; j <= m; j++) {
        if (used[j]) continue;
        const reduced = costs[rowOf[column] - 1][j - 1] - u[rowOf[column]] - v[j];
        if (reduced < least[j]) { least[j] = reduced; way[j] = column; }
        if (least[j] < step) { step = least[j]; next = j; }
      }
      for (let j = 0; j <= m; j++) {
        if (used[j]) { u[rowOf[j]] += step; v[j] -= step; } else least[j] -= step;
      }
      column = next;
    } while (rowOf[column]);
    while (column) { rowOf[column] = rowOf[way[column]]; column = way[column]; }
  }
  const found = new Int32Array(cost.length).fill(-1);
  for (let j = 1; j <= m; j++) {
    if (!rowOf[j]) continue;
    if (turned) found[j - 1] = rowOf[j] - 1; else found[rowOf[j] - 1] = j - 1;
  }
  return found;
}

class Track {
  constructor(box, score, frame, seconds) {
    Object.assign(this, { box, frame, seconds, numFaces: 1, bestScore: score, faceId: -1, velocity: [0, 0] });
  }

  // Returns where the face should be now: its velocity fades, because heads swing back.
  predicted(seconds, { predictionSeconds }) {
    const reach = predictionSeconds * -Math.expm1(-(seconds - this.seconds) / predictionSeconds);
    return this.box.map((side, i) => side + this.velocity[i % 2] * reach);
  }

  reach(seconds, { secondChanceSizes, secondChanceSizesPerSecond, secondChanceMaxSizes }) {
    if (this.numFaces === 1) return secondChanceMaxSizes;
    return Math.min(secondChanceSizes + secondChanceSizesPerSecond * (seconds - this.seconds), secondChanceMaxSizes);
  }

  add(box, score, frame, seconds, { velocitySeconds }) {
    const elapsed = seconds - this.seconds, [before, now] = [centreOf(this.box), centreOf(box)];
    const gain = Math.max(-Math.expm1(-elapsed / velocitySeconds), 1 / this.numFaces);
    this.velocity = this.velocity.map((speed, axis) => speed + gain * ((now[axis] - before[axis]) / elapsed - speed));
    this.numFaces += 1;
    this.bestScore = Math.max(this.bestScore, score);
    Object.assign(this, { box, frame, seconds });
  }
}

export class Tracker {
  constructor(about) {
    this.about = about;
    this.open = [];
    this.numbered = 0;
  }

  // Returns the track of each face of a frame, null for one that is there twice; those that count have a `faceId`.
  advance(faces, frame, seconds, cut) {
    const about = this.about;
    let rows = faces.map((_, row) => row).sort((a, b) => faces[b].score - faces[a].score);
    rows = rows.filter((row, i) => rows.slice(0, i).every((other) => overlap(faces[row].box, faces[other].box) < about.duplicateIou));
    this.open = (cut ? [] : this.open).filter((track) => frame - track.frame <= 1 || seconds - track.seconds <= about.maxGapSeconds);
    const matched = this.match(rows.map((row) => faces[row].box), seconds), found = faces.map(() => null);
    const taken = [];
    rows.forEach((row, i) => {
      if (!matched[i]) return;
      matched[i].add(faces[row].box, faces[row].score, frame, seconds, about);
      found[row] = matched[i];
      taken.push(faces[row].box);
    });
    rows.forEach((row, i) => {
      const { box, score } = faces[row];
      if (matched[i] || taken.some((other) => contained(box, other) >= about.newTrackMaxContained || overlap(box, other) >= about.newTrackMaxIou)) return;
      found[row] = new Track(box, score, frame, seconds);
      this.open.push(found[row]);
      taken.push(box);
    });
    for (const track of found) {
      const counts = track && track.numFaces >= about.countsFrom && track.bestScore >= about.startScore;
      if (counts && track.faceId < 0) track.faceId = this.numbered++;
    }
    return found;
  }

  match(boxes, seconds) {
    const { about, open } = this, found = boxes.map(() => null);
    if (!open.length || !boxes.length) return found;
    const cost = open.map((track) => {
      const predicted = track.predicted(seconds, about), reach = track.reach(seconds, about);
      return boxes.map((box) => Math.min(about.noMatch, costOf(predicted, box, reach, about)));
    });
    pairUp(cost).forEach((column, row) => { if (column >= 0 && cost[row][column] < about.noMatch) found[column] = open[row]; });
    return found;
  }
}

function costOf(predicted, box, reach, about) {
  const [size, before] = [sizeOf(box), sizeOf(predicted)], ratio = Math.abs(Math.log(size / before));
  if (ratio > Math.log(about.maxSizeRatio)) return Infinity;
  const [a, b] = [centreOf(box), centreOf(predicted)], distance = Math.hypot(a[0] - b[0], a[1] - b[1]) / Math.max(size, before);
  const iou = overlap(predicted, box);
  if (iou < Math.max(about.minIou, 1e-9) && distance > reach) return Infinity;
  return 1 - iou + 0.5 * Math.min(distance, about.secondChanceMaxSizes) + 0.5 * ratio;
}
