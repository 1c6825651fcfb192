"""Agreement of coders: against krippendorff, statsmodels and published tables."""

from pathlib import Path

import numpy as np
import pytest
from fixtures.study_results import write_clip, write_study

from vidfer.errors import DataError
from vidfer.study.agree import (
    MISSING,
    STATES,
    Stretch,
    accuracy,
    cohen_kappa,
    coincidences,
    crossed,
    fleiss_counts,
    fleiss_kappa,
    icc,
    krippendorff_alpha,
    matched,
    run_agreement,
)


def _said(coders: int, units: int, *, missing: float = 0.0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, units)
    said = np.where(rng.random((coders, units)) < 0.7, truth, rng.integers(0, len(STATES), (coders, units)))
    return np.where(rng.random((coders, units)) < missing, MISSING, said)


@pytest.mark.parametrize("coders", [2, 4])
def test_alpha_is_that_of_the_krippendorff_package(coders: int) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    said = _said(coders, 300, missing=0.3)
    expected = krippendorff.alpha(np.where(said == MISSING, np.nan, said), level_of_measurement="nominal")
    assert krippendorff_alpha(coincidences(said)) == pytest.approx(expected)


def test_kappas_are_those_of_statsmodels() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    said = _said(2, 300, missing=0.2)
    assert cohen_kappa(crossed(said)) == pytest.approx(inter_rater.cohens_kappa(crossed(said)).kappa)
    both = (said != MISSING).all(axis=0)
    assert accuracy(crossed(said)) == pytest.approx((said[0, both] == said[1, both]).mean())
    four = _said(4, 300, missing=0.1)
    counts, _ = inter_rater.aggregate_raters(four[:, (four != MISSING).all(axis=0)].T, n_cat=len(STATES))
    assert fleiss_kappa(fleiss_counts(four)) == pytest.approx(inter_rater.fleiss_kappa(counts))


def test_counts_of_participants_add_up() -> None:
    said = _said(3, 200, missing=0.2)
    for count in (coincidences, fleiss_counts):
        assert count(said[:, :80]) + count(said[:, 80:]) == pytest.approx(count(said))


def test_icc_is_that_of_shrout_and_fleiss() -> None:
    """Their table 2: four judges, six targets; ICC(2,1) = 0.29."""
    ratings = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], float)
    assert icc(ratings) == pytest.approx(0.29, abs=0.005)


def test_episodes_match_once_within_the_tolerance() -> None:
    first = [Stretch(label=1, start=1, end=2), Stretch(label=1, start=1.2, end=2.1), Stretch(label=2, start=5, end=6)]
    second = [Stretch(label=1, start=1.3, end=2.3), Stretch(label=3, start=5, end=6)]
    assert matched(first, second, 0.4) == 1
    assert matched(first, second, 0.05) == 0


HEADER = "clip_id,path,split,label,start_seconds,end_seconds,annotator,intensity\n"


def _study(tmp_path: Path) -> tuple[Path, Path]:
    results = tmp_path / "results"
    for person in range(4):
        write_clip(results, f"P{person}", lambda t: np.where((t > 5) & (t < 10), 0.9, 0.1), start_seconds=1.0)
    return results, write_study(tmp_path, {"clips": {"pattern": "(?P<participant>.+)"}})


def _rows(coder: str, *, late: float = 0.0, intensity: float = 3.0) -> list[str]:
    rows = []
    for person in range(4):
        for n, (label, start, end) in enumerate([("neutral", 0, 5 + late), ("happiness", 5 + late, 10 + late)]):
            strength = intensity + person if label == "happiness" else ""
            rows.append(f"{coder}{person}{n},P{person}.mp4,test,{label},{start},{end},{coder},{strength}\n")
    return rows


def test_coders_and_vidfer(tmp_path: Path) -> None:
    results, study = _study(tmp_path)
    (tmp_path / "labels.csv").write_text(
        HEADER + "".join(_rows("ann") + _rows("bob", late=0.5, intensity=3.2)) + "w,P1.mp4,test,wrong,5,6,ann,\n"
    )
    tables = run_agreement([tmp_path / "labels.csv"], results, study, out=tmp_path / "out")
    found = tables["agreement"].set_index(["level", "statistic", "coders"])["value"]
    assert found["frame", "cohen_kappa", "ann and vidfer"] == pytest.approx(1.0, abs=0.03)
    assert found["frame", "accuracy", "ann and bob"] == pytest.approx(0.95, abs=0.011)
    assert found["episode", "f1_within_0.5_s", "ann and bob"] == 1.0
    assert 0.8 < found["frame", "krippendorff_alpha", "ann and bob and vidfer"] < 1.0
    assert found["clip and label", "icc_2_1_intensity", "ann and bob"] == pytest.approx(0.99, abs=0.02)
    confusion = tables["confusion"].set_index(["coder", "says", "other", "other_says"])["seconds"]
    assert confusion["ann", "happiness", "bob", "neutral"] == pytest.approx(4 * 0.5)
    assert (tmp_path / "out" / "agreement.csv").is_file()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("x,P9.mp4,test,happiness,15,16,ann,\n", r"row 9 \(line 10\), column path: no clip is P9.mp4"),
        ("x,P1.mp4,test,happiness,9,12,ann,\n", r"row 9 \(line 10\), column start_seconds: ann labels a moment of P1"),
        ("x,P1.mp4,test,happiness,19,20,ann,much\n", r"row 9 \(line 10\), column intensity: expected a number"),
    ],
)
def test_what_is_wrong_in_labels_is_named(tmp_path: Path, row: str, problem: str) -> None:
    results, study = _study(tmp_path)
    (tmp_path / "labels.csv").write_text(HEADER + "".join(_rows("ann")) + row)
    with pytest.raises(DataError, match=problem):
        run_agreement([tmp_path / "labels.csv"], results, study)
