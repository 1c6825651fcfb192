"""Hard cuts: found where scenes are joined, and nowhere else."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from skimage import data

from vidfer.faces.cuts import SIGNATURE_SIZE, frame_signatures, is_cut

CLIPS = Path(__file__).resolve().parents[3].parent / "shared" / "clips"
SCENES = ("astronaut", "chelsea", "coffee", "rocket")


def scene(name: str, *, height: int = 240, width: int = 320) -> np.ndarray:
    """Return a still of a public-domain photograph, (height, width, 3) uint8."""
    image = getattr(data, name)()
    y = np.arange(height) * image.shape[0] // height
    x = np.arange(width) * image.shape[1] // width
    return image[y][:, x]


def pan(name: str, num_frames: int, step: int) -> np.ndarray:
    """Return frames of a camera that moves ``step`` px a frame over a photograph."""
    image = scene(name, height=240, width=320 + step * num_frames)
    return np.stack([image[:, i * step : i * step + 320] for i in range(num_frames)])


def cut_frames(images: np.ndarray) -> list[int]:
    signatures = frame_signatures(images)
    return (np.flatnonzero(is_cut(signatures[:-1], signatures[1:])) + 1).tolist()


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(SCENES, 2)))
def test_a_join_of_two_scenes_is_one_cut(first, second):
    generator = np.random.default_rng(0)
    frames = np.stack([scene(first)] * 5 + [scene(second)] * 5).astype(int)
    noisy = np.clip(frames + generator.integers(-8, 9, frames.shape), 0, 255).astype(np.uint8)
    assert cut_frames(noisy) == [5]


def test_a_cut_within_one_palette_is_a_cut():
    """From a stage to its audience: both dark, other shapes; correlation 0.1, colours 0.07 apart."""
    y, x = np.mgrid[:240, :320]
    stage = 20 + 120 * np.exp(-((x - 160) ** 2 + (y - 120) ** 2) / 2000)
    audience = 20 + 60 * np.exp(-((y - 215) ** 2) / 300) * (1 + np.sin(x / 12)) / 2
    signatures = frame_signatures(np.stack([stage, audience]).astype(np.uint8)[..., None].repeat(3, 3))
    colours = np.abs(np.diff(signatures[:, 256:], axis=0)).sum() / 6
    assert 0.03 < colours < 0.12
    assert is_cut(signatures[:1], signatures[1:]).all()


@pytest.mark.parametrize("name", SCENES)
def test_a_moving_camera_is_no_cut(name):
    assert cut_frames(pan(name, 10, 8)) == []


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_a_flash_of_one_frame_is_no_cut(name):
    frames = np.stack([scene(name)] * 5).astype(float)
    frames[2] = np.clip(frames[2] * 1.6 + 30, 0, 255)
    assert cut_frames(frames.astype(np.uint8)) == []


def test_from_black_to_a_scene_is_a_cut_and_from_black_to_black_is_none():
    black = np.zeros((3, 240, 320, 3), np.uint8)
    generator = np.random.default_rng(0)
    noisy_black = generator.integers(0, 4, black.shape).astype(np.uint8)
    assert cut_frames(np.concatenate([black, scene("coffee")[None]])) == [3]
    assert cut_frames(np.concatenate([black, noisy_black])) == []


def test_results_do_not_depend_on_how_frames_are_batched():
    frames = np.concatenate([pan("coffee", 4, 4), pan("rocket", 4, 4), pan("chelsea", 3, 4)])
    whole = frame_signatures(frames)
    assert cut_frames(frames) == [4, 8]
    for size in (1, 2, 3, 4, 7):
        pieces = [frame_signatures(frames[start : start + size]) for start in range(0, len(frames), size)]
        np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (63, 65), (480, 853)])
def test_any_size_of_frame_works(shape):
    signatures = frame_signatures(np.full((2, *shape, 3), 128, np.uint8))
    assert signatures.shape == (2, SIGNATURE_SIZE)
    assert signatures.dtype == np.float32
    np.testing.assert_allclose(signatures[:, :256], 128 / 255, atol=1e-6)
    np.testing.assert_allclose(signatures[:, 256:].reshape(2, 3, 8).sum(2), 1)
    assert not is_cut(signatures[:1], signatures[1:]).any()
    empty = frame_signatures(np.zeros((0, *shape, 3), np.uint8))
    assert empty.shape == (0, SIGNATURE_SIZE)
    assert is_cut(empty, empty).shape == (0,)


def test_it_costs_far_less_than_touching_every_pixel():
    """Measured: 0.03 ms a frame of 512x512 on an idle core; compared here, so that a busy machine does not matter."""
    frames = np.ascontiguousarray([scene("astronaut", height=512, width=512)] * 16)
    cost = min(_seconds(lambda: frame_signatures(frames)) for _ in range(5))
    whole = min(_seconds(lambda: frames.astype(np.float32).mean(3)) for _ in range(3))
    assert cost < whole / 4


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@pytest.mark.skipif(not CLIPS.is_dir(), reason="development clips (../shared/clips) are not on this machine")
def test_real_clips_have_no_cuts_and_joined_ones_do():
    """d0, d11, s13 and s18 move a lot and have no cut; each join has one."""
    signatures = []
    for name in ("d0", "d11", "s13", "s18"):
        with av.open(str(CLIPS / f"{name}.mp4")) as container:
            frames = itertools.islice(container.decode(video=0), 0, 90, 3)
            found = [frame_signatures(frame.to_ndarray(format="rgb24")[None])[0] for frame in frames]
        signatures.append(np.stack(found))
    joined = np.concatenate(signatures)
    joins = np.cumsum([len(s) for s in signatures])[:-1]
    assert (np.flatnonzero(is_cut(joined[:-1], joined[1:])) + 1).tolist() == joins.tolist()
