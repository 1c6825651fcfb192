// How a head is turned: vidfer/faces/pose.py. Matrices are lists of rows.

const product = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const degrees = (radians) => (radians * 180) / Math.PI;

// Returns x of A x = b by Gaussian elimination with the largest pivot.
function solved(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]), size = rows.length;
  for (let i = 0; i < size; i++) {
    let best = i;
    for (let j = i + 1; j < size; j++) if (Math.abs(rows[j][i]) > Math.abs(rows[best][i])) best = j;
    [rows[i], rows[best]] = [rows[best], rows[i]];
    for (let j = 0; j < size; j++) {
      if (j === i) continue;
      const factor = rows[j][i] / rows[i][i];
      for (let k = i; k <= size; k++) rows[j][k] -= factor * rows[i][k];
    }
  }
  return rows.map((row, i) => row[size] / row[i]);
}

// Returns the rotation matrix of a rotation vector (Rodrigues).
function exponential(turn) {
  const angle = Math.hypot(...turn), [x, y, z] = turn.map((value) => value / Math.max(angle, 1e-12));
  const cross = [[0, -z, y], [z, 0, -x], [-y, x, 0]], squared = product(cross, cross);
  return cross.map((row, i) =>
    row.map((value, j) => (i === j) + Math.sin(angle) * value + (1 - Math.cos(angle)) * squared[i][j]));
}

// Returns pitch, yaw and roll in degrees of 68 landmarks, px of a picture.
export function headPose(landmarks, width, height, { meanFace, pointWeights, steps }) {
  const focal = Math.max(width, height);
  const points = landmarks.map(([x, y]) => [(x - width / 2) / focal, (y - height / 2) / focal]);
  const total = pointWeights.reduce((sum, value) => sum + value, 0), weights = pointWeights.map((value) => value / total);
  let [rotation, translation] = weakPerspective(points, meanFace, weights);
  for (let step = 0; step < steps; step++) {
    const change = gaussNewton(points, rotation, translation, meanFace, weights);
    const turn = change.slice(0, 3), angle = Math.hypot(...turn), share = Math.min(1, 0.5 / Math.max(angle, 1e-12));
    rotation = product(exponential(turn.map((value) => value * share)), rotation);
    const [x, y, z] = translation;
    translation = [x + change[3], y + change[4], Math.max(z + change[5], 0.5 * z)];
  }
  const length = Math.hypot(...translation), sight = translation.map((value) => value / length);
  const sine = Math.hypot(sight[0], sight[1]), angle = Math.atan2(sine, sight[2]) / Math.max(sine, 1e-12);
  const seen = product(exponential([sight[1] * angle, -sight[0] * angle, 0]), rotation);
  return [
    degrees(Math.asin(Math.min(Math.max(seen[1][2], -1), 1))),
    degrees(Math.atan2(-seen[0][2], seen[2][2])),
    degrees(Math.atan2(seen[1][0], seen[1][1])),
  ];
}

function weakPerspective(points, meanFace, weights) {
  const centre = [0, 1, 2].map((k) => meanFace.reduce((sum, point, i) => sum + weights[i] * point[k], 0));
  const image = [0, 1].map((k) => points.reduce((sum, point, i) => sum + weights[i] * point[k], 0));
  const moments = [[0, 0, 0], [0, 0, 0], [0, 0, 0]], sums = [[0, 0, 0], [0, 0, 0]];
  meanFace.forEach((point, i) => {
    const model = point.map((value, k) => value - centre[k]);
    for (let k = 0; k < 3; k++) {
      for (let j = 0; j < 3; j++) moments[k][j] += weights[i] * model[k] * model[j];
      for (let axis = 0; axis < 2; axis++) sums[axis][k] += weights[i] * model[k] * (points[i][axis] - image[axis]);
    }
  });
  const affine = sums.map((row) => solved(moments, row));  // (2, 3)
  // The nearest pair of orthonormal rows, (A A')^-1/2 A: in two dimensions the root of a matrix has a closed form.
  const [[a, b], [, d]] = product(affine, [0, 1, 2].map((k) => [affine[0][k], affine[1][k]]));
  const root = Math.sqrt(Math.max(a * d - b * b, 0)), scales = Math.sqrt(a + d + 2 * root);  // their sum
  const [p, q, s] = [(a + root) / scales, b / scales, (d + root) / scales], det = p * s - q * q;
  const top = product([[s / det, -q / det], [-q / det, p / det]], affine);
  const [u, v] = top, cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const rotation = [u, v, cross], depth = 1 / Math.max(scales / 2, 1e-9);
  const translation = [image[0] * depth, image[1] * depth, depth].map(
    (value, i) => value - rotation[i].reduce((sum, one, k) => sum + one * centre[k], 0));
  translation[2] = Math.max(translation[2], 2 * Math.max(...meanFace.flat().map(Math.abs)));
  return [rotation, translation];
}

function gaussNewton(points, rotation, translation, meanFace, weights) {
  const normal = Array.from({ length: 6 }, () => new Float64Array(6)), right = new Float64Array(6);
  meanFace.forEach((point, i) => {
    const [x, y, z] = rotation.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2]);
    const depth = z + translation[2], u = (x + translation[0]) / depth, v = (y + translation[1]) / depth;
    const rows = [[-u * y, z + u * x, -y, 1, 0, -u], [-z - v * y, v * x, x, 0, 1, -v]];
    const residual = [points[i][0] - u, points[i][1] - v];
    rows.forEach((row, axis) => {
      for (let j = 0; j < 6; j++) {
        right[j] += (weights[i] * row[j] * residual[axis]) / depth;
        for (let k = 0; k < 6; k++) normal[j][k] += (weights[i] * row[j] * row[k]) / depth ** 2;
      }
    });
  });
  for (let j = 0; j < 6; j++) normal[j][j] *= 1 + 1e-6;
  return solved(normal.map((row) => [...row]), right);
}
