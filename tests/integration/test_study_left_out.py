"""What does not enter a study is said with its reason, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixtures.study_results import write_clip, write_study

from vidfer.errors import DataError
from vidfer.study.run import run_study

MEANS = {"emotions": ["happiness"], "measures": ["mean_probability"]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for condition, happiness in (("film", 0.6), ("talk", 0.3)):
        for person in range(1, 5):
            write_clip(tmp_path / "results", f"{condition}/P{person}", happiness + 0.02 * person, seconds=6)
    return tmp_path / "results"


def study(results: Path, *, events: str = "", out: str = "out", exports: tuple[str, ...] = (), **sections: Any) -> Path:
    if events:
        (results.parent / "events.csv").write_text(events)
        sections["events"] = {"files": ["events.csv"], "before_seconds": 0.5, "after_seconds": 1.0}
    file = write_study(results.parent, {"analysis": MEANS, **sections})
    run_study(results, file, out=results.parent / out, exports=exports)
    return results.parent / out


def reasons(out: Path, what: str) -> list[str]:
    left = pd.read_csv(out / "left_out.csv")
    return left[left["what"] == what]["reason"].tolist()


def test_every_event_is_placed_or_named(results: Path) -> None:
    lines = ["clip,condition,onset,duration,type", "film/P1,,1,0.5,joke", "*,tallk,1,0.5,joke", "film/P2,,9,0.5,joke"]
    lines += ["film/P3,,2,0.5,joke"]
    out = study(results, events="\n".join(lines) + "\n", clips={"exclude": ["film/P3", "film/postr"]})
    placed = pd.read_csv(out / "events.csv")
    assert placed["clip"].unique().tolist() == ["film/P1"]
    typo, late, gone = sorted(reasons(out, "event"), key=lambda said: [word in said for word in ("outside", "nothing")])
    assert "expected film or talk, got 'tallk'" in typo
    assert "lies outside film/P2" in late or "lies outside film/P2" in gone
    assert "nothing of film/P3 is used" in late or "nothing of film/P3 is used" in gone
    assert reasons(out, "pattern") == ["[clips] exclude: it fits no clip"]
    methods = " ".join((out / "methods.md").read_text().split())  # nobody saw the joke in talk: nothing was compared
    assert "Courses around events were compared" not in methods
    assert "are changes from the mean of the time before" in methods
    assert (out / "study.html").is_file()


def test_an_events_file_that_fits_nothing_is_no_crash(results: Path) -> None:
    out = study(results, events="clip,condition,onset,duration,type\n*,flim,1,0.5,joke\n")
    assert "expected film or talk, got 'flim'" in reasons(out, "event")[0]
    assert len(pd.read_csv(out / "events.csv")) == 0


def test_a_condition_of_which_nobody_is_left_has_no_curve(results: Path) -> None:
    out = study(results, clips={"exclude": ["talk/P[123]"]}, quality={"min_face_share": 0.0})
    assert (out / "study.html").is_file()
    for person in range(1, 5):
        (results / f"talk/P{person}" / "summary.json").unlink()
    again = study(results, analysis={**MEANS, "conditions": ["film", "talk"]})
    assert len(reasons(again, "clip")) == 4
    assert (again / "study.html").is_file()


def test_what_a_run_before_left_is_removed(results: Path) -> None:
    out = study(results, events="clip,onset,duration,type\n*,1,0.5,joke\n", exports=("bids",))
    (out / "notes.txt").write_text("mine")
    assert (out / "pictures" / "event_1_85mm.svg").is_file()
    assert list((out / "bids").glob("sub-*P1*/beh/*"))
    study(results, clips={"exclude": ["*/P1"]}, exports=("bids",))
    assert not (out / "events.csv").exists()
    assert not (out / "pictures" / "event_1_85mm.svg").exists()
    assert not list((out / "bids").glob("sub-*P1*/beh/*"))
    assert (out / "notes.txt").read_text() == "mine"
    (out / "events.csv").write_text("clip,onset\n*,1\n")  # for the next study, which has none yet
    study(results)
    assert (out / "events.csv").read_text() == "clip,onset\n*,1\n"


def test_the_last_row_ends_with_its_clip(results: Path) -> None:
    for condition in ("film", "talk"):
        write_clip(results, f"{condition}/P5", 0.7, seconds=3, fps=1.0)
        file = results / condition / "P5" / "summary.json"
        summary = json.loads(file.read_text())
        assert summary["faces"][0]["seconds_on_screen"] == 3.0
        file.write_text(json.dumps({**summary, "duration_seconds": 2.4}))  # as of a clip whose last step is cut short
    out = study(results)
    participants, clips = (pd.read_csv(out / f"{name}.csv") for name in ("participants", "clips"))
    assert participants[participants["participant"] == "P5"]["seconds"].unique() == pytest.approx([2.4])
    assert clips[clips["participant"] == "P5"]["end_seconds"].unique() == pytest.approx([2.4])


@pytest.mark.parametrize(
    ("table", "participants", "message"),
    [
        ("clip,participant,condition\nfilm/P1,P1,film\ntalk/P1,P1,\n", "", "column condition: empty, where other rows"),
        (
            "",
            "participant,condition\nP1,talk\n",
            "column condition: expected 'film', which film/P1 has, or nothing, got 'talk'",
        ),
    ],
)
def test_conditions_that_contradict_each_other_are_refused(
    results: Path, table: str, participants: str, message: str
) -> None:
    clips: dict[str, Any] = {}
    for name, text in (("table", table), ("participants", participants)):
        if text:
            (results.parent / f"{name}.csv").write_text(text)
            clips[name] = f"{name}.csv"
    with pytest.raises(DataError, match=message):
        study(results, clips=clips)
