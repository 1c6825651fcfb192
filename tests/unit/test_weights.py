"""Weight files: found, verified, never trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vidfer import weights
from vidfer.errors import WeightsError


def test_embedded_files_are_small_verified_and_have_a_model_card() -> None:
    embedded = [file for file in weights.TABLE if not file.url]
    kinds = {"detector", "landmarks", "quality", "movements", "backbone", "temporal", "identity"}
    assert {file.kind for file in embedded} == kinds
    for file in embedded:
        (path,) = weights.locate(file.kind, file.name)
        assert path.stat().st_size <= 6_000_000
        assert weights.file_digest(path) == file.sha256
        assert path.with_suffix(".md").read_text().startswith("# ")


def test_tensors_survive_saving_at_half_precision(tmp_path: Path) -> None:
    tensors = {"a": torch.tensor([0.5, -2.0]), "steps": torch.tensor(7)}
    weights.save_tensors(tmp_path / "w.safetensors", tensors, {"recipe": {"name": "mine"}})
    loaded, metadata = weights.load_tensors(tmp_path / "w.safetensors")
    assert torch.equal(loaded["a"], tensors["a"])
    assert int(loaded["steps"]) == 7
    assert metadata == {"recipe": {"name": "mine"}}


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64, (2**60).to_bytes(8, "little") + b"{}"])
def test_a_damaged_weight_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.safetensors: expected weights saved by vidfer"):
        weights.load_tensors(tmp_path / "w.safetensors")


def test_a_missing_own_file_is_named() -> None:
    with pytest.raises(WeightsError, match=r"/nowhere/own\.safetensors"):
        weights.locate("backbone", "compact", "/nowhere/own.safetensors")


def test_own_weights_change_the_digest(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(b"one")
    first = weights.digests("backbone", "compact", str(file))
    file.write_bytes(b"other")
    assert weights.digests("backbone", "compact", str(file)) != first


@pytest.mark.parametrize("name", ["[" * 5000, "a/" * 2500])
def test_a_name_that_no_file_can_have_is_not_repeated_at_length(name: str) -> None:
    with pytest.raises(WeightsError, match="cannot be read") as caught:
        weights.file_digest(Path(name))
    assert len(str(caught.value)) < 600


def test_a_pth_says_what_is_expected_and_how_to_get_there(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "own.pth")
    with pytest.raises(WeightsError, match=r"safetensors.*torch.save.*weights_only=True.*save_tensors"):
        weights.load_tensors(tmp_path / "own.pth")
