"""Where the embedded detector and the landmarks fail: turned, dark, small, large and half hidden faces; prints a table.

    python benchmarks/face_conditions.py --data ../shared/data [--draw FOLDER]

Faces of the photographs held back (LFW by person, Flickr8k) that both landmark teachers agree on. Yaw is that of the
head as the teachers' landmarks give it; the other conditions are made: pictures are turned, shrunk, enlarged, darkened,
or something is painted over them where the teachers' landmarks lie. A face counts as found at a score of 0.5 with an
intersection over union of 0.5; the landmarks' error is relative to the distance of the outer eye corners.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.faces.pose import head_pose
from vidfer.learning.datasets.face_landmarks import Scenes, read_scenes

SKIN, GRAY = (190, 150, 130), (128, 128, 128)


@dataclass(frozen=True, kw_only=True)
class Face:
    """A picture (H, W, 3) uint8 and one face in it: box (4,) and landmarks (68, 2), px; yaw in degrees."""

    pixels: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray
    yaw_degrees: float

    @property
    def size(self) -> float:
        return float(np.sqrt((self.box[2:] - self.box[:2]).prod()))


Change = Callable[[Face], Face]


def held_back_faces(scenes: Scenes, *, min_size: float, max_disagreement: float) -> list[Face]:
    """Return the faces that were never trained on and whose landmarks are known."""
    size = np.sqrt((scenes.xyxy[:, 2:] - scenes.xyxy[:, :2]).prod(1))
    kept = np.isfinite(scenes.landmarks).all((1, 2)) & (scenes.score >= 0.6) & (size >= min_size)
    kept &= (scenes.disagreement < max_disagreement) & (scenes.split[scenes.image_row] == "val")
    faces = []
    for row in np.flatnonzero(kept):
        pixels = scenes.images[int(scenes.image_row[row])]
        landmarks = scenes.landmarks[row]
        pose = head_pose(landmarks[None], image_size=(pixels.shape[1], pixels.shape[0]))[0]
        faces.append(Face(pixels=pixels, box=scenes.xyxy[row], landmarks=landmarks, yaw_degrees=float(pose[1])))
    return faces


def placed(*, size: float | None = None, roll_degrees: float = 0.0, side: int = 320) -> Change:
    """Return a change that turns the face and puts it into the middle of a square of ``side`` px, ``size`` px large.

    Without ``size`` the picture keeps its scale. The box becomes that of the turned ellipse which it encloses.
    """

    def change(face: Face) -> Face:
        scale = 1.0 if size is None else size / face.size
        cos, sin = scale * np.cos(np.deg2rad(roll_degrees)), scale * np.sin(np.deg2rad(roll_degrees))
        linear = np.array([[cos, -sin], [sin, cos]])
        centre = (face.box[:2] + face.box[2:]) / 2
        shift = side / 2 - linear @ centre
        half = np.sqrt(linear**2 @ ((face.box[2:] - face.box[:2]) / 2) ** 2)
        inverse = np.linalg.inv(linear)
        coefficients = np.column_stack([inverse, -inverse @ shift]).ravel()
        image = Image.fromarray(face.pixels)
        if scale < 0.7:  # PIL samples points: shrink without aliasing first
            image = image.filter(ImageFilter.GaussianBlur(0.45 / scale))
        image = image.transform((side, side), Image.Transform.AFFINE, tuple(coefficients), Image.Resampling.BICUBIC)
        return replace(
            face,
            pixels=np.asarray(image),
            box=np.concatenate([side / 2 - half, side / 2 + half]).astype(np.float32),
            landmarks=face.landmarks @ linear.T.astype(np.float32) + shift.astype(np.float32),
        )

    return change


def lit(*, gain: float = 1.0, gamma: float = 1.0, noise: float = 0.0) -> Change:
    """Return a change of light: gain x picture^gamma, then the noise of a sensor (deviation in gray levels)."""

    def change(face: Face) -> Face:
        light = 255 * gain * (face.pixels / 255.0) ** gamma
        light += np.random.default_rng(0).normal(0.0, noise, light.shape) if noise else 0.0
        return replace(face, pixels=np.clip(light, 0, 255).astype(np.uint8))

    return change


def gray(face: Face) -> Face:
    return replace(face, pixels=np.repeat(face.pixels.mean(2, keepdims=True), 3, axis=2).astype(np.uint8))


def mouth_covered(colour: tuple[int, int, int]) -> Change:
    """Return a change that paints an ellipse, as large as a hand's back, over mouth and chin."""

    def change(face: Face) -> Face:
        points = face.landmarks
        middle = (points[48:68].mean(0) + points[8]) / 2
        reach = np.array([0.42, 0.30]) * face.size
        return _painted(face, lambda pen: pen.ellipse([*(middle - reach), *(middle + reach)], fill=colour))

    return change


def half_covered(face: Face) -> Face:
    """Paint over everything on one side of the nose's bridge."""
    left, top, _, bottom = face.box
    return _painted(face, lambda pen: pen.rectangle([left, top, face.landmarks[27, 0], bottom], fill=GRAY))


def glasses(*, dark: bool) -> Change:
    """Return a change that draws glasses: rims around the eyes, or dark lenses, with bridge and temples."""

    def change(face: Face) -> Face:
        right, left = face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)
        reach = np.linalg.norm(left - right) * np.array([0.38, 0.30])
        width, lens = max(1, round(float(reach[0]) / 7)), (20, 20, 22) if dark else None

        def draw(pen: ImageDraw.ImageDraw) -> None:
            for eye in (right, left):
                pen.ellipse([*(eye - reach), *(eye + reach)], fill=lens, outline=0, width=width)
            across = (left - right) / np.linalg.norm(left - right) * reach[0]
            for start, end in ((right + across, left - across), (right - across, face.landmarks[0])):
                pen.line([*start, *end], fill=0, width=width)
            pen.line([*(left + across), *face.landmarks[16]], fill=0, width=width)

        return _painted(face, draw)

    return change


def _painted(face: Face, draw: Callable[[ImageDraw.ImageDraw], None]) -> Face:
    image = Image.fromarray(face.pixels)
    draw(ImageDraw.Draw(image))
    return replace(face, pixels=np.asarray(image))


CONDITIONS: dict[str, Change] = {
    "as it is": lambda face: face,
    "gray": gray,
    "16 px of 320": placed(size=16.0),
    "20 px": placed(size=20.0),
    "28 px": placed(size=28.0),
    "60 px": placed(size=60.0),
    "150 px": placed(size=150.0),
    "240 px": placed(size=240.0),
    "300 px (nearly the frame)": placed(size=300.0),
    "roll 15 degrees": placed(roll_degrees=15.0),
    "roll 30 degrees": placed(roll_degrees=30.0),
    "roll 45 degrees": placed(roll_degrees=45.0),
    "a seventh of the light": lit(gain=1 / 7),
    "gamma 2.5": lit(gamma=2.5),
    "a tenth of the light, noise of 4 levels": lit(gain=0.1, noise=4.0),
    "glasses drawn": glasses(dark=False),
    "sunglasses drawn": glasses(dark=True),
    "mouth covered, colour of skin": mouth_covered(SKIN),
    "mouth covered, gray": mouth_covered(GRAY),
    "half the face covered": half_covered,
}
YAW_EDGES = (0, 15, 30, 45, 60, 90)


@dataclass(frozen=True)
class Findings:
    """Per face: found by the detector, error of the landmarks in eye distances, landmark score."""

    found: np.ndarray
    error: np.ndarray
    landmark_score: np.ndarray


def examine(faces: list[Face], detector: FaceDetector, landmarker: FaceLandmarker) -> Findings:
    """Detect each face in its picture; place landmarks from the teacher's box."""
    found, error, scores = [], [], []
    for face in faces:
        images = torch.from_numpy(np.array(face.pixels))[None]
        boxes = detector.detect(images)
        found.append(bool((pairwise_iou(boxes.xyxy, face.box[None]) >= 0.5).any()))
        points, score = landmarker.locate(images, np.zeros(1, np.int64), face.box[None])
        eyes = np.linalg.norm(face.landmarks[36] - face.landmarks[45])
        error.append(np.linalg.norm(points[0] - face.landmarks, axis=1).mean() / eyes)
        scores.append(score[0])
    return Findings(np.array(found, bool), np.array(error), np.array(scores))


def report_conditions(
    data: Path, detector: FaceDetector, landmarker: FaceLandmarker, *, limit: int = 250, draw: Path | None = None
) -> None:
    """Print recall, and error of the landmarks, per yaw and per made condition."""
    scenes = read_scenes(data)
    faces = held_back_faces(scenes, min_size=16.0, max_disagreement=0.09)
    findings = examine(faces, detector, landmarker)
    yaw = np.abs([face.yaw_degrees for face in faces])
    print(f"{'held-back faces':<42}{'faces':>7}{'found':>9}{'error':>9}{'median':>9}{'score < 0.5':>13}")
    for low, high in pairwise(YAW_EDGES):
        chosen = (yaw >= low) & (yaw < high)
        _print_row(f"yaw {low} to {high} degrees, 16 px and more", findings, chosen)
        _draw_failures(draw, f"yaw{low}", [f for f, c, ok in zip(faces, chosen, findings.found, strict=True) if c > ok])
    clear = held_back_faces(scenes, min_size=40.0, max_disagreement=0.05)
    clear = [clear[i] for i in np.linspace(0, len(clear) - 1, min(limit, len(clear))).astype(int)]
    for name, change in CONDITIONS.items():
        changed = [change(face) for face in clear]
        findings = examine(changed, detector, landmarker)
        _print_row(name, findings, np.ones(len(clear), bool))
        _draw_failures(draw, name, [face for face, ok in zip(changed, findings.found, strict=True) if not ok])


def _print_row(name: str, findings: Findings, chosen: np.ndarray) -> None:
    if not chosen.any():
        return
    error = findings.error[chosen]
    print(
        f"{name:<42}{chosen.sum():>7}{findings.found[chosen].mean():>9.1%}{error.mean():>9.2%}{np.median(error):>9.2%}"
        f"{(findings.landmark_score[chosen] < 0.5).mean():>13.1%}",
        flush=True,
    )


def _draw_failures(folder: Path | None, name: str, faces: list[Face], *, columns: int = 8, side: int = 120) -> None:
    """Write a contact sheet of faces that were not found."""
    if folder is None or not faces:
        return
    folder.mkdir(parents=True, exist_ok=True)
    faces = faces[: columns * 6]
    sheet = Image.new("RGB", (columns * side, -(-len(faces) // columns) * side))
    for i, face in enumerate(faces):
        centre, reach = (face.box[:2] + face.box[2:]) / 2, (face.box[2:] - face.box[:2]).max()
        area = tuple(np.round([*(centre - reach), *(centre + reach)]).astype(int))
        tile = Image.fromarray(face.pixels).crop(area).resize((side, side))
        sheet.paste(tile, (i % columns * side, i // columns * side))
    sheet.save(folder / f"{name.replace(' ', '_').replace(',', '')}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces_in_scenes.h5")
    parser.add_argument("--weights", default="", help="other weights than the embedded ones, of the detector")
    parser.add_argument("--faces", type=int, default=250, help="per made condition")
    parser.add_argument("--draw", type=Path, help="write contact sheets of what is not found into this folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    detector = DETECTORS.get("embedded")(device="cpu", min_score=0.5, long_side=320, weights=arguments.weights)
    landmarker = LANDMARKERS.get("embedded")(device="cpu", weights="")
    report_conditions(arguments.data, detector, landmarker, limit=arguments.faces, draw=arguments.draw)


if __name__ == "__main__":
    main()
