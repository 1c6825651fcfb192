"""Faces as bad video shows them: blurred, small, covered, badly lit, compressed, turned, upside down.

Pictures are gray patches around one face with its landmarks, from ``face_landmarks.scene_faces``. What is done to one
is drawn as a ``Harm`` and painted into the picture itself, before any network sees it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import affine_transform, convolve, gaussian_filter

from vidfer.faces.align import landmark_boxes
from vidfer.faces.pose import MEAN_FACE, head_pose, rotation_matrices
from vidfer.learning.datasets.encoded_images import as_jpeg
from vidfer.learning.datasets.face_motion import displaced

# Kinds of harm and how often each is drawn; "clear" is the slight wear of any good video.
KINDS = {
    "clear": 0.20,
    "blur": 0.10,
    "motion": 0.07,
    "size": 0.10,
    "light": 0.10,
    "compression": 0.07,
    "cover": 0.17,
    "frame": 0.04,
    "turned": 0.08,
    "rolled": 0.03,
    "inverted": 0.04,
}
MIXED = "mixed"  # two kinds at once
_MIXED_SHARE = 0.3  # of the faces with a harm that is neither clear nor inverted
_SPOILING = tuple(kind for kind in KINDS if kind not in ("clear", "inverted"))
_VIEW_PX = 640  # side of the picture that the patch is taken to be the middle of, for the head's pose


@dataclass(frozen=True)
class SpoiltFace:
    """A patch (S, S) uint8, the face's box (4,) and landmarks (68, 2) in px of it, if nothing were in their way."""

    pixels: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray


def draw_kinds(random: np.random.Generator) -> tuple[str, ...]:
    """Draw what happens to one face: one kind of harm or two."""
    kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
    if kind in _SPOILING and random.random() < _MIXED_SHARE:
        return kind, str(random.choice([other for other in _SPOILING if other != kind]))
    return (kind,)


def spoilt(
    pixels: np.ndarray, landmarks: np.ndarray, kinds: tuple[str, ...], random: np.random.Generator
) -> SpoiltFace:
    """Return a face (S, S) uint8 with its landmarks (68, 2) px as these kinds of harm leave it."""
    picture: np.ndarray = pixels.astype(np.float32)
    points: np.ndarray = landmarks.astype(np.float32)
    side = float(np.ptp(points, axis=0).max())
    if "turned" in kinds:
        picture, points = _turned(picture, points, random)
    if "cover" in kinds:
        picture = _covered(picture, points, random)
    if "rolled" in kinds or "inverted" in kinds:
        most = 90 if "rolled" in kinds else 20
        picture, points = _rolled(picture, points, random.uniform(-most, most) + 180 * ("inverted" in kinds))
    if "frame" in kinds:
        picture = _beyond_the_frame(picture, points, random)
    if "blur" in kinds:
        picture = gaussian_filter(picture, _log_uniform(0.006, 0.09, random) * side)
    if "motion" in kinds:
        picture = _smeared(picture, _log_uniform(0.04, 0.35, random) * side, random)
    picture = _lit(picture, random, strong="light" in kinds)
    least, most = (12, 48) if "size" in kinds else (48, 110)
    picture, points = _shrunk(picture, points, _log_uniform(least, most, random) / side)
    noise = random.uniform(2, 16) if "light" in kinds and random.random() < 0.4 else random.uniform(0, 2)
    quality = int(random.integers(4, 35)) if "compression" in kinds else int(random.integers(55, 96))
    noisy = np.clip(np.rint(picture + random.normal(0, noise, picture.shape)), 0, 255).astype(np.uint8)
    return SpoiltFace(as_jpeg(noisy, quality), _detected(points, random), points)


def _log_uniform(least: float, most: float, random: np.random.Generator) -> float:
    return math.exp(random.uniform(math.log(least), math.log(most)))


def _turned(picture: np.ndarray, points: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn the head out of the picture's plane: the features move as those of the mean face would."""
    turn = np.array([[random.uniform(-35, 35), random.uniform(-65, 65), 0.0]])
    return turned_by(picture, points, turn)


def turned_by(picture: np.ndarray, points: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return picture and landmarks of a head turned by ``turn`` (1, 3) degrees of pitch, yaw and roll."""
    size = len(picture)
    pose = head_pose(points[None] + (_VIEW_PX - size) / 2, image_size=(_VIEW_PX, _VIEW_PX))
    shape = MEAN_FACE @ rotation_matrices(pose)[0].T  # (68, 3) as the camera sees it, mm
    scale = points.std(0).mean() / shape[:, :2].std(0).mean()
    centre = points.mean(0)
    solid = np.column_stack([points - centre, (shape[:, 2] - shape[:, 2].mean()) * scale])  # (68, 3) px
    moved = (solid @ rotation_matrices(turn)[0].T)[:, :2] + centre
    wanted = torch.from_numpy((moved / size).astype(np.float32))[None]
    known = torch.from_numpy((points / size).astype(np.float32))[None]
    warped = displaced(torch.from_numpy(picture)[None, None], known, wanted)
    return warped[0, 0].numpy(), moved.astype(np.float32)


def _covered(picture: np.ndarray, points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Put a mask, sunglasses, a hand or a bar before the face."""
    layer = Image.new("L", picture.shape[::-1])
    pen = ImageDraw.Draw(layer)
    box = np.concatenate([points.min(0), points.max(0)])
    width, height = box[2:] - box[:2]
    shade = random.uniform(10, 245)
    what = random.integers(4)
    if what == 0:  # from the nose's bridge over cheeks, mouth and chin
        top = points[random.integers(28, 31)]
        pen.polygon([tuple(p) for p in [*points[2:15], top]], fill=255)
    elif what == 1:
        shade = random.uniform(5, 60)
        for eye in (points[36:42].mean(0), points[42:48].mean(0)):
            reach = width * random.uniform(0.15, 0.22) * np.array([1.0, random.uniform(0.6, 0.9)])
            pen.ellipse([*(eye - reach), *(eye + reach)], fill=255)
        pen.line([tuple(points[36]), tuple(points[45])], fill=255, width=max(1, int(width * 0.04)))
    elif what == 2:  # as a hand: skin's shade, round, anywhere but mostly low
        nose = np.clip(points[27:36].astype(int), 0, len(picture) - 1)
        shade = float(np.median(picture[nose[:, 1], nose[:, 0]]))
        middle = box[:2] + (width, height) * random.uniform((0.1, 0.35), (0.9, 1.0))
        reach = np.array([width, height]) * random.uniform(0.18, 0.45, 2)
        pen.ellipse([*(middle - reach), *(middle + reach)], fill=255)
    else:
        over_the_mouth = random.random() < 0.5
        top = box[1] + height * (random.uniform(0.5, 0.7) if over_the_mouth else random.uniform(-0.1, 0.8))
        thick = height * (random.uniform(0.3, 0.9) if over_the_mouth else random.uniform(0.15, 0.55))
        wide = width * random.uniform(0.9 if over_the_mouth else 0.5, 2.0)
        left = points[30, 0] - wide / 2 + width * random.uniform(-0.3, 0.3)
        pen.rectangle([left, top, left + wide, top + thick], fill=255)
    alpha = gaussian_filter(np.asarray(layer, np.float32) / 255, random.uniform(0.3, 1.2))
    texture = gaussian_filter(random.normal(0, 1, picture.shape), random.uniform(1, 6))
    cover = shade + texture / max(float(texture.std()), 1e-6) * random.choice((0, random.uniform(0, 15)))
    return picture * (1 - alpha) + cover * alpha


def _rolled(picture: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear, centre = np.array([[cos, -sin], [sin, cos]]), np.full(2, len(picture) / 2)
    inverse = linear.T[::-1, ::-1]  # rows first
    offset = centre - 0.5 - inverse @ (centre - 0.5)
    rolled = affine_transform(picture, inverse, offset, order=1, mode="nearest")
    return rolled, ((points - centre) @ linear.T + centre).astype(np.float32)


def _beyond_the_frame(picture: np.ndarray, points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Let the frame end within the face; what reads faces repeats the border."""
    low, high = points.min(0), points.max(0)
    hidden, edge = random.uniform(0.1, 0.55), random.integers(4)
    axis = edge % 2
    line = low[axis] + (high - low)[axis] * (hidden if edge < 2 else 1 - hidden)
    line = int(np.clip(line, 1, len(picture) - 1))
    index = np.arange(len(picture))
    index = np.maximum(index, line) if edge < 2 else np.minimum(index, line)
    return picture[:, index] if axis == 0 else picture[index]


def _smeared(picture: np.ndarray, length: float, random: np.random.Generator) -> np.ndarray:
    reach = math.ceil(length / 2)
    angle = random.uniform(0, math.pi)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-length / 2, length / 2, 8 * reach + 1):
        kernel[round(reach + step * math.sin(angle)), round(reach + step * math.cos(angle))] += 1
    smeared: np.ndarray = convolve(picture, kernel / kernel.sum(), mode="nearest")
    return smeared


def _lit(picture: np.ndarray, random: np.random.Generator, *, strong: bool) -> np.ndarray:
    light = np.clip(picture / 255, 0, 1)
    if not strong:
        return 255 * np.clip(light * random.uniform(0.85, 1.15), 0, 1)
    what = random.integers(4)
    if what == 0:
        light = _log_uniform(0.04, 0.6, random) * light ** random.uniform(1, 2)
    elif what == 1:
        light = light * random.uniform(1.3, 4)
    elif what == 2:  # from one side
        angle, steep = random.uniform(0, 2 * math.pi), random.uniform(2, 10)
        ticks = np.linspace(-1, 1, len(picture))
        along = ticks * math.cos(angle) + ticks[:, None] * math.sin(angle)
        light = light * (random.uniform(0, 0.3) + 1.3 / (1 + np.exp(-steep * along)))
    else:
        light = random.uniform(0.2, 0.8) + (light - light.mean()) * _log_uniform(0.03, 0.5, random)
    return 255 * np.clip(light, 0, 1)


def _shrunk(picture: np.ndarray, points: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Make picture and face smaller; the rest of the patch repeats the border, as beyond a frame."""
    size = len(picture)
    inner = round(size * scale)
    if inner >= size:
        return picture, points
    small = np.asarray(Image.fromarray(picture).resize((inner, inner), Image.Resampling.BOX, reducing_gap=None))
    return np.pad(small, ((0, size - inner), (0, size - inner)), mode="edge"), points * np.float32(inner / size)


def _detected(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the box (4,) that a detector would draw, about as inaccurately."""
    box = landmark_boxes(points[None])[0]
    side = float((box[2:] - box[:2]).max())
    shift, grow = random.normal(0, 0.04, 2) * side, random.normal(0, 0.05) * side / 2
    return (box + np.array([*(shift - grow), *(shift + grow)])).astype(np.float32)
