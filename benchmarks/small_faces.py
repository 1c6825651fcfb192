"""How small faces may be in large pictures: recall of the embedded detector by the face's width and the search size.

Held-back faces of LFW, scaled to a width, are pasted into photographs without a face that fill the picture.

    python benchmarks/small_faces.py --data DIR
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.learning.datasets.face_scenes import Scene, read_scenes

PICTURES = {(1920, 1080): (48, 64, 77, 106), (1280, 720): (32, 48, 64), (512, 512): (24, 32, 48)}
FACES = 12  # in a picture
MIN_IOU = 0.4


def canvas(
    faces: list[Scene], empty: list[Scene], size: tuple[int, int], width: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (H, W, 3) with faces of this width, and their boxes (N, 4)."""
    picture = Image.fromarray(empty[random.integers(len(empty))].pixels).resize(size, Image.Resampling.BICUBIC)
    boxes: list[np.ndarray] = []
    taken = np.zeros((0, 4), np.float32)
    for number in random.choice(len(faces), FACES, replace=False):
        scene = faces[number]
        left, top, right, bottom = scene.xyxy[0]
        scale = width / float(right - left)
        margin = np.array([right - left, bottom - top]) * 0.6
        start = np.maximum(scene.xyxy[0, :2] - margin, 0).astype(int)
        stop = np.minimum(scene.xyxy[0, 2:] + margin, scene.pixels.shape[1::-1]).astype(int)
        tile = Image.fromarray(scene.pixels[start[1] : stop[1], start[0] : stop[0]])
        tile = tile.resize((round(tile.width * scale), round(tile.height * scale)), Image.Resampling.LANCZOS)
        for _ in range(50):
            at = random.integers(0, [size[0] - tile.width, size[1] - tile.height])
            place = np.array([[*at, at[0] + tile.width, at[1] + tile.height]], np.float32)
            if pairwise_iou(place, taken).max(initial=0) == 0:
                break
        else:
            continue
        taken = np.concatenate([taken, place])
        picture.paste(tile, tuple(at.tolist()))
        boxes.append((scene.xyxy[0] - np.tile(start, 2)) * scale + np.tile(at, 2))
    return np.array(picture), np.array(boxes, np.float32)


def measure(detector: FaceDetector, data: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, int, float]:
    """Return recall, false faces, and milliseconds of processor time per picture."""
    found = total = false = 0
    started = time.process_time()
    for picture, boxes in data:
        overlap = pairwise_iou(boxes, detector.detect(torch.from_numpy(picture)[None]).xyxy)
        found += int((overlap.max(1, initial=0) > MIN_IOU).sum())
        false += int((overlap.max(0, initial=0) < MIN_IOU / 2).sum())
        total += len(boxes)
    return found / total, false, 1000 * (time.process_time() - started) / len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = read_scenes(options.data, "val")
    faces = [
        s
        for s in scenes
        if s.source == "lfw" and len(s.score) == 1 and s.is_clear(min_score=0.6, max_disagreement=0.05).all()
    ]
    empty = [scene for scene in scenes if not len(scene.score)]
    print("| picture | face, px | search size | recall | false faces | ms |\n|---|---|---|---|---|---|")
    for size, widths in PICTURES.items():
        for width in widths:
            data = [
                canvas(faces, empty, size, width, np.random.default_rng([width, k])) for k in range(options.pictures)
            ]
            for name, long_side in (("320", 320), ("as the picture asks", 0)):
                detector = DETECTORS.get("embedded")(device="cpu", min_score=0.5, long_side=long_side, weights="")
                recall, false, milliseconds = measure(detector, data)
                print(
                    f"| {size[0]}x{size[1]} | {width} | {name} | {recall:.1%} | {false} | {milliseconds:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
