"""Jobs that have been over for long are removed, and no others."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed (pip install 'vidfer[serve]')")

from vidfer.config import load_pipeline
from vidfer.service import jobs as jobs_module
from vidfer.service.jobs import JOB, Job, Jobs, State

WAIT_SECONDS = 60.0


def put(out: Path, number: int, state: State, *, hours: float) -> str:
    """Leave a job behind that has been over for so many hours; return its id."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    job = Job(id=f"{number:032x}", state=state, created=at, finished=at)
    (out / job.id / "results").mkdir(parents=True)
    (out / job.id / JOB).write_text(job.model_dump_json())
    return job.id


def wait_until_gone(folder: Path) -> None:
    began = time.monotonic()
    while folder.exists():
        assert time.monotonic() - began < WAIT_SECONDS
        time.sleep(0.01)


def test_old_jobs_go_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "_LOOK_SECONDS", 0.02)
    states: list[State] = ["done", "failed", "cancelled"]
    old = [put(tmp_path, number, state, hours=25) for number, state in enumerate(states)]
    young = put(tmp_path, 10, "done", hours=24 - 2 / 3600)  # for two seconds more
    younger = put(tmp_path, 11, "done", hours=23)
    with Jobs(tmp_path, load_pipeline("default", ["serve.keep_hours=24"])) as jobs:
        for job_id in old:
            wait_until_gone(tmp_path / job_id)
        wait_until_gone(tmp_path / young)
        assert [job.id for job in jobs.newest(10)] == [younger]
    assert (tmp_path / younger / JOB).is_file()
    assert not list((tmp_path / ".vidfer" / "aside").iterdir())


def test_by_default_all_stay(tmp_path: Path) -> None:
    old = put(tmp_path, 1, "done", hours=1e5)
    with Jobs(tmp_path, load_pipeline("default")) as jobs:
        assert [job.id for job in jobs.newest(10)] == [old]
