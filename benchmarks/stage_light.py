"""Faces as stages and films light them: how many are found, and how often there is none; prints a table.

    python benchmarks/stage_light.py --data ../shared/data [--draw FOLDER]

The photographs held back (LFW by person, Flickr8k, pictures without a face), darkened, lit by one colour or one spot,
moved while the shutter was open. ``found`` is the share of the reference's faces of 16 px or more with an intersection
over union of 0.5; ``false`` counts what lies on no face that the reference gives even 0.3, per hundred pictures. Both
for what the pipeline takes for a face in one frame (score 0.5 of the detector, 0.5 of the landmark network), and for
what it lets begin a track (``tracks.start_score``, 0.65).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from vidfer.config import FacesConfig, TracksConfig
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.learning.datasets.face_scenes import Scene, read_scenes
from vidfer.learning.evaluation.detection import detection_figures, detection_outcome
from vidfer.types import FaceBoxes

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # light (H, W, 3) float 0..1 -> the same

RED, BLUE, GREEN, MAGENTA = (1.0, 0.15, 0.1), (0.12, 0.2, 1.0), (0.15, 1.0, 0.3), (1.0, 0.15, 0.9)


def dimmed(gain: float, *, noise: float) -> Change:
    """Less light, and the noise of a sensor that is turned up (deviation in gray levels of 255)."""
    return lambda light, random: light * gain + random.normal(0, noise / 255, light.shape)


def contrast(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shadows that are black and lights that are white."""
    return 0.5 + 2.5 * (light - 0.5)


def coloured(colour: tuple[float, float, float]) -> Change:
    """One lamp of one colour: all that is not of it is dark."""
    return lambda light, random: light.mean(2, keepdims=True) * np.array(colour)


def spot(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One light from the side, three times too bright where it falls, next to nothing beside it."""
    height, width = light.shape[:2]
    x, y = random.uniform(0.3, 0.7, 2) * (width, height)
    across, down = np.meshgrid(np.arange(width) - x, np.arange(height) - y)
    return light * (0.08 + 2.5 * np.exp(-((across / width) ** 2 + (down / height) ** 2) / 0.08))[..., None]


def against(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A bright haze from behind, and faces in the dark."""
    return 0.25 * light + 0.6 * light.mean(2, keepdims=True) ** 3 + 0.1


def moved(pixels: int) -> Change:
    """A camera or a dancer that moves so far while the shutter is open."""

    def change(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
        angle = random.uniform(0, np.pi)
        steps = np.linspace(-0.5, 0.5, 2 * pixels + 1) * pixels
        shifts = np.round(np.outer(steps, (np.sin(angle), np.cos(angle)))).astype(int)
        padded = np.pad(light, ((pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")
        height, width = light.shape[:2]
        views = (padded[pixels + y : pixels + y + height, pixels + x : pixels + x + width] for y, x in shifts)
        return np.mean(list(views), axis=0)

    return change


def one_after_another(*changes: Change) -> Change:
    def change(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
        for one in changes:
            light = one(np.clip(light, 0, 1), random)
        return light

    return change


KINDS: dict[str, Change] = {
    "as it is": lambda light, random: light,
    "an eighth of the light, noise 3": dimmed(1 / 8, noise=3),
    "contrast": contrast,
    "spot": spot,
    "against the light": against,
    "red light": coloured(RED),
    "blue light": coloured(BLUE),
    "green light": coloured(GREEN),
    "magenta light": coloured(MAGENTA),
    "moved by 6 px": moved(6),
    "moved by 12 px": moved(12),
    "stage: spot, magenta, half the light": one_after_another(spot, coloured(MAGENTA), dimmed(0.5, noise=4)),
    "stage: contrast, blue, moved by 4 px": one_after_another(contrast, coloured(BLUE), moved(4)),
    "film at night: a tenth, contrast, noise 5": one_after_another(contrast, dimmed(0.1, noise=5)),
}


class Confirmed:
    """A detector whose faces the landmark network must confirm, as in the pipeline."""

    def __init__(self, detector: FaceDetector, landmarker: FaceLandmarker, min_score: float) -> None:
        self._detector, self._landmarker, self._min_score = detector, landmarker, min_score

    def detect(self, images: torch.Tensor) -> FaceBoxes:
        found = self._detector.detect(images)
        _, score = self._landmarker.locate(images, found.image_row, found.xyxy)
        kept = score >= self._min_score
        return FaceBoxes(
            image_row=found.image_row[kept],
            xyxy=found.xyxy[kept],
            score=found.score[kept],
            points5=found.points5[kept],
        )


def changed(scenes: list[Scene], change: Change) -> list[Scene]:
    random = np.random.default_rng(0)
    return [
        replace(one, pixels=np.round(255 * np.clip(change(one.pixels / 255, random), 0, 1)).astype(np.uint8))
        for one in scenes
    ]


def report_kinds(
    scenes: list[Scene], detector: FaceDetector, scores: tuple[float, float], kinds: dict[str, Change]
) -> None:
    """Print a row per kind of light."""
    print(f"{'':<44}" + "".join(f"{f'found at {score}':>16}{'false':>8}" for score in scores))
    for name, change in kinds.items():
        outcome = detection_outcome(detector, changed(scenes, change))
        row = ""
        for score in scores:
            wrong = int((~outcome.hit & (outcome.score >= score)).sum())
            row += f"{detection_figures(outcome, min_score=score)['recall']:>16.1%}{100 * wrong / len(scenes):>8.2f}"
        print(f"{name:<44}{row}", flush=True)


def draw_kinds(scene: Scene, folder: Path) -> None:
    """Write a sheet with one photograph in every light."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = scene.pixels.shape[:2]
    sheet = Image.new("RGB", (5 * width, -(-len(KINDS) // 5) * height))
    for i, (name, change) in enumerate(KINDS.items()):
        tile = Image.fromarray(changed([scene], change)[0].pixels)
        ImageDraw.Draw(tile).text((2, 2), name, fill="white")
        sheet.paste(tile, (i % 5 * width, i // 5 * height))
    sheet.save(folder / "stage_light.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces_in_scenes.h5 and no_faces.h5")
    parser.add_argument("--limit", type=int, default=0, help="so many pictures of each file only")
    parser.add_argument("--kinds", default="", help="only those with this in their names")
    parser.add_argument("--draw", type=Path, help="write a sheet of the kinds into this folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scenes = read_scenes(arguments.data, "val", limit=arguments.limit)
    if arguments.draw:
        draw_kinds(scenes[0], arguments.draw)
    faces, tracks = FacesConfig(), TracksConfig()
    detector = DETECTORS.get("embedded")(device="cpu", min_score=faces.min_score, long_side=0, weights="")
    landmarker = LANDMARKERS.get("embedded")(device="cpu", weights="")
    confirmed = Confirmed(detector, landmarker, faces.min_landmark_score)
    kinds = {name: change for name, change in KINDS.items() if arguments.kinds in name}
    report_kinds(scenes, confirmed, (faces.min_score, tracks.start_score), kinds)


if __name__ == "__main__":
    main()
