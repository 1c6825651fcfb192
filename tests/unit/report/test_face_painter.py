"""What is painted over a video's frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fixtures.clip_results import make_clip

from vidfer.labels import EMOTION_COLOURS, UNSURE_COLOUR
from vidfer.report.face_painter import FacePainter


def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (720, 1280, 3), dtype=np.uint8)


def inside(xyxy: np.ndarray, image: np.ndarray) -> np.ndarray:
    left, top, right, bottom = np.round(xyxy).astype(int) + np.array([6, 6, -6, -6])
    return image[top:bottom, left:right]


def test_a_blurred_face_keeps_nothing_of_its_pixels_and_the_rest_is_untouched() -> None:
    clip = make_clip(seconds=2)
    image = noise()
    painted = FacePainter(clip, blur_faces=True)(image, 1.0)
    xyxy = clip.faces.xyxy[25]
    face = inside(xyxy, painted)
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 49
    assert np.abs(face.astype(int) - inside(xyxy, image)).mean() > 40
    np.testing.assert_array_equal(painted[500:], image[500:])


def test_a_face_stays_hidden_where_it_was_missed_and_where_it_was_dropped() -> None:
    clip = make_clip(seconds=2, gaps=[(0, 0.8, 1.2)])
    image = noise()
    painted = FacePainter(clip, blur_faces=True)(image, 1.0)
    assert len(np.unique(inside(clip.faces.xyxy[0], painted).reshape(-1, 3), axis=0)) <= 49
    dropped = make_clip(seconds=1, faces=0, dropped=[(0, 1)])
    painted = FacePainter(dropped, blur_faces=True)(image, 0.5)
    assert not (inside(dropped.faces.xyxy[0], painted) == inside(dropped.faces.xyxy[0], image)).all()
    assert (FacePainter(dropped)(image, 0.5) == image).all()  # no face, so nothing is drawn


def test_a_face_in_no_episode_has_the_gray_of_unsure_and_no_emotions() -> None:
    clip = make_clip(seconds=1)
    unsure = replace(clip, segments=())
    left, top = clip.faces.xyxy[12, :2].round().astype(int)
    box = [FacePainter(one)(noise(), 0.5)[top + 60, left].tolist() for one in (clip, unsure)]
    colours = [
        [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        for colour in (EMOTION_COLOURS[clip.segments[0].emotion], UNSURE_COLOUR)
    ]
    assert box == colours


def test_faces_are_those_of_the_last_sampled_frame() -> None:
    clip = make_clip(seconds=2, fps=5, gaps=[(0, 1.0, 2)])
    paint, image = FacePainter(clip), noise()
    np.testing.assert_array_equal(paint(image, 0.2), paint(image, 0.39))
    assert not (paint(image, 0.2) == paint(image, 0.41)).all()
    np.testing.assert_array_equal(paint(image, 1.1), image)


def test_a_face_at_the_edge_keeps_its_bars_in_the_picture() -> None:
    clip = make_clip(seconds=0.2)
    moved = clip.faces.xyxy + np.array([1080, 500, 1080, 500], dtype=np.float32)
    paint = FacePainter(replace(clip, faces=replace(clip.faces, xyxy=moved)))
    image = np.zeros((720, 1280, 3), dtype=np.uint8)
    assert (paint(image, 0.0)[:, :1100] > 150).any()  # the bars' light ground, left of the face
