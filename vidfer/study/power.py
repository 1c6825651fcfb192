"""How many participants a study needs: simulated from the participants of a pilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from vidfer.errors import ConfigError, DataError
from vidfer.labels import EMOTIONS
from vidfer.study.analysis import analyse
from vidfer.study.comparisons import measured
from vidfer.study.settings import load_study

_SIZES = (6, 8, 10, 12, 15, 18, 20, 25, 30, 35, 40, 50, 60, 80, 100, 120, 150, 200, 300, 400, 500)


@dataclass(frozen=True, kw_only=True)
class Power:
    """The power of a test at numbers of participants (of an unpaired design: in each condition).

    Attributes
    ----------
    participants, power
        (S,) numbers, and the share of simulated studies in which p < alpha.
    needed
        The least number tried that reaches ``wanted``; None where none does.
    wanted
        Power asked for.
    pilot
        Participants of the pilot.
    design
        paired or unpaired.
    """

    participants: tuple[int, ...]
    power: tuple[float, ...]
    needed: int | None
    wanted: float
    pilot: int
    design: str


def power_of_pilot(
    results: str | Path,
    study: str | Path,
    *,
    measure: str,
    emotion: str,
    effect: float,
    wanted: float = 0.8,
    simulations: int = 2000,
) -> Power:
    """Do what ``vidfer study power`` does, for the first two conditions of a study.

    Parameters
    ----------
    results, study
        Of the pilot, as in ``run_study``.
    measure, emotion
        What is to be compared.
    effect
        In standard deviations (of differences in a paired design): Cohen's d.

    Raises
    ------
    ConfigError
        No such measure or emotion, or no design.
    DataError
        The pilot has fewer than five participants.
    """
    settings = load_study(study)
    if emotion not in EMOTIONS:
        raise ConfigError(f"--emotion: {emotion!r} is none of {', '.join(EMOTIONS)}")
    analysis = settings.analysis.model_copy(update={"emotions": (emotion,), "measures": (measure,)})
    if analysis.design == "none":
        raise ConfigError('power needs [analysis] design = "paired" or "unpaired"')
    found = analyse(Path(results), settings.model_copy(update={"analysis": analysis}), folder=Path(study).parent)
    table = found.tables["participants"]
    if len(found.conditions) < 2:
        raise ConfigError(f"power needs two conditions, the study has {', '.join(found.conditions)}")
    _, first, second = next(measured(table, measure, (found.conditions[0], found.conditions[1]), analysis))
    samples = [(second - first)[:, 0]] if analysis.design == "paired" else [first[:, 0], second[:, 0]]
    if min(map(len, samples)) < 5:
        raise DataError(f"the pilot has {min(map(len, samples))} participants; of fewer than 5 little can be drawn")
    rng = np.random.default_rng([settings.study.seed, 11])
    power = simulated_power(samples, effect, _SIZES, analysis.alpha, simulations, rng)
    return Power(
        participants=_SIZES,
        power=power,
        needed=next((size for size, reached in zip(_SIZES, power, strict=True) if reached >= wanted), None),
        wanted=wanted,
        pilot=min(map(len, samples)),
        design=analysis.design,
    )


def simulated_power(
    samples: Sequence[np.ndarray],
    effect: float,
    sizes: Sequence[int],
    alpha: float,
    simulations: int,
    rng: np.random.Generator,
) -> tuple[float, ...]:
    """Return the share of simulated studies with p < alpha at each size.

    Participants are drawn from the pilot, whose spread and shape are kept while its own effect is taken off and the
    wanted one put on. Student's t-test stands for the permutation test, to which it is close and which would take
    hours. ``samples``: differences of a paired design, or the values of both conditions.
    """
    shapes = []
    for sample in samples:
        spread = sample.std(ddof=1)
        if spread < 1e-12:
            raise DataError("all participants of the pilot have the same value: nothing can be simulated from them")
        shapes.append((sample - sample.mean()) / sample.std())
    power = []
    for size in sizes:
        drawn = [shape[rng.integers(0, len(shape), (simulations, size))] for shape in shapes]
        if len(drawn) == 1:
            p = stats.ttest_1samp(drawn[0] + effect, 0.0, axis=1).pvalue
        else:
            p = stats.ttest_ind(drawn[0], drawn[1] + effect, axis=1).pvalue
        power.append(float(np.mean(np.nan_to_num(p, nan=0.0) < alpha)))
    return tuple(power)
