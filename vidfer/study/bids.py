"""BIDS derivatives of a study: episodes as _events.tsv, time courses as _physio.tsv.gz, each with its JSON.

Brain Imaging Data Structure 1.10.0, https://bids-specification.readthedocs.io: derivatives of behavioural recordings.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

import vidfer
from vidfer.labels import EMOTIONS
from vidfer.spreadsheet import table_csv
from vidfer.study.analysis import Study
from vidfer.study.recordings import Recording
from vidfer.study.windows import means_of_steps

BIDS_VERSION = "1.10.0"
_LABELS = {
    "onset": {"Description": "Beginning of the episode, from the recording's first frame", "Units": "s"},
    "duration": {"Description": "How long it lasts", "Units": "s"},
    "trial_type": {
        "Description": "Facial expression as people would call it",
        "Levels": {name: f"{name}, as labelled in FER+" for name in EMOTIONS},
    },
    "peak_probability": {"Description": "Largest probability of the label in the episode, 0 to 1"},
}


def bids_files(study: Study) -> dict[str, bytes]:
    """Return the files of a derivative data set by path.

    Each participant is a subject, each condition a task; several clips of one are runs. Letters and digits of the names
    are kept, as BIDS allows no others; participants.tsv tells the names as they were.
    """
    subjects = _names([recording.part.participant for recording in study.recordings])
    tasks = _names([recording.part.condition for recording in study.recordings])
    description: dict[str, Any] = {
        "Name": study.settings.study.title or "Facial expressions by vidfer",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "vidfer", "Version": vidfer.__version__}],
    }
    files = {"dataset_description.json": _json(description), "participants.tsv": _participants(study, subjects)}
    files["README.md"] = b"Facial expressions as people would call them, by vidfer. They are no measure of feelings.\n"
    several = Counter((recording.part.participant, recording.part.condition) for recording in study.recordings)
    runs: Counter[tuple[str, str]] = Counter()
    for recording in study.recordings:
        part = recording.part
        key = (part.participant, part.condition)
        runs[key] += 1
        run = f"_run-{runs[key]:02d}" if several[key] > 1 else ""
        subject = f"sub-{subjects[part.participant]}"
        stem = f"{subject}/beh/{subject}_task-{tasks[part.condition]}{run}"
        hz = study.settings.analysis.hz
        files[f"{stem}_events.tsv"] = _events(recording)
        files[f"{stem}_events.json"] = _json(_LABELS)
        files[f"{stem}_recording-face_physio.tsv.gz"] = _physio(recording, hz)
        files[f"{stem}_recording-face_physio.json"] = _json(_physio_description(hz, part.clip))
    return files


def _names(given: list[str]) -> dict[str, str]:
    """Return a label of letters and digits for each name, none twice."""
    labels: dict[str, str] = {}
    for name in sorted(set(given)):
        label = re.sub(r"[^0-9A-Za-z]", "", name) or "x"
        while label in labels.values():
            label += "x"
        labels[name] = label
    return labels


def _participants(study: Study, subjects: Mapping[str, str]) -> bytes:
    covariates = {recording.part.participant: recording.part.covariates for recording in study.recordings}
    columns = sorted({name for of in covariates.values() for name in of})
    lines = ["\t".join(["participant_id", "name", *columns])]
    for name, label in subjects.items():
        cells = [covariates[name].get(column) or "n/a" for column in columns]
        lines.append("\t".join([f"sub-{label}", name, *cells]))
    return ("\n".join(lines) + "\n").encode(errors="backslashreplace")


def _events(recording: Recording) -> bytes:
    import pandas as pd

    label, start, end, _ = recording.episodes.T
    table = pd.DataFrame(
        {
            "onset": start,
            "duration": end - start,
            "trial_type": [EMOTIONS[int(one)] for one in label],
            "peak_probability": recording.strength,
        }
    ).sort_values(["onset", "trial_type"], kind="stable")
    return table_csv(table).replace(b",", b"\t")


def _physio(recording: Recording, hz: float) -> bytes:
    edges = np.arange(max(1, round(recording.clip_seconds * hz)) + 1) / hz
    means = means_of_steps(recording.seconds, recording.step, recording.raw, edges)
    lines = ("\t".join("n/a" if value != value else f"{value:.6f}" for value in row) for row in means.tolist())
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def _physio_description(hz: float, clip: str) -> dict[str, Any]:
    columns = {
        name: {"Description": f"Probability that people would call the expression {name}", "Units": "1"}
        for name in EMOTIONS
    }
    source = {"SamplingFrequency": hz, "StartTime": 0.5 / hz, "Columns": list(EMOTIONS), "Sources": [f"bids::{clip}"]}
    return {**source, **columns, "Manufacturer": "vidfer", "SoftwareVersions": vidfer.__version__}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
