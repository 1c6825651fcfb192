"""A bank of made people: each a neutral picture and some expressive ones, seen in many ways by the per-frame network.

The labelled faces are stills of different persons. A made person goes from a neutral picture to an expressive one by
a morph along 68 landmarks, talks (with raised brows) and blinks by moved landmarks, and is blurred, compressed, badly
lit or covered; all of this is done to pictures, and the per-frame network sees the result. For photographs of LFW both
ends of the morph can be one and the same person; FER+ has no identities, there the person changes with the expression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets.action_units import unit_movement
from vidfer.learning.datasets.face_motion import MouthShape, blink, displaced, mouth_shadow, speak
from vidfer.learning.datasets.face_noise import damaged, draw_damage, draw_slight_damage
from vidfer.learning.datasets.face_scripts import (
    BLINK,
    NUM_LOOKS,
    OPEN,
    REST_DAMAGED,
    REST_MOVED,
    SKEWED,
    TALK_DAMAGED,
    TALKING_LOOKS,
    WIDE,
)
from vidfer.learning.datasets.labelled_pictures import LabelledPictures
from vidfer.types.validation import Columns

Embed = Callable[[Tensor], tuple[np.ndarray, np.ndarray]]  # faces (N, 1, S, S) 0..1 -> (N, D) float16, (N, K) float32
Progress = Callable[[int, int], None]  # people done, people in all
NUM_LEVELS = 4  # intensities of an expression that are rendered, evenly from 0 to 1
# How far people raise their brows while they talk, as amounts of action units 1 and 2: it stresses words (Ekman 1979,
# "About brows: emotional and conversational signals"). Below 0: not at all. Each shape of the mouth has its own share.
_BROWS_IN_TALK = (-0.5, 1.5)
_SHARE_OF_A_LOOK = (0.0, 1.5)
_LOOKS_OF_TALK = (*TALKING_LOOKS, TALK_DAMAGED)


@dataclass(frozen=True, kw_only=True)
class RenderedPeople(Columns):
    """The pictures of made people, whatever network will look at them.

    Attributes
    ----------
    faces
        (P, V + A (L - 1) V, S, S) uint8: the neutral looks, then each apex's intensities above 0.
    neutral_target, apex_target, severity
        As in ``FaceBank``.
    """

    faces: np.ndarray
    neutral_target: np.ndarray
    apex_target: np.ndarray
    severity: np.ndarray


@dataclass(frozen=True, kw_only=True)
class FaceBank(Columns):
    """What the per-frame network sees of each made person.

    Attributes
    ----------
    vectors, logits
        (P, A, L, V, D) float16 and (P, A, L, V, K) float32: person, apex picture, intensity, look (``face_scripts``).
    neutral_target, apex_target
        (P, K) and (P, A, K) float32: votes for the two ends.
    severity
        (P, V) float32, 0..1: how bad each look's picture is.
    """

    vectors: np.ndarray
    logits: np.ndarray
    neutral_target: np.ndarray
    apex_target: np.ndarray
    severity: np.ndarray


def plan_people(
    pictures: LabelledPictures, count: int, *, slots: int, shares: dict[str, float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the pictures of ``count`` made people: neutral ones (P,) and apexes (P, A), rows of ``pictures``.

    Apexes are drawn by ``shares`` of the emotions and, within one, each picture about equally often. People known by
    name keep to their own pictures.
    """
    random = np.random.default_rng(seed)
    neutral = pictures.label == EMOTION_INDEX["neutral"]
    if (pictures.person >= 0).all() and len(pictures):
        return _plan_known_people(pictures, count, slots, random)
    emotions = [name for name in shares if (pictures.label == EMOTION_INDEX[name]).any() and name != "neutral"]
    if not neutral.any() or not emotions:
        raise DataError("made people need pictures with neutral faces and with expressions")
    weights = np.array([shares[name] for name in emotions])
    wanted = random.choice(len(emotions), size=count * slots, p=weights / weights.sum())
    apex = np.zeros(count * slots, np.int64)
    for i, name in enumerate(emotions):
        places = np.flatnonzero(wanted == i)
        apex[places] = _evenly(np.flatnonzero(pictures.label == EMOTION_INDEX[name]), len(places), random)
    return _evenly(np.flatnonzero(neutral), count, random), apex.reshape(count, slots)


def render_people(
    pictures: LabelledPictures,
    neutral: np.ndarray,
    apex: np.ndarray,
    *,
    size: int,
    seed: int,
    progress: Progress | None = None,
) -> RenderedPeople:
    """Make the pictures of all people; ``neutral`` (P,) and ``apex`` (P, A) as ``plan_people`` gives them.

    ``size`` is the side of the backbone's input, px; person i is drawn from ``seed`` and i alone.
    """
    looks_in_all = NUM_LOOKS * (1 + apex.shape[1] * (NUM_LEVELS - 1))
    faces = np.zeros((len(neutral), looks_in_all, size, size), np.uint8)
    severity = np.zeros((len(neutral), NUM_LOOKS), np.float32)
    for i, (start, ends) in enumerate(zip(neutral, apex, strict=True)):
        if progress is not None:
            progress(i, len(neutral))
        person = _Person(pictures, int(start), ends, np.random.default_rng([seed, i]), size=size)
        faces[i] = (person.render()[:, 0] * 255).round().to(torch.uint8).numpy()
        severity[i] = person.severity
    return RenderedPeople(
        faces=faces, neutral_target=pictures.target[neutral], apex_target=pictures.target[apex], severity=severity
    )


def embed_people(people: RenderedPeople, embed: Embed, *, progress: Progress | None = None) -> FaceBank:
    """Return what a per-frame network sees of rendered people."""
    slots = people.apex_target.shape[1]
    vectors, logits = [], []
    for i, faces in enumerate(people.faces):
        if progress is not None:
            progress(i, len(people))
        found_vectors, found_logits = embed(torch.from_numpy(faces)[:, None].float() / 255)
        vectors.append(_unfold(found_vectors, slots))
        logits.append(_unfold(found_logits, slots))
    return FaceBank(
        vectors=np.stack(vectors),
        logits=np.stack(logits),
        neutral_target=people.neutral_target,
        apex_target=people.apex_target,
        severity=people.severity,
    )


class _Person:
    """One made person: for each look a view, a mouth shape and a damage, the same at every intensity."""

    def __init__(
        self, pictures: LabelledPictures, neutral: int, apex: np.ndarray, random: np.random.Generator, *, size: int
    ) -> None:
        self._pictures, self._neutral, self._apex, self._random, self._size = pictures, neutral, apex, random, size
        self._inner = size / pictures.faces.shape[-1]  # side of the face within the picture with its border
        small = random.uniform(0.0, 1.0)  # some people talk with small movements, some with large ones
        self._mouths = _draw_mouths(random, 0.4 + 0.6 * small)
        raised = self._inner * max(0.0, random.uniform(*_BROWS_IN_TALK))
        shares = [random.uniform(*_SHARE_OF_A_LOOK) if look in _LOOKS_OF_TALK else 0.0 for look in range(NUM_LOOKS)]
        movement = raised * (unit_movement(1, 1.0, 1.0) + unit_movement(2, 1.0, 1.0))
        brows = torch.from_numpy(np.stack([share * movement for share in shares]).astype(np.float32))  # (V, 68, 2)
        self._ends = {row: self._brows_raised(row, brows) for row in (neutral, *apex.tolist())}
        self._views = torch.from_numpy(_draw_views(random, self._inner))
        bad, slight = draw_damage(random), draw_slight_damage(random)
        self._damages = [bad if look in (REST_DAMAGED, TALK_DAMAGED) else slight for look in range(NUM_LOOKS)]
        self.severity = [damage.severity for damage in self._damages]

    def render(self) -> Tensor:
        """Return faces (V + A (L - 1) V, 1, S, S): the neutral looks, then each apex's intensities."""
        start = self._looks(self._neutral, self._neutral, 0.0)
        parts = [start]
        for row in self._apex:
            parts += [self._looks(self._neutral, int(row), level / (NUM_LEVELS - 1)) for level in range(1, NUM_LEVELS)]
        return torch.cat(parts)

    def _looks(self, neutral: int, apex: int, level: float) -> Tensor:
        """Return (V, 1, S, S): every look at one intensity."""
        ends = [(row, share) for row, share in ((neutral, 1 - level), (apex, level)) if share > 0]
        shapes = torch.stack([share * self._ends[row][1] for row, share in ends]).sum(0).numpy()
        wanted = torch.from_numpy(np.stack([self._posed(*pair) for pair in enumerate(shapes)]))  # (V, 68, 2)
        faces = torch.zeros((NUM_LOOKS, 1, self._size, self._size))
        for row, share in ends:
            picture, points = self._ends[row]
            faces += share * displaced(picture, points, wanted, view=self._views, size=self._size)
        depth = torch.tensor([min(0.8, 9 * mouth.opening) for mouth in self._mouths])
        faces = faces * mouth_shadow(wanted, depth, view=self._views, size=self._size)
        return torch.stack([damaged(f, d, self._random) for f, d in zip(faces, self._damages, strict=True)])

    def _brows_raised(self, row: int, brows: Tensor) -> tuple[Tensor, Tensor]:
        """Return a picture for each look, (V, 1, S, S), and landmarks (V, 68, 2): brows are raised in those of talk."""
        faces = (self._pictures.faces[row : row + 1].float() / 255).repeat(NUM_LOOKS, 1, 1, 1)
        points = torch.from_numpy(self._pictures.points[row : row + 1]).expand(NUM_LOOKS, -1, -1)
        wanted = points + brows
        moved = brows.any(-1).any(-1)  # the others stay as they are, not even sampled anew
        faces[moved] = displaced(faces[moved], points[moved], wanted[moved], exact=True)
        return faces, wanted

    def _posed(self, look: int, shape: np.ndarray) -> np.ndarray:
        mouth = self._mouths[look]
        scaled = MouthShape(
            opening=mouth.opening * self._inner, widening=mouth.widening * self._inner, skew=mouth.skew * self._inner
        )
        posed = speak(shape, scaled) if mouth != MouthShape() else np.asarray(shape, np.float32)
        return blink(posed) if look == BLINK else posed


def _draw_mouths(random: np.random.Generator, amount: float) -> list[MouthShape]:
    shapes = [MouthShape()] * NUM_LOOKS
    shapes[OPEN] = MouthShape(
        opening=amount * random.uniform(0.04, 0.11), widening=amount * random.uniform(-0.01, 0.01)
    )
    shapes[WIDE] = MouthShape(opening=amount * random.uniform(0.0, 0.05), widening=amount * random.uniform(0.0, 0.03))
    shapes[SKEWED] = MouthShape(
        opening=amount * random.uniform(0.0, 0.05),
        widening=amount * random.uniform(-0.05, 0.0),
        skew=amount * random.uniform(-0.03, 0.03),
    )
    shapes[TALK_DAMAGED] = shapes[(OPEN, WIDE, SKEWED)[random.integers(3)]]
    return shapes


def _draw_views(random: np.random.Generator, inner: float) -> np.ndarray:
    """Return (V, 2, 3): from the face's unit square to that of the picture with its border, slightly misaligned."""
    usual = random.normal(0.0, (0.04, 0.03, 0.03, 0.01, 0.01))  # angle (rad), log scale, log stretch, shifts
    views = []
    for look in range(NUM_LOOKS):
        spread = 2.0 if look in (REST_MOVED, REST_DAMAGED, TALK_DAMAGED) else 0.4
        angle, scale, stretch, x, y = usual + random.normal(0.0, (0.03, 0.02, 0.03, 0.008, 0.008)) * spread
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = inner * np.exp(scale) * turn * np.array([np.exp(stretch), 1.0])
        views.append(np.column_stack([linear, 0.5 + inner * np.array([x, y]) - linear @ np.full(2, 0.5)]))
    return np.array(views, np.float32)


def _unfold(found: np.ndarray, slots: int) -> np.ndarray:
    """Return (A, L, V, C) from (V + A (L - 1) V, C): the neutral looks begin every apex's intensities."""
    neutral = found[:NUM_LOOKS]
    levels = found[NUM_LOOKS:].reshape(slots, NUM_LEVELS - 1, NUM_LOOKS, -1)
    return np.concatenate([np.broadcast_to(neutral, (slots, 1, *neutral.shape)), levels], 1)


def _plan_known_people(
    pictures: LabelledPictures, count: int, slots: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    neutral = pictures.label == EMOTION_INDEX["neutral"]
    people = np.unique(pictures.person)
    chosen = random.choice(people, size=min(count, len(people)), replace=False)
    starts = [random.choice(np.flatnonzero(neutral & (pictures.person == who))) for who in chosen]
    apexes = [random.choice(np.flatnonzero(~neutral & (pictures.person == who)), size=slots) for who in chosen]
    return np.array(starts, np.int64), np.array(apexes, np.int64).reshape(len(chosen), slots)


def _evenly(rows: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return ``count`` of the rows in random order, each about equally often."""
    rounds = -(-count // len(rows))
    return np.concatenate([random.permutation(rows) for _ in range(rounds)] or [rows])[:count]
