"""Every network as an ExecuTorch program gives in its own runtime what it gives in PyTorch."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.forked import vidfer

from vidfer.config import load_pipeline
from vidfer.export.networks import exportable_networks
from vidfer.faces.align import warp_faces
from vidfer.labels import EMOTIONS
from vidfer.pipeline.pipeline import Pipeline
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader

NETWORKS = {network.name: network for network in exportable_networks(load_pipeline("live"))}
HAS_EXECUTORCH = importlib.util.find_spec("executorch") is not None
needs_executorch = pytest.mark.skipif(not HAS_EXECUTORCH, reason="ExecuTorch is not installed (pip install executorch)")


def programs(folder: Path) -> dict[str, Any]:
    from executorch.runtime import Runtime

    return {path.stem: Runtime.get().load_program(path) for path in sorted(folder.iterdir())}


def check(name: str, program: Any, inputs: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode():
        expected = NETWORKS[name].module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = program.load_method("forward").execute(list(inputs.values()))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) < 1e-4 * scale


@needs_executorch
def test_a_step_over_time_carries_its_state(tmp_path: Path) -> None:
    from vidfer.export.executorch import write_executorch

    write_executorch(NETWORKS["temporal_step"], tmp_path)
    program = programs(tmp_path)["temporal_step"]
    (about,) = program.load_method("vidfer").execute(())
    about = json.loads(about)
    assert about["labels"] == list(EMOTIONS)
    assert about["outputs"] == list(NETWORKS["temporal_step"].outputs)
    random = np.random.default_rng(0)
    inputs = {one["name"]: torch.from_numpy(random.random(one["shape"], np.float32)) for one in about["inputs"]}
    assert list(inputs) == list(NETWORKS["temporal_step"].inputs)
    check("temporal_step", program, inputs)


@pytest.mark.torture
@needs_executorch
def test_every_network_of_the_command_on_real_faces(sample_video: Path, tmp_path: Path) -> None:
    done = vidfer("export", "executorch", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    found = programs(tmp_path)
    assert set(found) == set(NETWORKS)
    (batch,) = PyAVReader(probe(sample_video)).read(np.arange(0, 75, 15), batch_size=5)
    pipeline = Pipeline("live")
    seen = pipeline.frames(batch.images, batch.pts_seconds).result
    assert len(seen.faces) >= 5
    images = torch.from_numpy(batch.images)
    picture = torch.zeros(1, 3, 320, 320)
    picture[..., :300, :300] = images[:1, :300, :300].permute(0, 3, 1, 2)
    check("detector", found["detector"], {"images": picture})
    for name in ("landmarks", "expressions", "identity"):
        (example,) = NETWORKS[name].inputs.values()
        gray = example.shape[1] == 1
        faces = warp_faces(images, seen.faces.frame_row, seen.faces.transform, size=example.shape[-1], gray=gray)
        for face in faces[:5]:
            check(name, found[name], {"faces": face[None]})
    random = np.random.default_rng(0)
    for name in ("quality", "movements"):
        inputs = {
            key: torch.from_numpy(random.random(tensor.shape, np.float32))
            for key, tensor in NETWORKS[name].inputs.items()
        }
        check(name, found[name], inputs)


def test_what_is_not_there_or_does_not_fit_is_named(tmp_path: Path) -> None:
    done = vidfer("export", "executorch", "--pipeline", "default", "--out", tmp_path)
    assert done.returncode == 2
    assert "temporal.causal=true" in done.stderr
    if not HAS_EXECUTORCH:
        done = vidfer("export", "executorch", "--out", tmp_path)
        assert done.returncode == 2
        assert "pip install executorch" in done.stderr
    assert not list(tmp_path.iterdir())
