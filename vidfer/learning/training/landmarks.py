"""Training of the embedded landmark network: ``vidfer train landmarks --recipe landmarks --data D --out O``.

Faces are shown turned, moved, scaled and spoiled, each twice a batch, so that the network also learns to put the
points of one face at the same place whatever box it comes from. Squares without a face, and boxes that miss their
face, teach the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from vidfer.config import Section, parse_section, read_toml
from vidfer.device import pick_device
from vidfer.faces.align import MIRRORED_LANDMARKS
from vidfer.faces.landmarks.point_network import PointNetwork, build_network
from vidfer.learning.datasets.face_landmarks import (
    LandmarkFaces,
    background_patches,
    fer_faces,
    read_scenes,
    scene_faces,
)
from vidfer.learning.datasets.face_scenes import read_no_faces
from vidfer.learning.training.augment import AugmentConfig, coarsened, compressed, covered, noisy, relit, resharpened
from vidfer.learning.training.face_views import boxes_of, darkened, misplaced, random_crops, sample_crops
from vidfer.learning.training.loop import LoopConfig, ProgressCallback, train
from vidfer.weights import load_tensors, save_tensors

_MEASURED = 4000  # faces, and as many squares without one, that the offset of the score is measured on


class DataConfig(Section):
    """``[data]`` of a landmark recipe: what a batch is made of; what is left holds no face."""

    scene_share: float = Field(0.48, ge=0.0, le=1.0)
    fer_share: float = Field(0.32, ge=0.0, le=1.0)
    max_disagreement: float = Field(0.10, gt=0.0)
    seed: int = 0


class NetworkConfig(Section):
    """``[network]`` of a landmark recipe: see ``PointNetwork``."""

    size: int = Field(80, ge=32, multiple_of=16)
    widths: tuple[int, int, int, int] = (16, 32, 64, 112)
    blocks: tuple[int, int, int] = (2, 2, 2)
    neck: int = Field(96, ge=8)
    margin: float = Field(0.2, ge=0.0, description="of the crop around the face's box, see box_transforms")


class LossConfig(Section):
    """``[loss]`` of a landmark recipe: the wing loss of Feng et al. 2018 in pixels of the crop."""

    wing_width: float = Field(3.0, gt=0.0)
    wing_curvature: float = Field(1.0, gt=0.0)
    score_weight: float = Field(1.0, ge=0.0)
    consistency_weight: float = Field(0.5, ge=0.0, description="on the distance between two views' points")


class LandmarkRecipe(Section):
    """A whole recipe file."""

    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig


@dataclass(frozen=True)
class LandmarkData:
    """Everything that is learnt from, and the part held back."""

    scenes: LandmarkFaces
    fer: LandmarkFaces
    backgrounds: np.ndarray  # (N, S, S) uint8
    val_scenes: LandmarkFaces
    val_backgrounds: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Crops with their truth; the faces come first, and the second half of them shows the first half again.

    Attributes
    ----------
    crops
        (N, 1, S, S) float 0..1.
    points
        (F, 68, 2) in the unit square of the crop; F <= N faces.
    weight
        (F,) how far the teachers can be trusted, 0..1.
    scale
        (F,) the side of the face's box in the unit square of the crop.
    to_face
        (F, 2, 3) crop -> unit square of the face's patch, in landmark order ``mirrored`` (F,) bool.
    is_face
        (N,) 1, 0, or -1 where it is not known.
    """

    crops: Tensor
    points: Tensor
    weight: Tensor
    scale: Tensor
    to_face: Tensor
    mirrored: Tensor
    is_face: Tensor


def read_landmark_data(folder: Path) -> LandmarkData:
    """Read and cut all faces and backgrounds of the data folder (about a minute, 1.5 GB of memory)."""
    scenes, no_faces = read_scenes(folder), read_no_faces(folder)
    return LandmarkData(
        scenes=scene_faces(scenes, "train"),
        fer=fer_faces(folder, "train"),
        backgrounds=background_patches(scenes, no_faces, "train"),
        val_scenes=scene_faces(scenes, "val"),
        val_backgrounds=background_patches(scenes, no_faces, "val"),
    )


class LandmarkTask:
    """What the shared loop trains here; see ``TrainingTask``."""

    monitor = "landmark_accuracy"  # 1 - normalised mean error

    def __init__(self, recipe: LandmarkRecipe, data: LandmarkData) -> None:
        self.recipe, self.data = recipe, data
        self._scene_rows = np.flatnonzero(data.scenes.disagreement <= recipe.data.max_disagreement)
        self._fer_rows = np.flatnonzero(data.fer.disagreement <= recipe.data.max_disagreement)
        self._alone_rows = np.flatnonzero(data.scenes.alone)
        self._scene_boxes, self._fer_boxes = boxes_of(data.scenes), boxes_of(data.fer)
        self._mirror = torch.from_numpy(MIRRORED_LANDMARKS)

    def build_model(self) -> nn.Module:
        return PointNetwork(**self.recipe.network.model_dump(exclude={"margin"}))

    def steps_per_epoch(self) -> int:
        """An epoch shows as many faces of photographs as there are."""
        return max(1, round(len(self._scene_rows) / (self.recipe.loop.batch_size * self.recipe.data.scene_share)))

    def metadata(self) -> dict[str, Any]:
        network = self.recipe.network
        shape = network.model_dump(mode="json", exclude={"margin"})
        return {"model": "landmarks", "network": shape, "margin": network.margin}

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> Batch:
        config = self.recipe.data
        half = self.recipe.loop.batch_size // 2
        num_scenes, num_fer = round(config.scene_share * half), round(config.fer_share * half)
        rest = self.recipe.loop.batch_size - 2 * (num_scenes + num_fer)
        scene_rows = _pick(self._scene_rows, num_scenes, generator)
        fer_rows = _pick(self._fer_rows, num_fer, generator)
        first, second = (self._faces(scene_rows, fer_rows, generator) for _ in range(2))
        joined = [torch.cat(pair) for pair in zip(first, second, strict=True)]
        crops, points, scale, to_face, mirrored, trust = joined
        missing = self.missing(rest, generator)
        crops = self._spoil(torch.cat([crops, missing]), generator)
        is_face = torch.cat([torch.where(trust > 0.2, 1.0, -1.0), torch.zeros(len(missing))])
        parts = (crops, points, trust, scale, to_face, mirrored, is_face)
        return Batch(*(part.to(device) for part in parts))

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        config, size = self.recipe.loss, self.recipe.network.size
        points, logits = model(batch.crops)
        faces = len(batch.points)
        error = (points[:faces] - batch.points).abs() * size  # (F, 68, 2) px
        weight = batch.weight / batch.weight.mean().clamp_min(1e-6)
        place = (wing(error, width=config.wing_width, curvature=config.wing_curvature).mean((1, 2)) * weight).mean()
        apart = self._views_apart(points[:faces], batch)
        known = batch.is_face >= 0
        score = functional.binary_cross_entropy_with_logits(logits[known], batch.is_face[known] * 0.98 + 0.01)
        total = place + config.consistency_weight * apart + config.score_weight * score
        figures = {"place": float(place.detach()), "apart": float(apart.detach()), "score": float(score.detach())}
        return total, figures

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Measure held-back faces of 40 px and more on which the teachers agree, and the score on everything."""
        faces = self.data.val_scenes
        generator = torch.Generator().manual_seed(1)
        still = AugmentConfig()
        jitter = AugmentConfig(rotation_degrees=20.0, scale=0.15, shift=0.08)
        rows = np.arange(len(faces))
        clear = (faces.width >= 40) & (faces.disagreement < 0.05)
        error, positive = self._errors(model, rows, still, generator, device)
        moved_error, _ = self._errors(model, rows, jitter, generator, device)
        squares = torch.from_numpy(self.data.val_backgrounds)[:, None].float() / 255
        squares = functional.interpolate(squares, size=self.recipe.network.size, mode="bilinear")
        negative = torch.cat([model(part.to(device))[1].detach().float().cpu() for part in squares.split(256)])
        return {
            "landmark_accuracy": 1 - float(error[clear].mean()),
            "nme": float(error[clear].mean()),
            "nme_all": float(error.mean()),
            "nme_moved": float(moved_error[clear].mean()),
            "faces_below_half": float((positive < 0).float().mean()),
            "backgrounds_above_half": float((negative > 0).float().mean()),
        }

    def _errors(
        self, model: nn.Module, rows: np.ndarray, moves: AugmentConfig, generator: torch.Generator, device: torch.device
    ) -> tuple[np.ndarray, Tensor]:
        errors, logits = [], []
        for part in np.array_split(rows, max(1, len(rows) // 256)):
            faces = self.data.val_scenes
            view = self.views(faces, boxes_of(faces, own=False), part, moves, generator)
            points, logit = model(view[0].to(device))
            gap = (points.detach().float().cpu() - view[1]).norm(dim=2).mean(1)
            errors.append((gap / (view[1][:, 36] - view[1][:, 45]).norm(dim=1)).numpy())
            logits.append(logit.detach().float().cpu())
        return np.concatenate(errors), torch.cat(logits)

    def _views_apart(self, points: Tensor, batch: Batch) -> Tensor:
        """Return the mean distance of two views' points, brought back to the face, in px of a crop of the box."""
        points = torch.where(batch.mirrored[:, None, None], points[:, self._mirror.to(points.device)], points)
        back = torch.einsum("nij,npj->npi", batch.to_face[:, :, :2], points) + batch.to_face[:, None, :, 2]
        first, second = back.chunk(2)
        scale = batch.to_face[:, :, :2].det().abs().sqrt().chunk(2)[0]  # patch units per crop unit
        return ((first - second).abs() / scale[:, None, None]).mean() * self.recipe.network.size

    def _faces(
        self, scene_rows: np.ndarray, fer_rows: np.ndarray, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        moves = self.recipe.augment
        parts = []
        for faces, boxes, rows in (
            (self.data.scenes, self._scene_boxes, scene_rows),
            (self.data.fer, self._fer_boxes, fer_rows),
        ):
            view = self.views(faces, boxes, rows, moves, generator)
            # Trust falls from 1 where the teachers agree as usual to 0.1 where they hardly do.
            trust = torch.from_numpy(np.clip((0.10 - faces.disagreement[rows]) / 0.06, 0.1, 1.0))
            parts.append((*view, trust))
        first, second = parts
        joined = [torch.cat(pair) for pair in zip(first, second, strict=True)]
        return joined[0], joined[1], joined[2], joined[3], joined[4], joined[5]

    def views(
        self,
        faces: LandmarkFaces,
        boxes: np.ndarray,
        rows: np.ndarray,
        moves: AugmentConfig,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return crops, points, scale, the transforms crop -> patch, and what is mirrored."""
        kind = torch.randint(boxes.shape[1], (len(rows),), generator=generator).numpy()
        box = torch.from_numpy(boxes[rows, kind])  # (F, 4)
        to_patch, mirrored = random_crops(box, moves, generator, margin=self.recipe.network.margin)
        crops = sample_crops(torch.from_numpy(faces.patches[rows]), to_patch, size=self.recipe.network.size)
        linear = torch.linalg.inv(to_patch[:, :, :2])
        points = torch.einsum("nij,npj->npi", linear, torch.from_numpy(faces.landmarks[rows]) - to_patch[:, None, :, 2])
        points = torch.where(mirrored[:, None, None], points[:, self._mirror], points)
        scale = (box[:, 2:] - box[:, :2]).amax(1) / to_patch[:, :, :2].det().abs().sqrt()
        return crops, points, scale, to_patch, mirrored

    def missing(self, count: int, generator: torch.Generator) -> Tensor:
        """Return crops (count, 1, S, S) that hold no face or miss the one that is there."""
        size = self.recipe.network.size
        off = count // 3
        rows = _pick(self._alone_rows, off, generator)
        boxes = torch.from_numpy(self._scene_boxes[rows, 0])
        boxes = misplaced(boxes, generator)
        moves = AugmentConfig(flip=True, rotation_degrees=30.0)
        to_patch, _ = random_crops(boxes, moves, generator, margin=self.recipe.network.margin)
        missed = sample_crops(torch.from_numpy(self.data.scenes.patches[rows]), to_patch, size=size)
        rows = _pick(np.arange(len(self.data.backgrounds)), count - off, generator)
        whole = torch.tensor([0.15, 0.15, 0.85, 0.85]).expand(len(rows), 4)
        moves = AugmentConfig(flip=True, rotation_degrees=45.0, scale=0.3, shift=0.1)
        to_patch, _ = random_crops(whole, moves, generator, margin=0.0)
        empty = sample_crops(torch.from_numpy(self.data.backgrounds[rows]), to_patch, size=size)
        plain = torch.rand(len(rows), generator=generator) < 0.03  # one colour, or nothing but noise
        empty = torch.where(plain[:, None, None, None], empty[:, :, :1, :1].expand_as(empty), empty)
        return torch.cat([missed, empty])

    def _spoil(self, crops: Tensor, generator: torch.Generator) -> Tensor:
        config = self.recipe.augment
        for change in (relit, coarsened, resharpened, covered, darkened, noisy, compressed):
            crops = change(crops, config, generator)
        return crops.clamp(0, 1)


def wing(error: Tensor, *, width: float, curvature: float) -> Tensor:
    """Return the wing loss (Feng et al. 2018) of absolute errors: logarithmic below ``width``, linear above."""
    constant = width - width * math.log1p(width / curvature)
    return torch.where(error < width, width * torch.log1p(error / curvature), error + constant)


def _pick(rows: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    if not len(rows):
        return np.zeros(0, np.int64)
    chosen: np.ndarray = rows[torch.randint(len(rows), (count,), generator=generator).numpy()]
    return chosen


def equal_error_logit(task: LandmarkTask, network: PointNetwork) -> float:
    """Return the logit at which as many faces are missed as squares without a face are taken for one.

    Measured on training data as it is, without augmentation: ``_MEASURED`` faces and as many squares.
    """
    generator = torch.Generator().manual_seed(0)
    faces, still = task.data.scenes, AugmentConfig()
    rows = _pick(np.arange(len(faces)), _MEASURED, generator)
    crops, *_ = task.views(faces, boxes_of(faces), rows, still, generator)
    squares = task.missing(_MEASURED, generator)
    with torch.inference_mode():
        face, square = (torch.cat([network(part)[1] for part in x.split(256)]).sort().values for x in (crops, squares))
    candidates = torch.cat([face, square]).sort().values
    missed = torch.searchsorted(face, candidates) / len(face)
    taken = 1 - torch.searchsorted(square, candidates) / len(square)
    return float(candidates[(missed - taken).abs().argmin()])


def export_weights(task: LandmarkTask, trained: Path, path: Path) -> None:
    """Write the weights of the best validation to ``path``, with 0.5 as the score where both errors are equal."""
    tensors, metadata = load_tensors(trained)
    offset = equal_error_logit(task, build_network(tensors, metadata, source=trained))
    tensors["score.2.bias"] = tensors["score.2.bias"] - offset
    save_tensors(path, tensors, {**metadata, "score_offset": offset})


def train_landmarks(
    recipe_file: Path,
    data_folder: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train by a recipe file and write ``out/landmarks.safetensors``; returns the best validation's figures."""
    raw = read_toml(recipe_file)
    recipe = parse_section(LandmarkRecipe, raw, source=str(recipe_file))
    task = LandmarkTask(recipe, read_landmark_data(data_folder))
    best = train(task, recipe.loop, out, device=pick_device(device), recipe=raw, progress=progress)
    export_weights(task, out / "best.safetensors", out / "landmarks.safetensors")
    return best
