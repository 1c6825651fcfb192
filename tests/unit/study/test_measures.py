"""Tables of a study: equal to summary.json where both tell the same, and to known time courses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.study_results import write_clip, write_study

from vidfer.errors import ConfigError
from vidfer.labels import EMOTIONS
from vidfer.study.analysis import analyse
from vidfer.study.settings import load_study
from vidfer.study.windows import means_of_steps

WHOLE = {"clips": {"pattern": "(?P<participant>.+)"}}


def _analyse(results: Path, sections: dict[str, dict[str, object]]) -> dict[str, pd.DataFrame]:
    study = write_study(results.parent, sections)
    return dict(analyse(results, load_study(study), folder=study.parent).tables)


def _happiness(table: pd.DataFrame) -> pd.Series:
    return table[table["emotion"] == "happiness"].iloc[0]


def test_figures_of_one_clip_are_those_of_its_summary(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", lambda t: 0.5 + 0.45 * np.sin(t), gaps=[(0, 3.0, 4.5)], fps=25.0)
    table = _analyse(results, WHOLE)["participants"].set_index("emotion")
    summary = json.loads((results / "anna" / "summary.json").read_text())
    assert summary["emotions"]["happiness"]["episodes"] >= 3
    for name in EMOTIONS:
        numbers = summary["emotions"][name]
        assert table.loc[name, "mean_probability"] == pytest.approx(numbers["mean_probability"], abs=1e-6)
        assert table.loc[name, "share_of_time"] == pytest.approx(numbers["share_of_time"], abs=1e-6)
        assert table.loc[name, "episodes"] == numbers["episodes"]
    assert table["seconds"].iat[0] == pytest.approx(summary["faces"][0]["seconds_on_screen"])


def test_clips_of_a_participant_are_pooled_by_time(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "P1_a", 0.9, seconds=30)
    write_clip(results, "P1_b", 0.1, seconds=10)
    row = _happiness(_analyse(results, {"clips": {"pattern": "(?P<participant>P1)_."}})["participants"])
    assert row["mean_probability"] == pytest.approx(0.7)
    assert row["share_of_time"] == pytest.approx(0.75)
    assert row["episodes_per_minute"] == pytest.approx(1.5)
    assert (row["clips"], row["seconds"], row["first_episode_seconds"]) == (2, pytest.approx(40), 0.0)


def test_the_face_longest_on_screen_counts_unless_people_csv_says_otherwise(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "pair", 0.8, faces=2)
    assert _happiness(_analyse(results, WHOLE)["participants"])["mean_probability"] == pytest.approx(0.8)
    (results / "people.csv").write_text("clip,person,face_ids,name,include\npair,0,0,poster,no\npair,1,1,Ben,yes\n")
    assert _happiness(_analyse(results, WHOLE)["participants"])["mean_probability"] == pytest.approx(0.7)


def test_rows_of_people_csv_that_one_name_joins_are_one_person(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "pair", 0.8, faces=2)  # face 1 until 10 s
    (results / "people.csv").write_text(
        "clip,person,face_ids,name,include\npair,0,0@0:15,Ann,yes\npair,1,1,Ann,yes\npair,2,0,Bob,yes\n"
    )
    (tmp_path / "clips.csv").write_text("clip,participant,person\npair,ann,Ann\n")
    row = _happiness(_analyse(results, {"clips": {"table": "clips.csv"}})["participants"])
    assert row["mean_probability"] == pytest.approx((10 * 0.7 + 5 * 0.8) / 15)


def test_two_people_of_a_clip_are_two_participants(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "pair", 0.8, faces=2)
    (tmp_path / "clips.csv").write_text("clip,participant,person,age\npair,anna,0,31\npair,ben,1,28\n")
    sections = {"clips": {"table": "clips.csv", "covariates": ["age"]}, "quality": {"min_face_share": 0.4}}
    table = _analyse(results, sections)["participants"].query("emotion == 'happiness'").set_index("participant")
    assert table["mean_probability"].to_dict() == pytest.approx({"anna": 0.8, "ben": 0.7})
    assert table["age"].to_dict() == {"anna": "31", "ben": "28"}


def test_stretches_of_a_clip_are_conditions(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", lambda t: np.where(t < 8, 0.2, 0.7))
    (tmp_path / "clips.csv").write_text(
        "clip,participant,condition,start_seconds,end_seconds\nanna,anna,rest,0,8\nanna,anna,film,8,20\n"
    )
    table = _analyse(results, {"clips": {"table": "clips.csv"}})["participants"]
    means = table.query("emotion == 'happiness'").set_index("condition")["mean_probability"].to_dict()
    assert means == pytest.approx({"rest": 0.2, "film": 0.7})
    assert set(table["seconds"].round(6)) == {8.0, 12.0}


@pytest.mark.parametrize(("kind", "expected"), [("none", 0.5), ("stretch", 0.3), ("median", 0.0)])
def test_baseline_is_taken_off_probabilities(tmp_path: Path, kind: str, expected: float) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", lambda t: np.where(t < 5, 0.2, np.where(t < 12.5, 0.5, 0.7)))
    sections = {**WHOLE, "baseline": {"kind": kind, "stretch": [0.0, 5.0]}}
    row = _happiness(_analyse(results, sections)["participants"])
    mean = (5 * 0.2 + 7.5 * 0.5 + 7.5 * 0.7) / 20
    assert row["mean_probability"] == pytest.approx(mean - 0.5 + expected, abs=1e-6)


def test_a_baseline_that_processing_took_off_is_not_taken_off_again(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", 0.4)
    path = results / "anna" / "summary.json"
    summary = json.loads(path.read_text())
    summary["provenance"]["stages"]["emotions"]["settings"] = {"emotions": {"baseline": "clip"}}
    path.write_text(json.dumps(summary))
    study = write_study(tmp_path, {**WHOLE, "baseline": {"kind": "median"}})
    found = analyse(results, load_study(study), folder=tmp_path)
    assert _happiness(found.tables["participants"])["mean_probability"] == pytest.approx(0.4)
    assert any("processing has taken off clip already (emotions.baseline)" in note for note in found.notes)
    summary["provenance"]["stages"]["emotions"]["settings"] = {"emotions": {"baseline": "auto"}}
    path.write_text(json.dumps(summary))
    found = analyse(results, load_study(study), folder=tmp_path)
    assert _happiness(found.tables["participants"])["mean_probability"] == pytest.approx(0.0)


def test_rows_of_low_quality_are_left_out_and_clips_of_few_rows(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name in ("anna", "ben"):
        write_clip(results, name, lambda t: np.where(t < 12, 0.3, 0.9))
        path = results / name / "timeline.parquet"
        table = pd.read_parquet(path)
        table["quality"] = np.where(table["timestamp"] < (12 if name == "anna" else 2), 0.9, 0.2)
        table.to_parquet(path)
    study = write_study(tmp_path, {**WHOLE, "quality": {"min_quality": 0.5}})
    found = analyse(results, load_study(study), folder=tmp_path)
    assert _happiness(found.tables["participants"])["mean_probability"] == pytest.approx(0.3)
    reasons = {one.name: one.reason for one in found.left if one.what == "clip"}
    assert "10.0% of its 200 frames show the face with quality 0.5 or more" in reasons["ben"]


def _with_movements(folder: Path) -> pd.DataFrame:
    """Add movements to a clip of 25 frames a second: a look aside, no smile for 5 s, a blink every 5 s."""
    path = folder / "timeline.parquet"
    table = pd.read_parquet(path)
    seconds = table["timestamp"].to_numpy()
    lid = np.where(np.abs((seconds % 5) - 2.5) < 0.12, 0.1, 0.8)
    table = table.assign(
        eye_open_left=lid, eye_open_right=lid, gaze_yaw=np.where(seconds < 15, 2.0, 30.0), gaze_pitch=1.0,
        smile_left=np.where(seconds < 5, 0.2, 0.6), jaw_open=np.where(seconds < 5, np.nan, 0.25),
    )  # fmt: skip
    table.to_parquet(path)
    return table


def test_movements_blinks_and_gaze_stand_with_the_participant_where_measured(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name in ("anna", "ben"):
        write_clip(results, name, 0.5, fps=25.0)
    _with_movements(results / "anna")
    table = _analyse(results, {**WHOLE, "baseline": {"kind": "stretch", "stretch": [0.0, 5.0]}})["participants"]
    row = _happiness(table[table["participant"] == "anna"])
    assert row["jaw_open"] == pytest.approx(0.25)
    assert row["blinks_per_minute"] == pytest.approx(60 * 4 / 20, rel=0.01)
    assert row["blinks_measured_seconds"] == pytest.approx(20.0, abs=0.1)
    assert row["gaze_at_camera_share"] == pytest.approx(0.75, abs=0.01)
    assert row["gaze_aside_share"] == pytest.approx(0.25, abs=0.01)
    assert row["smile_left"] == pytest.approx(0.5)
    assert row["smile_left_change"] == pytest.approx(0.3)
    other = _happiness(table[table["participant"] == "ben"])
    assert other[["blinks_per_minute", "gaze_at_camera_share", "smile_left"]].isna().all()


def test_a_baseline_of_movements_that_processing_took_off_stays(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", 0.5, fps=25.0)
    table = _with_movements(results / "anna")
    table.assign(smile_left_change=table["smile_left"] - 0.55).to_parquet(results / "anna" / "timeline.parquet")
    study = write_study(tmp_path, {**WHOLE, "baseline": {"kind": "median"}})
    found = analyse(results, load_study(study), folder=tmp_path)
    assert _happiness(found.tables["participants"])["smile_left_change"] == pytest.approx(0.5 - 0.55)
    assert any("processing has done so (movements.baseline)" in note for note in found.notes)


def test_movements_are_compared_as_emotions_are(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for person in range(6):
        for condition in ("a", "b"):
            write_clip(results, f"{condition}/P{person}", 0.5, seconds=2)
            path = results / condition / f"P{person}" / "timeline.parquet"
            smile = 0.2 + 0.01 * person + (0.3 if condition == "b" else 0)
            pd.read_parquet(path).assign(smile_left=smile).to_parquet(path)
    measures = ["smile_left", "first_episode_seconds"]
    sections = {"analysis": {"design": "paired", "measures": measures, "emotions": ["fear", "happiness"]}}
    table = _analyse(results, sections)["comparisons"].set_index(["measure", "emotion"])
    row = table.loc["smile_left", ""]
    assert row["difference"] == pytest.approx(0.3)
    assert row["p"] == pytest.approx(2 / 2**6)
    assert "too few participants: 0" in table.loc[("first_episode_seconds", "fear"), "refused"]
    with pytest.raises(ConfigError, match=r"measure 'smile_lft'.*smile_left"):
        _analyse(results, {"analysis": {"measures": ["smile_lft"]}})


def test_events_give_change_latency_and_area(tmp_path: Path) -> None:
    results = tmp_path / "results"

    def course(t: np.ndarray) -> np.ndarray:  # from 0.2 up to 0.8 between 1 and 2 s after the event at 6 s
        return 0.2 + 0.6 * np.clip(t - 7.0, 0, 1)

    write_clip(results, "anna", course, fps=50.0, start_seconds=2.0)
    (tmp_path / "events.tsv").write_text("onset\tduration\ttrial_type\n8.0\tn/a\tjoke\n")  # container: 2 s later
    tables = _analyse(results, {**WHOLE, "events": {"files": ["events.tsv"], "after_seconds": 4.0}})
    row = _happiness(tables["events"])
    assert (row["type"], row["onset_seconds"]) == ("joke", pytest.approx(6.0))
    assert row["before_mean"] == pytest.approx(0.2)
    assert row["onset_latency_seconds"] == pytest.approx(1.5, abs=0.03)
    assert row["peak_latency_seconds"] == pytest.approx(2.0, abs=0.03)
    assert row["area"] == pytest.approx(0.3 + 1.2, abs=0.02)
    assert row["change"] == pytest.approx(1.5 / 4, abs=0.01)
    time_courses = tables["event_courses"].set_index("seconds")["happiness"]
    assert time_courses.loc[-0.95:-0.05].to_numpy() == pytest.approx(0.0, abs=1e-6)
    assert time_courses.loc[2.05:3.95].to_numpy() == pytest.approx(0.6, abs=1e-6)


def test_aligned_courses_are_means_over_time_of_what_is_seen() -> None:
    seconds = np.array([0.0, 0.1, 0.25, 0.6])
    step = np.array([0.1, 0.15, 0.05, 0.1])  # nothing is seen from 0.3 to 0.6
    values = np.column_stack([[1.0, 2.0, 3.0, 4.0]] + [np.zeros(4)] * 7)
    got = means_of_steps(seconds, step, values, np.array([0.0, 0.2, 0.4, 0.6, 0.8]))[:, 0]
    assert got == pytest.approx([1.5, 2.5, np.nan, 4.0], nan_ok=True)
