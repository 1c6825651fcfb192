"""Closed and full streams, a deleted folder, too little memory: one clear line each, and results that stay whole."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.commands import output_digests, read_csv
from fixtures.fuzz_trials import short_clip

VIDFER = f"{shlex.quote(sys.executable)} -m vidfer"
NOT_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, with vidfer's command as $V."""
    line = f"set -o pipefail; V={shlex.quote(VIDFER)}; {command}"
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def folder(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video and its results."""
    folder = tmp_path_factory.mktemp("folder")
    short_clip(sample_video, folder / "a.mp4", num_frames=10)
    done = shell(folder, "$V process a.mp4 --out out --fps 2")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("redirection", ["2>&-", "<&- >&- 2>&-"])
def test_a_run_without_streams_gives_the_same_results(folder: Path, redirection: str) -> None:
    """No file of results may get a closed stream's number: what native code prints would end up in it."""
    expected = output_digests(folder / "out")
    done = shell(folder, f"rm -rf again && $V process a.mp4 --out again --fps 2 {redirection}")
    assert (done.returncode, done.stderr) == (0, "")
    assert output_digests(folder / "again") == expected


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("process a.mp4 --out out --fps 2", 0),
        ("report out --export csv", 0),
        ("status out", 2),
        ("status --json out", 2),
    ],
)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">&-", "it is closed"), pytest.param(">/dev/full", "No space left on device", marks=NOT_FULL)],
)
def test_output_that_cannot_be_written(folder: Path, command: str, code: int, redirection: str, reason: str) -> None:
    """Results that are complete are complete; what only printing would have told is lost."""
    done = shell(folder, f"$V {command} {redirection}")
    assert done.returncode == code
    said = [line for line in done.stderr.splitlines() if line.startswith("vidfer: ")]
    assert said == [f"vidfer: standard output cannot be written: {reason}{'' if code else '; the files are written'}"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["process a.mp4 --out out --fps 2", "report out --export csv", "status out"])
@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=NOT_FULL)])
def test_errors_that_nobody_can_read_end_nothing(folder: Path, command: str, redirection: str) -> None:
    assert shell(folder, f"$V {command} {redirection}").returncode == 0
    done = shell(folder, f"$V status nowhere {redirection}")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")  # not among what a program reads


def test_a_reader_that_has_gone_ends_it_as_pipes_do(folder: Path) -> None:
    done = shell(folder, "$V status out | true")
    assert (done.returncode, done.stderr) == (141, "")
    done = shell(folder, "rm -rf piped && $V process a.mp4 --out piped --fps 2 2>&1 | true")
    assert (done.returncode, done.stderr) == (141, "")
    assert output_digests(folder / "piped") == output_digests(folder / "out")  # the run went on


@pytest.mark.parametrize("command", ["process ../a.mp4 --out out", "status out", "report out", "sample new"])
def test_a_current_folder_that_was_deleted(folder: Path, command: str) -> None:
    done = shell(folder, f"mkdir -p gone && cd gone && rmdir ../gone && $V {command}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "vidfer: the current folder has been deleted: go to one that exists (cd)\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems heed no such limit")
@pytest.mark.parametrize("megabytes", [700, 1300])
def test_too_little_memory_is_called_so(folder: Path, megabytes: int) -> None:
    """Whichever library is refused memory first; and the clip is not taken for damaged in the next run."""
    out = f"out{megabytes}"
    done = shell(folder, f"ulimit -v {megabytes << 10}; $V process a.mp4 --out {out} --fps 2 --set run.retries=0")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "memory" in line]
    assert f"a process may take {megabytes / 1024:.1f} GiB here: raise that limit (ulimit -v unlimited)" in line
    if done.returncode == 1:
        assert "damaged" not in read_csv(folder / out / "failures.csv")[0]["message"]
    again = shell(folder, f"$V process a.mp4 --out {out} --fps 2")
    assert again.returncode == 0, again.stderr
    assert output_digests(folder / out) == output_digests(folder / "out")
