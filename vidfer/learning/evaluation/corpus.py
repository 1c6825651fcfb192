"""How good timelines are on a corpus: by frame and by clip, as in the field, and for valence and arousal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidfer.errors import DataError
from vidfer.learning.datasets.corpus_sequences import CorpusSequence
from vidfer.learning.datasets.face_sequences import LabelledSequence
from vidfer.learning.evaluation.calibration import Calibration, calibration, plot_reliability
from vidfer.learning.evaluation.classification import Classification, classification, plot_confusion
from vidfer.learning.evaluation.sequences import SequenceFigures, sequence_figures
from vidfer.learning.evaluation.valence_arousal import AffectFigures


@dataclass(frozen=True, kw_only=True)
class CorpusEvaluation:
    """Figures of a sequence model on a corpus.

    Attributes
    ----------
    frames, calibration
        Over all rows with a label.
    clips
        Over clips with one label: the mean of a clip's probabilities decides. None where labels are by frame.
    clips_without_face
        Clips in which nobody was found; in no figure but the next.
    clip_accuracy_of_all
        Accuracy over all clips, those without a face counted as wrong; None where labels are by frame.
    timing
        Changes and onsets, where labels are by frame; else None.
    affect
        Valence and arousal, where the corpus has them; else None.
    """

    frames: Classification
    calibration: Calibration
    clips: Classification | None
    clips_without_face: tuple[str, ...]
    clip_accuracy_of_all: float | None
    timing: SequenceFigures | None
    affect: AffectFigures | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``."""
        return {
            "frames": asdict(self.frames),
            "calibration": asdict(self.calibration),
            "clips": self.clips and asdict(self.clips),
            "clips_without_face": list(self.clips_without_face),
            "clip_accuracy_of_all": self.clip_accuracy_of_all,
            "timing": self.timing and self.timing.to_json(),
            "affect": self.affect and self.affect.to_json(),
        }

    def write(self, folder: Path) -> None:
        """Write ``metrics.json``, ``confusion_frames.png``, ``confusion_clips.png`` and ``reliability.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(self.to_json(), indent=1) + "\n")
        plot_confusion(self.frames, folder / "confusion_frames.png")
        plot_reliability(self.calibration, folder / "reliability.png")
        if self.clips is not None:
            plot_confusion(self.clips, folder / "confusion_clips.png")


def evaluate_timelines(
    timelines: Sequence[np.ndarray],
    sequences: Sequence[LabelledSequence],
    *,
    clips_without_face: Sequence[str] = (),
    affect: AffectFigures | None = None,
) -> CorpusEvaluation:
    """Compare timelines (T, K) with the labels of their sequences.

    Raises
    ------
    DataError
        If no row has a label, or lengths differ.
    """
    labels = [sequence.labels for sequence in sequences]
    if not sum(int((rows >= 0).sum()) for rows in labels):
        raise DataError("nothing to evaluate: no face with a label was found in this part of the corpus")
    stacked, truth = np.concatenate(list(timelines)), np.concatenate(labels)
    stacked, truth = stacked[truth >= 0], truth[truth >= 0]
    by_frame = [i for i, name in enumerate(clip_ids(sequences)) if not name]
    clips = of_all = None
    if len(by_frame) < len(sequences):
        found, clip_truth = clip_predictions(timelines, sequences)
        clips = classification(clip_truth, found.argmax(1))
        of_all = clips.accuracy * clips.samples / (clips.samples + len(clips_without_face))
    return CorpusEvaluation(
        frames=classification(truth, stacked.argmax(1)),
        calibration=calibration(stacked, truth),
        clips=clips,
        clips_without_face=tuple(clips_without_face),
        clip_accuracy_of_all=of_all,
        timing=sequence_figures(
            [timelines[i] for i in by_frame],
            [labels[i] for i in by_frame],
            [sequences[i].track.pts_seconds for i in by_frame],
        )
        if by_frame
        else None,
        affect=affect,
    )


def clip_ids(sequences: Sequence[LabelledSequence]) -> list[str]:
    """Return the clip that each sequence's one label is for; empty where labels are by frame."""
    return [sequence.clip_id if isinstance(sequence, CorpusSequence) else "" for sequence in sequences]


def clip_predictions(
    timelines: Sequence[np.ndarray], sequences: Sequence[LabelledSequence]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean probabilities of each labelled clip over all its rows, (C, K) float64, and its label (C,)."""
    rows: dict[str, list[np.ndarray]] = {}
    label: dict[str, int] = {}
    for name, timeline, sequence in zip(clip_ids(sequences), timelines, sequences, strict=True):
        if name:
            rows.setdefault(name, []).append(timeline)
            label[name] = int(sequence.labels[0])
    means = np.stack([np.concatenate(parts).mean(0, dtype=np.float64) for parts in rows.values()])
    return means, np.array([label[name] for name in rows], np.int64)
