"""Training of the movements network: ``vidfer train movements --recipe movements --data D --out O``.

It learns what a teacher says of faces from poorer pictures of them: smaller, blurred, noisy, compressed, badly lit,
partly covered, and cut out a little beside their place. What error is to be expected is learnt beside it, and the
outlines of eyes, brows and lips, which only teach: a teacher's scores follow from where its points lie.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from vidfer.config import Section, parse_section, read_toml
from vidfer.device import pick_device
from vidfer.learning.datasets.face_scenes import Split
from vidfer.learning.datasets.kept_arrays import kept_arrays
from vidfer.learning.datasets.movement_faces import (
    BORDER,
    OUTLINES,
    OUTLINES_MIRRORED,
    SIDE,
    TILE,
    MovementFaces,
    clip_movements,
    fer_movements,
    rarity,
    scene_movements,
)
from vidfer.learning.training.augment import AugmentConfig, compressed, covered, noisy, relit, resharpened
from vidfer.learning.training.loop import LoopConfig, ProgressCallback, take_last, train
from vidfer.movements import EYES, MIRRORED, MOVEMENTS
from vidfer.movements.eyes import EYE_SIDE
from vidfer.movements.network import MovementsNetwork
from vidfer.weights import load_tensors

logger = logging.getLogger(__name__)
_GROUPS = 4  # resolutions in a batch


class DataConfig(Section):
    """``[data]`` of a movements recipe."""

    fer: int = Field(12000, ge=0, description="faces of FER2013; a tenth as many are held back")
    clips: tuple[str, ...] = Field((), description="names of clips whose frames are learnt from")
    held_back: tuple[str, ...] = Field((), description="clips of other people, to measure on")
    shares: tuple[float, float, float] = Field((0.45, 0.3, 0.25), description="of a batch: photographs, clips, FER2013")
    smallest_px: float = Field(14.0, ge=8.0, le=SIDE, description="side that an aligned face is shrunk to at most")
    seed: int = 0


class NetworkConfig(Section):
    """``[network]`` of a movements recipe: see ``MovementsNetwork``."""

    face_size: int = Field(64, ge=32, multiple_of=16)
    eye_size: int = Field(40, ge=16, multiple_of=8)
    face_widths: tuple[int, int, int, int] = (16, 32, 48, 80)
    eye_widths: tuple[int, int, int] = (16, 32, 56)
    face_blocks: tuple[int, int, int] = (0, 1, 1)
    eye_blocks: tuple[int, int] = (1, 1)
    hidden: int = Field(96, ge=8)
    start: str = Field("", description="weights to begin with, of the same network")

    def options(self) -> dict[str, Any]:
        """Return what ``MovementsNetwork`` takes."""
        return self.model_dump(mode="json", exclude={"start"})


class LossConfig(Section):
    """``[loss]`` of a movements recipe."""

    beta: float = Field(0.5, gt=0.0, description="error in spreads, below which it counts by its square")
    eyes_weight: float = Field(0.0, ge=0.0, description="of the eyes' opening once more: one part alone sees it")
    iris_weight: float = Field(2.0, ge=0.0)
    outlines_weight: float = Field(0.0, ge=0.0)
    error_weight: float = Field(0.05, ge=0.0)


class MovementsRecipe(Section):
    """A whole recipe file."""

    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig


@dataclass(frozen=True)
class Batch:
    """Pictures and what is to be seen in them: as ``MovementsNetwork`` takes and gives them."""

    faces: Tensor
    eyes: Tensor
    values: Tensor
    iris: Tensor
    outlines: Tensor


class TaughtNetwork(nn.Module):
    """A movements network, and a layer that tells the outlines from what it knows; only ``deployed`` is kept."""

    def __init__(self, network: MovementsNetwork) -> None:
        super().__init__()
        self.deployed = network
        self.outlines = nn.Linear(network.joint.in_features, 2 * len(OUTLINES))

    def forward(self, faces: Tensor, eyes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what the network does, and the outlines (N, len(OUTLINES), 2) in spreads of each coordinate."""
        values, iris, error, known = self.deployed.forward_features(faces, eyes)
        return values, iris, error, self.outlines(known).unflatten(1, (-1, 2))


class MovementsTask:
    """What the shared loop trains here; see ``TrainingTask``."""

    monitor = "correlation"

    def __init__(self, recipe: MovementsRecipe, training: MovementFaces, validation: MovementFaces) -> None:
        self.recipe, self.training, self.validation = recipe, training, validation
        kind = np.select([training.source == "fer", np.isfinite(training.pose[:, 0])], [2, 1], 0)
        weight = np.zeros(len(training))
        for number, share in enumerate(recipe.data.shares):
            rows = kind == number
            if rows.any():
                rare = rarity(training.values[rows])
                weight[rows] = share * rare / rare.sum()
        self._weight = torch.from_numpy(weight)
        # A movement that hardly varies must not be lost beside one that does.
        mean = np.average(training.values, axis=0, weights=weight)
        spread = np.sqrt(np.average((training.values - mean) ** 2, axis=0, weights=weight))
        self._spread = torch.from_numpy(spread).float().clamp_min(0.03)
        self._iris_spread = float(np.nanstd(training.iris))
        known = training.outlines[np.isfinite(training.outlines).all((1, 2))]
        known = known if len(known) else np.zeros((1, len(OUTLINES), 2), np.float32)
        self._outlines = torch.from_numpy(known.mean(0)), torch.from_numpy(known.std(0)).clamp_min(1e-3)

    def build_model(self) -> nn.Module:
        network = MovementsNetwork(**self.recipe.network.options())
        if self.recipe.network.start:
            network.load_state_dict(load_tensors(Path(self.recipe.network.start))[0])
        return TaughtNetwork(network)

    def steps_per_epoch(self) -> int:
        return max(1, len(self.training) // self.recipe.loop.batch_size)

    def metadata(self) -> dict[str, Any]:
        return {"model": "movements", "network": self.recipe.network.options(), "movements": list(MOVEMENTS)}

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> Batch:
        del step
        rows = torch.multinomial(self._weight, self.recipe.loop.batch_size, replacement=True, generator=generator)
        made = views(self.training.take(rows.numpy()), self.recipe, generator)
        return Batch(*(getattr(made, field.name).to(device) for field in fields(Batch)))

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        values, iris, expected, outlines = (out.float() for out in model(batch.faces, batch.eyes))
        spread = self._spread.to(values.device)
        weights = self.recipe.loss
        wrong = functional.smooth_l1_loss(values / spread, batch.values / spread, beta=weights.beta, reduction="none")
        seen, opening = wrong.mean(), wrong[:, : len(EYES)].mean()
        # Where an eye is closed its iris is the teacher's guess.
        known = torch.isfinite(batch.iris) & (batch.values[:, [1, 0]] > 0.25)[:, :, None]
        away = (iris - torch.nan_to_num(batch.iris))[known] / self._iris_spread
        looks = _mean_smooth_l1(away, weights.beta)
        mean, spread = (part.to(outlines.device) for part in self._outlines)
        away = outlines - (batch.outlines - mean) / spread
        shape = _mean_smooth_l1(away[torch.isfinite(away)], weights.beta)
        error = (values - batch.values).abs().detach()
        guess = (error / (expected + 0.005) + torch.log(expected + 0.005)).mean()  # Laplace's likelihood
        total = seen + weights.eyes_weight * opening + weights.iris_weight * looks
        total = total + weights.outlines_weight * shape + weights.error_weight * guess
        figures = {"seen": seen, "iris": looks, "error": error.mean(), "outlines": shape}
        return total, {name: float(figure.detach()) for name, figure in figures.items()}

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Measure held-back faces as they are: the mean correlation with the teacher, and each movement's."""
        faces = self.validation
        values, iris, _ = predict(model, faces, self.recipe, device)
        stills = ~np.isfinite(faces.pose[:, 0]) & (faces.source != "fer")
        figures: dict[str, float] = {}
        for part, rows in (("still", stills), ("clip", np.isfinite(faces.pose[:, 0]))):
            for i, name in enumerate(MOVEMENTS):
                figures[f"{part}_{name}"] = correlation(values[rows, i], faces.values[rows, i])
            for axis, name in enumerate(("iris_x", "iris_y")):
                figures[f"{part}_{name}"] = correlation(iris[rows, :, axis].mean(1), faces.iris[rows, :, axis].mean(1))
        return {"correlation": float(np.nanmean(list(figures.values()))), **figures}


def _mean_smooth_l1(errors: Tensor, beta: float) -> Tensor:
    """Return the mean loss of errors, in standard deviations; 0 without any."""
    total = functional.smooth_l1_loss(errors, torch.zeros_like(errors), beta=beta, reduction="sum")
    return total / max(1, errors.numel())


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's r of two rows of numbers, NaN where one does not vary."""
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def predict(
    model: nn.Module, faces: MovementFaces, recipe: MovementsRecipe, device: torch.device, *, side: int = SIDE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, irises and expected errors of faces, shrunk to ``side`` px before."""
    model = getattr(model, "deployed", model)
    still = recipe.model_copy(update={"augment": AugmentConfig()})
    parts = []
    for rows in np.array_split(np.arange(len(faces)), max(1, len(faces) // 256)):
        made = views(faces.take(rows), still, torch.Generator(), side=side)
        parts.append([out.float().cpu().numpy() for out in model(made.faces.to(device), made.eyes.to(device))])
    values, iris, error = (np.concatenate(out) for out in zip(*parts, strict=True))
    return values, iris, error


def views(faces: MovementFaces, recipe: MovementsRecipe, generator: torch.Generator, *, side: int = 0) -> Batch:
    """Return faces and eyes as the network sees them; ``side`` px are given to all aligned faces, or drawn for 0."""
    config, network = recipe.augment, recipe.network
    tiles, values, iris, eyes, outlines = _mirrored(faces, config, generator)
    n = len(tiles)
    moves = _moves(n, config, generator)  # (N, 2, 3) from the unit square to the moved face in the aligned one
    back = torch.linalg.inv(moves[:, :, :2])
    iris, outlines = (torch.einsum("nij,nej->nei", back, offsets) for offsets in (iris, outlines))
    shift = (torch.rand(n, 2, 2, generator=generator) * 2 - 1) * config.shift / 2  # of each eye by itself
    places = _grid(moves, network.face_size), *_eye_grids(moves, eyes + shift, network.eye_size)
    tiles = relit(tiles, config, generator)
    face, seen = [], []
    for part in torch.arange(n).chunk(_GROUPS):
        picture = _degraded(tiles[part], recipe, generator, side)
        # As faces.align.warp_faces: shrunk without aliasing first.
        reduced = round(network.face_size * 1.5 * TILE / SIDE)
        small = functional.interpolate(picture, size=reduced, mode="bilinear", antialias=True)
        face.append(_sample(small, places[0][part]))
        seen.append(torch.stack([_sample(picture, place[part]) for place in places[1:]], 1))
    return Batch(torch.cat(face), torch.cat(seen), values, iris, outlines)


def _mirrored(
    faces: MovementFaces, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return tiles (N, 1, T, T) 0..1, values, irises, eyes and outlines; half in the mirror if that is wanted."""
    arrays = faces.tiles[:, None], faces.values, faces.iris, faces.eyes, faces.outlines
    tiles, values, iris, eyes, outlines = (torch.from_numpy(array) for array in arrays)
    if not config.flip:
        return tiles.float() / 255, values, iris, eyes, outlines
    flip = torch.rand(len(tiles), generator=generator) < 0.5
    mirror, edge = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 0.0])
    return (
        torch.where(flip[:, None, None, None], tiles.flip(3), tiles).float() / 255,
        torch.where(flip[:, None], values[:, list(MIRRORED)], values),
        torch.where(flip[:, None, None], iris.flip(1) * mirror, iris),
        torch.where(flip[:, None, None], eyes.flip(1) * mirror + edge, eyes),
        torch.where(flip[:, None, None], outlines[:, list(OUTLINES_MIRRORED)] * mirror, outlines),
    )


def _eye_grids(moves: Tensor, eyes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return where the pixels of the right eye's picture lie, and of the left one's, which is mirrored."""
    grids = []
    for eye, mirror in enumerate((torch.tensor([1.0, 1.0]), torch.tensor([-1.0, 1.0]))):
        linear = moves[:, :, :2] * EYE_SIDE * mirror
        grids.append(_grid(torch.cat([linear, (eyes[:, eye] - linear.sum(2) / 2)[:, :, None]], 2), size))
    return grids[0], grids[1]


def _moves(n: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    def within(limit: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * limit

    angle, scale = within(math.radians(config.rotation_degrees)), torch.exp(within(math.log1p(config.scale)))
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    linear = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    shift = torch.stack([within(config.shift), within(config.shift)], 1)
    return torch.cat([linear, (0.5 - linear.sum(2) / 2 + shift)[:, :, None]], 2)


def _degraded(tiles: Tensor, recipe: MovementsRecipe, generator: torch.Generator, side: int) -> Tensor:
    """Return tiles at one lower resolution with its blur, noise and blocks."""
    config = recipe.augment
    if not side:
        low = float(torch.rand((), generator=generator)) < config.low_resolution_share
        depth = float(torch.rand((), generator=generator))
        side = round(SIDE * (recipe.data.smallest_px / SIDE) ** depth) if low else SIDE
    if side < SIDE:
        tiles = functional.interpolate(tiles, size=round(TILE * side / SIDE), mode="bilinear", antialias=True)
    for share, change in (
        (config.sharpness_share, resharpened),
        (config.occlusion_share, covered),
        (config.noise_share, noisy),
        (config.compression_share, compressed),
    ):
        tiles = change(tiles, config, generator) if share else tiles
    return tiles.clamp(0, 1)


def _grid(transforms: Tensor, size: int) -> Tensor:
    """Return where each of size x size pixels lies, (N, S, S, 2), given what leads there from the unit square."""
    ticks = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    flat = torch.stack([x, y, torch.ones_like(x)], -1)
    return torch.einsum("hwk,njk->nhwj", flat, transforms)


def _sample(tiles: Tensor, places: Tensor) -> Tensor:
    inside = (places * SIDE + BORDER) / TILE * 2 - 1
    return functional.grid_sample(tiles, inside, mode="bilinear", padding_mode="border", align_corners=False)


def read_movement_faces(recipe: MovementsRecipe, folder: Path, split: Split, *, kept_in: Path | None) -> MovementFaces:
    """Return the faces of a split; cut out once and kept in ``kept_in``, as that takes minutes."""
    chosen = recipe.data.model_dump_json(include={"fer", "clips", "held_back", "seed"})
    made = f"{chosen} {SIDE} {BORDER} {[field.name for field in fields(MovementFaces)]}"
    key = hashlib.sha256(made.encode()).hexdigest()[:12]
    path = kept_in / f"faces-{split}-{key}.npz" if kept_in else None
    return kept_arrays(path, MovementFaces, lambda: _cut_faces(recipe, folder, split))


def _cut_faces(recipe: MovementsRecipe, folder: Path, split: Split) -> MovementFaces:
    config = recipe.data
    clips = config.clips if split == "train" else config.held_back
    count = config.fer if split == "train" else config.fer // 10
    parts = [scene_movements(folder, split), *([clip_movements(folder, clips)] if clips else [])]
    if count:
        parts.append(fer_movements(folder, split, count=count, seed=config.seed))
    faces = MovementFaces.join(parts)
    logger.info("%s: %d faces", split, len(faces))
    return faces


def train_movements(
    recipe_file: Path,
    data_folder: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train by a recipe file and write ``out/movements.safetensors``; returns the last validation's figures.

    The last weights are taken, not those that did best: nothing is chosen by the faces that are held back.
    """
    raw = read_toml(recipe_file)
    recipe = parse_section(MovementsRecipe, raw, source=str(recipe_file))
    training, validation = (read_movement_faces(recipe, data_folder, split, kept_in=out) for split in ("train", "val"))
    task = MovementsTask(recipe, training, validation)
    train(task, recipe.loop, out, device=pick_device(device), recipe=raw, progress=progress)
    return take_last(out, "movements")
