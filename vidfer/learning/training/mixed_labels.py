"""Trains the per-frame network on what several sources know: annotators, a second annotation and other networks.

Votes, labels and a teacher err differently, and none of them knows everything. What is shown more often than FER+'s
votes have it is taken out of the loss (logit adjustment, Menon et al. 2021), so class shares are a setting of use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.backbones import preprocess
from vidfer.backbones.load import build_backbone
from vidfer.errors import ConfigError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.learning.datasets.fer2013plus import majority_labels, read_fer2013plus, soft_labels
from vidfer.learning.datasets.labelled_pictures import read_lfw_pictures
from vidfer.learning.datasets.teachers import NUM_SHAPES, TEACHER_COLUMNS, Lessons, read_fer_lessons, read_scene_lessons
from vidfer.learning.evaluation.calibration import fit_temperature
from vidfer.learning.training.emotion_cnn import (
    SOURCES,
    EmotionRecipe,
    EmotionTask,
    LabelledFaces,
    MixedConfig,
    aligned,
    load_more_faces,
    predict,
)
from vidfer.weights import load_tensors

_KINDS = ("fer", "scenes", "posed")  # sources with class shares of their own; the others count as the first
_SCENES = _KINDS.index("scenes")
_MIN_SHARE = 1e-4


class TaughtNetwork(nn.Module):
    """A backbone with two more heads on its embedding, which keep in it what the main one would not ask for.

    Attributes
    ----------
    deployed
        The backbone, which alone is kept.
    votes
        What annotators of FER+ would say.
    shapes
        How the face is shaped.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.deployed = backbone
        self.input_spec = backbone.input_spec
        self.votes = nn.Linear(int(backbone.embedding_size), NUM_EMOTIONS)  # type: ignore[arg-type]
        self.shapes = nn.Linear(int(backbone.embedding_size), NUM_SHAPES)  # type: ignore[arg-type]

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        embedding, logits = self.deployed(faces)
        return embedding, logits


@dataclass(frozen=True)
class Shown:
    """A batch: faces (B, C, S, S), and of each what is known.

    ``target``, ``votes`` (B, 8) sum to 1, or to 0 where nothing is known; ``kind`` (B,) indexes ``_KINDS``:
    of scenes only the five classes of the teacher are known; ``shapes`` (B, ``NUM_SHAPES``), NaN where unknown.
    """

    faces: Tensor
    target: Tensor
    votes: Tensor
    shapes: Tensor
    kind: Tensor


def mixed_targets(
    votes: np.ndarray, label: np.ndarray, lessons: Lessons, *, fer2013: np.ndarray, teacher: float
) -> np.ndarray:
    """Return (N, 8) float32, what N faces of FER2013 show according to all sources together.

    Parameters
    ----------
    votes
        (N, 8) shares of FER+'s annotators.
    label
        (N,) FER2013's own label.
    lessons
        The teacher's five; what votes give to the other three stays there.
    fer2013
        (N,) share of FER2013's own label in the whole.
    teacher
        Share of the teacher in the rest.
    """
    unknown = np.setdiff1d(np.arange(NUM_EMOTIONS), TEACHER_COLUMNS)
    taught = lessons.emotion * (1 - votes[:, unknown].sum(1, keepdims=True))
    taught[:, unknown] = votes[:, unknown]
    silent = lessons.emotion.sum(1) == 0
    taught[silent] = votes[silent]
    own = fer2013[:, None]
    target = (1 - own) * ((1 - teacher) * votes + teacher * taught) + own * np.eye(NUM_EMOTIONS)[label]
    return np.asarray(target, np.float32)


def own_shares(votes: np.ndarray, label: np.ndarray, mixed: MixedConfig) -> np.ndarray:
    """Return (N,) the share of FER2013's own ``label`` (N,): 0 where none of FER+'s annotators agrees.

    ``votes`` (N, 10) are FER+'s. Both are right where they differ: annotators name what they see, FER2013's label is
    the word by which the picture was searched for.
    """
    counted = np.isin(label, [EMOTION_INDEX[name] for name in mixed.fer2013_labels])
    agreed = votes[np.arange(len(label)), label] > 0
    return np.where(counted & agreed, mixed.fer2013_share, 0.0)


class MixedTask(EmotionTask):
    """What ``learning.training.loop`` trains here: ``EmotionTask`` with ``[mixed]``."""

    def __init__(self, recipe: EmotionRecipe, folder: Path) -> None:
        super().__init__(recipe, folder)
        held_back = read_lfw_pictures(folder, "val", size=self.spec.size, border=0)
        self.photographs = LabelledFaces(held_back.faces, held_back.target, held_back.label)
        kinds = [_KINDS.index(source) if source in _KINDS else 0 for source in SOURCES]
        self._kind = torch.tensor(kinds)[self.training.source]
        weights = self._row_weights.float()[:, None]
        natural = self.training.votes[self.training.source == SOURCES.index("fer")].mean(0)
        self.class_shares = natural / natural.sum()
        shown = weights * self.training.target
        seen = torch.stack([shown[self._kind == kind].sum(0) for kind in range(len(_KINDS))])
        seen = (seen / seen.sum(1, keepdim=True)).nan_to_num().clamp_min(_MIN_SHARE)
        # (3, 8): by how much each class was seen more often than it occurs, by kind. Each kind is told by its looks, so
        # that many posed fearful faces would else make stills look less fearful.
        self._excess = seen.log() - self.class_shares.clamp_min(_MIN_SHARE).log()
        self._known = torch.ones(len(_KINDS), NUM_EMOTIONS, dtype=torch.bool)
        self._known[_SCENES] = False
        self._known[_SCENES, TEACHER_COLUMNS] = True
        self._networks = [self._trained(Path(name)) for name in recipe.mixed.networks]

    def build_model(self) -> nn.Module:
        return TaughtNetwork(super().build_model())

    def load_training(self, folder: Path) -> LabelledFaces:
        data, mixed = self.recipe.data, self.recipe.mixed
        pictures = read_fer2013plus(folder, "Training")
        usable = majority_labels(pictures.votes, strict=False) >= 0
        pictures = pictures.take(usable)
        lessons = read_fer_lessons(folder).take(pictures.row)
        votes = soft_labels(pictures.votes)
        target = mixed_targets(
            votes,
            pictures.fer2013_label,
            lessons,
            fer2013=own_shares(pictures.votes, pictures.fer2013_label, mixed),
            teacher=mixed.teacher_share,
        )
        faces = aligned(pictures, size=self.spec.size, border=data.border)
        out = LabelledFaces(faces, target, target.argmax(1), votes=votes, shapes=lessons.shapes)
        for more in load_more_faces(folder, data, self.spec, seed=self.recipe.loop.seed):
            out.extend(more)
        if mixed.scenes_share:
            scenes, taught = read_scene_lessons(folder, "train", size=self.spec.size, border=data.border)
            known = taught.emotion.sum(1) > 0
            target = taught.emotion[known]
            out.extend(
                LabelledFaces(
                    torch.from_numpy(scenes[known]),
                    target,
                    target.argmax(1),
                    source="scenes",
                    shapes=taught.shapes[known],
                )
            )
        return out

    def source_shares(self) -> dict[str, float]:
        return {**super().source_shares(), "scenes": self.recipe.mixed.scenes_share}

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> Shown:  # type: ignore[override]
        rows = self.rows_of(step)
        faces = self.training.faces[rows].to(device).float() / 255
        faces = preprocess(self.augmentation(faces, generator), self.spec)
        return Shown(
            faces=faces.to(memory_format=torch.channels_last),
            target=self.training.target[rows].to(device),
            votes=self.training.votes[rows].to(device),
            shapes=self.training.shapes[rows].to(device),
            kind=self._kind[rows].to(device),
        )

    def loss(self, model: nn.Module, batch: Shown) -> tuple[Tensor, dict[str, float]]:  # type: ignore[override]
        mixed = self.recipe.mixed
        embedding, logits = model(batch.faces)
        embedding, logits = embedding.float(), logits.float()
        kind, excess = batch.kind, self._excess.to(logits)
        adjusted = logits + excess[kind]
        adjusted = adjusted.masked_fill(~self._known.to(logits.device)[kind], -1e4)
        read = functional.cross_entropy(adjusted, batch.target)
        if self._networks:
            said = torch.softmax(self._said(batch.faces) + excess[0], 1)  # rare classes weigh as much as in the stills
            distilled = functional.cross_entropy(logits + excess[0], said)
            read = torch.lerp(read, distilled, mixed.networks_share)
        votes = functional.cross_entropy(model.votes(embedding), batch.votes)  # type: ignore[operator]
        known = torch.isfinite(batch.shapes)
        off = torch.where(known, model.shapes(embedding) - batch.shapes.nan_to_num(), 0.0)  # type: ignore[operator]
        shapes = off.square().sum() / known.sum().clamp_min(1)
        right = float((adjusted.argmax(1) == batch.target.argmax(1)).float().mean())
        parts = {"votes_loss": float(votes.detach()), "shapes_loss": float(shapes.detach())}
        taught = mixed.votes_weight * votes + mixed.shapes_weight * shapes
        apart, more = self.metric(embedding, batch.target.argmax(1))
        return read + taught + apart, {"training_accuracy": right, **parts, **more}

    def _trained(self, path: Path) -> nn.Module:
        tensors, metadata = load_tensors(path)
        name = str(metadata.get("backbone", self.recipe.model.name))
        network = build_backbone(name, tensors, metadata, source=path)
        if network.input_spec != self.spec:
            raise ConfigError(f"{path}: expected a network that sees faces as {self.spec}, got {network.input_spec}")
        return network

    @torch.no_grad()
    def _said(self, faces: Tensor) -> Tensor:
        """Return the mean of the networks' logits (B, 8) of faces (B, C, S, S): distillation (Hinton et al. 2015)."""
        return torch.stack([network.to(faces.device)(faces)[1].float() for network in self._networks]).mean(0)

    def fitted(
        self, model: nn.Module, device: torch.device, logits: np.ndarray, truth: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """As ``EmotionTask``'s, with photographs (LFW), too, and the temperature half on the shares of votes.

        A face that people disagree on is then not read with the confidence of one on which they agree. Neutral faces
        are the photographs' alone: their light and size are a video's.
        """
        photographs = predict(model, self.photographs.faces, self.spec, device, mirror=self.recipe.model.mirror)
        own = self.photographs.label.numpy()
        label = np.concatenate([truth, own])
        shares = np.concatenate([self.validation.target.numpy(), self.photographs.target.numpy()])
        temperature = fit_temperature(np.concatenate([logits, photographs]), (np.eye(NUM_EMOTIONS)[label] + shares) / 2)
        return temperature, photographs[own == EMOTION_INDEX["neutral"]]

    def metadata(self) -> dict[str, Any]:
        shares = {name: round(float(share), 5) for name, share in zip(EMOTIONS, self.class_shares, strict=True)}
        return {**super().metadata(), "class_shares": shares}
