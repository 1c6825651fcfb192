"""Labelled sequences made from a bank of people and scripts: what the temporal models are trained and measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets.face_bank import NUM_LEVELS, FaceBank
from vidfer.learning.datasets.face_scripts import REST, REST_MOVED, Script, ScriptConfig, draw_script, silent_surprise
from vidfer.temporal import TrackSequence

FRAME_RATES = (5.0, 10.0, 12.5, 15.0, 24.0, 25.0, 25.0, 29.97, 30.0, 30.0, 30.0, 50.0, 60.0)  # per second


@dataclass(frozen=True, kw_only=True)
class LabelledSequence:
    """A track with its truth.

    Attributes
    ----------
    track
        What a temporal model reads.
    target
        (T, K) float32: shares of votes, mixed during onset and offset; the label is the largest. All 0 where a row
        has no label, which happens in corpora only.
    """

    track: TrackSequence
    target: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """(T,) int64; -1 where a row has no label."""
        return np.where(self.is_labelled, self.target.argmax(1), -1)

    @property
    def is_labelled(self) -> np.ndarray:
        """(T,) bool."""
        return np.asarray(self.target.any(1))


class SequenceSource(Protocol):
    """Labelled sequences without end: made ones here, stretches of a corpus in ``corpus_sequences``."""

    dim: int  # size D of the embeddings

    def draw(self, random: np.random.Generator, *, duration_seconds: float) -> LabelledSequence:
        """Return a sequence of about this duration, or shorter where there is no longer one."""
        ...


class FaceSequences:
    """Draws sequences without end; the same seed draws the same ones.

    Parameters
    ----------
    banks
        People, of one or more sources, all with embeddings of one size.
    config
        How they behave.
    """

    def __init__(self, banks: list[FaceBank], config: ScriptConfig) -> None:
        self._banks, self._config = [bank for bank in banks if len(bank)], config
        self._counts = np.array([len(bank) for bank in self._banks])
        self.dim = self._banks[0].vectors.shape[-1]

    def draw(
        self, random: np.random.Generator, *, duration_seconds: float | None = None, fps: float | None = None
    ) -> LabelledSequence:
        """Draw a person, a script and a frame rate; None: drawn too (duration evenly in its logarithm)."""
        index = int(random.integers(self._counts.sum()))
        which = int(np.searchsorted(np.cumsum(self._counts), index, side="right"))
        bank = self._banks[which]
        person = index - int(self._counts[:which].sum())
        if duration_seconds is None:
            low, high = np.log(self._config.min_seconds), np.log(self._config.max_seconds)
            duration_seconds = float(np.exp(random.uniform(low, high)))
        slots = bank.vectors.shape[1]
        script = draw_script(random, self._config, duration_seconds=duration_seconds, slots=slots)
        script = silent_surprise(script, bank.apex_target[person].argmax(1) == EMOTION_INDEX["surprise"])
        pts_seconds = draw_times(random, script, fps=fps or float(random.choice(FRAME_RATES)))
        return render_sequence(bank, person, script, pts_seconds, random)

    def evaluation_set(self, count: int, *, seed: int, fps: float = 25.0) -> list[LabelledSequence]:
        """Return ``count`` sequences at one frame rate, people in turn, 10 to 40 s long."""
        drawn = []
        for i in range(count):
            random = np.random.default_rng([seed, i])
            drawn.append(self.draw(random, duration_seconds=float(random.uniform(10.0, 40.0)), fps=fps))
        return drawn


def draw_times(random: np.random.Generator, script: Script, *, fps: float) -> np.ndarray:
    """Return the times at which a face is found, (T,) float64: at ``fps``, less those lost; a fifth are unsteady."""
    count = max(2, int(script.duration_seconds * fps))
    pts = np.arange(count) / fps
    if random.random() < 0.2:
        pts = pts + random.uniform(-0.4, 0.4, count) / fps
    keep = ~script.lost(pts) & (random.random(count) > 0.01)
    keep[:1] = True
    return np.asarray(pts[keep], np.float64)


def render_sequence(
    bank: FaceBank, person: int, script: Script, pts_seconds: np.ndarray, random: np.random.Generator
) -> LabelledSequence:
    """Return what the per-frame network sees of a person acting a script, at these times (T,), in seconds."""
    slot, look = script.slot(pts_seconds), script.look_at(pts_seconds)
    intensity = script.intensity_at(pts_seconds)
    sway: np.ndarray = np.clip(script.sway_at(pts_seconds) + random.normal(0.0, 0.15, len(pts_seconds)), 0.0, 1.0)
    sway = np.where(look == REST, sway, 0.0).astype(np.float32)[:, None]
    other = np.where(look == REST, REST_MOVED, look)
    place = intensity * (NUM_LEVELS - 1)
    low = np.minimum(place.astype(np.int64), NUM_LEVELS - 2)
    share = (place - low).astype(np.float32)[:, None]

    def seen(table: np.ndarray, looks: np.ndarray) -> np.ndarray:
        at_low, at_high = table[person, slot, low, looks], table[person, slot, low + 1, looks]
        return np.asarray(at_low * (1 - share) + at_high * share, np.float32)

    vectors = seen(bank.vectors, look) * (1 - sway) + seen(bank.vectors, other) * sway
    logits = seen(bank.logits, look) * (1 - sway) + seen(bank.logits, other) * sway
    neutral, apex = bank.neutral_target[person], bank.apex_target[person][slot]
    target = neutral * (1 - intensity[:, None]) + apex * intensity[:, None]
    track = TrackSequence(
        pts_seconds=pts_seconds,
        vectors=vectors,
        logits=logits,
        quality=_quality(bank.severity[person][look], random),
    )
    return LabelledSequence(track=track, target=(target / target.sum(1, keepdims=True)).astype(np.float32))


def _quality(severity: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Only loosely tied to the damage: what a quality score makes of real video is not known here."""
    clip = random.uniform(0.3, 1.0)
    return np.clip(clip * (1 - 0.6 * severity) + random.normal(0.0, 0.05, len(severity)), 0.0, 1.0).astype(np.float32)
