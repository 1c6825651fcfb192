"""Events by whom they were written, in files that pympi writes, and on whose clock."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixtures.study_results import write_clip, write_study
from pympi.Elan import Eaf
from pympi.Praat import TextGrid

from vidfer.study.analysis import analyse
from vidfer.study.events import clip_events, read_events
from vidfer.study.settings import load_study

ONSET, DURATION = 8.0, 0.5
CLIPS = {"clips": {"pattern": "(?P<participant>.+)"}}
START = 2.0  # seconds on the container's clock of the first frame


def _csv(folder: Path) -> str:
    (folder / "events.csv").write_text(f"onset,duration,type\n{ONSET},{DURATION},joke\n")
    return "events.csv"


def _bids(folder: Path) -> str:
    (folder / "a_events.tsv").write_text(f"onset\tduration\ttrial_type\n{ONSET}\t{DURATION}\tjoke\n")
    return "a_events.tsv"


def _elan(folder: Path) -> str:
    file = Eaf()
    file.add_tier("stimulus")
    file.add_annotation("stimulus", int(ONSET * 1000), int((ONSET + DURATION) * 1000), "joke")
    file.to_file(str(folder / "anna.eaf"))
    return "anna.eaf"


def _praat(folder: Path) -> str:
    grid = TextGrid(xmin=0, xmax=20)
    grid.add_tier("stimulus").add_interval(ONSET, ONSET + DURATION, "joke")
    grid.to_file(str(folder / "anna.TextGrid"))
    return "anna.TextGrid"


@pytest.mark.parametrize("written", [_csv, _bids, _elan, _praat])
@pytest.mark.parametrize(("clock", "onset"), [("container", ONSET - START), ("first_frame", ONSET)])
def test_an_event_is_where_its_clock_says(
    tmp_path: Path, written: Callable[[Path], str], clock: str, onset: float
) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", 0.5, start_seconds=START)
    events = {"files": [written(tmp_path)], "clock": clock}
    study = write_study(tmp_path, {**CLIPS, "events": events})
    table = analyse(results, load_study(study), folder=tmp_path).tables["events"]
    assert set(table["type"]) == {"joke"}
    assert np.allclose(table["onset_seconds"], onset)


def test_the_clock_of_the_sound_begins_with_the_sound(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_clip(results, "anna", 0.5, start_seconds=START)
    recordings = analyse(results, load_study(write_study(tmp_path, CLIPS)), folder=tmp_path).recordings
    events = {"files": [_csv(tmp_path)], "clock": "audio"}
    settings = load_study(write_study(tmp_path, {**CLIPS, "events": events})).events
    (found,), left = clip_events(read_events(settings, tmp_path, ["anna"]), recordings, settings, lambda clip: 0.25)
    assert [one.onset_seconds for one in found] == pytest.approx([ONSET + 0.25 - START])
    assert left == []
