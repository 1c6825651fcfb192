"""What a made person does over time: expressions that come and go, talking, blinks, bad stretches of video.

A script is a function of time, so one script can be seen at any frame rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from pydantic import Field

from vidfer.config import Section

# Looks of a face that the bank of pictures holds for each person and intensity (``face_bank``).
REST, REST_MOVED, CLOSED, OPEN, WIDE, SKEWED, REST_DAMAGED, TALK_DAMAGED, BLINK = range(9)
NUM_LOOKS = 9
TALKING_LOOKS = (CLOSED, OPEN, WIDE, SKEWED)  # of the mouth, each with its own height of the brows
_TALKING_SURPRISE_SECONDS = 3.0  # who is surprised for longer says nothing meanwhile: see ``silent_surprise``


class ScriptConfig(Section):
    """``[script]`` of a training recipe: how made people behave. Durations in seconds."""

    min_seconds: float = Field(2.0, gt=0.0)
    max_seconds: float = Field(40.0, gt=0.0)
    calm_share: float = Field(0.15, ge=0.0, le=1.0, description="scripts without any expression")
    steady_share: float = Field(0.1, ge=0.0, le=1.0, description="scripts with one expression throughout")
    neutral_seconds: float = Field(3.0, gt=0.0, description="median between two expressions")
    apex_seconds: float = Field(1.8, gt=0.0, description="median")
    brief_share: float = Field(0.0, ge=0.0, le=1.0, description="of the expressions: over within 0.3 to 1 s")
    talk_share: float = Field(0.45, ge=0.0, le=1.0, description="of the time")
    damage_share: float = Field(0.15, ge=0.0, le=1.0, description="scripts that are bad video throughout")
    damage_every: float = Field(12.0, gt=0.0, description="mean time between bad stretches in the others")
    blink_every: float = Field(4.0, gt=0.0, description="mean")
    lost_every: float = Field(15.0, gt=0.0, description="mean time between stretches in which no face is found")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A quantity that jumps: ``value[i]`` from ``start_seconds[i]`` on."""

    start_seconds: np.ndarray
    value: np.ndarray

    def __call__(self, seconds: np.ndarray) -> np.ndarray:
        return np.asarray(self.value[np.searchsorted(self.start_seconds, seconds, side="right") - 1])


@dataclass(frozen=True, kw_only=True)
class Script:
    """One person's stretch of video.

    Attributes
    ----------
    duration_seconds
        From 0.
    knots_seconds, intensity
        (M,) points of the curve of the expression's intensity, 0 (neutral) to 1 (apex), with smooth steps between.
    slot
        Which of the person's apex pictures the expression goes to.
    talking_look, damaged, blinking, lost
        Over time: the mouth's look, and whether the stretch is bad, the eyes are closed, no face is found.
    sway_knots
        Intensity of head movement (0..1) every 0.4 s.
    """

    duration_seconds: float
    knots_seconds: np.ndarray
    intensity: np.ndarray
    slot: Steps
    talking_look: Steps
    damaged: Steps
    blinking: Steps
    lost: Steps
    sway_knots: np.ndarray

    def intensity_at(self, seconds: np.ndarray) -> np.ndarray:
        """Return the expression's intensity, (T,) 0..1."""
        right = np.clip(np.searchsorted(self.knots_seconds, seconds, side="right"), 1, len(self.knots_seconds) - 1)
        start, stop = self.knots_seconds[right - 1], self.knots_seconds[right]
        share = np.clip((seconds - start) / np.maximum(stop - start, 1e-9), 0.0, 1.0)
        eased = share * share * (3 - 2 * share)
        return np.asarray(self.intensity[right - 1] * (1 - eased) + self.intensity[right] * eased)

    def look_at(self, seconds: np.ndarray) -> np.ndarray:
        """Return the face's look, (T,) of the constants above."""
        mouth = self.talking_look(seconds)
        look = np.where(self.blinking(seconds), BLINK, mouth)
        return np.where(self.damaged(seconds), np.where(mouth == REST, REST_DAMAGED, TALK_DAMAGED), look)

    def sway_at(self, seconds: np.ndarray) -> np.ndarray:
        """Return how far the head is from its first to its second pose, (T,) 0..1."""
        return np.interp(seconds, np.arange(len(self.sway_knots)) * 0.4, self.sway_knots)


def draw_script(random: np.random.Generator, config: ScriptConfig, *, duration_seconds: float, slots: int) -> Script:
    """Draw one script of this duration for a person with ``slots`` apex pictures."""
    knots, intensity, slot = _draw_expressions(random, config, duration_seconds, slots)
    bad_throughout = random.random() < config.damage_share
    return Script(
        duration_seconds=duration_seconds,
        knots_seconds=knots,
        intensity=intensity,
        slot=slot,
        talking_look=_draw_talk(random, config, duration_seconds),
        damaged=(
            Steps(start_seconds=np.full(1, -np.inf), value=np.ones(1, bool))
            if bad_throughout
            else _draw_spells(random, duration_seconds, every=config.damage_every, median=0.8)
        ),
        blinking=_draw_spells(random, duration_seconds, every=config.blink_every, median=0.15, spread=0.2),
        lost=_draw_spells(random, duration_seconds, every=config.lost_every, median=0.4),
        sway_knots=random.random(int(duration_seconds / 0.4) + 2),
    )


def silent_surprise(script: Script, surprise: np.ndarray) -> Script:
    """Return the script without talk in long expressions of those slots, (A,) bool, whose picture shows surprise.

    Surprise is the briefest of the emotions, a few seconds at most (Ekman 2003, "Emotions revealed"), while many people
    keep their brows up for as long as they talk.
    """
    talk = script.talking_look
    starts, looks = talk.start_seconds, talk.value
    for start, stop in _expressions(script):
        if stop - start > _TALKING_SURPRISE_SECONDS and surprise[script.slot(np.array((start + stop) / 2))]:
            before, after = starts < start, starts > stop
            starts = np.concatenate([starts[before], [start, stop], starts[after]])
            looks = np.concatenate([looks[before], [REST, talk(np.array(stop))], looks[after]])
    return replace(script, talking_look=Steps(start_seconds=starts, value=looks))


def _expressions(script: Script) -> Iterator[tuple[float, float]]:
    """Yield when each expression begins and ends, in seconds; what lasts throughout may end after the script does."""
    knots, last = script.knots_seconds, len(script.knots_seconds) - 1
    edges = [0, *np.flatnonzero(script.intensity[1:-1] == 0) + 1, last]
    for start, stop in pairwise(edges):
        if script.intensity[start : stop + 1].any():
            yield float(knots[start]), float(knots[stop])


def _draw_expressions(
    random: np.random.Generator, config: ScriptConfig, duration: float, slots: int
) -> tuple[np.ndarray, np.ndarray, Steps]:
    kind = random.random()
    first = int(random.integers(slots))
    if kind < config.calm_share:
        return np.array([0.0, duration]), np.zeros(2), _constant(first)
    if kind < config.calm_share + config.steady_share:
        return np.array([0.0, duration]), random.uniform(0.75, 1.0, 2), _constant(first)
    knots, curve, starts, chosen = [0.0], [0.0], [0.0], [first]
    # Begin somewhere within the script, so that a short one may begin amid an expression.
    now = -float(random.uniform(0.0, 8.0))
    while now < duration:
        now += _lognormal(random, config.neutral_seconds, 0.8)
        starts.append(now - 0.01)
        chosen.append(int(random.integers(slots)))
        now = _add_expression(random, config, now, knots, curve)
    times, values = np.array(knots[1:]), np.array(curve[1:])
    slot = Steps(start_seconds=np.array([-np.inf, *starts[1:]]), value=np.array(chosen))
    return np.append(times, times[-1] + 100.0), np.append(values, 0.0), slot


def _add_expression(
    random: np.random.Generator, config: ScriptConfig, now: float, knots: list[float], curve: list[float]
) -> float:
    """Append onset, a wavering apex and offset; return when it is over."""
    peak = random.uniform(0.7, 1.0) if random.random() < 0.85 else random.uniform(0.25, 0.5)
    knots.append(now)
    curve.append(0.0)
    if config.brief_share and random.random() < config.brief_share:
        # A flash of a smile, a micro-expression: 0.3 to 1 s in all.
        for seconds, value in zip(random.uniform((0.1, 0.1, 0.1), (0.3, 0.4, 0.3)), (peak, peak, 0.0), strict=True):
            now += float(seconds)
            knots.append(now)
            curve.append(float(value))
        return now
    now += random.uniform(0.2, 1.0)
    end = now + _lognormal(random, config.apex_seconds, 0.7)
    while True:
        knots.append(now)
        curve.append(float(np.clip(peak + random.normal(0.0, 0.05), 0.0, 1.0)))
        if now >= end:
            break
        now = min(now + random.uniform(0.4, 1.2), end)
    now += random.uniform(0.3, 1.5)
    knots.append(now)
    curve.append(0.0)
    return now


def _draw_talk(random: np.random.Generator, config: ScriptConfig, duration: float) -> Steps:
    starts, looks = [-np.inf], [REST]
    now, talking = 0.0, random.random() < config.talk_share
    while now < duration:
        spell = _lognormal(random, 2.5, 0.8)
        if not talking:
            spell *= (1 - config.talk_share) / max(config.talk_share, 1e-3)
            starts.append(now)
            looks.append(REST)
        end = now + spell
        while talking and now < end:  # a mouth shape every 0.06 to 0.3 s: four to seven syllables a second
            starts.append(now)
            looks.append(int(random.choice(TALKING_LOOKS)))
            now += random.uniform(0.06, 0.3)
        now, talking = end, not talking
    order = np.argsort(starts, kind="stable")
    return Steps(start_seconds=np.array(starts)[order], value=np.array(looks)[order])


def _draw_spells(
    random: np.random.Generator, duration: float, *, every: float, median: float, spread: float = 0.7
) -> Steps:
    starts, values = [-np.inf], [False]
    now = float(random.exponential(every))
    while now < duration:
        starts.append(now)
        values.append(True)
        now += _lognormal(random, median, spread)
        starts.append(now)
        values.append(False)
        now += float(random.exponential(every))
    return Steps(start_seconds=np.array(starts), value=np.array(values))


def _constant(value: int) -> Steps:
    return Steps(start_seconds=np.array([-np.inf]), value=np.array([value]))


def _lognormal(random: np.random.Generator, median: float, spread: float) -> float:
    return float(median * np.exp(np.clip(random.normal(0.0, spread), -2 * spread, 2 * spread)))
