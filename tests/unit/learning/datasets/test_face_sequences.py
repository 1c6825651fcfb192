"""Made people and their scripts."""

import numpy as np
import pytest
import torch
from fixtures.face_people import random_bank, random_pictures

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets import face_bank
from vidfer.learning.datasets.face_bank import (
    NUM_LEVELS,
    FaceBank,
    RenderedPeople,
    embed_people,
    plan_people,
    render_people,
)
from vidfer.learning.datasets.face_motion import MouthShape, blink, displaced, speak
from vidfer.learning.datasets.face_noise import Damage, damaged, draw_damage
from vidfer.learning.datasets.face_scripts import (
    NUM_LOOKS,
    REST,
    TALK_DAMAGED,
    TALKING_LOOKS,
    ScriptConfig,
    draw_script,
    silent_surprise,
)
from vidfer.learning.datasets.face_sequences import FaceSequences, draw_times, render_sequence
from vidfer.learning.datasets.kept_arrays import load_arrays, save_arrays
from vidfer.temporal.grid import STEP_SECONDS

SHARES = {"happiness": 0.5, "surprise": 0.3, "anger": 0.2}


def spot(x, y, size=64):
    """A bright spot at a place of the unit square."""
    ticks = (torch.arange(size) + 0.5) / size
    return torch.exp(-((ticks[None] - x) ** 2 + (ticks[:, None] - y) ** 2) / (2 * 0.03**2))[None, None]


def centre(face):
    ticks = (torch.arange(face.shape[-1]) + 0.5) / face.shape[-1]
    weights = face[0, 0] / face.sum()
    return float((weights.sum(0) * ticks).sum()), float((weights.sum(1) * ticks).sum())


def test_features_move_where_they_are_wanted():
    points = torch.full((1, 68, 2), 0.5)
    wanted = points + torch.tensor([0.0, 0.08])
    x, y = centre(displaced(spot(0.5, 0.5), points, wanted))
    assert (x, y) == (pytest.approx(0.5, abs=0.01), pytest.approx(0.58, abs=0.01))
    x, y = centre(displaced(spot(0.1, 0.1), points, wanted))
    assert (x, y) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.1, abs=0.01))  # far away nothing moves


def test_talking_and_blinking_move_mouth_and_lids_only():
    points = random_pictures(1).points[0]
    opened = speak(points, MouthShape(opening=0.1))
    assert np.all(opened[57] > points[57] - 1e-6)
    assert opened[57, 1] - points[57, 1] == pytest.approx(0.1, abs=1e-5)
    assert np.array_equal(opened[17:48], points[17:48])  # brows, nose and eyes
    closed = blink(points, closed=1.0)
    assert np.allclose(closed[37], points[41])
    assert np.array_equal(closed[48:], points[48:])


def test_damage_keeps_shape_and_range_and_does_something():
    random = np.random.default_rng(0)
    face = spot(0.5, 0.5)[0]
    for _ in range(30):
        drawn = draw_damage(random)
        bad = damaged(face, drawn, random)
        assert bad.shape == face.shape
        assert 0 <= float(bad.min()) <= float(bad.max()) <= 1
        assert not torch.equal(bad, face)
    assert torch.equal(damaged(face, Damage(), random), face)


def test_people_are_planned_by_the_shares_and_evenly():
    pictures = random_pictures(300)
    neutral, apex = plan_people(pictures, 200, slots=2, shares=SHARES, seed=0)
    assert np.all(pictures.label[neutral] == EMOTION_INDEX["neutral"])
    labels = pictures.label[apex]
    assert (labels == EMOTION_INDEX["happiness"]).mean() == pytest.approx(0.5, abs=0.1)
    assert not np.isin(labels, [EMOTION_INDEX["neutral"], EMOTION_INDEX["sadness"]]).any()
    uses = np.bincount(neutral, minlength=300)[pictures.label == EMOTION_INDEX["neutral"]]
    assert uses.max() - uses.min() <= 1
    with pytest.raises(DataError, match="neutral"):
        plan_people(random_pictures(20, labels=(1, 2)), 5, slots=1, shares=SHARES, seed=0)


def test_known_people_keep_to_their_own_pictures():
    pictures = random_pictures(60, people=10)
    neutral, apex = plan_people(pictures, 8, slots=2, shares=SHARES, seed=0)
    for start, ends in zip(neutral, apex, strict=True):
        assert np.all(pictures.person[ends] == pictures.person[start])


def test_rendering_is_seeded_by_person_and_starts_neutral(tmp_path):
    pictures = random_pictures(40)
    neutral, apex = plan_people(pictures, 3, slots=2, shares=SHARES, seed=0)
    people = render_people(pictures, neutral, apex, size=32, seed=5)
    assert people.faces.shape == (3, NUM_LOOKS * (1 + 2 * (NUM_LEVELS - 1)), 32, 32)
    again = render_people(pictures, neutral[:1], apex[:1], size=32, seed=5)
    assert np.array_equal(people.faces[0], again.faces[0])

    def embed(faces):
        flat = faces.flatten(1).numpy()
        return flat[:, ::64].astype(np.float16), flat[:, :8].astype(np.float32)

    bank = embed_people(people, embed)
    assert bank.vectors.shape == (3, 2, NUM_LEVELS, NUM_LOOKS, 16)
    assert np.array_equal(bank.vectors[:, 0, 0], bank.vectors[:, 1, 0])  # neutral is neutral, whatever follows
    assert not np.array_equal(bank.vectors[:, 0, -1], bank.vectors[:, 1, -1])
    save_arrays(tmp_path / "p.npz", people)
    assert np.array_equal(load_arrays(tmp_path / "p.npz", RenderedPeople).faces, people.faces)
    save_arrays(tmp_path / "b.npz", bank)
    assert np.array_equal(load_arrays(tmp_path / "b.npz", FaceBank).logits, bank.logits)
    (tmp_path / "b.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="damaged"):
        load_arrays(tmp_path / "b.npz", FaceBank)


def test_brows_rise_in_talk_and_only_there(monkeypatch):
    pictures = random_pictures(40)
    neutral, apex = plan_people(pictures, 2, slots=1, shares=SHARES, seed=0)
    looks = {}
    for amount in (-0.1, 1.0):
        monkeypatch.setattr(face_bank, "_BROWS_IN_TALK", (amount, amount))
        looks[amount] = render_people(pictures, neutral, apex, size=32, seed=5).faces[:, :NUM_LOOKS]
    differ = (looks[-0.1] != looks[1.0]).any((2, 3))
    for look in range(NUM_LOOKS):
        assert (differ[:, look] == (look in (*TALKING_LOOKS, TALK_DAMAGED))).all()


def test_brows_move_from_one_shape_of_the_mouth_to_the_next(monkeypatch):
    monkeypatch.setattr(face_bank, "_BROWS_IN_TALK", (1.0, 1.0))
    pictures = random_pictures(40)
    neutral, apex = plan_people(pictures, 1, slots=1, shares=SHARES, seed=0)
    person = face_bank._Person(pictures, int(neutral[0]), apex[0], np.random.default_rng(0), size=32)
    _, points = person._ends[int(neutral[0])]
    height = points[:, 17:27, 1].mean(1)  # downwards
    assert len({round(float(height[look]), 4) for look in TALKING_LOOKS}) == len(TALKING_LOOKS)
    assert all(height[look] < height[REST] for look in TALKING_LOOKS)


@pytest.mark.parametrize("seed", range(20))
def test_scripts_are_plausible(seed):
    random = np.random.default_rng(seed)
    duration = float(random.uniform(1, 60))
    script = draw_script(random, ScriptConfig(), duration_seconds=duration, slots=3)
    at = np.arange(0, duration, 0.02)
    intensity = script.intensity_at(at)
    assert 0 <= intensity.min() <= intensity.max() <= 1
    assert np.abs(np.diff(intensity)).max() < 0.2  # no onset is faster than 0.2 s
    assert set(np.unique(script.look_at(at))) <= set(range(NUM_LOOKS))
    assert np.all((script.slot(at) >= 0) & (script.slot(at) < 3))
    change = np.flatnonzero(np.diff(script.slot(at)))
    assert np.all(intensity[change] < 0.05)  # the expression changes to another one only while neutral


@pytest.mark.parametrize("seed", range(20))
def test_who_is_surprised_for_long_falls_silent(seed):
    random = np.random.default_rng(seed)
    config = ScriptConfig(talk_share=0.9, calm_share=0.0, steady_share=0.3, apex_seconds=4.0)
    script = draw_script(random, config, duration_seconds=40.0, slots=2)
    silent = silent_surprise(script, np.array([True, False]))
    at = np.arange(0, 40, 0.02)
    before, after = script.talking_look(at), silent.talking_look(at)
    shown = np.round(script.intensity_at(at), 6) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shown, [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        within = slice(start + 1, stop - 1)
        slots = set(script.slot(at[start:stop]))  # two where one expression follows at once on another
        cut = start == 0 or stop == len(at)  # how long it lasts is not seen
        if slots == {0} and (stop - start) * 0.02 > 3.1:
            assert (after[within] == REST).all()
        elif slots == {1} or (slots == {0} and not cut and (stop - start) * 0.02 < 2.9):
            assert np.array_equal(after[within], before[within])
    assert np.array_equal(after[~shown], before[~shown])
    assert np.array_equal(silent_surprise(script, np.zeros(2, bool)).talking_look(at), before)


def test_most_of_the_time_is_neutral_and_expressions_last_seconds():
    random = np.random.default_rng(0)
    expressive, runs = [], []
    for _ in range(100):
        script = draw_script(random, ScriptConfig(), duration_seconds=30.0, slots=2)
        on = script.intensity_at(np.arange(0, 30, 0.05)) > 0.5
        expressive.append(on.mean())
        edges = np.flatnonzero(np.diff(np.concatenate([[0], on, [0]])))
        runs += ((edges[1::2] - edges[::2]) * 0.05).tolist()
    assert 0.2 < np.mean(expressive) < 0.6
    assert 1.0 < np.median(runs) < 4.0


def test_same_seed_same_sequence_and_frame_rate_changes_nothing_else():
    sequences = FaceSequences([random_bank(4)], ScriptConfig())
    first, second = (sequences.draw(np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.track.vectors, second.track.vectors)
    assert np.array_equal(first.target, second.target)
    other = sequences.draw(np.random.default_rng(8))
    assert len(other.track) != len(first.track) or not np.array_equal(other.target, first.target)

    bank = random_bank(1)
    script = draw_script(np.random.default_rng(3), ScriptConfig(), duration_seconds=20.0, slots=2)
    slow, fast = (
        render_sequence(bank, 0, script, np.arange(0, 20, 1 / fps), np.random.default_rng(0)) for fps in (10, 30)
    )
    assert np.allclose(slow.target, fast.target[::3][: len(slow.target)], atol=1e-6)


def test_rows_are_tracks_with_targets():
    sequences = FaceSequences([random_bank(3), random_bank(2, seed=1)], ScriptConfig())
    for i, drawn in enumerate(sequences.evaluation_set(10, seed=0)):
        assert np.all(np.diff(drawn.track.pts_seconds) > 0)
        assert drawn.target.shape == drawn.track.logits.shape
        assert np.allclose(drawn.target.sum(1), 1.0, atol=1e-5)
        assert np.median(np.diff(drawn.track.pts_seconds)) == pytest.approx(1 / 25, abs=0.01), i


def test_lost_faces_leave_gaps():
    random = np.random.default_rng(0)
    config = ScriptConfig(lost_every=1.0)
    gaps = []
    for _ in range(10):
        script = draw_script(random, config, duration_seconds=20.0, slots=1)
        gaps.append(np.diff(draw_times(random, script, fps=30.0)).max())
    assert np.median(gaps) > 2 * STEP_SECONDS
