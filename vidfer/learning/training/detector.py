"""Training of the embedded face detector: targets, loss, validation."""

from __future__ import annotations

import logging
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
from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detector_network import STRIDES, DetectorNetwork, DetectorShape, cells, decode
from vidfer.faces.detectors.embedded import EmbeddedDetector, network_from
from vidfer.learning.datasets.face_scenes import Scene, read_scenes
from vidfer.learning.evaluation.detection import detection_figures, detection_outcome, working_point
from vidfer.learning.training.loop import LoopConfig, ProgressCallback, train
from vidfer.learning.training.mosaics import Canvas, MosaicConfig, MosaicMaker
from vidfer.weights import mean_weights

logger = logging.getLogger(__name__)

# Sizes of face (root of the area, px) that a stride is trained for; they overlap, so that neighbours agree.
SIZE_RANGES = {8: (0.0, 44.0), 16: (28.0, 120.0), 32: (76.0, np.inf)}


class TargetConfig(Section):
    """``[targets]``: what counts as what."""

    inner: float = Field(0.18, description="cells so near to a face's middle (in face sizes) are face")
    inner_strides: float = Field(0.6, description="or so near in strides")
    outer: float = Field(0.36, description="cells between are neither")
    outer_strides: float = 1.1


class LossConfig(Section):
    """``[loss]``."""

    focal_gamma: float = 2.0
    negative_weight: float = Field(1.0, description="of background cells")
    box_weight: float = 2.0
    points_weight: float = 1.0


class DetectorRecipe(Section):
    """A whole ``pipelines/train/detector.toml``."""

    loop: LoopConfig
    network: DetectorShape = DetectorShape()
    mosaic: MosaicConfig = MosaicConfig()
    targets: TargetConfig = TargetConfig()
    loss: LossConfig = LossConfig()
    steps_per_epoch: int = Field(250, ge=1)
    validation_pictures: int = Field(300, ge=0, description="of the scenes; 0 = all")
    working_precision: float = Field(0.99, gt=0.0, lt=1.0, description="a score of 0.5 is where this is reached")
    hard_score: float = Field(0.15, ge=0.0, le=1.0, description="places that fire at this are hard (mosaic.hard)")
    start_from: tuple[Path, ...] = Field((), description="weight files to start from the mean of; none: random numbers")


@dataclass(frozen=True, kw_only=True)
class DetectorBatch:
    """A batch: images (B, 3, S, S) float32 0..255, target score (B, cells) 1, 0 or -1 = ignored, and face cells.

    ``row`` and ``cell`` (P,) say which cells have a face, ``xyxy`` (P, 4) and ``points5`` (P, 5, 2) which one, px.
    """

    images: Tensor
    score: Tensor
    row: Tensor
    cell: Tensor
    xyxy: Tensor
    points5: Tensor


class DetectorTask:
    """What the shared loop trains (``learning.training.loop.TrainingTask``)."""

    monitor = "average_precision"

    def __init__(self, recipe: DetectorRecipe, train_scenes: list[Scene], validation_scenes: list[Scene]) -> None:
        self.recipe = recipe
        searched = recipe.start_from and recipe.mosaic.hard > 0 and recipe.loop.epochs > 0
        hard = find_hard_places(recipe, train_scenes) if searched else []
        self._maker = MosaicMaker(train_scenes, recipe.mosaic, hard)
        self._validation = validation_scenes
        self._score_bias = 0.0

    def build_model(self) -> nn.Module:
        network = DetectorNetwork(self.recipe.network)
        if self.recipe.start_from:
            network.load_state_dict(mean_weights(self.recipe.start_from)[0])
        return network

    def steps_per_epoch(self) -> int:
        return self.recipe.steps_per_epoch

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> DetectorBatch:
        """Return mosaics with their targets, determined by the generator alone."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        canvases = self._maker.canvases(self.recipe.loop.batch_size, np.random.default_rng(seed))
        return to_batch(canvases, self.recipe.targets, device)

    def loss(self, model: nn.Module, batch: DetectorBatch) -> tuple[Tensor, dict[str, float]]:
        """Return focal loss of the scores, distance-IoU loss of the boxes and smooth L1 of the points."""
        outputs = model(batch.images)  # (B, cells, 15)
        weights, config = max(1, len(batch.row)), self.recipe.loss
        logit = outputs[..., 0]
        label = batch.score.clamp(min=0.0)
        entropy = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
        miss = (label - logit.sigmoid()).abs() ** config.focal_gamma
        balance = torch.where(label > 0, 1.0, config.negative_weight)
        score_loss = (entropy * miss * balance * (batch.score >= 0)).sum() / weights
        height, width = batch.images.shape[2:]
        centres, strides = cells(height, width, outputs.device)
        xyxy, points = decode(outputs[batch.row, batch.cell], centres[batch.cell], strides[batch.cell])
        box_loss = _distance_iou_loss(xyxy, batch.xyxy).sum() / weights
        size = (batch.xyxy[:, 2:] - batch.xyxy[:, :2]).mean(dim=1)[:, None, None]
        points_loss = functional.smooth_l1_loss(points / size, batch.points5 / size, beta=0.05, reduction="sum") / (
            weights * 5
        )
        loss = score_loss + config.box_weight * box_loss + config.points_weight * points_loss
        parts = {"score_loss": score_loss, "box_loss": box_loss, "points_loss": points_loss}
        return loss, {name: float(part.detach()) for name, part in parts.items()}

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Measure on whole photographs, faces of 16 px and more; pictures without faces count in the precision.

        Recall and precision are those at the working point, which becomes a score of 0.5 in the weight file.
        """
        detector = EmbeddedDetector(model, device=str(device), min_score=0.05, long_side=320)  # type: ignore[arg-type]
        outcome = detection_outcome(detector, self._validation)
        point = working_point(outcome, precision=self.recipe.working_precision)
        self._score_bias = score_bias(point)
        return {**detection_figures(outcome, min_score=point), "working_point": point}

    def metadata(self) -> dict[str, Any]:
        return {
            "network": self.recipe.network.model_dump(),
            "input": {"channels": "rgb", "range": [0, 255]},
            "score_bias": self._score_bias,  # of the last validation
        }


def train_detector(
    recipe: Path, data: Path, out: Path, *, device: str = "auto", progress: ProgressCallback | None = None
) -> dict[str, float]:
    """Train by a recipe file on the pictures in ``data``; continue where ``out`` was left.

    Returns
    -------
    dict of str to float
        Figures of the best validation; its weights are ``out/best.safetensors``.
    """
    parsed = read_toml(recipe)
    task = build_task(parsed, data, source=str(recipe))
    return train(task, task.recipe.loop, out, device=pick_device(device), progress=progress, recipe=parsed)


def find_hard_places(recipe: DetectorRecipe, scenes: list[Scene]) -> list[tuple[Scene, np.ndarray]]:
    """Return where the network of ``start_from`` sees faces that the teacher does not see, even doubtfully.

    Every picture without a face and of Flickr8k is searched, and every fourth of LFW.
    """
    tensors, metadata = mean_weights(recipe.start_from)
    network = network_from(tensors, metadata, source=str(recipe.start_from[0]))
    detector = EmbeddedDetector(network, device="cpu", min_score=recipe.hard_score, long_side=320)
    hard = []
    lfw = [scene for scene in scenes if scene.source == "lfw"]
    for scene in [scene for scene in scenes if scene.source != "lfw"] + lfw[::4]:
        boxes = detector.detect(torch.from_numpy(scene.pixels)[None])
        elsewhere = ~(pairwise_iou(boxes.xyxy, scene.xyxy) > 0.02).any(axis=1)
        hard += [(scene, box) for box in boxes.xyxy[elsewhere]]
    logger.info("%d places fire without a face", len(hard))
    return hard


def build_task(recipe: dict[str, Any], data: Path, *, source: str = "recipe") -> DetectorTask:
    """Return the task that a recipe (parsed TOML) describes, on the pictures in the folder ``data``."""
    config = parse_section(DetectorRecipe, recipe, source=source)
    validation = read_scenes(data, "val", limit=config.validation_pictures)
    return DetectorTask(config, read_scenes(data, "train"), validation)


def score_bias(working_point: float) -> float:
    """Return what to add to the score's logit so that ``working_point`` becomes 0.5."""
    return float(-np.log(working_point / (1.0 - working_point)))


def to_batch(canvases: list[Canvas], config: TargetConfig, device: torch.device) -> DetectorBatch:
    """Say for each cell of each canvas whether it is face, background or neither, and whose."""
    size = canvases[0].pixels.shape[0]
    centres, strides = (t.numpy() for t in cells(size, size))
    score = np.zeros((len(canvases), len(centres)), np.float32)
    positive: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for row, canvas in enumerate(canvases):
        owner = _assign(canvas, centres, strides[:, 0], config, score[row])
        cell = np.flatnonzero(owner >= 0)
        face = owner[cell]
        positive.append((np.full(len(cell), row), cell, canvas.xyxy[face], canvas.points5[face]))
    rows, cell_of, xyxy, points5 = (np.concatenate(parts) for parts in zip(*positive, strict=True))
    pixels = torch.from_numpy(np.stack([canvas.pixels for canvas in canvases]))
    return DetectorBatch(
        images=pixels.to(device).permute(0, 3, 1, 2).float(),  # (B, 3, S, S), channels last in memory
        score=torch.from_numpy(score).to(device),
        row=torch.from_numpy(rows.astype(np.int64)).to(device),
        cell=torch.from_numpy(cell_of.astype(np.int64)).to(device),
        xyxy=torch.from_numpy(xyxy.astype(np.float32)).to(device),
        points5=torch.from_numpy(points5.astype(np.float32)).to(device),
    )


def _assign(
    canvas: Canvas, centres: np.ndarray, strides: np.ndarray, config: TargetConfig, score: np.ndarray
) -> np.ndarray:
    """Fill score (cells,) and return the face that each cell predicts, -1 where none."""
    owner = np.full(len(centres), -1)
    if not len(canvas.xyxy):
        return owner
    extent = canvas.xyxy[:, 2:] - canvas.xyxy[:, :2]
    size = np.sqrt(np.maximum(extent.prod(axis=1), 1e-6))
    middle = (canvas.xyxy[:, :2] + canvas.xyxy[:, 2:]) / 2
    away = np.abs(centres[None] - middle[:, None]).max(axis=2)  # (F, cells)
    ranges = np.array([SIZE_RANGES[stride] for stride in STRIDES])[np.searchsorted(STRIDES, strides)]
    low, high = ranges.T  # (cells,) each
    in_range = (size[:, None] >= low) & (size[:, None] < high)
    near_range = (size[:, None] >= low / 1.5) & (size[:, None] < high * 1.5)
    inner = away <= np.maximum(config.inner * size[:, None], config.inner_strides * strides)
    outer = away <= np.maximum(config.outer * size[:, None], config.outer_strides * strides)
    ignored = (outer & near_range)[canvas.valid].any(axis=0)
    for face in np.flatnonzero(~canvas.valid):  # whatever lies in a doubtful face is not learnt
        box = canvas.xyxy[face]
        margin = np.maximum(0.5 * strides, 0.0)[:, None]
        within = ((centres >= box[:2] - margin) & (centres <= box[2:] + margin)).all(axis=1)
        ignored |= within
    score[ignored] = -1.0
    for face in np.argsort(-size, kind="stable"):  # the smallest last: it wins a cell that two claim
        if canvas.valid[face]:
            owner[inner[face] & in_range[face]] = face
    score[owner >= 0] = 1.0
    return owner


def _distance_iou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 - DIoU (Zheng et al. 2020, arXiv:1911.08287) of boxes (P, 4) and (P, 4)."""
    low, high = torch.maximum(predicted[:, :2], target[:, :2]), torch.minimum(predicted[:, 2:], target[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    area = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1) for boxes in (predicted, target)]
    iou = shared / (area[0] + area[1] - shared).clamp(min=1e-6)
    hull = torch.maximum(predicted[:, 2:], target[:, 2:]) - torch.minimum(predicted[:, :2], target[:, :2])
    apart = (predicted[:, :2] + predicted[:, 2:] - target[:, :2] - target[:, 2:]) / 2
    return 1 - iou + (apart**2).sum(dim=1) / (hull**2).sum(dim=1).clamp(min=1e-6)
