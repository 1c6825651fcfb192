"""Networks of timm with the user's own weights; needs the extra vidfer[timm] and a torchvision that fits torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.commands import read_csv, vidfer

from vidfer.backbones.load import load_backbone
from vidfer.backbones.timm import save
from vidfer.errors import ConfigError, MissingDependency, WeightsError
from vidfer.labels import EMOTIONS
from vidfer.pipeline.pipeline import Pipeline

try:
    import timm
except (ImportError, RuntimeError) as error:
    WHY = f"timm cannot be imported: {str(error).splitlines()[0]}"
    timm = None
needs_timm = pytest.mark.skipif(timm is None, reason=WHY if timm is None else "")

LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]  # without contempt, another order


def fine_tuned(name: str = "resnet10t", labels: list[str] = LABELS) -> torch.nn.Module:
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=len(labels)).eval()


@needs_timm
@pytest.mark.parametrize(
    "name",
    ["resnet10t", "mobilenetv3_small_050", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224", "regnety_002"],
)
def test_probabilities_are_those_of_timm(name: str, tmp_path: Path) -> None:
    model = fine_tuned(name)
    called = save(tmp_path / "own.safetensors", model, labels=LABELS)
    assert called == f"timm:{name}"
    network = load_backbone(called, weights=tmp_path / "own.safetensors", precision="float32").packed()
    mean, std = (torch.tensor(model.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    faces = torch.rand(3, 3, network.input_spec.size, network.input_spec.size)
    with torch.inference_mode():
        expected = model((faces - mean) / std).softmax(1).numpy()
    vectors, logits = network.embed(faces)
    found = torch.tensor(logits).softmax(1).numpy()
    assert vectors.shape == (3, network.embedding_size)
    np.testing.assert_allclose(found[:, [EMOTIONS.index(label) for label in LABELS]], expected, atol=2e-3)
    assert found[:, EMOTIONS.index("contempt")].max() < 1e-9


@needs_timm
def test_a_video_is_read_with_it(sample_video: Path, tmp_path: Path) -> None:
    called = save(tmp_path / "own.safetensors", fine_tuned(), labels=LABELS, size=64, colour="gray")
    settings = [f"backbone.name={called}", f"backbone.weights={tmp_path / 'own.safetensors'}", "temporal.name=none"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    done = vidfer("process", sample_video, "--out", tmp_path / "out", "--no-plots", *arguments)
    assert done.returncode == 0, done.stderr
    rows = [row for row in read_csv(tmp_path / "out" / "sample" / "timeline.csv") if row["success"] == "1"]
    assert len(rows) > 100
    in_memory = Pipeline("default", settings=settings).video(sample_video)
    assert [row["emotion"] for row in rows] == list(in_memory.to_dataframe().dropna(subset=["emotion"])["emotion"])


@needs_timm
def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown network of timm 'resnet10x'; did you mean 'resnet10t'"):
        load_backbone("timm:resnet10x", weights=_as(tmp_path, "timm:resnet10x"))
    with pytest.raises(ValueError, match="7 classes of the network, got 2"):
        save(tmp_path / "w.safetensors", fine_tuned(), labels=["anger", "fear"])
    with pytest.raises(ValueError, match="expected some of neutral"):
        save(tmp_path / "w.safetensors", fine_tuned(), labels=["angry", *LABELS[1:]])
    with pytest.raises(WeightsError, match="does not fit"):
        load_backbone("timm:resnet18", weights=_as(tmp_path, "timm:resnet18"))


def _as(folder: Path, name: str) -> Path:
    """Return the weights of another network, which say that they are those of ``name``."""
    from vidfer.weights import load_tensors, save_tensors

    save(folder / "own.safetensors", fine_tuned(), labels=LABELS)
    tensors, metadata = load_tensors(folder / "own.safetensors")
    save_tensors(folder / "as.safetensors", tensors, {**metadata, "backbone": name})
    return folder / "as.safetensors"


@pytest.mark.skipif(timm is not None, reason="timm is installed")
def test_without_timm_one_line_says_what_to_install(tmp_path: Path) -> None:
    from vidfer.weights import save_tensors

    save_tensors(tmp_path / "own.safetensors", {"a": torch.zeros(1)}, {"backbone": "timm:resnet18"})
    with pytest.raises(MissingDependency, match=r"timm:resnet18.*pip install 'vidfer\[timm\]'"):
        load_backbone("timm:resnet18", weights=tmp_path / "own.safetensors")
