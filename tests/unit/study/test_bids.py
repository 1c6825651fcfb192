"""BIDS derivatives, read as the specification (1.10.0) has it: names, tables, and what JSON says of them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.study_results import write_clip, write_study

from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.study.analysis import analyse
from vidfer.study.bids import bids_files
from vidfer.study.settings import load_study

HZ = 5.0


@pytest.fixture
def written(tmp_path: Path) -> Path:
    results = tmp_path / "results"
    for name, level in (("film/P_01", 0.9), ("film/P-2", 0.5), ("control/P_01", 0.1)):
        write_clip(results, name, lambda t, level=level: level + 0.05 * np.sin(t), seconds=12.0, gaps=[(0, 4.0, 6.0)])
    study = load_study(write_study(tmp_path, {"analysis": {"hz": HZ}}))
    for name, data in bids_files(analyse(results, study, folder=tmp_path)).items():
        path = tmp_path / "bids" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "bids"


def test_names_have_letters_and_digits_alone_and_the_table_tells_whose_they_are(written: Path) -> None:
    described = json.loads((written / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    assert {"Name", "BIDSVersion", "GeneratedBy"} <= set(described)
    people = pd.read_csv(written / "participants.tsv", sep="\t").set_index("participant_id")["name"]
    assert people.to_dict() == {"sub-P01": "P_01", "sub-P2": "P-2"}
    files = [path.relative_to(written).as_posix() for path in written.rglob("*") if path.parent.name == "beh"]
    allowed = r"(sub-[0-9A-Za-z]+)/beh/\1_task-[0-9A-Za-z]+(_events\.(tsv|json)|_recording-face_physio\.(tsv\.gz|json))"
    assert len(files) == 3 * 4
    assert all(re.fullmatch(allowed, name) for name in files)


def test_events_are_the_episodes(written: Path) -> None:
    stem = written / "sub-P01" / "beh" / "sub-P01_task-film"
    events = pd.read_csv(f"{stem}_events.tsv", sep="\t")
    assert list(events)[:2] == ["onset", "duration"]
    episodes = pd.read_csv(written.parent / "results" / "film" / "P_01" / "segments.csv")
    np.testing.assert_allclose(events["onset"], episodes["start_seconds"], atol=1e-3)
    np.testing.assert_allclose(events["onset"] + events["duration"], episodes["end_seconds"], atol=1e-3)
    assert events["trial_type"].tolist() == episodes["emotion"].tolist()
    assert set(json.loads(Path(f"{stem}_events.json").read_text())) == set(events)


def test_courses_have_no_heading_and_json_names_their_columns(written: Path) -> None:
    stem = written / "sub-P01" / "beh" / "sub-P01_task-film_recording-face_physio"
    described = json.loads(Path(f"{stem}.json").read_text())
    assert (described["SamplingFrequency"], described["StartTime"]) == (HZ, 0.5 / HZ)
    assert described["Columns"] == list(EMOTIONS)
    time_courses = pd.read_csv(f"{stem}.tsv.gz", sep="\t", header=None, na_values="n/a")
    assert time_courses.shape == (12 * HZ, len(EMOTIONS))
    seconds = described["StartTime"] + np.arange(len(time_courses)) / HZ
    unseen = time_courses.isna().all(axis=1).to_numpy()
    np.testing.assert_array_equal(unseen, (seconds > 4.0) & (seconds < 6.0))
    happiness = time_courses[EMOTION_INDEX["happiness"]].to_numpy()
    np.testing.assert_allclose(happiness[~unseen], (0.9 + 0.05 * np.sin(seconds))[~unseen], atol=0.01)
