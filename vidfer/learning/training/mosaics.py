"""Pictures for training the face detector: several photographs on one canvas, at random scales and in bad light."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from vidfer.config import Section
from vidfer.learning.datasets.encoded_images import as_jpeg
from vidfer.learning.datasets.face_scenes import Scene

_SMALL_FACE = 60.0  # px
_MIRRORED_POINTS = np.array([1, 0, 2, 4, 3])


class MosaicConfig(Section):
    """``[mosaic]`` of the recipe. Chances are per tile unless said."""

    sizes: tuple[int, ...] = Field((192, 256, 320), description="canvas sides, px; one is drawn per batch")
    size_chances: tuple[float, ...] = (0.35, 0.4, 0.25)
    tiles: tuple[int, ...] = Field((1, 2, 3, 4), description="rows and columns of a canvas")
    tile_chances: tuple[float, ...] = (0.35, 0.42, 0.15, 0.08)
    empty: float = Field(0.3, ge=0.0, le=1.0, description="chance of a picture without faces")
    labelled_far: float = Field(0.4, ge=0.0, le=1.0, description="chance of Flickr8k rather than LFW otherwise")
    hard: float = Field(0.0, ge=0.0, le=1.0, description="chance of a place that once fired without a face, if known")
    aim: float = Field(0.75, ge=0.0, le=1.0, description="chance that a tile is laid around a face")
    max_zoom: float = Field(2.2, ge=0.5, description="of tiles not laid around anything; 1 = the whole picture")
    min_face: float = Field(10.0, gt=0.0, description="smallest face aimed at, px")
    max_face: float = Field(320.0, gt=0.0)
    max_enlarged: float = Field(4.0, gt=0.0, description="tile px per source px at most")
    max_enlarged_small: float = Field(4.0, gt=0.0, description="the same for faces below 60 px")
    least_filled: float = Field(
        0.45, ge=0.0, le=1.0, description="share of a tile's side that a picture covers at least"
    )
    flat: float = Field(0.15, ge=0.0, le=1.0, description="per canvas, of a background of one colour")
    ignore_below: float = Field(8.0, ge=0.0, description="smaller faces are neither face nor background, px")
    min_score: float = Field(0.6, description="of the teacher; lower ones are neither face nor background")
    max_disagreement: float = Field(0.09, description="of the landmark teachers; higher ones are often animals")
    rotate: float = Field(0.2, ge=0.0, le=1.0)
    max_rotation_degrees: float = 32.0
    stretch: float = Field(0.25, ge=0.0, description="log of width over height is changed by up to this")
    gray: float = Field(0.2, ge=0.0, le=1.0)
    light: float = Field(0.7, ge=0.0, le=1.0)
    dark: float = Field(0.12, ge=0.0, le=1.0)
    blur: float = Field(0.2, ge=0.0, le=1.0)
    max_blur: float = Field(3.0, ge=1.3, description="how many px become one")
    blank: float = Field(0.0, ge=0.0, le=1.0, description="chance that a tile stays background")
    occlude: float = Field(0.12, ge=0.0, le=1.0, description="chance per face")
    noise: float = Field(0.15, ge=0.0, le=1.0, description="per canvas")
    compress: float = Field(0.3, ge=0.0, le=1.0, description="per canvas")


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A picture to learn from: pixels (S, S, 3) uint8, faces in px; ``valid`` False = neither face nor background."""

    pixels: np.ndarray
    xyxy: np.ndarray
    points5: np.ndarray
    valid: np.ndarray


class MosaicMaker:
    """Lays photographs out on canvases.

    Parameters
    ----------
    scenes
        Photographs to draw from.
    config
        Sizes and chances.
    hard
        False detections of an earlier network: photograph and box (4,) px.
    """

    def __init__(
        self, scenes: Sequence[Scene], config: MosaicConfig, hard: Sequence[tuple[Scene, np.ndarray]] = ()
    ) -> None:
        self.config = config
        self._hard = hard
        self._lfw = [s for s in scenes if s.source == "lfw"]
        self._far = [s for s in scenes if s.source == "flickr8k" and len(s.score)]
        self._empty = [s for s in scenes if s.source == "no_faces"]
        self._empty_far = [s for s in scenes if s.source == "flickr8k" and not len(s.score)]

    def canvases(self, count: int, rng: np.random.Generator) -> list[Canvas]:
        """Return ``count`` canvases of one size, wholly determined by ``rng``."""
        size = int(rng.choice(self.config.sizes, p=self.config.size_chances))
        return [self._canvas(size, rng) for _ in range(count)]

    def _canvas(self, size: int, rng: np.random.Generator) -> Canvas:
        config = self.config
        tiles = int(rng.choice(config.tiles, p=config.tile_chances))
        pixels = self._background(size, rng)
        faces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        across = _cuts(size, tiles, rng)
        down = _cuts(size, tiles, rng)
        for top, bottom in itertools.pairwise(down):
            for left, right in itertools.pairwise(across):
                faces.append(self._fill(pixels[top:bottom, left:right], rng))
                faces[-1][0][:] += (left, top, left, top)
                faces[-1][1][:] += (left, top)
        xyxy, points5, valid = (np.concatenate(parts) for parts in zip(*faces, strict=True))
        self._occlude(pixels, xyxy[valid], rng)
        if rng.random() < config.noise:
            noise = rng.normal(0.0, rng.uniform(2.0, 14.0), (size, size, 1 if rng.random() < 0.5 else 3))
            pixels = np.clip(pixels + noise.astype(np.float32), 0, 255).astype(np.uint8)
        if rng.random() < config.compress:
            pixels = as_jpeg(pixels, int(rng.integers(12, 75)))
        return Canvas(pixels=pixels, xyxy=xyxy, points5=points5, valid=valid)

    def _background(self, size: int, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < self.config.flat or not self._empty:
            return np.full((size, size, 3), rng.integers(0, 256, 3 if rng.random() < 0.5 else 1), np.uint8)
        return _resized(_draw(self._empty if rng.random() < 0.6 else self._empty_far, rng).pixels, size, size).copy()

    def _draw_scene(self, rng: np.random.Generator) -> tuple[Scene, np.ndarray | None]:
        """Return a photograph, and the place in it to show if that is settled."""
        if self._hard and rng.random() < self.config.hard:
            return self._hard[int(rng.integers(len(self._hard)))]
        if rng.random() < self.config.empty:
            return _draw(self._empty if rng.random() < 0.6 else self._empty_far, rng), None
        return _draw(self._far if rng.random() < self.config.labelled_far else self._lfw, rng), None

    def _fill(self, tile: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Paint a photograph into tile (h, w, 3); return its faces in px of the tile."""
        config = self.config
        height, width = tile.shape[:2]
        if rng.random() < config.blank:
            return np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool)
        scene, place = self._draw_scene(rng)
        pixels, xyxy, points5 = scene.pixels, scene.xyxy, scene.points5
        valid = scene.is_clear(min_score=config.min_score, max_disagreement=config.max_disagreement)
        if place is None and valid.any() and rng.random() < config.aim:
            place = xyxy[rng.choice(np.flatnonzero(valid))]
        if rng.random() < 0.5:
            pixels, xyxy, points5 = _mirrored(pixels, xyxy, points5)
            aim = None if place is None else _mirrored_boxes(place[None], pixels.shape[1])[0]
        else:
            aim = place
        scale = self._scale(pixels, aim, min(height, width), rng)
        stretch = np.exp(rng.uniform(-config.stretch, config.stretch) / 2)
        scale_xy = np.array([scale * stretch, scale / stretch])
        origin = _origin(pixels.shape[:2], scale_xy, (height, width), aim, rng)
        shown, corner, offset = _shown(pixels, scale_xy, origin, (height, width))
        xyxy = ((xyxy.reshape(-1, 2, 2) - offset) * scale_xy).reshape(-1, 4).astype(np.float32)
        points5 = ((points5 - offset) * scale_xy).astype(np.float32)
        if shown.size:
            if rng.random() < config.rotate:
                angle = rng.uniform(-config.max_rotation_degrees, config.max_rotation_degrees)
                shown, xyxy, points5 = _rotated(shown, xyxy, points5, angle)
            shown = self._spoil(shown, rng)
            tile[corner[1] : corner[1] + shown.shape[0], corner[0] : corner[0] + shown.shape[1]] = shown
        shift = corner.astype(np.float32)
        return self._visible(xyxy + np.tile(shift, 2), points5 + shift, valid, (width, height))

    def _scale(self, pixels: np.ndarray, aim: np.ndarray | None, side: int, rng: np.random.Generator) -> float:
        """Return tile px per source px: so that the place aimed at gets a random size, or the picture does."""
        config = self.config
        whole = side / min(pixels.shape[:2])
        if aim is None:
            return float(whole * np.exp(rng.uniform(np.log(0.5), np.log(config.max_zoom))))
        face = float(np.sqrt(np.prod(np.maximum(aim[2:] - aim[:2], 1.0))))
        largest_scale = config.max_enlarged if face >= _SMALL_FACE else config.max_enlarged_small
        # The limit of enlargement bounds the draw: were it applied afterwards, most small faces would get it exactly.
        largest = min(config.max_face, 1.05 * side, largest_scale * face)
        smallest = max(config.min_face, config.least_filled * whole * face)  # a picture lost on its tile teaches little
        wanted = np.exp(rng.uniform(np.log(min(smallest, largest)), np.log(largest)))
        return float(max(wanted / face, 0.08))

    def _spoil(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change colour, light and sharpness of (h, w, 3) uint8."""
        config = self.config
        if rng.random() < config.gray:
            pixels = np.repeat((pixels @ np.array([77, 150, 29], np.int32) >> 8).astype(np.uint8)[..., None], 3, axis=2)
        if rng.random() < config.light:
            pixels = _relit(pixels, rng, dark=rng.random() < config.dark / config.light)
        if rng.random() < config.blur and min(pixels.shape[:2]) > 24:
            height, width = pixels.shape[:2]
            factor = np.exp(rng.uniform(np.log(1.3), np.log(config.max_blur)))
            small = _resized(pixels, max(8, int(height / factor)), max(8, int(width / factor)))
            pixels = _resized(small, height, width)
        return pixels

    def _occlude(self, pixels: np.ndarray, xyxy: np.ndarray, rng: np.random.Generator) -> None:
        """Cover up to 40 % of some faces by a patch: flat, or from elsewhere on the canvas."""
        size = pixels.shape[0]
        for box in xyxy[rng.random(len(xyxy)) < self.config.occlude]:
            width, height = box[2:] - box[:2]
            extent = np.maximum(2, np.array([width * rng.uniform(0.4, 1.2), height * rng.uniform(0.2, 0.42)])).astype(
                int
            )
            if rng.random() < 0.3:
                extent = np.maximum(2, np.array([width * 0.4, height * rng.uniform(0.4, 1.0)])).astype(int)
            place = (box[:2] + rng.uniform(-0.1, 0.8, 2) * (width, height)).astype(int)
            left, top = np.clip(place, 0, size - 1)
            right, bottom = np.clip(place + extent, 1, size)
            if right - left < 1 or bottom - top < 1:
                continue
            if rng.random() < 0.5:
                pixels[top:bottom, left:right] = rng.integers(0, 256, 3)
            else:
                source = rng.integers(0, size - np.array([right - left, bottom - top]) + 1)
                patch = pixels[source[1] : source[1] + bottom - top, source[0] : source[0] + right - left]
                pixels[top:bottom, left:right] = patch[::-1].copy()

    def _visible(
        self, xyxy: np.ndarray, points5: np.ndarray, valid: np.ndarray, tile: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drop faces outside of the tile; those cut in half or tiny are neither face nor background."""
        limits = np.array(tile, np.float32)
        inside = np.clip(np.minimum(xyxy[:, 2:], limits) - np.maximum(xyxy[:, :2], 0), 0, None)
        extent = xyxy[:, 2:] - xyxy[:, :2]
        share = inside.prod(axis=1) / np.maximum(extent.prod(axis=1), 1e-6)
        clear = valid & (share >= 0.6) & (np.sqrt(extent.prod(axis=1)) >= self.config.ignore_below)
        kept = share > 0.1
        return xyxy[kept], points5[kept], clear[kept]


def _draw(scenes: Sequence[Scene], rng: np.random.Generator) -> Scene:
    return scenes[int(rng.integers(len(scenes)))]


def _cuts(size: int, tiles: int, rng: np.random.Generator) -> np.ndarray:
    inner = np.arange(1, tiles) / tiles + rng.uniform(-0.3, 0.3, tiles - 1) / tiles
    return np.array([0, *(inner * size), size]).astype(int)


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    tensor = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]  # (1, 3, H, W), channels last
    resized = functional.interpolate(tensor, size=(height, width), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def _mirrored(pixels: np.ndarray, xyxy: np.ndarray, points5: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = pixels.shape[1]
    return (
        pixels[:, ::-1],
        _mirrored_boxes(xyxy, width),
        points5[:, _MIRRORED_POINTS] * (-1, 1) + np.array([width, 0], np.float32),
    )


def _mirrored_boxes(xyxy: np.ndarray, width: int) -> np.ndarray:
    return xyxy[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + np.array([width, 0, width, 0], np.float32)


def _rotated(
    pixels: np.ndarray, xyxy: np.ndarray, points5: np.ndarray, degrees: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn a picture about its middle; a box becomes the box of the turned ellipse that it encloses."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels)).rotate(degrees, Image.Resampling.BILINEAR)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # counter-clockwise, y down
    middle = np.array([pixels.shape[1], pixels.shape[0]]) / 2
    centres = ((xyxy[:, :2] + xyxy[:, 2:]) / 2 - middle) @ turn.T + middle
    half = np.sqrt(((xyxy[:, 2:] - xyxy[:, :2]) / 2) ** 2 @ (turn**2).T)
    boxes = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return np.asarray(image), boxes, ((points5 - middle) @ turn.T + middle).astype(np.float32)


def _origin(
    source: tuple[int, ...], scale: np.ndarray, tile: tuple[int, int], aim: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Return which source px lies at the tile's top left corner."""
    window = np.array([tile[1], tile[0]]) / scale
    if aim is None:
        return rng.uniform(0, 1, 2) * (np.array([source[1], source[0]]) - window)
    centre, extent = (aim[:2] + aim[2:]) / 2, aim[2:] - aim[:2]
    slack = np.maximum(window / 2 - extent * 0.4, 0.1 * extent)  # the face lies inside, or is cut a little
    return centre - window / 2 + rng.uniform(-1, 1, 2) * slack


def _shown(
    pixels: np.ndarray, scale: np.ndarray, origin: np.ndarray, tile: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the resized part of a picture that a tile shows, its corner in the tile, and its source offset."""
    size = np.array([pixels.shape[1], pixels.shape[0]])
    first = np.clip(np.floor(origin), 0, size).astype(int)
    last = np.clip(np.ceil(origin + np.array([tile[1], tile[0]]) / scale), 0, size).astype(int)
    corner = np.maximum(np.round((first - origin) * scale), 0).astype(int)
    extent = np.round((last - first) * scale).astype(int)
    room = np.array([tile[1], tile[0]]) - corner
    if (extent < 1).any() or (last <= first).any() or (room < 1).any():
        return np.zeros((0, 0, 3), np.uint8), corner, first.astype(np.float64)
    shown = _resized(pixels[first[1] : last[1], first[0] : last[0]], int(extent[1]), int(extent[0]))
    return shown[: room[1], : room[0]], corner, first.astype(np.float64)


def _relit(pixels: np.ndarray, rng: np.random.Generator, *, dark: bool) -> np.ndarray:
    """Change contrast, brightness, gamma and white balance."""
    ramp = np.linspace(0.0, 1.0, 256)[:, None]
    gamma = np.exp(rng.uniform(-0.5, 0.5))
    gain = np.exp(rng.uniform(-0.3, 0.3) + rng.uniform(-0.15, 0.15, 3))
    if dark:
        gain = gain * rng.uniform(0.1, 0.4)
    table = ramp**gamma * gain + rng.uniform(-0.12, 0.12) * (not dark)
    table = np.clip(table * 255, 0, 255).astype(np.uint8)  # (256, 3)
    return np.stack([table[:, c][pixels[..., c]] for c in range(3)], axis=-1)
