"""Puts tests/ on sys.path, so that tests import shared factories as ``fixtures.<name>``; real clips."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

# A test may be slow because the machine is busy: that is no finding.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Two cores are shared by tests and their workers: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of real clips, data and third-party weights beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no real clips: {SHARED} is absent")
    return SHARED


@pytest.fixture(scope="session")
def clips_folder(shared_folder: Path) -> Path:
    """Real clips with real expressions."""
    folder = shared_folder / "clips"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def sample_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample that vidfer makes itself: two people, one with several expressions, a stretch without a face; 8 s."""
    from vidfer.video.sample_clip import write_sample

    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    write_sample(path)
    return path
