// Frames in, faces out: what vidfer.Pipeline("live").stream() does, in the same order with the same networks.
// vidfer/pipeline/following.py, faces.py and stream.py.
import {
  boxTransform, faceTransform, inverted, isCut, landmarkBox, moved, resized, signatureOf, upsideDown, warped, withoutColouredLight,
} from "./pictures.js";
import { headPose } from "./pose.js";
import { Tracker, overlap } from "./tracks.js";
import { ExpressionStream, shifted } from "./expressions.js";

const PADDING = 32;  // the detector's largest stride
const clipped = (value, low, high) => Math.min(Math.max(value, low), high);
const joined = (arrays) => {
  const all = new Float32Array(arrays.length * arrays[0].length);
  arrays.forEach((array, i) => all.set(array, i * array.length));
  return all;
};

export class Stream {
  // `run(name, { input: [values, shape] })` gives a network's outputs as { name: { data, dims } }.
  constructor(run, about) {
    Object.assign(this, { run, about, before: null, signature: null, frame: 0, tracker: new Tracker(about.tracks) });
    this.expressions = new Map();
  }

  // Returns the faces of a picture that count, at a time later than that of the one before.
  async look(picture, seconds) {
    const { about } = this, signature = signatureOf(picture, about.cuts), { before } = this;
    const cut = before !== null && (before.width !== picture.width || before.height !== picture.height || isCut(this.signature, signature, about.cuts));
    const inTime = before && seconds - before.searched <= about.faces.maxFollowSeconds;
    const isDue = !inTime || before.numFollowed + 1 >= about.faces.detectEvery;
    let now = null;
    if (before && !cut) now = await (isDue ? this.renew(picture, before, seconds) : this.follow(picture, before, seconds));
    now ??= await this.search(picture, seconds);
    this.before = Object.assign(now, { width: picture.width, height: picture.height });
    this.signature = signature;
    const faces = [...now.faces].sort((a, b) => b.score - a.score);
    if (faces.length) await this.describe(picture, faces);
    const tracks = this.tracker.advance(faces, this.frame++, seconds, cut);
    const known = this.expressions;
    this.expressions = new Map(this.tracker.open.map((track) => [track, known.get(track) ?? new ExpressionStream(this.step, about.temporal)]));
    for (const [i, track] of tracks.entries()) {
      if (!track) continue;
      const { vector, logits, quality } = faces[i];
      const probabilities = await this.expressions.get(track).push(seconds, vector, logits, quality);
      Object.assign(faces[i], { faceId: track.faceId, probabilities: shifted(probabilities, about.prior) });
    }
    return faces.filter((_, i) => tracks[i]?.faceId >= 0)
      .map(({ vector, logits, transform, ...face }) => face).sort((a, b) => a.faceId - b.faceId);
  }

  async search(picture, seconds, found = null) {
    let faces = this.large(found ?? await this.detect(picture)).slice(0, this.about.faces.maxFaces);
    faces = this.confirmed(await this.place(picture, faces));
    faces = this.confirmed(await this.place(picture, faces));  // again, around its own landmarks
    return { seconds, faces, searched: seconds, numFollowed: 0, velocity: faces.map(() => [0, 0, 0, 0]) };
  }

  large(faces) { return faces.filter(({ box }) => Math.max(box[2] - box[0], box[3] - box[1]) >= this.about.faces.minSize); }

  // Looks at the known faces and for all: where the detector sees those and no others, they are followed.
  async renew(picture, before, seconds) {
    if (!before.faces.length) return null;
    const found = await this.detect(picture), followed = await this.follow(picture, before, seconds, true);
    const seen = this.large(found);
    if (followed?.faces.length !== seen.length) return this.search(picture, seconds, found);
    const which = followed.faces.map(({ box }) => seen.reduce((best, one) => (overlap(one.box, box) > overlap(best.box, box) ? one : best)));
    const again = followed.faces.every(({ box }, i) => overlap(which[i].box, box) >= this.about.faces.seenAgainIou);
    if (!again || new Set(which).size < which.length) return this.search(picture, seconds, found);
    const faces = followed.faces.map((face, i) => ({ ...face, score: which[i].score }));
    return { ...followed, faces, searched: seconds, numFollowed: 0 };
  }

  // Looks at the known faces where they should be, at all of them twice if wanted; null if one of them is lost.
  async follow(picture, before, seconds, twice = false) {
    const elapsed = seconds - before.seconds, steady = elapsed <= this.about.faces.steadySeconds;
    const expected = before.faces.map(({ box, score }, i) =>
      ({ score, box: box.map((side, k) => side + (steady ? before.velocity[i][k] * elapsed : 0)) }));
    const faces = await this.place(picture, expected), left = [];
    faces.forEach(({ box }, i) => {
      const [x, y, right, bottom] = expected[i].box, size = Math.sqrt(Math.max((right - x) * (bottom - y), 1));
      const offPath = Math.max(...box.map((side, k) => Math.abs(side - expected[i].box[k])));
      if (twice || offPath > this.about.faces.maxOffPath * size) left.push(i);
    });
    const again = await this.place(picture, left.map((i) => faces[i]));
    left.forEach((i, k) => { faces[i] = again[k]; });
    if (this.confirmed(faces).length < faces.length) return null;
    const velocity = faces.map(({ box }, i) => box.map((side, k) => (steady ? (side - before.faces[i].box[k]) / elapsed : 0)));
    return { seconds, faces, velocity, searched: before.searched, numFollowed: before.numFollowed + 1 };
  }

  confirmed(faces) { return faces.filter(({ confidence }) => confidence >= this.about.faces.minLandmarkScore); }

  async detect(picture) {
    const { width, height } = picture, about = this.about.detector, longest = Math.max(width, height);
    const side = about.longSide || Math.min(about.largestSide, Math.max(about.smallestSide, Math.ceil(longest / about.shrink)));
    const factor = Math.min(about.maxEnlargement, side / longest);
    const [w, h] = [width, height].map((length) => Math.max(1, Math.round(length * factor)));
    const [paddedW, paddedH] = [w, h].map((length) => Math.ceil(length / PADDING) * PADDING);
    const pixels = resized(withoutColouredLight(picture, about), 0, 0, width, height, w, h);
    const planes = new Float32Array(3 * paddedW * paddedH);
    for (let y = 0, at = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        for (let channel = 0; channel < 3; channel++, at++) planes[(channel * paddedH + y) * paddedW + x] = pixels[at];
      }
    }
    const { score, boxes } = await this.run("detector", { images: [planes, [1, 3, paddedH, paddedW]] });
    const found = [];
    score.data.forEach((sure, cell) => {
      if (sure < about.minScore) return;
      found.push({ score: sure, box: [0, 1, 2, 3].map((k) => boxes.data[4 * cell + k] * (k % 2 ? height / h : width / w)) });
    });
    return suppressed(found.sort((a, b) => b.score - a.score).slice(0, about.mostCandidates), about.maxIou);
  }

  // Returns faces where the landmark network sees them when it is told to look at their boxes.
  async place(picture, faces) {
    if (!faces.length) return [];
    const { size, margin, luma, box: boxOf } = this.about.landmarks;
    const transforms = faces.map(({ box }) => boxTransform(box, margin));
    const crops = joined(transforms.map((transform) => warped(picture, transform, size, luma)));
    const { points, score } = await this.run("landmarks", { crops: [crops, [faces.length, 1, size, size]] });
    return faces.map((face, i) => {
      const back = inverted(transforms[i]), at = (k) => i * 136 + 2 * k;
      const landmarks = Array.from({ length: 68 }, (_, k) => moved(back, [points.data[at(k)], points.data[at(k) + 1]]));
      const known = landmarks.flat().every(Number.isFinite);
      return { score: face.score, landmarks, box: landmarkBox(landmarks, boxOf), confidence: known ? score.data[i] : 0 };
    });
  }

  // Adds pose, quality and the per-frame network's answer.
  async describe(picture, faces) {
    const { about } = this, { size, luma, template } = about.quality, { colour } = about.expressions, count = faces.length;
    for (const face of faces) {
      face.transform = faceTransform(face.landmarks, template);
      face.pose = headPose(face.landmarks, picture.width, picture.height, about.pose);
    }
    const gray = faces.map(({ transform }) => warped(picture, transform, size, luma));
    const features = joined(faces.map((face) => qualityFeatures(face, about.quality)));
    const { quality } = await this.run("quality", { faces: [joined(gray), [count, 1, size, size]], features: [features, [count, 6]] });
    faces.forEach((face, i) => { face.quality = quality.data[i]; });
    await this.lowerInverted(picture, faces);
    const side = about.expressions.size;
    const cut = colour === "gray" && side === size ? gray : faces.map(({ transform }) => warped(picture, transform, side, colour === "gray" ? luma : null));
    const found = await this.run("expressions", { faces: [joined(cut), [count, colour === "gray" ? 1 : 3, side, side]] });
    faces.forEach((face, i) => {
      for (const [name, output] of [["vector", "vectors"], ["logits", "logits"]]) {
        const { data, dims } = found[output];
        face[name] = data.slice(i * dims[1], (i + 1) * dims[1]);
      }
    });
  }

  // A face on its head is seen more surely in the picture turned by 180 degrees: its quality is lowered.
  async lowerInverted(picture, faces) {
    const { mostInverted, sureUpright, nearlyAsSure } = this.about.faces, { width, height } = picture;
    let doubted = faces.filter(({ quality, score }) => quality > mostInverted && score < sureUpright);
    if (!doubted.length) return;
    const turned = upsideDown(picture);
    let looked = doubted.map(({ box, score }) => ({ score, box: [width - box[2], height - box[3], width - box[0], height - box[1]] }));
    for (const nearly of [nearlyAsSure, 0]) {
      const seen = await this.place(turned, looked), surer = seen.map(({ confidence }, i) => confidence > doubted[i].confidence - nearly);
      doubted = doubted.filter((_, i) => surer[i]);
      looked = seen.filter((_, i) => surer[i]);
    }
    for (const face of doubted) face.quality = Math.min(face.quality, mostInverted);
  }

  // One step of the network over time: log-probabilities of each node, and the state behind them.
  step = async (nodes, state) => {
    const { states } = this.about.temporal, inputs = { features: [joined(nodes), [1, nodes.length, nodes[0].length]] };
    for (const { name, shape } of states) inputs[name] = [state?.[name] ?? new Float32Array(shape.reduce((a, b) => a * b, 1)), shape];
    const found = await this.run("temporal_step", inputs), { data, dims } = found.log_probabilities;
    const rows = nodes.map((_, i) => Array.from(data.slice(i * dims[2], (i + 1) * dims[2])));
    return [rows, Object.fromEntries(states.map(({ name }) => [name, found[`${name}_after`].data]))];
  };
}

// Keeps the best of each group of overlapping boxes, averaged over the group by score: vidfer/faces/nms.py.
function suppressed(found, maxIou) {
  const kept = [];
  let free = found;
  while (free.length) {
    const [best] = free, group = free.filter((one) => one === best || overlap(one.box, best.box) > maxIou);
    const total = group.reduce((sum, { score }) => sum + score ** 2, 0);
    kept.push({ score: best.score, box: best.box.map((_, k) => group.reduce((sum, { box, score }) => sum + box[k] * score ** 2, 0) / total) });
    free = free.filter((one) => !group.includes(one));
  }
  return kept;
}

function qualityFeatures({ box, confidence, pose: [pitch, yaw, roll] }, { smallestPx, largeEnoughPx }) {
  const size = clipped(Math.max(box[2] - box[0], box[3] - box[1]), smallestPx, largeEnoughPx);
  const score = clipped(confidence, 1e-3, 1 - 1e-3), turn = (roll * Math.PI) / 180;
  return [
    Math.log2(size / largeEnoughPx), Math.log(score / (1 - score)) / 4, pitch / 45, Math.abs(yaw) / 45, Math.cos(turn), Math.abs(Math.sin(turn)),
  ];
}
