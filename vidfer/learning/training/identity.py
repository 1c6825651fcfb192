"""Training of the identity network: ``vidfer train identity --recipe identity --data D --out O``.

The network learns a larger one's vectors (distillation): each face's own, how alike the faces of a batch are (Park et
al. 2019, "Relational knowledge distillation"), and how alike it is to every person that there is (Fang et al. 2021,
"SEED"). Names of LFW are the second signal: the target of a named face is drawn towards its person.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from vidfer.config import Section, parse_section, read_toml
from vidfer.device import pick_device
from vidfer.errors import DataError
from vidfer.identity.network import VectorNetwork
from vidfer.learning.datasets.face_scenes import Split
from vidfer.learning.datasets.kept_arrays import kept_arrays
from vidfer.learning.datasets.named_faces import NOBODY, NamedFaces, read_fer_faces, read_named_faces
from vidfer.learning.evaluation.pairs import all_pairs
from vidfer.learning.training.augment import Augmentation, AugmentConfig
from vidfer.learning.training.loop import LoopConfig, ProgressCallback, take_last, train
from vidfer.weights import load_tensors

_GRAY_SHARE, _TINT = 0.1, 0.12  # faces without colour; gain of each colour, from 1 / 1.12 to 1.12
_AT_ONCE = 256  # faces measured
SMALL_SIDE = 32  # px: faces of a call's gallery, measured besides


class DataConfig(Section):
    """``[data]`` of an identity recipe."""

    min_width: float = Field(24.0, ge=0.0, description="px: of faces in their photographs")
    fer: bool = Field(False, description="also faces of FER2013, which have vectors but no names")
    side: int = Field(64, ge=32, le=256, description="px of the faces that are kept, from which smaller ones are made")
    border: int = Field(8, ge=0, description="px around the aligned face")


class NetworkConfig(Section):
    """``[network]`` of an identity recipe: see ``VectorNetwork``."""

    size: int = Field(48, ge=32, le=256)
    widths: tuple[int, int, int, int] = (32, 48, 96, 176)
    blocks: tuple[int, int, int] = (2, 2, 1)
    vector_size: int = Field(256, ge=8)
    start: str = Field("", description="weights to begin with, of the same network")


class TeachingConfig(Section):
    """``[teaching]`` of an identity recipe: what counts how much."""

    cosine_weight: float = Field(2.0, ge=0.0)
    relation_weight: float = Field(20.0, ge=0.0)
    people_weight: float = Field(1.0, ge=0.0)
    people_scale: float = Field(24.0, gt=0.0, description="by which cosines to people are multiplied")
    name_share: float = Field(0.5, ge=0.0, le=1.0, description="of a named face's target: the person itself")


class IdentityRecipe(Section):
    """A whole recipe file."""

    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    teaching: TeachingConfig = TeachingConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig


class IdentityTask:
    """What the shared loop trains here; see ``TrainingTask``."""

    monitor = "same_at_1"

    def __init__(
        self, recipe: IdentityRecipe, training: NamedFaces, validation: NamedFaces, *, further: NamedFaces | None = None
    ) -> None:
        """``further`` faces have the teacher's vectors; they are not among the people that others are compared with."""
        self.recipe = recipe
        self.place, self.people = people_of(training)
        parts = [training] if further is None else [training, further]
        self.pictures = torch.cat([_planar(part.pictures) for part in parts])
        self.teacher = torch.cat([torch.from_numpy(part.vectors) for part in parts])
        named = validation.take(np.flatnonzero(validation.person != NOBODY))
        self.held_back, self.held_back_person = _planar(named.pictures), named.person
        self.augmentation = Augmentation(recipe.augment, size=recipe.data.side, border=recipe.data.border)
        self._order: tuple[int, Tensor] = -1, torch.empty(0)

    def build_model(self) -> nn.Module:
        network = VectorNetwork(**self._options())
        if self.recipe.network.start:
            network.load_state_dict(load_tensors(Path(self.recipe.network.start))[0])
        return network

    def steps_per_epoch(self) -> int:
        return max(1, len(self.pictures) // self.recipe.loop.batch_size)

    def metadata(self) -> dict[str, Any]:
        return {"model": "identity", "network": self._options()}

    def _options(self) -> dict[str, Any]:
        return self.recipe.network.model_dump(mode="json", exclude={"start"})

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        rows = self._rows(step)
        faces = tinted(self.pictures[rows].float() / 255, generator)
        faces = self.augmentation(faces, generator, side=self.recipe.network.size)
        return faces.to(device), rows

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        teaching = self.recipe.teaching
        faces, rows = batch
        found = model(faces).float()  # (B, D)
        wanted, people = self.teacher[rows].to(found), self.people.to(found)
        cosine = 1 - (found * wanted).sum(1).mean()
        relation = (found @ found.T - wanted @ wanted.T).square().mean()
        target = (teaching.people_scale * wanted @ people.T).softmax(1)  # (B, P)
        is_person = rows < len(self.place)
        own = functional.one_hot(self.place[rows[is_person]], len(self.people)).to(target)
        target[is_person] = torch.lerp(target[is_person], own, teaching.name_share)
        alike = functional.cross_entropy(teaching.people_scale * found @ people.T, target)
        loss = teaching.cosine_weight * cosine + teaching.relation_weight * relation + teaching.people_weight * alike
        return loss, {"cosine": 1 - float(cosine.detach()), "relation": float(relation.detach())}

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        figures = {}
        for side, suffix in ((self.recipe.network.size, ""), (SMALL_SIDE, f"_{SMALL_SIDE}px")):
            vectors = vectors_of(model, self.held_back, device, side=side)
            pairs = all_pairs(vectors, self.held_back_person)
            figures[f"pairs{suffix}"], figures[f"threshold{suffix}"] = pairs.accuracy()
            figures[f"same_at_1{suffix}"], _ = pairs.found_at(0.01)
        return figures

    def _rows(self, step: int) -> Tensor:
        """Return which faces step ``step`` sees: every one once in an epoch."""
        epoch, place = divmod(step, self.steps_per_epoch())
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.recipe.loop.seed * 9_000_011 + epoch)
            self._order = epoch, torch.randperm(len(self.pictures), generator=generator)
        size = self.recipe.loop.batch_size
        return self._order[1][place * size : (place + 1) * size]


def people_of(faces: NamedFaces) -> tuple[Tensor, Tensor]:
    """Return which person each face (N,) is, and the people's mean vectors (P, D); a face without name is a person."""
    place = faces.person.copy()
    nobody = np.flatnonzero(place == NOBODY)
    place[nobody] = place.max(initial=NOBODY) + 1 + np.arange(len(nobody))
    people = torch.zeros(int(place.max()) + 1, faces.vectors.shape[1])
    people.index_add_(0, torch.from_numpy(place), torch.from_numpy(faces.vectors))
    return torch.from_numpy(place), functional.normalize(people, dim=1)


def tinted(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Change the colours of faces (N, 3, S, S): light is warmer or colder, and some pictures have none."""
    gain = torch.exp((torch.rand(len(faces), 3, 1, 1, generator=generator) * 2 - 1) * np.log1p(_TINT))
    gray = torch.rand(len(faces), 1, 1, 1, generator=generator) < _GRAY_SHARE
    return torch.where(gray, faces.mean(1, keepdim=True), (faces * gain).clamp(max=1))


@torch.inference_mode()
def vectors_of(model: nn.Module, faces: Tensor, device: torch.device, *, side: int = 0) -> np.ndarray:
    """Return vectors (N, D) of faces (N, 3, S, S) uint8 that were ``side`` px large; 0 = as they are."""
    parts = []
    for part in faces.split(_AT_ONCE):
        shown = part.float() / 255
        if side and side < shown.shape[-1]:
            small = functional.interpolate(shown, size=side, mode="bilinear", antialias=True)
            shown = functional.interpolate(small, size=shown.shape[-1], mode="bilinear")
        parts.append(model(shown.to(device)).float().cpu())
    vectors: np.ndarray = torch.cat(parts).numpy()
    return vectors


def _planar(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()  # (N, 3, S, S)


def faces_of(recipe: IdentityRecipe, folder: Path, split: Split, *, kept_in: Path) -> NamedFaces:
    """Return the faces of a split, cut once for a run: ``kept_in`` is where they are remembered."""
    data = recipe.data
    options: dict[str, Any] = {"size": recipe.network.size, "border": 0, "min_width": 0.0}  # as in use
    if split == "train":
        options = {"size": data.side, "border": data.border, "min_width": data.min_width}
    key = hashlib.sha256(json.dumps([split, options]).encode()).hexdigest()[:12]

    def read() -> NamedFaces:
        faces = read_named_faces(folder, split, **options)
        if not len(faces):
            raise DataError(f"{folder}: expected faces with vectors of a teacher in the split {split!r}, got none")
        return faces

    return kept_arrays(kept_in / f"faces-{split}-{key}.npz", NamedFaces, read)


def train_identity(
    recipe_file: Path,
    data_folder: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train by a recipe file and write ``out/identity.safetensors``; returns the last validation's figures.

    The last weights are taken, not those that did best: nothing is chosen by the people that are held back.
    """
    raw = read_toml(recipe_file)
    recipe = parse_section(IdentityRecipe, raw, source=str(recipe_file))
    training, validation = (faces_of(recipe, data_folder, split, kept_in=out) for split in ("train", "val"))
    further = None
    if recipe.data.fer:
        further = read_fer_faces(data_folder, size=recipe.data.side, border=recipe.data.border)
    task = IdentityTask(recipe, training, validation, further=further)
    train(task, recipe.loop, out, device=pick_device(device), recipe=raw, progress=progress)
    return take_last(out, "identity")
