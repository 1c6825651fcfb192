"""What is compared between conditions: participants, never frames; where a p-value would mislead there is none."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from vidfer.errors import MissingDependency
from vidfer.study.measures import OF_EMOTIONS
from vidfer.study.permutation import cluster_test, group_permutations, p_values, sign_permutations
from vidfer.study.settings import AnalysisSection

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "baseline"  # stands for the reference where time courses are compared with the time before the event
_BATCH = 500  # bootstrap samples at once: bounds memory


def compare(
    table: pd.DataFrame, conditions: Sequence[str], analysis: AnalysisSection, *, seed: int, dependent: str = ""
) -> pd.DataFrame:
    """Compare every two conditions in each measure and emotion.

    Parameters
    ----------
    table
        ``participants`` (see columns.csv): one row per participant, condition and emotion.
    conditions
        In order; of two the first is the reference.
    analysis
        Design, measures, emotions, limits.
    seed
        Of permutations and bootstrap.
    dependent
        Why participants are not independent of each other, where that is known: then there is no p.

    Returns
    -------
    The table ``comparisons``; where ``refused`` says why, there is no p.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for measure in analysis.measures:
        of_measure: list[dict[str, Any]] = []
        for reference, condition in itertools.combinations(conditions, 2):
            refused = dependent or why_no_p(table, (reference, condition), analysis)
            rng = np.random.default_rng([seed, len(rows) + len(of_measure)])
            head = {"measure": measure, "reference": reference, "condition": condition}
            for emotions, first, second in measured(table, measure, (reference, condition), analysis):
                why = refused or _too_few(min(len(first), len(second)), analysis)
                figures = _figures(first, second, analysis, rng, with_p=not why)
                of_measure += [
                    {**head, "refused": why, "emotion": emotion, **of}
                    for emotion, of in zip(emotions, figures, strict=True)
                ]
        _correct(of_measure, analysis.correction)
        rows += of_measure
    order = [
        *("measure", "emotion", "reference", "condition", "n_reference", "n_condition", "mean_reference"),
        *("mean_condition", "difference", "difference_low", "difference_high", "effect", "effect_size"),
        *("effect_low", "effect_high", "p", "p_corrected", "refused"),
    ]
    return pd.DataFrame(rows, columns=order)


def why_no_p(table: pd.DataFrame, pair: tuple[str, str], analysis: AnalysisSection) -> str:
    """Return why two conditions cannot be tested, empty where they can.

    Participants must be independent, enough, and seen for about as long in both; rows that repeat a participant, as
    frames or clips do, are no further participants.
    """
    rows = table[table["emotion"] == analysis.emotions[0]]
    repeated = rows.duplicated(["participant", "condition"]).sum()
    if repeated:
        people = rows["participant"].nunique()
        return f"{len(rows)} rows of {people} participants: frames and clips are no samples; average per participant"
    seconds = rows.pivot(index="participant", columns="condition", values="seconds").reindex(columns=list(pair))
    if analysis.design == "none":
        return 'no design: set [analysis] design = "paired" or "unpaired"'
    if analysis.design == "paired":
        seconds = seconds.dropna()
    counts = seconds.notna().sum()
    got = counts.iloc[0] if analysis.design == "paired" else " and ".join(map(str, counts))
    if why := _too_few(counts.min(), analysis, got):
        return why
    ratio = float(seconds.mean().max() / seconds.mean().min())
    if ratio > analysis.max_exposure_ratio:
        longer = seconds.mean().idxmax()
        return (
            f"unequal exposure: {longer} is seen {ratio:.2f} times as long ({seconds.mean()[longer]:.1f} s); "
            "cut both to one length (start_seconds, end_seconds), or raise max_exposure_ratio"
        )
    return ""


def _too_few(count: int, analysis: AnalysisSection, got: object = None) -> str:
    least = analysis.min_participants
    said = count if got is None else got
    return f"too few participants: {said}, at least {least} are asked for" if count < least else ""


def measured(
    table: pd.DataFrame, measure: str, pair: tuple[str, str], analysis: AnalysisSection
) -> Iterator[tuple[Sequence[str], np.ndarray, np.ndarray]]:
    """Yield emotions, and a measure of them in two conditions, (N1, E) and (N2, E); paired: of the same participants.

    Emotions in which all participants have a value come together, the others each by itself. A measure of people, not
    of emotions, has the emotion ``""``.
    """
    chosen = table[table["condition"].isin(pair)]
    emotions: Sequence[str] = analysis.emotions
    if measure not in OF_EMOTIONS:
        chosen, emotions = chosen[chosen["emotion"] == emotions[0]].assign(emotion=""), ("",)
    wide = chosen.pivot_table(
        index="participant", columns=["condition", "emotion"], values=measure, aggfunc="mean", dropna=False
    )
    first, second = (
        wide.reindex(columns=[(name, emotion) for emotion in emotions]).dropna(how="all").set_axis(emotions, axis=1)
        for name in pair
    )
    if analysis.design == "paired":
        both = first.index.intersection(second.index)
        first, second = first.loc[both], second.loc[both]
    known = [name for name in emotions if first[name].notna().all() and second[name].notna().all()]
    for group in [known, *([name] for name in emotions if name not in known)]:
        if group:
            sides = first[group].dropna(), second[group].dropna()
            both = sides[0].index.intersection(sides[1].index)
            yield group, *(one.loc[both if analysis.design == "paired" else one.index].to_numpy(float) for one in sides)


def _figures(
    first: np.ndarray, second: np.ndarray, analysis: AnalysisSection, rng: np.random.Generator, *, with_p: bool
) -> list[dict[str, Any]]:
    paired = analysis.design == "paired"
    samples = (second - first,) if paired else (first, second)
    statistic: Callable[..., np.ndarray] = _paired_effect if paired else _unpaired_effect
    with np.errstate(invalid="ignore", divide="ignore"):
        enough = min(map(len, samples)) >= 3
        estimate = statistic(*samples, axis=0) if enough else np.full((2, first.shape[1]), np.nan)
        low, high = _bootstrap(samples, statistic, analysis, rng) if enough else (estimate, estimate)
    p = np.full(first.shape[1], np.nan)
    if with_p:
        permutations = (
            sign_permutations(len(first), analysis.permutations, rng)
            if paired
            else group_permutations(len(first), len(second), analysis.permutations, rng)
        )
        p = p_values(samples[0] if paired else np.concatenate(samples), permutations, paired=paired)
    means = [values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan) for values in (first, second)]
    return [
        {
            "n_reference": len(first),
            "n_condition": len(second),
            "mean_reference": means[0][column],
            "mean_condition": means[1][column],
            "difference": means[1][column] - means[0][column],
            "difference_low": low[0, column],
            "difference_high": high[0, column],
            "effect": "hedges_g_z" if paired else "hedges_g",
            "effect_size": estimate[1, column],
            "effect_low": low[1, column],
            "effect_high": high[1, column],
            "p": p[column],
        }
        for column in range(first.shape[1])
    ]


def _paired_effect(difference: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return mean and Hedges' g_z of differences, (2, ...): Cohen's d_z times the correction for few participants."""
    count = difference.shape[axis]
    mean, sd = difference.mean(axis=axis), difference.std(axis=axis, ddof=1)
    return np.stack([mean, _zero_safe(mean, sd) * hedges_correction(count - 1)])


def _unpaired_effect(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the difference of means and Hedges' g by the pooled standard deviation, (2, ...)."""
    n1, n2 = first.shape[axis], second.shape[axis]
    difference = second.mean(axis=axis) - first.mean(axis=axis)
    within = (n1 - 1) * first.var(axis=axis, ddof=1) + (n2 - 1) * second.var(axis=axis, ddof=1)
    sd = np.sqrt(within / (n1 + n2 - 2))
    return np.stack([difference, _zero_safe(difference, sd) * hedges_correction(n1 + n2 - 2)])


def _zero_safe(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(sd > 1e-12, mean / np.where(sd > 1e-12, sd, 1.0), np.where(mean == 0, 0.0, np.nan)))


def hedges_correction(degrees: int) -> float:
    """Return what takes Cohen's d to Hedges' g: Hedges (1981), by the usual approximation."""
    return 1 - 3 / (4 * degrees - 1)


def _bootstrap(
    samples: tuple[np.ndarray, ...], statistic: Any, analysis: AnalysisSection, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval's ends, each (2, E): participants are drawn, with all their emotions."""
    drawn = []
    for start in range(0, analysis.bootstrap, _BATCH):
        size = min(_BATCH, analysis.bootstrap - start)
        resampled = [one[rng.integers(0, len(one), (size, len(one)))] for one in samples]  # (B, N, E)
        drawn.append(statistic(*resampled, axis=1))  # (2, B, E)
    return interval(np.concatenate(drawn, axis=1).swapaxes(0, 1), analysis.alpha)


def interval(drawn: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the percentile interval of samples, (B, ...) -> two of (...); what is NaN is passed over."""
    levels, gaps = [alpha / 2, 1 - alpha / 2], np.isnan(drawn).any(axis=0)
    ends = np.quantile(drawn, levels, axis=0)
    if gaps.any():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN")  # an effect where all differ by the same
            ends[:, gaps] = np.nanquantile(drawn[:, gaps], levels, axis=0)
    return ends[0], ends[1]


def corrected(p: np.ndarray, correction: str) -> np.ndarray:
    """Return p-values corrected by Holm's method, the false discovery rate (Benjamini, Hochberg), or not at all."""
    if correction == "fdr":
        return np.asarray(stats.false_discovery_control(p))
    if correction == "none" or not len(p):
        return p
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    result = np.empty(len(p))
    result[order] = steps
    return result


def _correct(rows: Sequence[dict[str, Any]], correction: str) -> None:
    known = [row for row in rows if not np.isnan(row["p"])]
    for row in rows:
        row["p_corrected"] = np.nan
    if known:
        for row, p in zip(known, corrected(np.array([row["p"] for row in known]), correction), strict=True):
            row["p_corrected"] = p


def compare_time_courses(
    time_courses: pd.DataFrame, conditions: Sequence[str], analysis: AnalysisSection, *, seed: int
) -> tuple[pd.DataFrame, int, list[str]]:
    """Compare event-locked time courses: two conditions with each other, or one with the time before the event.

    Returns
    -------
    The table ``clusters``, how many comparisons were made, and why others were not.
    """
    import pandas as pd

    pairs = list(itertools.combinations(conditions, 2)) or [(BASELINE, conditions[0])]
    rows, notes, compared = [], [], 0
    by_type = time_courses.groupby("type", sort=True) if len(time_courses) else ()  # no event may lie in any clip
    for place, (kind, of_type) in enumerate(by_type):
        times = np.sort(of_type["seconds"].unique())
        for reference, condition in pairs:
            first, second = (_stacked(of_type, name, analysis) for name in (reference, condition))
            paired = reference == BASELINE or analysis.design == "paired"
            if reference != BASELINE and paired:
                both = sorted(set(first) & set(second))
                first, second = ({name: of[name] for name in both} for of in (first, second))
            least = min(len(second), len(first) if reference != BASELINE else len(second))
            if analysis.design == "none" and reference != BASELINE:
                notes.append(f"{kind}: courses are not compared: no design")
                continue
            if least < analysis.min_participants:
                notes.append(f"{kind}, {reference} and {condition}: too few participants with a whole course: {least}")
                continue
            rng = np.random.default_rng([seed, 7, place])
            b = np.stack(list(second.values()))
            if paired:
                values = b if reference == BASELINE else b - np.stack(list(first.values()))
                permutations = sign_permutations(len(b), analysis.permutations, rng)
            else:
                values = np.concatenate([np.stack(list(first.values())), b])
                permutations = group_permutations(len(first), len(b), analysis.permutations, rng)
            compared += 1
            after = times > 0
            step = float(np.diff(times).mean()) if len(times) > 1 else 1 / analysis.hz
            rows += [
                {
                    "type": kind,
                    "emotion": analysis.emotions[one.emotion],
                    "reference": reference,
                    "condition": condition,
                    "from_seconds": times[after][one.first] - step / 2,
                    "to_seconds": times[after][one.stop - 1] + step / 2,
                    "mass": one.mass,
                    "p": one.p,
                }
                for one in cluster_test(values[..., after], permutations, paired=paired, alpha=analysis.alpha)
            ]
    columns = ["type", "emotion", "reference", "condition", "from_seconds", "to_seconds", "mass", "p"]
    return pd.DataFrame(rows, columns=columns), compared, notes


def _stacked(time_courses: pd.DataFrame, condition: str, analysis: AnalysisSection) -> dict[str, np.ndarray]:
    """Return the time course (E, T) of each participant who is seen throughout."""
    found = {}
    for participant, one in time_courses[time_courses["condition"] == condition].groupby("participant", sort=True):
        values = one.sort_values("seconds")[list(analysis.emotions)].to_numpy(np.float64).T
        if not np.isnan(values).any():
            found[str(participant)] = values
    return found


def mixed_models(clips: pd.DataFrame, analysis: AnalysisSection, covariates: Sequence[str]) -> pd.DataFrame:
    """Fit value ~ condition + covariates with a random intercept for each participant, by measure and emotion.

    Parameters
    ----------
    clips
        One row per clip and emotion, with the measures, ``participant``, ``condition`` and covariates.

    Raises
    ------
    MissingDependency
        statsmodels is not installed.
    """
    import pandas as pd

    try:
        import statsmodels.formula.api as smf
    except ImportError as error:
        raise MissingDependency("statsmodels", needed_for="[analysis] mixed_model", extra="study") from error
    fixed = [name for name in covariates if name in clips and clips[name].nunique() > 1]
    clips = clips.assign(**{name: _numbers_where_possible(clips[name]) for name in fixed})
    formula = "value ~ " + " + ".join(["C(condition)", *(f"Q('{name}')" for name in fixed)])
    rows: list[dict[str, Any]] = []
    for measure in analysis.measures:
        of_measure: list[dict[str, Any]] = []
        for emotion in analysis.emotions if measure in OF_EMOTIONS else ("",):
            chosen = clips[clips["emotion"] == (emotion or analysis.emotions[0])]
            data = chosen.assign(value=chosen[measure].astype(float)).dropna(subset=["value"])
            if data["condition"].nunique() < 2 or data["value"].std() < 1e-12:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of convergence: it is in the table
                fit = smf.mixedlm(formula, data, groups=data["participant"]).fit(reml=False)
            low_high = fit.conf_int(alpha=analysis.alpha)
            of_measure += [
                {
                    "measure": measure,
                    "emotion": emotion,
                    "term": term,
                    "estimate": fit.fe_params[term],
                    "standard_error": fit.bse_fe[term],
                    "low": low_high.loc[term, 0],
                    "high": low_high.loc[term, 1],
                    "p": fit.pvalues[term],
                    "converged": bool(fit.converged),
                }
                for term in fit.fe_params.index.drop("Intercept")
            ]
        _correct(of_measure, analysis.correction)
        rows += of_measure
    columns = [*("measure", "emotion", "term", "estimate", "standard_error", "low", "high", "p", "p_corrected")]
    columns.append("converged")
    return pd.DataFrame(rows, columns=columns)


def _numbers_where_possible(column: pd.Series) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().all() else column
