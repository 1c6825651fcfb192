"""Weights, caches and names are data: nothing of theirs is run, and nothing is written outside --out."""

from __future__ import annotations

import ast
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fixtures.commands import read_csv
from fixtures.forked import vidfer
from fixtures.fuzz_trials import short_clip
from hypothesis import given
from hypothesis import strategies as st

import vidfer as package
from vidfer.errors import OutputError
from vidfer.store.journal import ClipRecord, Journal
from vidfer.store.layout import clip_folder, clip_ids, stays_inside
from vidfer.video.find import FoundVideo

SOURCES = sorted(Path(package.__file__).parent.rglob("*.py"))
# Messages between a run and the workers that it started itself, behind a random token: never a file's content.
OWN_CHANNEL = {"channel.py", "worker.py", "node.py", "ray.py", "slurm.py", "slurm_task.py"}
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_file_is_unpickled(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("eval", "exec")), node.lineno
            continue
        owner, name = getattr(node.func.value, "id", ""), node.func.attr
        options = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
        if owner == "torch" and name == "load":
            assert options.get("weights_only") is True, node.lineno
        if owner in ("np", "numpy") and name == "load":
            assert options.get("allow_pickle", False) is False, node.lineno
        if owner in FORBIDDEN and name in ("load", "loads", "Unpickler"):
            assert (path.parent.name, path.name) in {("executors", name) for name in OWN_CHANNEL}, node.lineno
        assert (owner, name) != ("yaml", "load"), node.lineno


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
PARTS = st.lists(
    NAMES | st.sampled_from(["..", ".", ".vidfer", "assets", "index.html", "a.mp4"]), min_size=1, max_size=4
)


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_no_name_leaves_the_results_folder(names: list[list[str]]) -> None:
    found = [FoundVideo(Path("/videos", *parts), Path(*parts)) for parts in names]
    out = Path("/nowhere/out")
    for clip_id in clip_ids(found):
        assert stays_inside(clip_id)
        folder = Path(os.path.normpath(out / clip_id))
        assert folder != out
        assert folder.is_relative_to(out)
        assert not folder.is_relative_to(out / ".vidfer")
        assert clip_folder(out, clip_id) == out / clip_id


@pytest.mark.parametrize("clip_id", ["../x", "a/../../x", "/etc/x", "..", "", "."])
def test_ids_from_a_journal_that_lead_out_are_not_believed(tmp_path: Path, clip_id: str) -> None:
    with Journal(tmp_path / "clips.jsonl") as journal:
        for name in ("good", clip_id):
            journal.add(ClipRecord(clip_id=name, path="/videos/a.mp4", fingerprint="ab", status="ok"))
    assert list(Journal(tmp_path / "clips.jsonl").records) == ["good"]


def test_a_flipped_bit_in_a_journal_costs_its_clip_only(tmp_path: Path) -> None:
    path, rng = tmp_path / "clips.jsonl", np.random.default_rng(3)
    records = [
        ClipRecord(clip_id=name, path=f"/{name}", fingerprint="ab", status="ok", summary={"frames": 123, "mean": 0.5})
        for name in ("first", "second")
    ]
    with Journal(path) as journal:
        for record in records:
            journal.add(record)
    good = path.read_bytes()
    for _ in range(300):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        found = Journal(path).records
        assert all(
            found[name] == record for name, record in zip(("first", "second"), records, strict=True) if name in found
        )
        assert set(found) <= {"first", "second"}


@pytest.fixture(scope="module")
def video(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_clip(sample_video, tmp_path_factory.mktemp("video") / "a.mp4")


def test_symbolic_links_do_not_lead_out(video: Path, tmp_path: Path) -> None:
    """A clip's folder that is a link, a file that is one, and a video that is one."""
    videos, out, elsewhere = tmp_path / "videos", tmp_path / "out", tmp_path / "elsewhere"
    for folder in (videos, out, elsewhere, out / "b"):
        folder.mkdir()
    shutil.copy(video, videos / "a.mp4")
    (videos / "b.mp4").symlink_to(video)
    shutil.copy(video, videos / "c.mp4")
    (out / "c").write_text("a file")
    precious = elsewhere / "precious.csv"
    precious.write_text("do not touch")
    (out / "b" / "timeline.csv").symlink_to(precious)
    (out / "a").symlink_to(elsewhere)
    settings = ["--export", "csv", "--jobs", "1"]
    done = vidfer("process", videos, "--out", out, *settings)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    failures = {row["clip"]: row for row in read_csv(out / "failures.csv")}
    assert {name: (row["reason"], row["attempts"]) for name, row in failures.items()} == {
        "a": ("folder_taken", "1"), "c": ("folder_taken", "1")
    }  # fmt: skip
    assert "a symbolic link leads out of" in failures["a"]["message"]
    assert "a file lies where" in failures["c"]["message"]
    assert [row["clip"] for row in read_csv(out / "summary.csv")] == ["b"]  # the batch goes on
    assert [path.name for path in elsewhere.iterdir()] == ["precious.csv"]
    for name in "ac":
        (out / name).unlink()
    done = vidfer("process", videos, "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert precious.read_text() == "do not touch"
    assert not (out / "b" / "timeline.csv").is_symlink()
    assert (out / "b" / "timeline.csv").read_bytes() == (out / "a" / "timeline.csv").read_bytes()


def test_a_folder_inside_may_be_a_link_inside(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert clip_folder(tmp_path, "link/a") == tmp_path / "link" / "a"
    (tmp_path / "out").symlink_to(tmp_path / "real")  # the results folder itself may lie anywhere
    assert clip_folder(tmp_path / "out", "a") == tmp_path / "out" / "a"
    (tmp_path / "real" / "up").symlink_to("..")
    with pytest.raises(OutputError, match="symbolic link"):
        clip_folder(tmp_path / "out", "up/a")
