"""Trains a temporal model on sequences made from labelled faces.

``vidfer train temporal --recipe temporal_gru --data DIR --out runs/temporal_gru``
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.config import Section, parse_section, read_toml
from vidfer.device import pick_device
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.face_bank import (
    NUM_LEVELS,
    FaceBank,
    Progress,
    RenderedPeople,
    embed_people,
    plan_people,
    render_people,
)
from vidfer.learning.datasets.face_scripts import NUM_LOOKS, ScriptConfig
from vidfer.learning.datasets.face_sequences import FaceSequences, LabelledSequence, SequenceSource
from vidfer.learning.datasets.kept_arrays import kept_arrays
from vidfer.learning.datasets.labelled_pictures import LabelledPictures, read_fer_pictures, read_lfw_pictures
from vidfer.learning.evaluation.calibration import fit_temperature
from vidfer.learning.evaluation.classification import classification
from vidfer.learning.evaluation.corpus import clip_ids, clip_predictions
from vidfer.learning.evaluation.sequences import sequence_figures
from vidfer.learning.training.loop import LoopConfig, ProgressCallback, train
from vidfer.temporal.grid import make_grid
from vidfer.temporal.networks.build import NetworkConfig, build_network, network_metadata
from vidfer.temporal.networks.features import node_features
from vidfer.temporal.networks.predictor import NetworkModel
from vidfer.temporal.networks.refiner import Refiner
from vidfer.weights import file_digest, locate

logger = logging.getLogger(__name__)
BANK_VERSION = 4  # raised when the same settings give other pictures
SEVERE = {"damage_share": 0.5, "damage_every": 4.0}  # of ``[script]``: half of the video bad throughout
SplitName = Literal["train", "validation", "test"]
_SAID_EVERY = 200  # people


class BankConfig(Section):
    """``[data]``: which people are made, and what looks at them."""

    backbone: str = "compact"
    backbone_weights: str = Field("", description="file with your own weights for the backbone")
    folder: str = Field("", description="where people are kept for further runs; empty: bank/ beside the result")
    people: int = Field(1200, ge=1, description="for training, from FER+'s Training pictures")
    known_people: int = Field(150, ge=0, description="for training, of LFW: both ends are pictures of one person")
    validation_people: int = Field(240, ge=1, description="from PublicTest")
    test_people: int = Field(400, ge=1, description="from PrivateTest")
    slots: int = Field(2, ge=1, description="expressive pictures a person")
    shares: dict[str, float] = Field(
        default={
            "happiness": 0.22,
            "surprise": 0.18,
            "sadness": 0.16,
            "anger": 0.16,
            "fear": 0.10,
            "disgust": 0.09,
            "contempt": 0.09,
        },
        description="of the expressive pictures",
    )
    seed: int = 0


class LearningConfig(Section):
    """``[learning]``: targets, weights of the losses, and sequences to draw."""

    sequences: int = Field(16, ge=1, description="validation sequences a hundred people")
    hard_share: float = Field(0.5, ge=0.0, le=1.0, description="of the target: the label; the rest: the votes")
    balance: float = Field(0.5, ge=0.0, le=1.0, description="0: every frame counts alike; 1: every emotion")
    steadiness: float = Field(0.0, ge=0.0, description="weight of changes from one step to the next")
    severe: float = Field(0.0, ge=0.0, description="bad video in fitting the temperature; 1: as much as validation")
    steps_per_epoch: int = Field(100, ge=1)
    pool: int = Field(400, ge=1, description="sequences drawn anew for each epoch")


class TemporalRecipe(Section):
    """A whole training recipe for a temporal model."""

    model: NetworkConfig = NetworkConfig()
    data: BankConfig = BankConfig()
    script: ScriptConfig = ScriptConfig()
    learning: LearningConfig = LearningConfig()
    loop: LoopConfig


class TemporalTask:
    """What ``learning.training.loop`` trains here.

    Parameters
    ----------
    recipe
        The parsed recipe.
    sequences
        To learn from, drawn anew for every step.
    validation
        Fixed.
    provenance
        JSON-ready; kept in the weight file.
    severe
        Fixed too: worse ones, with which the temperature is fitted besides those of validation. A temperature that is
        fitted on easy video alone makes the model too sure of itself on any other.
    """

    def __init__(
        self,
        recipe: TemporalRecipe,
        sequences: SequenceSource,
        validation: Sequence[LabelledSequence],
        provenance: dict[str, Any] | None = None,
        *,
        severe: Sequence[LabelledSequence] = (),
    ) -> None:
        self.recipe, self.sequences, self.validation, self.severe = recipe, sequences, validation, severe
        self._provenance = provenance or {}
        # A corpus with one label a clip is judged by its clips, as in the field.
        self.monitor = "clip_uar" if any(clip_ids(validation)) else "uar"
        self._pool: tuple[int, list[tuple[Tensor, Tensor]]] | None = None
        random = np.random.default_rng([recipe.loop.seed, 1])
        sample = [sequences.draw(random, duration_seconds=10.0) for _ in range(200)]
        vectors = np.concatenate([s.track.vectors for s in sample])
        self._mean, self._std = vectors.mean(0), vectors.std(0) + 1e-3
        shares = np.concatenate([s.target for s in sample]).mean(0) + 1e-3
        weights = (shares / shares.sum()) ** -recipe.learning.balance
        self._class_weights = torch.from_numpy((weights / (weights * shares).sum()).astype(np.float32))

    def build_model(self) -> nn.Module:
        network = build_network(self.recipe.model, dim=self.sequences.dim)
        network.vector_mean.copy_(torch.from_numpy(self._mean))
        network.vector_scale.copy_(torch.from_numpy(1 / self._std))
        return network

    def steps_per_epoch(self) -> int:
        return self.recipe.learning.steps_per_epoch

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return node features (B, G, F), lengths (B,) and targets (B, G, K) of sequences of about one duration."""
        pool = self._epoch_pool(step // self.steps_per_epoch())
        size = min(self.recipe.loop.batch_size, len(pool))
        start = int(torch.randint(len(pool) - size + 1, (), generator=generator))
        features, targets = zip(*pool[start : start + size], strict=True)
        lengths = torch.tensor([len(f) for f in features])
        padded = (nn.utils.rnn.pad_sequence(list(rows), batch_first=True).to(device) for rows in (features, targets))
        return next(padded), lengths.to(device), next(padded)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        features, lengths, targets = batch
        assert isinstance(model, Refiner)
        log_p = model(features, lengths).float().log_softmax(-1)  # (B, G, K)
        valid = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        coverage = features[..., model.dim + 2 * model.num_labels]
        weights = targets * self._class_weights.to(targets) * (valid * (0.1 + coverage))[..., None]
        loss = -(weights * log_p).sum() / weights.sum().clamp_min(1e-6)
        right = (log_p.argmax(-1) == targets.argmax(-1))[valid & targets.any(-1)].float().mean()
        figures = {"cross_entropy": float(loss.detach()), "training_accuracy": float(right)}
        if self.recipe.learning.steadiness:
            loss = loss + self.recipe.learning.steadiness * _excess_change(log_p, targets, valid)
        return loss, figures

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Fit the temperature, then measure; the model keeps the temperature."""
        assert isinstance(model, Refiner)
        model.log_temperature.zero_()
        predictor = NetworkModel(model, device=str(device))
        fitted = [*self.validation, *self.severe]
        log_p = np.log(np.concatenate(predictor.predict([s.track for s in fitted])))
        truth = np.concatenate([s.labels for s in fitted])
        temperature = fit_temperature(log_p[truth >= 0], truth[truth >= 0])
        model.log_temperature.fill_(float(np.log(temperature)))
        labels = [s.labels for s in self.validation]
        tracks = [s.track for s in self.validation]
        timelines = predictor.predict(tracks)
        found = sequence_figures(timelines, labels, [t.pts_seconds for t in tracks])
        return {
            **_clip_figures(timelines, self.validation),
            "war": found.war,
            "uar": found.uar,
            "ece": found.ece,
            "change_ratio": found.change_ratio,
            "onset_found": found.onset_found,
            "onset_error_seconds": found.onset_error_seconds,
            "temperature": temperature,
        }

    def metadata(self) -> dict[str, Any]:
        return {**network_metadata(self.recipe.model, dim=self.sequences.dim), **self._provenance}

    def _epoch_pool(self, epoch: int) -> list[tuple[Tensor, Tensor]]:
        """Return this epoch's sequences as node features (G, F) and targets (G, K), ordered by duration."""
        if self._pool is None or self._pool[0] != epoch:
            recipe = self.recipe
            random = np.random.default_rng([recipe.loop.seed, 2, epoch])
            low, high = np.log(recipe.script.min_seconds), np.log(recipe.script.max_seconds)
            pool = []
            for _ in range(recipe.learning.pool):
                drawn = self.sequences.draw(random, duration_seconds=float(np.exp(random.uniform(low, high))))
                grid = make_grid(drawn.track.pts_seconds, drawn.track.quality, causal=recipe.model.causal)
                features = torch.from_numpy(node_features(drawn.track, grid))
                wanted = np.maximum(grid.average(self._targets(drawn)), 0.0)
                pool.append((features, torch.from_numpy(wanted)))
            self._pool = (epoch, sorted(pool, key=lambda pair: len(pair[0])))
        return self._pool[1]

    def _targets(self, drawn: LabelledSequence) -> np.ndarray:
        share = self.recipe.learning.hard_share
        hard = np.eye(len(EMOTIONS))[drawn.labels] * drawn.is_labelled[:, None]
        return share * hard + (1 - share) * drawn.target


def _clip_figures(timelines: list[np.ndarray], sequences: Sequence[LabelledSequence]) -> dict[str, float]:
    if not any(clip_ids(sequences)):
        return {}
    found, truth = clip_predictions(timelines, sequences)
    clips = classification(truth, found.argmax(1))
    return {"clip_war": clips.accuracy, "clip_uar": clips.uar}


def _excess_change(log_p: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of how much more the probabilities change from step to step than the targets do."""
    pairs = valid[:, 1:] & valid[:, :-1]
    found = log_p.exp().diff(dim=1).abs().sum(-1)
    true = targets.diff(dim=1).abs().sum(-1)
    return (found - true).clamp_min(0)[pairs].mean()


class BankBuilder:
    """Makes the banks of a recipe, or reads those that an earlier run left in a folder.

    Parameters
    ----------
    config
        Which people.
    data
        Folder of ``fer2013plus.h5``, its landmarks and ``faces_in_scenes.h5``.
    folder
        Where banks are kept; a bank is used again only for the same settings and backbone weights.
    """

    def __init__(self, config: BankConfig, data: Path, folder: Path, *, device: str = "cpu") -> None:
        self._config, self._data, self._folder, self._device = config, data, folder, device
        self._network: EmotionNetwork | None = None

    @property
    def backbone(self) -> dict[str, str]:
        """Name and digest of the backbone that looks at the people."""
        return backbone_of(self._config)

    def banks(self, split: SplitName) -> list[FaceBank]:
        """Return the banks of a split: FER+'s people, and for training LFW's too."""
        config = self._config
        count = {"train": config.people, "validation": config.validation_people, "test": config.test_people}[split]
        found = [self._bank(f"{split}_fer", count)]
        if split == "train" and config.known_people:
            found.append(self._bank("train_lfw", config.known_people))
        return found

    def _bank(self, name: str, count: int) -> FaceBank:
        network = self._loaded()
        settings = [BANK_VERSION, name, count, NUM_LEVELS, NUM_LOOKS, self._config.slots, self._config.shares]
        settings += [self._config.seed, network.input_spec.size]
        rendered_path = self._folder / f"{name}-pictures-{_key(settings)}.npz"
        path = self._folder / f"{name}-{_key([*settings, self.backbone])}.npz"

        def embedded() -> FaceBank:
            people = kept_arrays(rendered_path, RenderedPeople, lambda: self._rendered(name, count))
            return embed_people(people, network.embed, progress=_logged(f"{name}, embedding"))

        return kept_arrays(path, FaceBank, embedded)

    def _rendered(self, name: str, count: int) -> RenderedPeople:
        config, size = self._config, self._loaded().input_spec.size
        pictures = self._pictures(name, size)
        neutral, apex = plan_people(pictures, count, slots=config.slots, shares=config.shares, seed=config.seed)
        return render_people(
            pictures, neutral, apex, size=size, seed=config.seed, progress=_logged(f"{name}, pictures")
        )

    def _pictures(self, name: str, size: int) -> LabelledPictures:
        if name == "train_lfw":
            return read_lfw_pictures(self._data, "train", size=size).persons_with_two_faces()
        usage: dict[str, Literal["Training", "PublicTest", "PrivateTest"]] = {
            "train_fer": "Training",
            "validation_fer": "PublicTest",
            "test_fer": "PrivateTest",
        }
        return read_fer_pictures(self._data, usage[name], size=size)

    def _loaded(self) -> EmotionNetwork:
        if self._network is None:
            self._network = load_backbone(
                self._config.backbone, device=self._device, weights=self._config.backbone_weights
            )
        return self._network


def backbone_of(config: BankConfig) -> dict[str, str]:
    """Return name and digest of a recipe's backbone; raises WeightsError if it has no weights."""
    path = locate("backbone", config.backbone, config.backbone_weights)[0]
    return {"name": config.backbone, "sha256": file_digest(path)}


def _key(settings: list[Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _logged(what: str) -> Progress:
    """Return what says in the log how far it is: people take many minutes to make."""

    def say(done: int, total: int) -> None:
        if done % _SAID_EVERY == 0:
            logger.info("%s: %d of %d people", what, done, total)

    return say


def evaluation_sequences(recipe: TemporalRecipe, banks: list[FaceBank], *, seed: int) -> list[LabelledSequence]:
    """Return the fixed sequences that a recipe is validated (seed 1) or tested (seed 2) on."""
    count = max(1, round(sum(map(len, banks)) * recipe.learning.sequences / 100))
    return FaceSequences(banks, recipe.script).evaluation_set(count, seed=seed)


def severe_sequences(recipe: TemporalRecipe, banks: list[FaceBank]) -> list[LabelledSequence]:
    """Return ``[learning] severe`` times as many sequences as validation has, of the same people on worse video."""
    count = round(sum(map(len, banks)) * recipe.learning.sequences / 100 * recipe.learning.severe)
    return FaceSequences(banks, recipe.script.model_copy(update=SEVERE)).evaluation_set(count, seed=3)


def read_recipe(recipe_file: Path) -> TemporalRecipe:
    """Read a recipe; raises ConfigError naming file, section and key."""
    return parse_section(TemporalRecipe, read_toml(recipe_file), source=str(recipe_file))


def train_temporal(
    recipe_file: Path,
    data: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train by a recipe file, writing into ``out``, and return the best validation's figures.

    A run that was interrupted is continued; the people's embeddings are kept in ``out/bank``. Raises ConfigError for
    a wrong recipe, DataError for wrong data, WeightsError without a trained backbone.
    """
    recipe = read_recipe(recipe_file)
    chosen = pick_device(device)
    builder = BankBuilder(recipe.data, data, Path(recipe.data.folder or out / "bank"), device=str(chosen))
    training = builder.banks("train")
    people = builder.banks("validation")
    validation = evaluation_sequences(recipe, people, seed=1)
    logger.info("%d people to learn from, %d sequences to validate on", sum(map(len, training)), len(validation))
    sequences = FaceSequences(training, recipe.script)
    severe = severe_sequences(recipe, people)
    task = TemporalTask(recipe, sequences, validation, {"backbone": builder.backbone}, severe=severe)
    stamped = {**recipe.model_dump(mode="json"), "backbone": builder.backbone}
    return train(task, recipe.loop, out, device=chosen, progress=progress, recipe=stamped)
