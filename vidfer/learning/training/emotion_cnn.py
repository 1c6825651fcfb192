"""What the per-frame network learns from FER2013 with the votes of FER+, or from the user's own pictures and videos."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from vidfer.backbones import BACKBONES, InputSpec, preprocess
from vidfer.backbones.load import build_backbone
from vidfer.config import Section
from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.learning.datasets.aligned_faces import align_pictures, face_transforms
from vidfer.learning.datasets.fer2013 import read_fer_folder
from vidfer.learning.datasets.fer2013plus import SIDE, FerPictures, Split, majority_labels, soft_labels
from vidfer.learning.datasets.labelled_pictures import LabelledPictures, read_fer_pictures, read_lfw_pictures
from vidfer.learning.datasets.posed_faces import posed_faces, reshaped_faces, resting_shapes
from vidfer.learning.datasets.talking_faces import talking_faces
from vidfer.learning.datasets.teachers import NUM_SHAPES
from vidfer.learning.evaluation.calibration import calibration, fit_temperature, softmax
from vidfer.learning.evaluation.classification import classification
from vidfer.learning.training.augment import Augmentation, AugmentConfig
from vidfer.learning.training.loop import LoopConfig
from vidfer.learning.training.metric import LearningConfig, metric_loss
from vidfer.learning.training.own_faces import read_own_faces
from vidfer.temporal.baseline import NEUTRAL_LOG_ODDS, centred
from vidfer.weights import load_tensors, locate, mean_weights

Source = Literal["fer", "photographs", "talking", "scenes", "posed", "reshaped"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)
_MORE: Final = ("photographs", "talking", "posed", "reshaped")  # each with its share in [data]


class ModelConfig(Section):
    """``[model]``: which backbone, and its options."""

    name: str = "compact"
    mirror: bool = Field(True, description="in use, average over the face and its mirror image")
    start: str | tuple[str, ...] = Field(
        "",
        description="weights of the same network to begin with, or several to begin with the mean of; 'embedded': "
        "those of the package; empty: random ones",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the backbone")


class DataConfig(Section):
    """``[data]``: labels, balance, mixing."""

    labels: Literal["ferplus", "fer2013", "mixed"] = Field("ferplus", description="mixed: see [mixed]")
    frames_per_clip: int = Field(8, ge=1, description="of a video that a manifest names")
    border: int = Field(8, ge=0, description="px kept around the aligned face for turning and shifting it")
    balance: float = Field(0.0, ge=0.0, le=1.0, description="0: classes as they come; 1: all equally often")
    soft: bool = Field(True, description="ferplus: learn the share of votes, not their winner")
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    photographs_share: float = Field(
        0.0, ge=0.0, lt=1.0, description="of the faces shown: photographs of faces_in_scenes.h5 with an emotion"
    )
    talking_share: float = Field(
        0.0, ge=0.0, lt=1.0, description="of the faces shown: neutral ones whose mouth is moved as in speech"
    )
    posed_share: float = Field(
        0.0, ge=0.0, lt=1.0, description="of the faces shown: neutral ones moved as FACS describes expressions"
    )
    reshaped_share: float = Field(
        0.0, ge=0.0, lt=1.0, description="of the faces shown: ones with an expression, on somebody else's resting shape"
    )
    mixup: float = Field(0.0, ge=0.0, description="alpha of the Beta distribution (Zhang et al. 2018); 0 = off")
    mixup_share: float = Field(0.5, ge=0.0, le=1.0, description="of the batches")
    early_epochs: int = Field(
        0, ge=0, description="first epochs, in which smaller and so cheaper faces are learnt from"
    )
    early_size: int = Field(48, ge=16, description="side of these faces, px")


class MixedConfig(Section):
    """``[mixed]``: for ``[data] labels = "mixed"``, which sources are learnt from and how much."""

    fer2013_share: float = Field(
        0.5, ge=0.0, lt=1.0, description="of a still's target: FER2013's own label, where an annotator of FER+ agrees"
    )
    fer2013_labels: tuple[str, ...] = Field(
        EMOTIONS, description="the labels of FER2013 of which that is true; the others are not counted"
    )
    teacher_share: float = Field(0.5, ge=0.0, lt=1.0, description="of the rest: the teacher; what is left is votes")
    scenes_share: float = Field(
        0.3, ge=0.0, lt=1.0, description="of the faces shown: photographs of which only the teacher says something"
    )
    votes_weight: float = Field(0.0, ge=0.0, description="of the loss of a second head that learns FER+'s votes alone")
    shapes_weight: float = Field(0.0, ge=0.0, description="of the loss of a head that learns how the face is shaped")
    networks: tuple[str, ...] = Field(
        (), description="weight files of networks: what they say of the very faces shown is learnt, too"
    )
    networks_share: float = Field(0.5, ge=0.0, le=1.0, description="of the loss, where there are networks: theirs")

    @field_validator("fer2013_labels")
    @classmethod
    def _are_emotions(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in labels if name not in EMOTION_INDEX]
        if unknown:
            raise ValueError(f"expected some of {', '.join(EMOTIONS)}, got {', '.join(unknown)}")
        return labels


class EmotionRecipe(Section):
    """A whole training recipe for an emotion CNN."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    mixed: MixedConfig = MixedConfig()
    learning: LearningConfig = LearningConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig

    @model_validator(mode="after")
    def _mixes_one_way(self) -> EmotionRecipe:
        if self.data.labels == "mixed" and (self.data.mixup or self.data.early_epochs):
            raise ValueError('[data] labels = "mixed" goes without mixup and early_epochs: set both to 0')
        if self.learning.metric != "none" and self.data.mixup:
            raise ValueError("[learning] metric needs faces of one emotion, which mixup blends: set [data] mixup to 0")
        return self


class LabelledFaces:
    """Aligned faces with labels, in memory.

    Attributes
    ----------
    faces
        (N, 1, S + 2 border, S + 2 border) uint8.
    target
        (N, 8) float32, sums to 1: what the network learns.
    label
        (N,) int64, the class by the protocol; -1 where it has none (then it is not evaluated).
    source
        (N,) int64, which kind of data each comes from: an index into SOURCES.
    votes
        (N, 8) float32, what annotators of FER+ said; 0 where they did not.
    shapes
        (N, ``NUM_SHAPES``) float32, how the face is shaped; NaN where it is not known.
    """

    def __init__(
        self,
        faces: Tensor,
        target: np.ndarray,
        label: np.ndarray,
        *,
        source: Source = "fer",
        votes: np.ndarray | None = None,
        shapes: np.ndarray | None = None,
    ) -> None:
        if not len(faces):
            raise DataError("no picture has a usable label")
        self.faces, self.target, self.label = faces, torch.from_numpy(target), torch.from_numpy(label)
        self.source = torch.full((len(faces),), SOURCES.index(source))
        self.votes = torch.zeros(len(faces), NUM_EMOTIONS) if votes is None else torch.from_numpy(votes)
        self.shapes = torch.full((len(faces), NUM_SHAPES), torch.nan) if shapes is None else torch.from_numpy(shapes)

    def extend(self, others: LabelledFaces) -> None:
        """Append the rows of ``others``."""
        for name in ("faces", "target", "label", "source", "votes", "shapes"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(others, name)]))

    def __len__(self) -> int:
        return len(self.faces)


def load_faces(folder: Path, split: Split, config: DataConfig, spec: InputSpec, *, training: bool) -> LabelledFaces:
    """Read a split, choose its labelled rows and align their faces.

    For training with votes, every picture whose most votes are for an emotion is used; evaluation is restricted to
    those where they are more than half (the protocol of FER+). ``folder`` may be a manifest, whose splits train and
    validation then stand for Training and PublicTest.
    """
    if folder.suffix == ".csv":
        return _own_faces(folder, config, spec, training=training)
    pictures = read_fer_folder(folder, split)
    label, usable = _labels(pictures, config, training)
    pictures, label = pictures.take(usable), label[usable]
    hard = np.eye(NUM_EMOTIONS, dtype=np.float32)[pictures.fer2013_label if config.labels == "fer2013" else label]
    target = soft_labels(pictures.votes) if config.labels != "fer2013" and config.soft else hard
    target = target * (1 - config.label_smoothing) + config.label_smoothing / NUM_EMOTIONS
    faces = aligned(pictures, size=spec.size, border=config.border if training else 0)
    return LabelledFaces(faces, target.astype(np.float32), label)


def aligned(pictures: FerPictures, *, size: int, border: int) -> Tensor:
    """Return the faces (N, 1, S, S) uint8 of pictures of FER2013, S = ``size`` + 2 ``border`` px."""
    points = pictures.landmarks68, pictures.landmarks5
    transforms = face_transforms(*points, image_size=(SIDE, SIDE), size=size, border=border)
    return align_pictures(pictures.images, transforms, size=size + 2 * border)


def load_more_faces(folder: Path, config: DataConfig, spec: InputSpec, *, seed: int) -> list[LabelledFaces]:
    """Return the faces to learn from besides FER2013's, as the recipe asks: photographs, and faces that are made."""
    more: list[LabelledFaces] = []
    asked = [name for name in _MORE if getattr(config, f"{name}_share")]
    if not asked:
        return more
    if folder.suffix == ".csv":
        names = ", ".join(f"{name}_share" for name in _MORE)
        raise DataError(f"{folder}: [data] {names} are for FER2013 (--data DIR): set them to 0")
    photographs = read_lfw_pictures(folder, "train", size=spec.size, border=config.border)
    if config.photographs_share:
        more.append(LabelledFaces(photographs.faces, photographs.target, photographs.label, source="photographs"))
    if asked == ["photographs"]:
        return more
    inner = spec.size / (spec.size + 2 * config.border)
    stills = read_fer_pictures(folder, "Training", size=spec.size, border=config.border)
    for number, pictures in enumerate((stills, photographs)):
        more += _made_faces(pictures, config, inner=inner, seed=seed + number)
    return more


def _made_faces(pictures: LabelledPictures, config: DataConfig, *, inner: float, seed: int) -> list[LabelledFaces]:
    made: list[LabelledFaces] = []
    is_neutral = pictures.label == EMOTION_INDEX["neutral"]
    neutral = pictures.take(np.flatnonzero(is_neutral))
    if config.talking_share:
        faces = talking_faces(neutral, inner=inner, seed=seed)
        made.append(LabelledFaces(faces, neutral.target, neutral.label, source="talking"))
    if config.posed_share or config.reshaped_share:
        shapes = resting_shapes(neutral, inner=inner)
    if config.posed_share:
        posed = posed_faces(neutral, shapes, inner=inner, seed=seed)
        made.append(LabelledFaces(posed.faces, posed.target, posed.label, source="posed"))
    if config.reshaped_share:
        expressive = pictures.take(np.flatnonzero(~is_neutral))
        reshaped = reshaped_faces(expressive, shapes, inner=inner, seed=seed)
        made.append(LabelledFaces(reshaped.faces, reshaped.target, reshaped.label, source="reshaped"))
    return made


class EmotionTask:
    """What ``learning.training.loop`` trains here.

    Parameters
    ----------
    recipe
        The parsed recipe.
    folder
        Of FER2013, in any form that ``learning.datasets.fer2013.read_fer_folder`` reads; or a manifest, FILE.csv.
    """

    monitor = "accuracy"

    def __init__(self, recipe: EmotionRecipe, folder: Path) -> None:
        self.recipe = _with_options_of_start(recipe)
        self.spec: InputSpec = self.build_model().input_spec  # type: ignore[assignment]
        self.training = self.load_training(folder)
        self.validation = load_faces(folder, "PublicTest", recipe.data, self.spec, training=False)
        self.augmentation = Augmentation(recipe.augment, size=self.spec.size, border=recipe.data.border)
        self.temperature = 1.0
        self.neutral_log_odds = np.zeros(NUM_EMOTIONS)
        self._order: tuple[int, Tensor] | None = None

    def load_training(self, folder: Path) -> LabelledFaces:
        """Return all the faces to learn from."""
        out = load_faces(folder, "Training", self.recipe.data, self.spec, training=True)
        for more in load_more_faces(folder, self.recipe.data, self.spec, seed=self.recipe.loop.seed):
            out.extend(more)
        return out

    def build_model(self) -> nn.Module:
        config = self.recipe.model
        if not config.start:
            return BACKBONES.get(config.name)(**config.options)
        paths = _starts(config)
        tensors, metadata = mean_weights(paths)
        return build_backbone(config.name, tensors, {**metadata, "options": config.options}, source=paths[0])

    def steps_per_epoch(self) -> int:
        stills = int((self.training.source == SOURCES.index("fer")).sum())
        return max(1, stills // self.recipe.loop.batch_size)

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        rows, epoch = self.rows_of(step), step // self.steps_per_epoch()
        faces = self.training.faces[rows].to(device).float() / 255
        target = self.training.target[rows].to(device)
        side = self.recipe.data.early_size if epoch < self.recipe.data.early_epochs else self.spec.size
        faces = preprocess(self.augmentation(faces, generator, side=side), self.spec)  # (B, C, side, side)
        if self.recipe.data.mixup and float(torch.rand((), generator=generator)) < self.recipe.data.mixup_share:
            faces, target = _mix(faces, target, self.recipe.data.mixup, generator)
        return faces.to(memory_format=torch.channels_last), target

    def rows_of(self, step: int) -> Tensor:
        """Return the rows (B,) of a step's batch."""
        size = self.recipe.loop.batch_size
        epoch, position = divmod(step, self.steps_per_epoch())
        return self._epoch_order(epoch)[position * size : (position + 1) * size]

    def source_shares(self) -> dict[str, float]:
        """Return the shares of the faces shown, by source, of all but FER2013's."""
        return {name: getattr(self.recipe.data, f"{name}_share") for name in _MORE}

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        faces, target = batch
        embedding, logits = model(faces)
        logits, label = logits.float(), target.argmax(1)
        figures = {"training_accuracy": float((logits.argmax(1) == label).float().mean())}
        apart, more = self.metric(embedding, label)
        return functional.cross_entropy(logits, target) + apart, {**figures, **more}

    def metric(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted loss of ``[learning]``, and what to log of it."""
        value = metric_loss(self.recipe.learning, embedding, label)
        return value, {} if self.recipe.learning.metric == "none" else {"metric_loss": float(value.detach())}

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        logits = predict(model, self.validation.faces, self.spec, device, mirror=self.recipe.model.mirror)
        labelled = (self.validation.label >= 0).numpy()
        logits, truth = logits[labelled], self.validation.label.numpy()[labelled]
        figures = classification(truth, logits.argmax(1))
        self.temperature, neutral = self.fitted(model, device, logits, truth)
        if len(neutral):
            self.neutral_log_odds = centred(neutral / self.temperature).mean(0)
        return {
            "accuracy": figures.accuracy,
            "uar": figures.uar,
            "ece": calibration(softmax(logits, temperature=self.temperature), truth).ece,
            "temperature": self.temperature,
        }

    def fitted(
        self, model: nn.Module, device: torch.device, logits: np.ndarray, truth: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return by what logits are divided, and logits (N, 8) of neutral faces.

        ``logits`` and ``truth`` are those of the labelled validation faces.
        """
        return fit_temperature(logits, truth), logits[truth == EMOTION_INDEX["neutral"]]

    def metadata(self) -> dict[str, Any]:
        return {
            "kind": "emotion_cnn",
            "backbone": self.recipe.model.name,
            "options": self.recipe.model.options,
            "input_spec": asdict(self.spec),
            "labels": list(EMOTIONS),
            "mirror": self.recipe.model.mirror,
            "temperature": self.temperature,
            NEUTRAL_LOG_ODDS: {k: round(float(v), 4) for k, v in zip(EMOTIONS, self.neutral_log_odds, strict=True)},
        }

    def _epoch_order(self, epoch: int) -> Tensor:
        """Return this epoch's rows: each about as often as its class's share asks, in random order."""
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.recipe.loop.seed * 9_000_011 + epoch)
            needed = self.steps_per_epoch() * self.recipe.loop.batch_size
            wanted = self._row_weights * needed
            count = (wanted + torch.rand(len(wanted), generator=generator)).floor().long()
            rows = torch.repeat_interleave(torch.arange(len(wanted)), count)
            rows = rows[torch.randperm(len(rows), generator=generator)]
            rows = torch.cat([rows, rows[: max(0, needed - len(rows))]])
            self._order = (epoch, rows[:needed])
        return self._order[1]

    @cached_property
    def _row_weights(self) -> Tensor:
        """(N,) summing to 1: sources as the recipe shares them, within each a class of n rows by n ** (1 - balance)."""
        data, faces = self.recipe.data, self.training
        shares = self.source_shares()
        shares["fer"] = 1 - sum(shares.values())
        weights = torch.zeros(len(faces), dtype=torch.float64)
        for i, source in enumerate(SOURCES):
            rows = (faces.source == i).nonzero()[:, 0]
            if not len(rows):
                continue
            count = torch.bincount(faces.label[rows], minlength=NUM_EMOTIONS).clamp_min(1).double()
            part = (count**-data.balance)[faces.label[rows]]
            weights[rows] = shares[source] * part / part.sum()
        return weights


def _starts(config: ModelConfig) -> list[Path]:
    starts = (config.start,) if isinstance(config.start, str) else config.start
    return [locate("backbone", config.name, "" if start == "embedded" else start)[0] for start in starts]


def _with_options_of_start(recipe: EmotionRecipe) -> EmotionRecipe:
    """Return a recipe that starts from weights and names no options with those of the weights."""
    if recipe.model.options or not recipe.model.start:
        return recipe
    options = load_tensors(_starts(recipe.model)[0])[1].get("options", {})
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"options": options})})


def predict(
    model: nn.Module, faces: Tensor, spec: InputSpec, device: torch.device, *, mirror: bool, batch: int = 256
) -> np.ndarray:
    """Return logits (N, 8) float32 of aligned faces (N, C, S, S) uint8."""
    out = []
    with torch.inference_mode():
        for part in faces.split(batch):
            prepared = preprocess(part.to(device).float() / 255, spec).to(memory_format=torch.channels_last)
            logits = model(prepared)[1].float()
            if mirror:
                logits = (logits + model(prepared.flip(3))[1].float()) / 2
            out.append(logits.cpu().numpy())
    return np.concatenate(out)


def _own_faces(manifest_file: Path, config: DataConfig, spec: InputSpec, *, training: bool) -> LabelledFaces:
    """Return the faces of a manifest's split train, with a border, or of validation, without."""
    faces, label = read_own_faces(
        manifest_file,
        "train" if training else "validation",
        spec=spec,
        border=config.border if training else 0,
        frames_per_clip=config.frames_per_clip,
    )
    hard = np.eye(NUM_EMOTIONS)[label]
    target = hard * (1 - config.label_smoothing) + config.label_smoothing / NUM_EMOTIONS
    return LabelledFaces(faces, target.astype(np.float32), label)


def _labels(pictures: FerPictures, config: DataConfig, training: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return each picture's class and which pictures are used."""
    if config.labels == "fer2013":
        return pictures.fer2013_label, np.ones(len(pictures), bool)
    label = majority_labels(pictures.votes, strict=not training)
    return label, label >= 0


def _mix(faces: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blend the batch with its own reverse (rows are in random order already) by one Beta(alpha, alpha) share."""
    seed = int(torch.randint(2**31, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return faces * share + faces.flip(0) * (1 - share), target * share + target.flip(0) * (1 - share)
