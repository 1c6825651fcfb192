"""Neutral faces moved as FACS describes expressions, and faces on somebody else's resting shape."""

from pathlib import Path

import numpy as np
import torch
from fixtures.fer_files import UPRIGHT, points68

from vidfer.backbones.load import load_backbone
from vidfer.faces.align import TEMPLATE, five_points
from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.learning.datasets.face_motion import displaced
from vidfer.learning.datasets.labelled_pictures import LabelledPictures, read_fer_pictures
from vidfer.learning.datasets.posed_faces import posed_faces, reshaped_faces, resting_shapes

INNER = 48 / 60


def faces(count: int) -> LabelledPictures:
    points = points68(UPRIGHT) / 48 * INNER + 0.1
    spread = np.random.default_rng(0).normal(0, 0.01, (count, 68, 2))
    random = np.random.default_rng(1)
    return LabelledPictures(
        faces=torch.from_numpy(random.integers(0, 256, (count, 1, 60, 60), dtype=np.uint8)),
        points=(points + spread).astype(np.float32),
        target=np.eye(8, dtype=np.float32)[[0] * count],
        label=np.zeros(count, np.int64),
        person=np.arange(count),
    )


def test_landmarks_arrive_where_they_are_wanted() -> None:
    """Two near ones that part, as lids do: nearly, while a mean over the surroundings hardly moves them."""
    ticks = (torch.arange(120) + 0.5) / 120
    ramps = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"))[None]  # each pixel says where it is
    grid = torch.meshgrid(torch.linspace(0.3, 0.7, 9), torch.linspace(0.3, 0.65, 8), indexing="xy")
    points = torch.stack(grid, -1).reshape(1, -1, 2)[:, :68]
    upper, lower = 30, 39  # 0.05 apart
    wanted = points.clone()
    wanted[0, upper, 1] -= 0.02
    wanted[0, lower, 1] += 0.02

    def off(*, exact: bool) -> float:
        moved = displaced(ramps, points, wanted, exact=exact)
        there = torch.nn.functional.grid_sample(moved, wanted[:, None] * 2 - 1, align_corners=False)[0, :, 0].T
        return float((there - points[0])[[upper, lower]].abs().max())

    assert off(exact=True) < 0.009
    assert off(exact=False) > 0.012
    still = displaced(ramps, points, wanted, exact=True)
    assert (still - ramps)[..., [0, -1], :].abs().max() < 0.01  # the edge stays


def test_faces_are_posed_with_labels_that_follow_their_strength() -> None:
    pictures = faces(300)
    shapes = resting_shapes(pictures, inner=INNER)
    posed = posed_faces(pictures, shapes, inner=INNER, seed=1)
    assert len(posed) == 900
    assert set(posed.label.tolist()) == set(range(8)) - {EMOTION_INDEX["happiness"]}
    np.testing.assert_allclose(posed.target.sum(1), 1, atol=1e-5)
    at_rest = posed.label == 0
    assert (posed.target[at_rest, 0] == 1).all()
    own = posed.target[np.arange(900), posed.label]
    assert own[~at_rest].min() >= 0.4
    assert own[~at_rest].max() <= 0.9
    np.testing.assert_allclose(five_points(posed.points).mean(0), TEMPLATE * INNER + 0.1, atol=0.02)  # aligned anew
    again = posed_faces(pictures, shapes, inner=INNER, seed=1)
    assert torch.equal(posed.faces, again.faces)
    assert not torch.equal(posed.faces, posed_faces(pictures, shapes, inner=INNER, seed=2).faces)


def test_contempt_is_one_sided_and_anger_is_not() -> None:
    pictures = faces(300)
    posed = posed_faces(pictures, resting_shapes(pictures, inner=INNER)[:0], inner=INNER, seed=1)
    rise = posed.points[:, 54, 1] - posed.points[:, 48, 1]
    before = np.tile(pictures.points[:, 54, 1] - pictures.points[:, 48, 1], 3)
    uneven = {name: np.abs(rise - before)[posed.label == EMOTION_INDEX[name]].mean() for name in ("contempt", "anger")}
    assert uneven["contempt"] > 3 * uneven["anger"]


def test_a_turned_face_is_not_posed() -> None:
    pictures = faces(4)
    pictures.points[0, 30, 0] += 0.1
    posed = posed_faces(pictures, resting_shapes(pictures, inner=INNER), inner=INNER, seed=1)
    assert 0 not in posed.person
    assert len(posed) == 9


def test_another_resting_shape_keeps_the_label() -> None:
    pictures = faces(40)
    pictures.label[:] = EMOTION_INDEX["anger"]
    reshaped = reshaped_faces(pictures, resting_shapes(pictures, inner=INNER), inner=INNER, seed=1)
    assert (reshaped.label == EMOTION_INDEX["anger"]).all()
    assert np.abs(reshaped.points - pictures.points).mean() > 0.002
    assert len(reshaped_faces(faces(0), np.zeros((14, 68, 2), np.float32), inner=INNER, seed=1)) == 0


def test_a_network_sees_in_posed_faces_what_they_are_posed_as(shared_folder: Path) -> None:
    """With faces of people whom the network in the package did not learn from."""
    pictures = read_fer_pictures(shared_folder / "data", "PublicTest", size=48, border=6)
    pictures = pictures.take(np.flatnonzero(pictures.label == 0)[:300])
    posed = posed_faces(pictures, resting_shapes(pictures, inner=INNER)[:0], inner=INNER, seed=1)
    network = load_backbone("compact")

    def seen(shown: LabelledPictures) -> np.ndarray:
        logits = network.embed(shown.faces[:, :, 6:-6, 6:-6].float() / 255)[1]
        return logits - logits.mean(1, keepdims=True)

    before = seen(pictures).mean(0)
    after = seen(posed)
    more = {name: (after[posed.label == i] - before).mean(0) for i, name in enumerate(EMOTIONS) if name != "happiness"}
    for name in ("surprise", "sadness", "anger", "disgust", "fear"):
        assert more[name][EMOTION_INDEX[name]] > 0.5, name
    assert np.abs(more["neutral"]).max() < 0.5
