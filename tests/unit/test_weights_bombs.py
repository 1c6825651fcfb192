"""Weight files that lie about what they hold: refused before memory is taken or anything of theirs is run."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.fuzz_tasks import peak, reset_peak

from vidfer.backbones.load import load_backbone
from vidfer.errors import WeightsError
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.faces.third_party import load_checkpoint
from vidfer.temporal import TEMPORAL_MODELS
from vidfer.weights import assets_folder, digests

EMOTIONS_CNN, GRU = assets_folder() / "emotion_cnn.safetensors", assets_folder() / "temporal_gru.safetensors"


def changed(source: Path, target: Path, **about: Any) -> Path:
    """Copy embedded weights with another description of the network."""
    data = source.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    told = json.loads(header["__metadata__"]["vidfer"])
    header["__metadata__"]["vidfer"] = json.dumps({**told, **about})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return target


@pytest.mark.parametrize(
    "options",
    [
        {"widths": [4096] * 4, "embedding_size": 4096},  # 2 GB of convolutions
        {"widths": [10**9] * 4},
        {"depths": [10**9, 1, 1, 1]},
        {"depths": [1] * 10_000, "widths": [1] * 10_000},
        {"size": 10**6},
        {"size": 4096},
        {"size": float("nan")},
    ],
)
def test_sizes_that_the_file_does_not_bear_out_take_no_memory(tmp_path: Path, options: dict[str, Any]) -> None:
    path = changed(EMOTIONS_CNN, tmp_path / "own.safetensors", options=options)
    reset_peak()
    before = peak()
    with pytest.raises(WeightsError, match=r"own\.safetensors"):
        load_backbone("compact", weights=path)
    assert peak() - before < 200 << 20


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), "warm", None])
def test_numbers_that_are_none_are_refused(tmp_path: Path, temperature: Any) -> None:
    path = changed(EMOTIONS_CNN, tmp_path / "own.safetensors", temperature=temperature)
    with pytest.raises(WeightsError, match="temperature"):
        load_backbone("compact", weights=path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    data = bytearray(GRU.read_bytes())
    data[-2:] = struct.pack("<H", 0x7E00)  # the last float16 becomes NaN
    path = tmp_path / "own.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="not finite"):
        TEMPORAL_MODELS.get("gru")(weights=str(path))


@pytest.mark.parametrize(
    "metadata", [[], "x", {"network": []}, {"network": {"size": "x"}}, {"network": {"neck": [[]]}}]
)
def test_descriptions_of_the_wrong_kind_are_refused(tmp_path: Path, metadata: Any) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "own.safetensors"
    save_file({"a": torch.zeros(2)}, path, {"vidfer": json.dumps(metadata)})
    for build in (DETECTORS.get("embedded"), LANDMARKERS.get("embedded")):
        with pytest.raises(WeightsError, match=r"own\.safetensors"):
            build(weights=str(path))


class Malice:
    """What a pickle does when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("form", ["torch", "torch before 1.6", "pickle"])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, form: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    state = {"weight": torch.zeros(2), "evil": Malice(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "torch")
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert trace.exists(), "the trap works"
    trace.unlink()
    with pytest.raises(WeightsError, match="plain tensors"):
        load_checkpoint(path, torch.nn.Linear(2, 2))
    assert not trace.exists()


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path: Path) -> None:
    stored, path = tmp_path / "stored.pth", tmp_path / "bomb.pth"
    torch.save({"weight": torch.zeros(16 << 20)}, stored)  # 64 MB of zeros
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
        for item in source.infolist():
            bomb.writestr(item.filename, source.read(item))
    assert path.stat().st_size < 1 << 20
    reset_peak()
    before = peak()
    with pytest.raises(WeightsError, match="not compressed"):
        load_checkpoint(path, torch.nn.Linear(2, 2))
    assert peak() - before < 24 << 20


def test_what_never_ends_is_no_weight_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path)):
        with pytest.raises(WeightsError, match="expected a file"):
            digests("backbone", "compact", path)
