import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidfer.video.sampling import sample_indices, tick_tolerance_seconds

steps_ms = st.lists(st.integers(1, 2000), min_size=0, max_size=80)
rates = st.one_of(st.integers(1, 120).map(float), st.floats(0.05, 500.0))


def _times(steps: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.float64) / 1000.0


def test_zero_takes_every_frame() -> None:
    assert sample_indices(_times([40, 40, 40]), 0).tolist() == [0, 1, 2, 3]


def test_half_the_rate_takes_every_second_frame() -> None:
    assert sample_indices(np.arange(10) / 30.0, 15.0).tolist() == [0, 2, 4, 6, 8]


def test_the_videos_own_rate_keeps_every_frame_even_when_the_container_rounds_to_milliseconds() -> None:
    rounded = np.round(np.arange(3000) / 29.97, 3)
    assert sample_indices(rounded, 29.97).tolist() == list(range(3000))


def test_a_pause_gives_its_frame_once() -> None:
    assert sample_indices(np.array([0.0, 0.1, 5.0, 5.1]), 10.0).tolist() == [0, 1, 2, 3]
    assert sample_indices(np.array([0.0, 0.1, 5.05, 5.1]), 1.0).tolist() == [0, 1]


def test_an_empty_video_gives_nothing() -> None:
    assert sample_indices(np.zeros(0), 5.0).tolist() == []


@pytest.mark.parametrize("fps", [-1.0, float("nan"), float("inf")])
def test_a_senseless_rate_is_an_error(fps: float) -> None:
    with pytest.raises(ValueError, match="fps"):
        sample_indices(np.zeros(1), fps)


@given(steps_ms, rates)
def test_it_is_what_is_on_screen_at_every_tick(steps: list[int], fps: float) -> None:
    times = _times(steps)
    # steer clear of ticks within rounding error of a boundary, where either answer is right
    ticks = np.arange(int(np.floor((times[-1] + tick_tolerance_seconds(fps)) * fps)) + 1) / fps
    distance = np.abs(times[None, :] - tick_tolerance_seconds(fps) - ticks[:, None]).min()
    if distance < 1e-9:
        return
    on_screen = [int(np.flatnonzero(times <= tick + tick_tolerance_seconds(fps))[-1]) for tick in ticks]
    on_screen[0] = 0  # without tolerance: there is nothing before the first frame
    assert sample_indices(times, fps).tolist() == sorted(set(on_screen))


@given(steps_ms, rates)
def test_it_starts_with_the_first_frame_and_strictly_increases(steps: list[int], fps: float) -> None:
    indices = sample_indices(_times(steps), fps)
    assert indices.dtype == np.int64
    assert indices[0] == 0
    assert np.all(np.diff(indices) > 0)
    assert indices[-1] <= len(steps)
