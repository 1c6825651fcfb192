"""What every backbone promises, whatever its family."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vidfer.backbones import BACKBONES, preprocess
from vidfer.backbones.load import load_backbone
from vidfer.labels import EMOTIONS
from vidfer.weights import save_tensors

NAMES = [name for name in BACKBONES.names() if not name.endswith(":")]  # those of timm: tests/integration/test_timm.py

pytestmark = pytest.mark.parametrize("name", NAMES)


def made(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = BACKBONES.get(name)()
    for module in model.modules():  # statistics as after training, not those of a fresh network
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


def saved(name: str, folder: Path, **metadata: object) -> Path:
    path = folder / "weights.safetensors"
    save_tensors(path, made(name).state_dict(), {"backbone": name, "options": {}, "labels": list(EMOTIONS), **metadata})
    return path


def test_forward_gives_embedding_and_logits(name: str) -> None:
    model = made(name)
    faces = torch.rand(3, model.input_spec.channels, model.input_spec.size, model.input_spec.size)
    with torch.inference_mode():
        embedding, logits = model(faces)
    assert embedding.shape == (3, model.embedding_size)
    assert logits.shape == (3, len(EMOTIONS))


def test_can_be_trained_under_bfloat16(name: str) -> None:
    model = made(name).train()
    faces = torch.rand(2, model.input_spec.channels, model.input_spec.size, model.input_spec.size)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(faces)[1].float().logsumexp(1).mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_loaded_network_gives_what_the_trained_one_gave(name: str, tmp_path: Path) -> None:
    path = saved(name, tmp_path, temperature=2.0)
    network = load_backbone(name, weights=path, precision="float32")
    model = made(name)
    model.load_state_dict({k: v.half().to(v.dtype) for k, v in model.state_dict().items()})  # files hold float16
    faces = torch.rand(4, 1, network.input_spec.size, network.input_spec.size)
    with torch.inference_mode():
        embedding, logits = model(preprocess(faces, network.input_spec))
    vectors, calibrated = network.embed(faces)
    assert (vectors.dtype, calibrated.dtype) == (np.float16, np.float32)
    assert vectors.shape == (4, network.embedding_size)
    scale = float(embedding.abs().max())
    np.testing.assert_allclose(vectors, embedding.numpy(), atol=2e-3 * scale)
    np.testing.assert_allclose(calibrated, logits.numpy() / 2.0, atol=1e-3 * float(logits.abs().max()))


def test_face_gets_the_same_result_in_any_company(name: str, tmp_path: Path) -> None:
    network = load_backbone(name, weights=saved(name, tmp_path, mirror=True))
    faces = torch.rand(5, 1, network.input_spec.size, network.input_spec.size)
    together = network.embed(faces)[1]
    alone = np.concatenate([network.embed(face[None])[1] for face in faces])
    np.testing.assert_allclose(together, alone, atol=2e-2 * np.abs(together).max())


def test_gray_face_in_three_channels_is_the_same_face(name: str, tmp_path: Path) -> None:
    network = load_backbone(name, weights=saved(name, tmp_path), precision="float32")
    faces = torch.rand(2, 1, network.input_spec.size, network.input_spec.size)
    gray, colour = network.embed(faces)[1], network.embed(faces.expand(-1, 3, -1, -1))[1]
    np.testing.assert_allclose(gray, colour, atol=1e-3)


def test_wrong_size_is_refused(name: str, tmp_path: Path) -> None:
    network = load_backbone(name, weights=saved(name, tmp_path))
    with pytest.raises(ValueError, match="expected faces"):
        network.embed(torch.rand(2, 1, 20, 20))


def test_no_faces_give_empty_tables(name: str, tmp_path: Path) -> None:
    network = load_backbone(name, weights=saved(name, tmp_path))
    size = network.input_spec.size
    vectors, logits = network.embed(torch.empty(0, 3, size, size))
    assert vectors.shape == (0, network.embedding_size)
    assert logits.shape == (0, len(EMOTIONS))
