import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.fer_files import write_fer_files

from vidfer.backbones import BACKBONES
from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.errors import DataError
from vidfer.labels import EMOTIONS
from vidfer.learning.evaluation.faces import evaluate_fer2013, evaluate_ferplus, evaluate_logits
from vidfer.learning.evaluation.gradcam import gradcam
from vidfer.weights import save_tensors

OPTIONS = {"widths": [8, 16], "depths": [1, 1], "stem": 8, "embedding_size": 12}


@pytest.fixture
def network(tmp_path: Path) -> EmotionNetwork:
    torch.manual_seed(2)
    model = BACKBONES.get("compact")(**OPTIONS)
    metadata = {"backbone": "compact", "options": OPTIONS, "labels": list(EMOTIONS)}
    save_tensors(tmp_path / "own.safetensors", model.state_dict(), metadata)
    return load_backbone("compact", weights=tmp_path / "own.safetensors", precision="float32")


def test_figures_of_a_split_are_written(network: EmotionNetwork, tmp_path: Path) -> None:
    figures = evaluate_ferplus(network, write_fer_files(tmp_path, per_class=3), "PublicTest")
    assert figures["majority"].classification.samples == 24
    figures["majority"].write(tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "confusion.png",
        "metrics.json",
        "reliability.png",
    ]
    written = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert written["classification"]["accuracy"] == figures["majority"].classification.accuracy


def test_faces_without_a_label_are_left_out() -> None:
    logits = np.eye(8, dtype=np.float32) * 5
    truth = np.arange(8)
    truth[2] = -1
    assert evaluate_logits(logits, truth).classification.samples == 7
    with pytest.raises(DataError, match="no face has a label"):
        evaluate_logits(logits, np.full(8, -1))


def test_gradcam_points_at_what_decided(network: EmotionNetwork) -> None:
    faces = torch.full((3, 1, 64, 64), 0.5)
    heat = gradcam(network, faces + 0.1 * torch.rand(3, 1, 64, 64), np.array([0, 1, 2]))
    assert heat.shape == (3, 64, 64)
    assert heat.min() >= 0
    assert heat.max() <= 1
    assert gradcam(network, faces).shape == (3, 64, 64)


def test_the_labels_of_fer2013_itself(network: EmotionNetwork, tmp_path: Path) -> None:
    found = evaluate_fer2013(network, write_fer_files(tmp_path, per_class=3), "PrivateTest")
    figures = found["fer2013"].classification
    assert figures.samples == 24  # every picture has one
    assert figures.classes["contempt"].support == 0
    assert figures.classes["disgust"].support == 6  # the two that the factory gives this label
