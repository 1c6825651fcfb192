"""What a machine must prove before it works for a run, and what the error says where it cannot."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import vidfer
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.engine.nodes import (
    Requirements,
    check_engine,
    check_node,
    check_nodes,
    open_executor,
    required_of_nodes,
    resources_of,
)
from vidfer.errors import ClusterError, ConfigError, VidferError
from vidfer.executors import Outcome, TaskError


@pytest.fixture
def requirements(tmp_path: Path) -> Iterator[Requirements]:
    video = tmp_path / "videos" / "a.mp4"
    video.parent.mkdir()
    video.write_bytes(b"a video")
    with required_of_nodes(tmp_path / "out", load_pipeline(), [video]) as found:
        yield found


def refused(requirements: Requirements, **changes: Any) -> str:
    with pytest.raises(ClusterError) as caught:
        check_node(replace(requirements, **changes), "node7")
    return str(caught.value)


def test_this_machine_has_what_it_asks_for_and_nothing_is_left_behind(requirements: Requirements) -> None:
    check_node(pickle.loads(pickle.dumps(requirements)), "node7")
    assert [path.name for path in requirements.folder.iterdir()] == [requirements.token]


def test_the_proof_goes_with_the_run(tmp_path: Path) -> None:
    with required_of_nodes(tmp_path, PipelineConfig(), []) as requirements:
        (requirements.folder / "of a killed run").touch()
    with required_of_nodes(tmp_path, PipelineConfig(), []) as requirements:
        assert len(list(requirements.folder.iterdir())) == 1
    assert not requirements.folder.exists()


def test_a_folder_that_is_not_shared(requirements: Requirements, tmp_path: Path) -> None:
    said = refused(requirements, folder=tmp_path / "elsewhere")
    assert str(tmp_path / "elsewhere") in said
    assert "mount the results folder at the same path on every node" in said
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / requirements.token).write_text("an old copy of the folder")
    assert "holds something else" in refused(requirements, folder=copy)


def test_a_folder_that_cannot_be_written(requirements: Requirements, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", read_only)
    assert "cannot be written there (Read-only file system)" in refused(requirements)


def test_videos_that_the_node_does_not_see(requirements: Requirements) -> None:
    assert "/nowhere/a.mp4 cannot be read there" in refused(requirements, videos=(Path("/nowhere/a.mp4"),))


def test_another_version(requirements: Requirements) -> None:
    said = refused(requirements, vidfer="9.9.9")
    assert f"vidfer {vidfer.__version__} is installed there, and 9.9.9 here" in said


def test_other_decoders(requirements: Requirements) -> None:
    (_, *others) = requirements.decoding
    assert "pip install av==1.0" in refused(requirements, decoding=(("av", "1.0"), *others))
    assert "pip uninstall av" in refused(requirements, decoding=(("av", None), *others))
    said = refused(requirements, decoders=requirements.decoders | {"a_codec_of_the_future"})
    assert "a_codec_of_the_future" in said


def test_other_weights(requirements: Requirements, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(b"weights")
    said = refused(requirements, weights=(("backbone", "compact", str(own), ("0123456789abcdef",)),))
    assert "backbone 'compact' has other weights there: expected 0123456789ab" in said
    gone = refused(requirements, weights=(("backbone", "compact", "/nowhere/x.safetensors", ("01",)),))
    assert "/nowhere/x.safetensors does not exist" in gone
    plugin = refused(requirements, weights=(("detector", "toy", "", ("vidfer-toy 1.0",)),))
    assert "expected vidfer-toy 1" in plugin


class TwoNodes:
    """An executor whose second node lacks something."""

    def run(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("no work may start")

    def close(self) -> None:
        """Nothing is held."""

    def run_on_each_node(self, fn: partial[None], *, timeout: float) -> dict[str, Outcome[str, None]]:
        def outcome(name: str, error: TaskError | None) -> Outcome[str, None]:
            return Outcome(item=name, status="failed" if error else "ok", value=None, error=error, attempts=1)

        bad = TaskError(kind="ClusterError", message="vidfer 0.0 is installed there")
        return {"node1": outcome("node1", None), "node2": outcome("node2", bad)}


def test_the_error_names_the_node(requirements: Requirements) -> None:
    with pytest.raises(ClusterError, match=r"^node node2: vidfer 0\.0 is installed there$"):
        check_nodes(TwoNodes(), requirements)


@pytest.mark.parametrize(
    ("engine", "address", "settings", "said"),
    [
        ("rai", "", [], "did you mean 'ray'"),
        ("local", "auto", [], "give --engine ray"),
        ("ray", "", ["run.device=cuda"], "resources.frames.num_gpus=0.25"),
        ("ray", "", ["run.device='cuda:1'", "resources.frames.num_gpus=1"], "give --device cuda"),
    ],
)
def test_a_wrong_engine_is_refused_before_anything_starts(
    engine: str, address: str, settings: list[str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_engine(engine, address, load_pipeline("default", settings))


def test_resources_come_from_the_pipeline() -> None:
    settings = ["resources.frames.num_gpus=0.25", "resources.frames.num_cpus=2", "resources.clips.memory_gib=0.5"]
    config = load_pipeline("default", settings)
    frames, clips = resources_of(config.resources.frames, jobs=0), resources_of(config.resources.clips, jobs=3)
    assert (frames.num_gpus, frames.num_cpus, frames.threads_per_worker, frames.jobs) == (0.25, 2.0, 2, 0)
    assert (clips.num_gpus, clips.max_rss_bytes, clips.jobs) == (0.0, 1 << 29, 3)
    with pytest.raises(VidferError, match="num_gpu"):
        load_pipeline("default", ["resources.frames.num_gpu=1"])


def python(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_local_run_imports_no_engine_of_clusters() -> None:
    code = (
        "import sys, vidfer.commands.process\nfrom vidfer.executors import EXECUTORS\n"
        "print(EXECUTORS.names(), {'ray', 'submitit'} & set(sys.modules))"
    )
    assert python(code).stdout == "['local', 'ray', 'slurm'] set()\n"


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_its_extra_an_engine_says_what_to_install(tmp_path: Path, engine: str, package: str) -> None:
    (tmp_path / "a.mp4").write_text("a video")
    code = f"import sys; sys.modules[{package!r}] = None; from vidfer.cli import main; sys.exit(main(sys.argv[1:]))"
    done = python(code, "process", tmp_path / "a.mp4", "--out", tmp_path / "out", "--engine", engine)
    assert done.returncode == 2
    assert f"pip install 'vidfer[{engine}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_slurm_the_error_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="no sbatch on this machine"):
        open_executor("slurm", "", tmp_path)
