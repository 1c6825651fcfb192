"""How onnxruntime-web comes into the folder of ``vidfer export web``, and what its page has no numbers for."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from vidfer.cli import main
from vidfer.config import load_pipeline
from vidfer.errors import ConfigError
from vidfer.export.browser import _RUNTIME_FILES, pipeline_numbers, runtime_files
from vidfer.export.networks import check_live, exportable_networks


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder laid out as the npm package."""
    dist = tmp_path / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name in _RUNTIME_FILES:
        (dist / name).write_bytes(name.encode())
    return dist.parent


def test_the_runtime_is_taken_from_a_folder_or_a_packed_file(package: Path, tmp_path: Path) -> None:
    expected = {name: name.encode() for name in _RUNTIME_FILES}
    assert runtime_files(str(package)) == expected
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as packed:
        packed.add(package, "package")
    assert runtime_files(str(tmp_path / "package.tgz")) == expected


def test_what_is_no_package_is_named(package: Path, tmp_path: Path) -> None:
    (package / "dist" / _RUNTIME_FILES[0]).unlink()
    (tmp_path / "text.tgz").write_text("nothing of the kind")
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as packed:
        packed.add(package, "package")
    for wrong in (package, tmp_path / "text.tgz", tmp_path / "other.tgz", tmp_path / "absent"):
        with pytest.raises(ConfigError, match=r"--runtime: expected the npm package onnxruntime-web"):
            runtime_files(str(wrong))


def test_without_npm_the_message_says_how_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"there is no npm here; run 'npm pack onnxruntime-web@[\d.]+' .* --runtime"):
        runtime_files()


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_without_a_network_npm_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retry_mintimeout", "10")
    with pytest.raises(ConfigError, match=r"got: npm .*ECONNREFUSED; run 'npm pack"):
        runtime_files()


def test_settings_reach_the_page() -> None:
    def numbers(*settings: str) -> dict[str, Any]:
        config = load_pipeline("live", settings)
        found = pipeline_numbers(config, {network.name: network for network in exportable_networks(config)})
        return json.loads(json.dumps(found, allow_nan=False))  # type: ignore[no-any-return]

    usual, other = numbers(), numbers("faces.min_score=0.7", "tracks.max_gap_seconds=3", "emotions.prior=natural")
    assert len(usual["prior"]) == 8
    assert any(usual["prior"])
    assert not any(other["prior"])
    assert (other["detector"]["minScore"], other["tracks"]["maxGapSeconds"]) == (0.7, 3)
    changed = {key for key in usual if usual[key] != other[key]}
    assert changed == {"prior", "detector", "tracks"}


def test_options_of_another_runtime_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for wrong in (["onnx", "--runtime", "package.tgz"], ["executorch", "--int8"]):
        assert main(["export", *wrong, "--out", str(tmp_path)]) == 2
        assert f"{wrong[1]}: expected export " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_pipeline_that_looks_ahead_is_refused() -> None:
    for settings in (["temporal.causal=false"], ["temporal.name=ema"], ["emotions.baseline=clip"]):
        with pytest.raises(ConfigError, match="vidfer export web is for streams: expected"):
            check_live(load_pipeline("live", settings), runtime="web")
