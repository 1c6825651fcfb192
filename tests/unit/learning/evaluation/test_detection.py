"""Figures of face detection: what counts as found, false or neither."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.learning.datasets.face_scenes import Scene
from vidfer.learning.evaluation.detection import DetectionOutcome, detection_figures, detection_outcome, working_point
from vidfer.types import FaceBoxes


class Oracle:
    """Answers with prepared boxes, one list per picture, in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def detect(self, images):
        boxes = np.array([row[:4] for row in self.answers[0]], np.float32).reshape(-1, 4)
        score = np.array([row[4] for row in self.answers.pop(0)], np.float32)
        return FaceBoxes(
            image_row=np.zeros(len(score), np.int64),
            xyxy=boxes,
            score=score,
            points5=np.zeros((len(score), 5, 2), np.float32),
        )


def scene_with(boxes, score, source="flickr8k"):
    return Scene(
        name="x",
        source=source,
        pixels=np.zeros((100, 100, 3), np.uint8),
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        points5=np.zeros((len(score), 5, 2), np.float32),
        score=np.array(score, np.float32),
        disagreement=np.full(len(score), np.nan, np.float32),
    )


def test_figures_count_found_missed_false_and_doubtful():
    scenes = [
        scene_with([[0, 0, 40, 40], [50, 50, 90, 90], [0, 60, 30, 90]], [0.9, 0.9, 0.4]),
        scene_with([], [], "no_faces"),
        scene_with([], [], "no_faces"),
    ]
    answers = [
        [[0, 0, 40, 42, 0.9], [0, 60, 30, 90, 0.8], [60, 0, 95, 40, 0.7]],  # found, doubtful, false
        [[10, 10, 40, 40, 0.6]],
        [[10, 10, 40, 40, 0.3]],
    ]
    figures = detection_figures(detection_outcome(Oracle(*answers), scenes), min_score=0.5)
    assert figures["recall"] == pytest.approx(1 / 2)
    assert figures["precision"] == pytest.approx(1 / 3)
    assert figures["empty_fired"] == pytest.approx(1 / 2)
    assert figures["average_precision"] == pytest.approx(1 / 2)


def test_working_point_is_the_lowest_score_that_is_precise_enough():
    outcome = DetectionOutcome(
        score=np.array([0.2, 0.9, 0.5, 0.7, 0.3]),
        hit=np.array([False, True, True, False, True]),
        num_faces=4,
        empty_score=np.zeros(0),
    )
    assert working_point(outcome, precision=0.75) == 0.3
    assert working_point(outcome, precision=1.0) == 0.9
    assert detection_figures(outcome, min_score=0.5)["recall"] == 0.5
    assert detection_figures(outcome, min_score=0.5)["empty_fired"] == 0.0
