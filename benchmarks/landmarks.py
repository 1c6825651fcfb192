"""How well, how steadily and how fast the embedded network places 68 landmarks; prints tables.

    python benchmarks/landmarks.py --data ../shared/data --clips ../shared/clips

Errors are normalised by the distance of the outer eye corners and measured against the teachers' points on the
photographs held back (LFW by person, Flickr8k), through the same code that reads videos. On clips a face is followed
from its own landmarks; unsteadiness is how far a point lies from the middle between its places one frame before and
after, in the quieter half of the frames: what a face that really moves adds is mostly taken out by this.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vidfer.faces.align import MIRRORED_LANDMARKS, landmark_boxes
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.learning.datasets.face_landmarks import Scenes, background_patches, read_scenes
from vidfer.learning.datasets.face_scenes import read_no_faces

BATCH = 16


def held_back_faces(scenes: Scenes) -> np.ndarray:
    """Return the rows of the faces that were never trained on and have the teachers' landmarks."""
    known = np.isfinite(scenes.landmarks).all((1, 2)) & (scenes.score >= 0.6)
    return np.flatnonzero(known & (scenes.split[scenes.image_row] == "val"))


def locate_in_pictures(
    landmarker: FaceLandmarker, scenes: Scenes, rows: np.ndarray, boxes: np.ndarray, *, mirror: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks (N, 68, 2) and scores (N,) of faces ``rows`` from ``boxes`` (N, 4) px of their pictures."""
    points, scores = np.zeros((len(rows), 68, 2), np.float32), np.zeros(len(rows), np.float32)
    for i, row in enumerate(rows):
        pixels = scenes.images[int(scenes.image_row[row])]
        width, box = pixels.shape[1], boxes[i]
        if mirror:
            pixels, box = pixels[:, ::-1].copy(), np.array([width - box[2], box[1], width - box[0], box[3]])
        found, score = landmarker.locate(torch.from_numpy(pixels)[None], np.zeros(1, np.int64), box[None])
        if mirror:
            found = found[:, MIRRORED_LANDMARKS] * [-1, 1] + np.array([width, 0])
        points[i], scores[i] = found[0], score[0]
    return points, scores


def eye_distance(landmarks: np.ndarray) -> np.ndarray:
    """Return the distance (N,) of the outer eye corners of landmarks (N, 68, 2)."""
    distance: np.ndarray = np.linalg.norm(landmarks[:, 36] - landmarks[:, 45], axis=1)
    return distance


def normalised_error(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the mean error (N,) over the points, in eye distances of the truth."""
    error: np.ndarray = np.linalg.norm(found - truth, axis=2).mean(1) / eye_distance(truth)
    return error


def report_accuracy(data: Path, landmarker: FaceLandmarker) -> None:
    """Print errors by kind of face and box, and how the score parts faces from backgrounds."""
    scenes = read_scenes(data)
    rows = held_back_faces(scenes)
    truth, boxes = scenes.landmarks[rows], scenes.xyxy[rows]
    width = boxes[:, 2] - boxes[:, 0]
    clear = (width >= 40) & (scenes.disagreement[rows] < 0.05)
    found, scores = locate_in_pictures(landmarker, scenes, rows, boxes)
    error = normalised_error(found, truth)
    followed = normalised_error(locate_in_pictures(landmarker, scenes, rows, landmark_boxes(found))[0], truth)
    mirrored = normalised_error(locate_in_pictures(landmarker, scenes, rows, boxes, mirror=True)[0], found)
    print(f"{'held-back faces':<44}{'faces':>7}{'error':>8}{'median':>8}{'worst 5 %':>11}{'score<0.5':>11}")
    for name, chosen in (
        (">= 40 px, teachers agree", clear),
        (">= 40 px, all", width >= 40),
        ("18 to 40 px, teachers agree", (width < 40) & (scenes.disagreement[rows] < 0.05)),
        ("18 to 40 px, all", width < 40),
    ):
        part = error[chosen]
        print(
            f"{name:<44}{len(part):>7}{part.mean():>8.2%}{np.median(part):>8.2%}{np.quantile(part, 0.95):>11.2%}"
            f"{(scores[chosen] < 0.5).mean():>11.2%}"
        )
    print(f">= 40 px, teachers agree, box from landmarks: {followed[clear].mean():.2%}")
    print(f">= 40 px, teachers agree, mirrored picture against picture: {mirrored[clear].mean():.2%}")
    squares = background_patches(scenes, read_no_faces(data), "val")
    whole = np.array([[0.0, 0.0, squares.shape[2], squares.shape[1]]], np.float32)
    fired = [
        landmarker.locate(torch.from_numpy(square)[None, :, :, None], np.zeros(1, np.int64), whole)[1][0] >= 0.5
        for square in squares
    ]
    print(f"{len(squares)} squares of background: {np.mean(fired):.2%} score 0.5 or more")


def frames_of(clip: Path, limit: int) -> Iterator[np.ndarray]:
    """Yield the first frames (H, W, 3) uint8 RGB of a clip."""
    import av

    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == limit:
                return
            yield frame.to_ndarray(format="rgb24")


def follow(clip: Path, detector: FaceDetector, landmarker: FaceLandmarker, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks (F, 68, 2) and scores (F,) of the clip's largest face, followed from frame to frame."""
    points, scores = [], []
    box: np.ndarray | None = None
    for frame in frames_of(clip, limit):
        image = torch.from_numpy(frame)[None]
        if box is None or scores[-1] < 0.5:
            boxes = detector.detect(image).xyxy
            if not len(boxes):
                continue
            box = boxes[np.argmax((boxes[:, 2:] - boxes[:, :2]).prod(1))][None]
        found, score = landmarker.locate(image, np.zeros(1, np.int64), box)
        box = landmark_boxes(found)
        points.append(found[0])
        scores.append(float(score[0]))
    return np.array(points, np.float32).reshape(-1, 68, 2), np.array(scores, np.float32)


def unsteadiness(landmarks: np.ndarray) -> np.ndarray:
    """Return, for each frame but the first and last, the mean distance of its points from the middle of neighbours.

    In eye distances. Independent noise of deviation s on each point gives sqrt(1.5) s per axis.
    """
    residual = landmarks[1:-1] - (landmarks[:-2] + landmarks[2:]) / 2
    result: np.ndarray = np.linalg.norm(residual, axis=2).mean(1) / eye_distance(landmarks[1:-1])
    return result


def report_steadiness(clips: Path, detector: FaceDetector, landmarker: FaceLandmarker, limit: int) -> None:
    """Print how far points move from frame to frame and how unsteady they are, per clip."""
    print(f"{'clip':<8}{'frames':>8}{'motion':>9}{'quiet half':>12}{'unsteady':>10}{'quiet half':>12}{'score':>8}")
    for clip in sorted(clips.glob("*.mp4")):
        points, scores = follow(clip, detector, landmarker, limit)
        if len(points) < 5:
            print(f"{clip.stem:<8}{len(points):>8}  no face to follow")
            continue
        motion = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(1) / eye_distance(points[1:])
        noise = unsteadiness(points)
        quiet = motion <= np.median(motion)
        print(
            f"{clip.stem:<8}{len(points):>8}{np.median(motion):>9.2%}{motion[quiet].mean():>12.2%}"
            f"{np.median(noise):>10.2%}{noise[quiet[1:]].mean():>12.2%}{np.median(scores):>8.2f}"
        )


def report_speed(landmarker: FaceLandmarker) -> None:
    """Print milliseconds per face on one core, cutting out of the frame included."""
    images = torch.randint(0, 256, (BATCH, 480, 640, 3), dtype=torch.uint8)
    for count in (1, 4, BATCH):
        boxes = np.tile(np.array([[200, 120, 300, 260]], np.float32), (count, 1))
        best = np.inf
        for _ in range(30):
            start = time.perf_counter()
            landmarker.locate(images[:count], np.arange(count), boxes)
            best = min(best, time.perf_counter() - start)
        print(f"{count:>3} faces at once: {best * 1000 / count:.2f} ms per face (one core)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with faces_in_scenes.h5 and no_faces.h5")
    parser.add_argument("--clips", type=Path, help="folder of clips (*.mp4)")
    parser.add_argument("--frames", type=int, default=150, help="of each clip")
    parser.add_argument("--weights", default="", help="other weights than the embedded ones")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    landmarker = LANDMARKERS.get("embedded")(device="cpu", weights=arguments.weights)
    report_speed(landmarker)
    if arguments.data:
        report_accuracy(arguments.data, landmarker)
    if arguments.clips:
        detector = DETECTORS.get("embedded")(device="cpu", min_score=0.5, long_side=320, weights="")
        report_steadiness(arguments.clips, detector, landmarker, arguments.frames)


if __name__ == "__main__":
    main()
