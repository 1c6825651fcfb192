"""Training of the quality network: ``vidfer train quality --recipe quality --data D --out O``.

Faces of photographs are spoilt (``datasets.spoilt_faces``), found again by the landmark network and read by a backbone.
What is learnt is whether its label is still the one that it gives to the clean picture; where it is a near thing the
target lies between yes and no, since the same face a pixel aside may be read the other way. An inverted face counts as
changed whatever is read from it: nothing that is there supports the label.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.config import FacesConfig, Section, parse_section, read_toml
from vidfer.device import pick_device
from vidfer.errors import DataError
from vidfer.faces.align import five_points, landmark_boxes, similarity_transforms, warp_faces
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.faces.pose import head_pose
from vidfer.faces.quality import QUALITY_SIZE, quality_features
from vidfer.faces.quality_network import QualityNetwork, build_quality_network
from vidfer.learning.datasets.clean_faces import CleanFaces, fer_faces, photographed_faces
from vidfer.learning.datasets.face_scenes import Split
from vidfer.learning.datasets.kept_arrays import kept_arrays
from vidfer.learning.datasets.spoilt_faces import MIXED, draw_kinds, spoilt
from vidfer.learning.evaluation.binary import calibrating_line, expected_error, ranking
from vidfer.learning.training.augment import AugmentConfig, moved
from vidfer.learning.training.loop import LoopConfig, ProgressCallback, take_last, train
from vidfer.types.validation import Rows
from vidfer.weights import digests, load_tensors, save_tensors

logger = logging.getLogger(__name__)
_HELD_BACK = 7  # one face for so many that are learnt from
_AT_ONCE = 64  # faces
_LANDMARK_ERROR = AugmentConfig(
    rotation_degrees=35.0, scale=0.35, shift=0.15
)  # how landmarks on an inverted face are off
_FRAME_PX = 640  # a patch is taken for the middle of a frame this large: head_pose asks


class DataConfig(Section):
    """``[data]`` of a quality recipe."""

    photographs: int = Field(4000, ge=1, description="faces of photographs; a seventh as many are held back")
    fer: int = Field(5000, ge=1, description="faces of FER2013; a seventh as many are held back")
    min_width: float = Field(60.0, ge=0.0, description="px: of the faces in their photographs")
    max_disagreement: float = Field(0.06, gt=0.0, description="of the landmarks' teachers; faces above are left out")
    views: int = Field(2, ge=1, description="ways in which each face is spoilt")
    balance: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="0: expressions as they come; 1: the faces of each count as much as any other's",
    )
    clear_share: float = Field(0.5, gt=0.0, lt=1.0, description="of the mixture: faces as good video shows them")
    inverted_share: float = Field(
        0.1,
        ge=0.0,
        lt=1.0,
        description="of the faces of a batch that are turned upside down, besides those that come so",
    )
    softness: float = Field(
        0.5,
        gt=0.0,
        description="logits by which the clean label leads at which the target is 73 %; near 0: the target is 0 or 1",
    )
    seed: int = 0


class JudgedConfig(Section):
    """``[backbone]`` of a quality recipe: whose labels the quality speaks of."""

    name: str = "compact"
    weights: str = Field("", description="a file; empty for the one that comes with vidfer")


class NetworkConfig(Section):
    """``[network]`` of a quality recipe: see ``QualityNetwork``."""

    widths: tuple[int, int, int] = (16, 32, 48)
    hidden: int = Field(48, ge=4)


class QualityRecipe(Section):
    """A whole recipe file."""

    data: DataConfig = DataConfig()
    backbone: JudgedConfig = JudgedConfig()
    network: NetworkConfig = NetworkConfig()
    loop: LoopConfig


@dataclass(frozen=True)
class JudgedFaces(Rows):
    """Spoilt faces as the stage "faces" sees them, and whether their label stayed.

    Attributes
    ----------
    aligned
        (N, 48, 48) uint8.
    size_px, pose, landmark_score
        See ``faces.quality.quality_features``.
    margin
        (N,) float32 logits: by how much the clean picture's label leads any other; negative where another is read.
    label
        (N,) int64, the label of the clean picture.
    kind
        (N,) str, what was done to the face.
    """

    aligned: np.ndarray
    size_px: np.ndarray
    pose: np.ndarray
    landmark_score: np.ndarray
    margin: np.ndarray
    label: np.ndarray
    kind: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(N,) bool: the label is that of the clean picture, and the face is upright."""
        return self.target(1e-6) > 0.5

    def target(self, softness: float) -> np.ndarray:
        """Return how far the label is kept (N,) float64, 0..1; an inverted face has 0."""
        return np.where(self.kind == "inverted", 0.0, expit(self.margin.astype(np.float64) / softness))


class Judge:
    """Finds faces in patches again and reads their labels, as the stages do.

    Parameters
    ----------
    landmarker, backbone
        The networks.
    """

    def __init__(self, landmarker: FaceLandmarker, backbone: EmotionNetwork) -> None:
        self.landmarker, self.backbone = landmarker, backbone

    def predict(
        self, patches: np.ndarray, boxes: np.ndarray, label: np.ndarray | None = None
    ) -> tuple[JudgedFaces, np.ndarray]:
        """Return one face per patch (N, S, S) and box (N, 4) px, and which are confirmed (N,).

        ``label`` (N,) is that of the clean pictures; None: these are the clean ones.
        """
        images, rows = torch.from_numpy(patches)[..., None], np.arange(len(patches))
        for _ in range(2):  # the second pass is around the landmarks
            landmarks, score = self.landmarker.locate(images, rows, boxes)
            boxes = landmark_boxes(landmarks)
        transforms = similarity_transforms(five_points(landmarks))
        aligned = warp_faces(images, rows, transforms, size=QUALITY_SIZE)[:, 0]  # (N, S, S)
        _, logits = self.backbone.embed(warp_faces(images, rows, transforms, size=self.backbone.input_spec.size))
        label = logits.argmax(1) if label is None else label
        others = logits.copy()
        np.put_along_axis(others, label[:, None], -np.inf, 1)
        middle = (_FRAME_PX - patches.shape[1]) / 2
        faces = JudgedFaces(
            aligned=(aligned * 255).round().to(torch.uint8).cpu().numpy(),
            size_px=(boxes[:, 2:] - boxes[:, :2]).max(1),
            pose=head_pose(landmarks + middle, image_size=(_FRAME_PX, _FRAME_PX)),
            landmark_score=score,
            margin=np.take_along_axis(logits, label[:, None], 1)[:, 0] - others.max(1),
            label=label,
            kind=np.full(len(patches), "as it is", "U16"),
        )
        return faces, score >= FacesConfig().min_landmark_score


def spoil_faces(
    faces: CleanFaces, judge: Judge, *, views: int, seed: int, progress: Callable[[int], None]
) -> JudgedFaces:
    """Spoil each face in ``views`` ways; those that are not found any more are left out, as from a video."""
    parts = []
    for start in range(0, len(faces), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(faces)))
        clean, confirmed = judge.predict(faces.patches[rows], landmark_boxes(faces.landmarks[rows]))
        for view in range(views):
            draws = [np.random.default_rng([seed, view, int(row)]) for row in rows]
            kinds = [draw_kinds(draw) for draw in draws]
            bad = [
                spoilt(faces.patches[r], faces.landmarks[r], k, d) for r, k, d in zip(rows, kinds, draws, strict=True)
            ]
            pixels, boxes = np.stack([b.pixels for b in bad]), np.stack([b.box for b in bad])
            seen, found = judge.predict(pixels, boxes, clean.label)
            keep = confirmed & found
            kind = np.array([k[0] if len(k) == 1 else MIXED for k in kinds], "U16")
            parts.append(replace(seen, kind=kind).take(keep))
        progress(int(rows[-1]) + 1)
    if not sum(map(len, parts)):
        raise DataError("no face was found again: expected photographs with faces")
    return JudgedFaces.join(parts)


def judged_faces(recipe: QualityRecipe, folder: Path, split: Split, *, kept_in: Path | None = None) -> JudgedFaces:
    """Return the spoilt faces of a split, computed once for a run: ``kept_in`` is where they are remembered."""
    made_of = {
        "data": recipe.data.model_dump(exclude={"balance", "clear_share", "inverted_share", "softness"}),
        "backbone": digests("backbone", recipe.backbone.name, recipe.backbone.weights),
        "landmarks": digests("landmarks", "embedded"),
        "split": split,
    }
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    path = kept_in / f"faces-{split}-{key}.npz" if kept_in else None
    return kept_arrays(path, JudgedFaces, lambda: _spoilt_faces(recipe, folder, split))


def _spoilt_faces(recipe: QualityRecipe, folder: Path, split: Split) -> JudgedFaces:
    config = recipe.data
    part = 1 if split == "train" else _HELD_BACK
    limits = {"min_width": config.min_width, "max_disagreement": config.max_disagreement}
    photographs = photographed_faces(folder, split, count=-(-config.photographs // part), **limits)
    fer = fer_faces(folder, split, count=-(-config.fer // part), seed=config.seed)
    faces = CleanFaces.join([photographs, fer])
    judge = Judge(
        LANDMARKERS.get("embedded")(device="cpu", weights=""),
        load_backbone(recipe.backbone.name, weights=recipe.backbone.weights).packed(),
    )

    def progress(done: int) -> None:
        if done % (8 * _AT_ONCE) == 0:
            logger.info("%d of %d %s faces spoilt", done, len(faces), split)

    return spoil_faces(faces, judge, views=config.views, seed=config.seed, progress=progress)


class QualityTask:
    """What the shared loop trains here; see ``TrainingTask``."""

    monitor = "auc"

    def __init__(self, recipe: QualityRecipe, training: JudgedFaces, validation: JudgedFaces) -> None:
        self.recipe, self.training, self.validation = recipe, training, validation
        self._inputs = _inputs(training)
        self._target = torch.from_numpy(training.target(recipe.data.softness).astype(np.float32))
        self._weight = torch.from_numpy(weights_in_mixture(training, recipe.data).astype(np.float32))

    def build_model(self) -> nn.Module:
        return QualityNetwork(**self.recipe.network.model_dump())

    def steps_per_epoch(self) -> int:
        return max(1, len(self.training) // self.recipe.loop.batch_size)

    def metadata(self) -> dict[str, Any]:
        network, backbone = self.recipe.network, self.recipe.backbone
        return {
            "model": "quality",
            "network": network.model_dump(mode="json"),
            "fitted_to": {
                "backbone": backbone.name,
                "sha256": list(digests("backbone", backbone.name, backbone.weights)),
            },
        }

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        del step
        rows = torch.multinomial(self._weight, self.recipe.loop.batch_size, replacement=True, generator=generator)
        faces, features, kept = (values[rows] for values in (*self._inputs, self._target))
        faces = faces.float() / 255
        flip = torch.rand(len(rows), generator=generator) < 0.5
        faces = torch.where(flip[:, None, None, None], faces.flip(3), faces)
        inverted = torch.rand(len(rows), generator=generator) < self.recipe.data.inverted_share
        if inverted.any():
            over = moved(faces[inverted].flip(2), _LANDMARK_ERROR, generator, size=QUALITY_SIZE, side=QUALITY_SIZE)
            faces, kept = faces.masked_scatter(inverted[:, None, None, None], over), kept.masked_fill(inverted, 0.0)
        return faces.to(device), features.to(device), kept.to(device)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        faces, features, kept = batch
        loss = functional.binary_cross_entropy_with_logits(model(faces, features).float(), kept)
        return loss, {}

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        quality, kept = expit(_logits(model, self._validation_inputs, device)), self.validation.kept
        inverted = self.validation.kind == "inverted"
        weight = weights_in_mixture(self.validation, self.recipe.data)
        return {
            "auc": ranking(quality, kept, weight),
            "auc_upright": ranking(quality[~inverted], kept[~inverted], weight[~inverted]),
            "ece": expected_error(quality, kept, weight),
            "ece_as_they_come": expected_error(quality, kept),
            "inverted_max": float(quality[inverted].max(initial=0.0)),
        }

    def calibrate(self, path: Path) -> dict[str, float]:
        """Make a file's network say yes and no as often as it is so on the training faces; return its figures.

        What it learnt is how nearly a label is kept, not whether.
        """
        tensors, metadata = load_tensors(path)
        model, device = build_quality_network(tensors, metadata, source=path), torch.device("cpu")
        with torch.inference_mode():
            logits = _logits(model, self._inputs, device)
            weight = weights_in_mixture(self.training, self.recipe.data)
            scale, offset = calibrating_line(logits, self.training.kept, weight)
            last = model.head[-1]
            assert isinstance(last, nn.Linear)
            last.bias.mul_(scale).add_(offset)
            last.weight.mul_(scale)
            figures = self.validate(model, device)
        metadata["training"]["last"] = figures
        save_tensors(path, model.state_dict(), metadata)
        return figures

    @cached_property
    def _validation_inputs(self) -> tuple[Tensor, Tensor]:
        return _inputs(self.validation)


def weights_in_mixture(faces: JudgedFaces, config: DataConfig) -> np.ndarray:
    """Return how much each face (N,) counts, 1 on average, so that the mixture is the recipe's."""
    weight = np.bincount(faces.label).clip(1)[faces.label].astype(np.float64) ** -config.balance
    clear = faces.kind == "clear"
    for rows, share in ((clear, config.clear_share), (~clear, 1 - config.clear_share)):
        weight[rows] *= share / max(float(weight[rows].sum()), 1e-9)
    balanced: np.ndarray = weight * len(faces)
    return balanced


def _logits(model: nn.Module, inputs: tuple[Tensor, Tensor], device: torch.device) -> np.ndarray:
    faces, features = inputs
    parts = zip(faces.split(256), features.split(256), strict=True)
    found: np.ndarray = torch.cat([model(f.to(device) / 255, g.to(device)).float().cpu() for f, g in parts]).numpy()
    return found


def _inputs(faces: JudgedFaces) -> tuple[Tensor, Tensor]:
    features = quality_features(size_px=faces.size_px, pose=faces.pose, landmark_score=faces.landmark_score)
    return torch.from_numpy(faces.aligned)[:, None], torch.from_numpy(features)


def train_quality(
    recipe_file: Path,
    data_folder: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train by a recipe file and write ``out/quality.safetensors``; returns the last validation's figures.

    The last weights are taken, not those that did best: nothing is chosen by the faces that are held back.
    """
    raw = read_toml(recipe_file)
    recipe = parse_section(QualityRecipe, raw, source=str(recipe_file))
    training, validation = (judged_faces(recipe, data_folder, split, kept_in=out) for split in ("train", "val"))
    task = QualityTask(recipe, training, validation)
    train(task, recipe.loop, out, device=pick_device(device), recipe=raw, progress=progress)
    take_last(out, "quality")
    return task.calibrate(out / "quality.safetensors")
