// How faces are cut out of pictures: vidfer/faces/align.py and array_pictures.py, to the last bit where they count in
// whole numbers. A picture is { data, width, height }, RGBA bytes as a canvas gives them; a transform is the six
// numbers of a (2, 3) matrix, row by row.

const PRECISION_BITS = 22;  // Pillow's: its resampling of bytes counts in whole numbers

function coefficients(from, to) {
  const scale = from / to, support = Math.max(scale, 1);
  const first = new Int32Array(to), count = new Int32Array(to), size = Math.ceil(support) * 2 + 1;
  const weights = new Int32Array(to * size);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5)), high = Math.min(from, Math.trunc(centre + support + 0.5));
    const shares = [];
    let sum = 0;
    for (let x = low; x < high; x++) {
      const share = Math.max(0, 1 - Math.abs((x - centre + 0.5) / support));
      shares.push(share);
      sum += share;
    }
    shares.forEach((share, k) => { weights[i * size + k] = Math.trunc(0.5 + (share / sum) * 2 ** PRECISION_BITS); });
    first[i] = low;
    count[i] = high - low;
  }
  return { first, count, weights, size };
}

// Returns a part of a picture at another size, RGB bytes, by Pillow's bilinear filter, which does not alias.
export function resized(picture, left, top, width, height, toWidth, toHeight) {
  const across = coefficients(width, toWidth), down = coefficients(height, toHeight);
  const half = 1 << (PRECISION_BITS - 1), { data } = picture;
  const rows = new Uint8Array(height * toWidth * 3);
  for (let y = 0, at = 0; y < height; y++) {
    const start = ((top + y) * picture.width + left) * 4;
    for (let x = 0; x < toWidth; x++, at += 3) {
      let red = half, green = half, blue = half, from = start + across.first[x] * 4;
      for (let k = x * across.size, end = k + across.count[x]; k < end; k++, from += 4) {
        const weight = across.weights[k];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      rows[at] = red >> PRECISION_BITS;
      rows[at + 1] = green >> PRECISION_BITS;
      rows[at + 2] = blue >> PRECISION_BITS;
    }
  }
  const found = new Uint8Array(toHeight * toWidth * 3), stride = toWidth * 3;
  for (let y = 0; y < toHeight; y++) {
    const from = down.first[y] * stride, begin = y * down.size, end = begin + down.count[y];
    for (let x = 0; x < stride; x++) {
      let sum = half;
      for (let k = begin, at = from + x; k < end; k++, at += stride) sum += rows[at] * down.weights[k];
      found[y * stride + x] = sum >> PRECISION_BITS;
    }
  }
  return found;
}

export function inverted([a, b, x, c, d, y]) {
  const det = a * d - b * c;
  const [p, q, r, s] = [d / det, -b / det, -c / det, a / det];
  return [p, q, -(p * x + q * y), r, s, -(r * x + s * y)];
}

export const moved = ([a, b, x, c, d, y], [px, py]) => [a * px + b * py + x, c * px + d * py + y];

// Returns the transform from px to the unit square around a box, larger by a margin.
export function boxTransform([left, top, right, bottom], margin) {
  const scale = 1 / Math.max(Math.max(right - left, bottom - top) * (1 + margin), 1e-6);
  return [scale, 0, 0.5 - (scale * (left + right)) / 2, 0, scale, 0.5 - (scale * (top + bottom)) / 2];
}

const mean = (points) => {
  const sum = [0, 0];
  for (const [x, y] of points) { sum[0] += x; sum[1] += y; }
  return [sum[0] / points.length, sum[1] / points.length];
};

// Returns the least-squares similarity from a face's landmarks to the template of the aligned face.
export function faceTransform(landmarks, template) {
  const points = [mean(landmarks.slice(36, 42)), mean(landmarks.slice(42, 48)), landmarks[30], landmarks[48], landmarks[54]];
  const [sx, sy] = mean(points), [tx, ty] = mean(template);
  let spread = 0, a = 0, b = 0;
  points.forEach(([x, y], i) => {
    const [px, py] = [x - sx, y - sy], [qx, qy] = [template[i][0] - tx, template[i][1] - ty];
    spread += px * px + py * py;
    a += px * qx + py * qy;
    b += px * qy - py * qx;
  });
  [a, b] = spread > 1e-12 ? [a / spread, b / spread] : [NaN, NaN];
  return [a, -b, tx - (a * sx - b * sy), b, a, ty - (b * sx + a * sy)];
}

// Returns the box that a detector would put around 68 landmarks.
export function landmarkBox(landmarks, { forehead, moves }) {
  const [ex, ey] = mean(landmarks.slice(36, 48)), [mx, my] = mean(landmarks.slice(48));
  const above = landmarks.slice(17, 27).map(([x, y]) => [x + forehead * (ex - mx), y + forehead * (ey - my)]);
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const point of [...landmarks, ...above]) {
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  return [...low, ...high].map((side, i) => side + (high[i % 2] - low[i % 2]) * moves[i]);
}

const between = (value, low, high) => Math.min(Math.max(value, low), high);

// Returns a face at a fixed size: float 0..1, gray (S, S) or planes of RGB (3, S, S); black if the transform is no number.
export function warped(picture, transform, size, luma = null) {
  const planes = luma ? 1 : 3, face = new Float32Array(planes * size * size);
  const toSource = inverted(transform), reduced = Math.ceil(size * 1.5);
  const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map((corner) => moved(toSource, corner));
  if (!corners.flat().every(Number.isFinite)) return face;
  const shape = [picture.width, picture.height], low = [], high = [], first = [], extent = [];
  for (const axis of [0, 1]) {
    const values = corners.map((corner) => Math.fround(corner[axis]));
    low[axis] = Math.min(...values);
    high[axis] = Math.max(...values);
    first[axis] = between(Math.floor(low[axis]), 0, shape[axis] - 1);
    extent[axis] = between(Math.ceil(high[axis]), first[axis] + 1, shape[axis]) - first[axis];
  }
  const side = Math.max(1, high[0] - low[0], high[1] - low[1], ...extent);
  const shrunk = extent.map((length) => between(Math.round((length * reduced) / side), 1, reduced));
  const patch = resized(picture, ...first, ...extent, ...shrunk);
  const scale = shrunk.map((length, axis) => length / extent[axis]);
  const toPatch = toSource.map((value, i) => (i % 3 === 2 ? value - first[i > 2 ? 1 : 0] : value) * scale[i > 2 ? 1 : 0]);
  const count = shrunk[0] * shrunk[1], filled = [];
  for (let plane = 0; plane < planes; plane++) {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const [red, green, blue] = [patch[3 * i], patch[3 * i + 1], patch[3 * i + 2]];
      values[i] = (luma ? red * luma[0] + green * luma[1] + blue * luma[2] : patch[3 * i + plane]) / 255;
    }
    filled.push(values);
  }
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = 0; column < size; column++, at++) {
      const [px, py] = moved(toPatch, [(column + 0.5) / size, (row + 0.5) / size]);
      const x = Math.min(Math.max(px, 0.5), shrunk[0] - 0.5) - 0.5, y = Math.min(Math.max(py, 0.5), shrunk[1] - 0.5) - 0.5;
      const left = Math.trunc(x), top = Math.trunc(y), toRight = x - left, toBottom = y - top;
      const corner = top * shrunk[0] + left, right = left < shrunk[0] - 1 ? 1 : 0, below = top < shrunk[1] - 1 ? shrunk[0] : 0;
      filled.forEach((values, plane) => {
        const upper = values[corner] + (values[corner + right] - values[corner]) * toRight;
        const lower = values[corner + below] + (values[corner + below + right] - values[corner + below]) * toRight;
        face[plane * size * size + at] = upper + (lower - upper) * toBottom;
      });
    }
  }
  return face;
}

export function upsideDown({ data, width, height }) {
  return { data: new Uint8ClampedArray(new Uint32Array(data.buffer.slice(0)).reverse().buffer), width, height };
}

// Returns the picture, in gray if it is lit by a lamp of one colour: see vidfer/faces/detectors/embedded.py.
export function withoutColouredLight(picture, { everyPx, leastLight, leastRed }) {
  const { data, width, height } = picture, light = [0, 0, 0];
  let count = 0;
  for (let y = 0; y < height; y += everyPx) {
    for (let x = 0; x < width; x += everyPx, count++) {
      for (let channel = 0; channel < 3; channel++) light[channel] += data[(y * width + x) * 4 + channel];
    }
  }
  const most = Math.max(...light);
  if (Math.min(...light) >= leastLight * most && light[0] >= leastRed * most) return picture;
  const gray = new Uint8ClampedArray(data.length);
  for (let i = 0; i < data.length; i += 4) {
    gray[i] = gray[i + 1] = gray[i + 2] = Math.round((data[i] + data[i + 1] + data[i + 2]) / 3);
    gray[i + 3] = 255;
  }
  return { data: gray, width, height };
}

// Returns what is compared to find cuts, and whether two of them have one in between: vidfer/faces/cuts.py.
export function signatureOf({ data, width, height }, { grid, block, levels, luma }) {
  const side = grid / block, thumbnail = new Float32Array(side * side), colours = new Float32Array(3 * levels);
  for (let row = 0; row < grid; row++) {
    const y = Math.floor(((row + 0.5) * height) / grid);
    for (let column = 0; column < grid; column++) {
      const at = (y * width + Math.floor(((column + 0.5) * width) / grid)) * 4;
      const pixel = [data[at], data[at + 1], data[at + 2]];
      const place = Math.floor(row / block) * side + Math.floor(column / block);
      thumbnail[place] += (pixel[0] * luma[0] + pixel[1] * luma[1] + pixel[2] * luma[2]) / (255 * block * block);
      if (row % 2 || column % 2) continue;
      pixel.forEach((value, channel) => { colours[channel * levels + Math.floor((value * levels) / 256)] += 4 / (grid * grid); });
    }
  }
  return { thumbnail, colours };
}

export function isCut(before, now, { maxCorrelation, newLayout, colourDistance }) {
  const away = ({ thumbnail }) => {
    const average = thumbnail.reduce((sum, value) => sum + value, 0) / thumbnail.length;
    return thumbnail.map((value) => value - average);
  };
  const [a, b] = [away(before), away(now)], floor = a.length / 255 ** 2;
  const product = (p, q) => p.reduce((sum, value, i) => sum + value * q[i], 0);
  const correlation = product(a, b) / Math.sqrt((product(a, a) + floor) * (product(b, b) + floor));
  const distance = before.colours.reduce((sum, value, i) => sum + Math.abs(value - now.colours[i]), 0) / 6;
  const share = between((correlation - newLayout[0]) / (newLayout[1] - newLayout[0]), 0, 1);
  return correlation < maxCorrelation && distance > colourDistance[0] + share * (colourDistance[1] - colourDistance[0]);
}
