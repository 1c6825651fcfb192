"""Comparisons: effects and intervals against formulas of others, corrections, and when there is no p-value."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vidfer.study.comparisons import compare, compare_time_courses, corrected, mixed_models
from vidfer.study.power import simulated_power
from vidfer.study.settings import AnalysisSection


def _table(values: dict[str, np.ndarray], *, seconds: dict[str, float] | None = None, shift: int = 0) -> pd.DataFrame:
    rows = []
    for place, (condition, column) in enumerate(values.items()):
        for person, value in enumerate(column):
            rows.append(
                {
                    "participant": f"P{person + place * shift:02d}",
                    "condition": condition,
                    "seconds": (seconds or {}).get(condition, 60.0),
                    "emotion": "happiness",
                    "mean_probability": value,
                }
            )
    return pd.DataFrame(rows)


def _analysis(design: str, **keys: object) -> AnalysisSection:
    return AnalysisSection(
        design=design, emotions=("happiness",), measures=("mean_probability",), bootstrap=999, **keys
    )  # type: ignore[arg-type]


def test_paired_effect_is_the_textbook_one() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(0.3, 0.1, 15)
    b = a + rng.normal(0.1, 0.08, 15)
    row = compare(_table({"a": a, "b": b}), ["a", "b"], _analysis("paired"), seed=1).iloc[0]
    d = (b - a).mean() / (b - a).std(ddof=1)
    assert row["effect_size"] == pytest.approx(d * (1 - 3 / (4 * 14 - 1)))
    assert row["difference"] == pytest.approx((b - a).mean())
    assert row["p"] == pytest.approx(stats.ttest_rel(b, a).pvalue, abs=0.01)
    expected = stats.bootstrap((b - a,), np.mean, method="percentile", n_resamples=4999, random_state=rng)
    low, high = expected.confidence_interval
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=0.006)


def test_unpaired_effect_is_the_textbook_one() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.3, 0.1, 12), rng.normal(0.42, 0.12, 17)
    row = compare(_table({"a": a, "b": b}, shift=50), ["a", "b"], _analysis("unpaired"), seed=1).iloc[0]
    sd = np.sqrt((11 * a.var(ddof=1) + 16 * b.var(ddof=1)) / 27)
    assert row["effect_size"] == pytest.approx((b.mean() - a.mean()) / sd * (1 - 3 / (4 * 27 - 1)))
    assert row["p"] == pytest.approx(stats.ttest_ind(b, a).pvalue, abs=0.01)
    assert (row["n_reference"], row["n_condition"]) == (12, 17)


def test_intervals_hold_what_they_promise() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for study in range(60):
        difference = rng.normal(0.1, 0.2, 20)
        base = rng.normal(0.5, 0.1, 20)
        row = compare(_table({"a": base, "b": base + difference}), ["a", "b"], _analysis("paired"), seed=study).iloc[0]
        held += row["difference_low"] <= 0.1 <= row["difference_high"]
    assert held / 60 == pytest.approx(0.93, abs=0.08)  # percentiles are a little narrow for 20 participants


def test_holm_and_fdr() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert corrected(p, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm (1979), by hand
    assert corrected(p, "fdr") == pytest.approx(stats.false_discovery_control(p))
    assert corrected(p, "none") == pytest.approx(p)


def test_too_few_participants_are_refused_and_described() -> None:
    a = np.array([0.1, 0.2, 0.15])
    row = compare(_table({"a": a, "b": a + 0.1}), ["a", "b"], _analysis("paired"), seed=1).iloc[0]
    assert np.isnan(row["p"])
    assert "too few participants: 3, at least 6" in row["refused"]
    assert row["difference"] == pytest.approx(0.1)


def test_unequal_exposure_is_refused() -> None:
    a = np.linspace(0.1, 0.3, 10)
    table = _table({"a": a, "b": a + 0.1}, seconds={"a": 30.0, "b": 60.0})
    row = compare(table, ["a", "b"], _analysis("paired"), seed=1).iloc[0]
    assert np.isnan(row["p"])
    assert "unequal exposure: b is seen 2.00 times as long" in row["refused"]
    assert not compare(table, ["a", "b"], _analysis("paired", max_exposure_ratio=3.0), seed=1)["refused"].iat[0]


def test_frames_are_no_participants() -> None:
    rng = np.random.default_rng(5)
    frames = pd.concat([_table({"a": rng.normal(0.3, 0.1, 8), "b": rng.normal(0.3, 0.1, 8)}) for _ in range(100)])
    row = compare(frames, ["a", "b"], _analysis("paired"), seed=1).iloc[0]
    assert np.isnan(row["p"])
    assert "1600 rows of 8 participants: frames and clips are no samples" in row["refused"]


def test_without_a_design_nothing_is_tested() -> None:
    a = np.linspace(0.1, 0.3, 10)
    row = compare(_table({"a": a, "b": a}), ["a", "b"], _analysis("none"), seed=1).iloc[0]
    assert np.isnan(row["p"])
    assert "no design" in row["refused"]


def test_a_known_change_after_an_event_is_found_where_it_is() -> None:
    rng = np.random.default_rng(6)
    rows = []
    times = np.arange(-10, 30) / 10 + 0.05
    for person in range(12):
        for condition, effect in (("a", 0.0), ("b", 0.3)):
            time_course = rng.normal(0, 0.1, 40).cumsum() * 0.1 + effect * ((times > 0.8) & (times < 1.9))
            rows.append(
                pd.DataFrame({"participant": f"P{person}", "condition": condition, "type": "joke", "seconds": times})
                .assign(happiness=time_course)
            )  # fmt: skip
    analysis = _analysis("paired")
    clusters, compared, notes = compare_time_courses(pd.concat(rows), ["a", "b"], analysis, seed=1)
    found = clusters[clusters["p"] < 0.05]
    assert not notes
    assert compared == 1
    assert len(found) == 1
    assert found["from_seconds"].iat[0] == pytest.approx(0.8, abs=0.15)
    assert found["to_seconds"].iat[0] == pytest.approx(1.9, abs=0.15)


def test_mixed_model_finds_the_effect_that_was_put_in() -> None:
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(7)
    rows = []
    for person in range(20):
        own, age = rng.normal(0, 0.1), rng.integers(20, 60)
        for clip in range(6):
            condition = "ab"[clip % 2]
            value = 0.3 + own + 0.15 * (condition == "b") + 0.002 * age + rng.normal(0, 0.04)
            rows.append({"participant": f"P{person}", "condition": condition, "emotion": "happiness",
                         "mean_probability": value, "age": str(age)})  # fmt: skip
    table = mixed_models(pd.DataFrame(rows), _analysis("paired"), ["age"]).set_index("term")
    assert table.loc["C(condition)[T.b]", "estimate"] == pytest.approx(0.15, abs=0.025)
    assert table.loc["C(condition)[T.b]", "p"] < 0.001
    assert table.loc["Q('age')", "estimate"] == pytest.approx(0.002, abs=0.003)


@pytest.mark.parametrize(("samples", "size", "effect"), [(1, 20, 0.6), (2, 40, 0.6)])
def test_simulated_power_is_that_of_the_noncentral_t(samples: int, size: int, effect: float) -> None:
    rng = np.random.default_rng(9)
    pilot = [rng.normal(3, 2, 400) for _ in range(samples)]
    got = simulated_power(pilot, effect, (size,), 0.05, 6000, rng)[0]
    degrees, scale = (size - 1, np.sqrt(size)) if samples == 1 else (2 * size - 2, np.sqrt(size / 2))
    bound = stats.t.isf(0.025, degrees)
    expected = stats.nct.sf(bound, degrees, effect * scale) + stats.nct.cdf(-bound, degrees, effect * scale)
    assert got == pytest.approx(expected, abs=0.04)
