"""Figures by group of people."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidfer.errors import ConfigError
from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.evaluation.groups import figures_by_group, groups_table, plot_groups


def manifest_of(labels: list[str], people: list[str], **further: list[str]) -> Manifest:
    n = len(labels)
    return Manifest(
        clip_id=tuple(str(i) for i in range(n)),
        path=tuple(Path(f"{i}.png") for i in range(n)),
        sha256=("",) * n,
        subject_id=tuple(people),
        split=("test",) * n,
        label=tuple(labels),
        start_seconds=np.full(n, np.nan),
        end_seconds=np.full(n, np.nan),
        further={name: tuple(values) for name, values in further.items()},
    )


def says(name: str | None, sure: float = 1.0) -> np.ndarray | None:
    if name is None:
        return None
    return np.eye(8)[EMOTION_INDEX[name]] * sure + (1 - sure) / 8


def test_each_group_has_its_own_figures() -> None:
    manifest = manifest_of(
        ["anger", "fear", "anger", "fear"], ["a", "b", "c", "d"], sex=["f", "f", "m", "m"], site=["x", "y", "x", "y"]
    )
    said = [says("anger"), says("fear"), says("fear"), None]
    groups = figures_by_group(manifest, np.arange(4), said, ["sex", "site"])
    assert [one.group for one in groups[:4]] == [{"sex": "f"}, {"sex": "m"}, {"site": "x"}, {"site": "y"}]
    assert [one.group for one in groups[4:]] == [{"sex": s, "site": t} for s in "fm" for t in "xy"]
    women, men = groups[:2]
    assert (women.accuracy.value, women.uar.value, women.ece.value, women.without_face) == (1, 1, 0, 0)
    assert (men.accuracy.value, men.uar.value, men.ece.value, men.without_face) == (0, 0, 1, 1)
    assert men.mean_probabilities[EMOTION_INDEX["fear"]] == 1.0
    assert men.labels[EMOTION_INDEX["anger"]] == 1
    nobody = groups[-1]
    assert nobody.without_face == nobody.rows == 1
    assert np.isnan(nobody.ece.value)
    assert np.isnan(nobody.ece.low)


def test_only_the_rows_that_were_asked_for_count() -> None:
    manifest = manifest_of(["anger", "anger", "anger"], ["", "", ""], site=["x", "x", "y"])
    groups = figures_by_group(manifest, np.array([1, 2]), [says("fear"), says("anger")], ["site"])
    assert [(one.rows, one.people, one.accuracy.value) for one in groups] == [(1, 1, 0.0), (1, 1, 1.0)]


def test_intervals_are_over_people_not_over_pictures() -> None:
    """Ten pictures each of forty people, right for half of the people: as if forty answers were there, not 400."""
    people = [f"p{i // 10}" for i in range(400)]
    right = [(i // 10) % 2 == 0 for i in range(400)]
    manifest = manifest_of(["anger"] * 400, people, site=["x"] * 400)
    (one,) = figures_by_group(manifest, np.arange(400), [says("anger" if r else "fear") for r in right], ["site"])
    assert one.people == 40
    assert not one.few
    expected = 1.96 * np.sqrt(0.25 / 40)  # of a share, by the normal approximation
    assert one.accuracy.high - one.accuracy.low == pytest.approx(2 * expected, rel=0.15)
    alone = manifest_of(["anger"] * 400, [""] * 400, site=["x"] * 400)  # nobody knows who is seen
    (rows,) = figures_by_group(alone, np.arange(400), [says("anger" if r else "fear") for r in right], ["site"])
    assert rows.accuracy.high - rows.accuracy.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 400), rel=0.15)
    again = figures_by_group(manifest, np.arange(400), [says("anger" if r else "fear") for r in right], ["site"])
    assert again == (one,)


def test_the_interval_covers_the_true_figure_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    manifest = manifest_of(["anger"] * 60, [f"p{i}" for i in range(60)], site=["x"] * 60)
    covered = 0
    for _ in range(100):
        said = [says("anger" if right else "fear") for right in generator.random(60) < 0.7]
        (one,) = figures_by_group(manifest, np.arange(60), said, ["site"])
        covered += one.accuracy.low <= 0.7 <= one.accuracy.high
    assert 88 <= covered <= 100


def test_table_and_picture(tmp_path: Path) -> None:
    manifest = manifest_of(["anger", "fear"], ["a", "b"], sex=["=f", ""], site=["x", "x"])
    groups = figures_by_group(manifest, np.arange(2), [says("anger", 0.5), None], ["sex", "site"])
    rows = list(csv.DictReader(io.StringIO(groups_table(groups))))
    assert [(row["sex"], row["site"]) for row in rows] == [
        ("", "all"),
        ("'=f", "all"),
        ("all", "x"),
        ("", "x"),
        ("'=f", "x"),
    ]
    assert rows[1]["few_people"] == "1"
    assert float(rows[1]["anger"]) == pytest.approx(0.5625)
    assert rows[0]["ece"] == rows[0]["anger"] == ""
    assert set(EMOTIONS) < set(rows[0])
    plot_groups(groups, tmp_path / "groups.png")
    with Image.open(tmp_path / "groups.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_a_column_that_is_not_there_is_named() -> None:
    manifest = manifest_of(["anger"], ["a"], sex=["f"])
    with pytest.raises(ConfigError, match="--by age: the manifest has no such column; its further columns: sex"):
        figures_by_group(manifest, np.arange(1), [says("anger")], ["age"])
    with pytest.raises(ValueError, match="sex: expected 1 rows"):
        replace(manifest, further={"sex": ("f", "m")})
