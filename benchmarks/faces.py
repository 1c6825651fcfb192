"""How well and how fast the embedded face detector finds faces; prints a table.

    python benchmarks/faces.py --clips ../shared/clips --data ../shared/data \
        --reference ../shared/weights/yunet_n_640_640.onnx

The reference is YuNet through cv2.FaceDetectorYN at a long side of 640 px. Faces of 40 px or more that it gives 0.6
or more must be found (IoU >= 0.5); a detection is false if the reference gives nothing there even at 0.3 (IoU >= 0.3).
A false detection may still be a face that the reference missed: ``--draw`` writes those frames for looking at.

``--by-name embedded,yunet,mtcnn,haar`` prints one row for each of these detectors instead, as they come, on the same
pictures and every ``--every``-th frame of the clips; those without their files are passed over.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from vidfer.errors import MissingDependency, WeightsError
from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.learning.datasets.face_scenes import read_scenes
from vidfer.learning.evaluation.detection import detection_figures, detection_outcome, working_point

BATCH = 16
REFERENCE_LONG_SIDE = 640


def frames_of(clip: Path) -> Iterator[np.ndarray]:
    """Yield batches (B, H, W, 3) uint8 RGB of every frame of a clip."""
    import av

    with av.open(str(clip)) as container:
        batch: list[np.ndarray] = []
        for frame in container.decode(video=0):
            batch.append(frame.to_ndarray(format="rgb24"))
            if len(batch) == BATCH:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)


class Reference:
    """YuNet on every frame of a clip; (N, 6) frame, xyxy, score; kept in ``cache`` as it is slow."""

    def __init__(self, weights: Path, cache: Path) -> None:
        self._weights, self._cache = weights, cache

    def faces(self, clip: Path) -> np.ndarray:
        path = self._cache / f"{clip.stem}.yunet.npy"
        if not path.is_file():
            self._cache.mkdir(parents=True, exist_ok=True)
            np.save(path, self._detect(clip))
        return np.load(path)

    def _detect(self, clip: Path) -> np.ndarray:
        import cv2

        rows, number = [], 0
        for batch in frames_of(clip):
            height, width = batch.shape[1:3]
            scale = REFERENCE_LONG_SIDE / max(height, width)
            size = round(width * scale), round(height * scale)
            detector = cv2.FaceDetectorYN.create(str(self._weights), "", size, 0.3, 0.3, 5000)
            for frame in batch:
                _, found = detector.detect(cv2.resize(frame[..., ::-1], size, interpolation=cv2.INTER_AREA))
                for x, y, w, h, *rest in [] if found is None else found:
                    rows.append((number, x / scale, y / scale, (x + w) / scale, (y + h) / scale, rest[-1]))
                number += 1
        return np.array(rows, np.float32).reshape(-1, 6)


@dataclass
class ClipScore:
    """Counts over the frames of a clip."""

    frames: int = 0
    wanted: int = 0
    found: int = 0
    false: int = 0
    false_frames: int = 0


def score_clip(
    clip: Path,
    detector: FaceDetector,
    reference: np.ndarray,
    *,
    min_size: float,
    draw: Path | None = None,
    every: int = 1,
) -> ClipScore:
    """Compare a detector with the reference on every frame of a clip, or each ``every``-th."""
    score, number = ClipScore(), 0
    for batch in frames_of(clip):
        numbers = np.arange(number, number + len(batch))
        number += len(batch)
        batch, numbers = batch[numbers % every == 0], numbers[numbers % every == 0]
        boxes = detector.detect(torch.from_numpy(batch))
        for i, frame in enumerate(batch):
            faces = reference[reference[:, 0] == numbers[i]]
            mine = boxes.xyxy[boxes.image_row == i]
            iou = pairwise_iou(mine, faces[:, 1:5])  # (mine, faces)
            size = np.sqrt((faces[:, 3:5] - faces[:, 1:3]).prod(axis=1))
            wanted = (faces[:, 5] >= 0.6) & (size >= min_size)
            found = wanted & (iou >= 0.5).any(axis=0) if len(mine) else np.zeros(len(faces), bool)
            false = ~(iou >= 0.3).any(axis=1) if len(faces) else np.ones(len(mine), bool)
            score.wanted += int(wanted.sum())
            score.found += int(found.sum())
            score.false += int(false.sum())
            score.false_frames += bool(false.any())
            if draw is not None and (false.any() or (wanted & ~found).any()):
                name = draw / f"{clip.stem}-{score.frames:05d}.png"
                _draw(name, frame, mine, boxes.score[boxes.image_row == i], faces)
            score.frames += 1
    return score


def _draw(path: Path, frame: np.ndarray, mine: np.ndarray, scores: np.ndarray, faces: np.ndarray) -> None:
    from PIL import Image, ImageDraw

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(frame)
    pen = ImageDraw.Draw(image)
    for box, value in zip(faces[:, 1:5], faces[:, 5], strict=True):
        pen.rectangle([float(v) for v in box], outline=(0, 255, 0), width=2)
        pen.text((float(box[0]), float(box[3])), f"{value:.2f}", fill=(0, 255, 0))
    for box, value in zip(mine, scores, strict=True):
        pen.rectangle([float(v) for v in box], outline=(255, 0, 0), width=2)
        pen.text((float(box[0]), float(box[1]) - 12), f"{value:.2f}", fill=(255, 0, 0))
    image.thumbnail((480, 480))
    image.save(path)


def milliseconds_per_frame(detector: FaceDetector, height: int, width: int, batch: int, rounds: int = 8) -> float:
    """Return the best of some rounds on noise; processor time of one thread, so that a busy machine does not count."""
    images = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8)
    best = np.inf
    for _ in range(rounds + 2):
        start = time.process_time()
        detector.detect(images)
        best = min(best, time.process_time() - start)
    return best * 1000 / batch


def report_clips(clips: Path, detector: FaceDetector, reference: Reference, draw: Path | None) -> None:
    """Print recall and false detections for each clip and all of them."""
    print(f"{'clip':<8}{'frames':>8}{'faces':>8}{'recall':>9}{'false':>8}{'frames with false':>20}")
    total = ClipScore()
    for clip in sorted(clips.glob("*.mp4")):
        score = score_clip(clip, detector, reference.faces(clip), min_size=40.0, draw=draw)
        _print_row(clip.stem, score)
        for name in vars(total):
            setattr(total, name, getattr(total, name) + getattr(score, name))
    _print_row("all", total)


def _print_row(name: str, score: ClipScore) -> None:
    recall = score.found / max(1, score.wanted)
    share = score.false_frames / max(1, score.frames)
    print(f"{name:<8}{score.frames:>8}{score.wanted:>8}{recall:>9.2%}{score.false:>8}{share:>20.2%}")


def report_pictures(data: Path, detector: FaceDetector, lenient: FaceDetector, *, min_score: float) -> None:
    """Print recall and precision on the photographs held back, and how many without a face fire.

    ``lenient`` is the same detector built with a low score: what can be reached at a precision of 95 % is read from it.
    """
    scenes = read_scenes(data, "val")
    for name, source in (("Flickr8k val", "flickr8k"), ("LFW val", "lfw")):
        of_source = [scene for scene in scenes if scene.source == source]
        figures = detection_figures(detection_outcome(detector, of_source), min_score=min_score)
        print(f"{name}, faces >= 16 px: recall {figures['recall']:.2%}, precision {figures['precision']:.2%}")
        outcome = detection_outcome(lenient, of_source)
        point = working_point(outcome, precision=0.95)
        figures = detection_figures(outcome, min_score=point)
        found = round(figures["recall"] * outcome.num_faces)
        print(
            f"    at precision 95 % (score {point:.3f}): recall {figures['recall']:.2%} ({found} of "
            f"{outcome.num_faces}), average precision {figures['average_precision']:.4f}"
        )
    empty = [scene for scene in scenes if scene.source == "no_faces"]
    fired = detection_figures(detection_outcome(detector, empty), min_score=min_score)["empty_fired"]
    print(f"{len(empty)} pictures without a face: {fired:.2%} fire")


def report_by_name(names: list[str], reference: Reference, options: argparse.Namespace) -> None:
    """Print a row for each detector: photographs held back, pictures without a face, clips, time."""
    scenes = [scene for scene in read_scenes(options.data, "val") if scene.source in ("flickr8k", "no_faces")]
    scenes = scenes[:: options.scenes_every]
    print(f"{sum(len(scene.xyxy) for scene in scenes)} faces in {len(scenes)} pictures; frames: each {options.every}th")
    print("| detector | Flickr8k val: recall | precision | empty that fire | clips: recall | false | ms, 640x360 |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        try:
            detector = DETECTORS.get(name)(
                device="cpu", long_side=options.long_side, weights="", min_score=options.min_score
            )
        except (MissingDependency, WeightsError) as error:
            print(f"| {name} | {error} |")
            continue
        of_pictures = detection_figures(
            detection_outcome(detector, [one for one in scenes if one.source == "flickr8k"]),
            min_score=options.min_score,
        )
        empty = detection_outcome(detector, [one for one in scenes if one.source == "no_faces"])
        fired = detection_figures(empty, min_score=options.min_score)["empty_fired"]
        scores = [
            score_clip(clip, detector, reference.faces(clip), min_size=40.0, every=options.every)
            for clip in sorted(options.clips.glob("*.mp4"))
        ]
        frames, wanted, found, false = (
            sum(getattr(score, what) for score in scores) for what in ("frames", "wanted", "found", "false")
        )
        cost = milliseconds_per_frame(detector, 360, 640, 1, rounds=3)
        print(
            f"| {name} | {of_pictures['recall']:.1%} | {of_pictures['precision']:.1%} | {fired:.1%} "
            f"| {found / max(1, wanted):.1%} of {wanted} | {false} in {frames} frames | {cost:.1f} |",
            flush=True,
        )


def report_speed(detector: FaceDetector) -> None:
    """Print milliseconds per frame on one core."""
    torch.set_num_threads(1)
    for width, height in ((320, 180), (320, 320), (512, 512), (1280, 720)):
        alone, batched = (milliseconds_per_frame(detector, height, width, batch) for batch in (1, BATCH))
        print(f"{width}x{height}: {alone:.2f} ms/frame alone, {batched:.2f} in batches of {BATCH} (one core)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips (*.mp4)")
    parser.add_argument("--data", type=Path, help="folder with faces_in_scenes.h5 and no_faces.h5")
    parser.add_argument("--reference", type=Path, help="yunet_n_640_640.onnx")
    parser.add_argument("--weights", default="", help="other weights than the embedded ones")
    parser.add_argument("--long-side", type=int, default=320)
    parser.add_argument("--min-score", type=float, default=0.5)
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--draw", type=Path, help="write frames with a miss or a false detection into this folder")
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--by-name", default="", metavar="NAME,NAME", help="only a row for each of these detectors")
    parser.add_argument("--every", type=int, default=10, help="with --by-name: frames of the clips")
    parser.add_argument("--scenes-every", type=int, default=1, help="with --by-name: pictures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.by_name:
        reference = Reference(arguments.reference, arguments.cache)
        report_by_name(arguments.by_name.split(","), reference, arguments)
        return
    build = partial(DETECTORS.get("embedded"), device="cpu", long_side=arguments.long_side, weights=arguments.weights)
    detector = build(min_score=arguments.min_score)
    if not arguments.skip_speed:
        report_speed(detector)
    if arguments.data:
        report_pictures(arguments.data, detector, build(min_score=0.05), min_score=arguments.min_score)
    if arguments.clips and arguments.reference:
        report_clips(arguments.clips, detector, Reference(arguments.reference, arguments.cache), arguments.draw)


if __name__ == "__main__":
    main()
