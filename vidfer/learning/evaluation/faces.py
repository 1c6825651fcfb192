"""Evaluates a per-frame network on labelled faces, and writes the figures as JSON and PNG."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vidfer.backbones.load import EmotionNetwork
from vidfer.errors import DataError
from vidfer.learning.datasets.aligned_faces import align_pictures, face_transforms
from vidfer.learning.datasets.fer2013 import read_fer_folder
from vidfer.learning.datasets.fer2013plus import SIDE, FerPictures, Split, majority_labels
from vidfer.learning.evaluation.calibration import Calibration, calibration, plot_reliability, softmax
from vidfer.learning.evaluation.classification import Classification, classification, plot_confusion


@dataclass(frozen=True, kw_only=True)
class FaceEvaluation:
    """Figures of a network on labelled faces."""

    classification: Classification
    calibration: Calibration

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``."""
        return asdict(self)

    def write(self, folder: Path) -> None:
        """Write ``metrics.json``, ``confusion.png`` and ``reliability.png`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(self.to_json(), indent=1) + "\n")
        plot_confusion(self.classification, folder / "confusion.png")
        plot_reliability(self.calibration, folder / "reliability.png")

    @staticmethod
    def remove(folder: Path) -> None:
        """Remove what ``write`` left in ``folder``, and the folder if nothing else is there."""
        for name in ("metrics.json", "confusion.png", "reliability.png"):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def face_logits(network: EmotionNetwork, faces: Tensor, *, batch: int = 128) -> np.ndarray:
    """Return calibrated logits (N, 8) float32 of aligned faces (N, 1 or 3, S, S) uint8."""
    return np.concatenate([network.embed(part.float() / 255)[1] for part in faces.split(batch)])


def evaluate_logits(logits: np.ndarray, truth: np.ndarray) -> FaceEvaluation:
    """Compare calibrated logits (N, 8) with labels (N,); rows labelled -1 are left out."""
    labelled = truth >= 0
    if not labelled.any():
        raise DataError("nothing to evaluate: no face has a label")
    return evaluate_probabilities(softmax(logits[labelled]), truth[labelled])


def evaluate_probabilities(probabilities: np.ndarray, truth: np.ndarray) -> FaceEvaluation:
    """Compare probabilities (N, 8) with labels (N,)."""
    return FaceEvaluation(
        classification=classification(truth, probabilities.argmax(1)), calibration=calibration(probabilities, truth)
    )


def aligned_pictures(pictures: FerPictures, *, size: int) -> Tensor:
    """Return the faces (N, 1, size, size) uint8 of pictures, as ``EmotionNetwork.embed`` wants them."""
    transforms = face_transforms(
        pictures.landmarks68, pictures.landmarks5, image_size=(SIDE, SIDE), size=size, border=0
    )
    return align_pictures(pictures.images, transforms, size=size)


def evaluate_ferplus(network: EmotionNetwork, folder: Path, split: Split) -> dict[str, FaceEvaluation]:
    """Evaluate a network on a split of FER+ in ``folder``.

    Returns
    -------
    ``majority``: the protocol of Barsoum et al. 2016 (more than half of the votes); ``plurality``: every picture whose
    most votes are for an emotion, a harder set.
    """
    pictures = read_fer_folder(folder, split)
    plurality = majority_labels(pictures.votes, strict=False)
    pictures, plurality = pictures.take(plurality >= 0), plurality[plurality >= 0]
    if not len(plurality):
        raise DataError(f"{folder}: no picture of {split} has votes of FER+")
    logits = face_logits(network, aligned_pictures(pictures, size=network.input_spec.size))
    return {
        "majority": evaluate_logits(logits, majority_labels(pictures.votes)),
        "plurality": evaluate_logits(logits, plurality),
    }


def evaluate_fer2013(network: EmotionNetwork, folder: Path, split: Split) -> dict[str, FaceEvaluation]:
    """Evaluate a network on a split of FER2013 in ``folder`` by the seven labels of the original release.

    Returns
    -------
    ``fer2013``: all pictures. The network may still answer contempt, which is then wrong.
    """
    pictures = read_fer_folder(folder, split)
    logits = face_logits(network, aligned_pictures(pictures, size=network.input_spec.size))
    return {"fer2013": evaluate_logits(logits, pictures.fer2013_label)}
