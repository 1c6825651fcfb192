"""Frames are told apart by their order: a clock that jumps, repeats or lacks times costs no frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.numbered_clips import make_clip, read_number
from fixtures.stream_files import (
    Restamp,
    images_and_times,
    joined_bytes,
    plainly_decoded,
    restamped,
    without_most_times,
)
from hypothesis import given
from hypothesis import strategies as st

from vidfer.video.clock import continued, spread, whole_ticks
from vidfer.video.packets import NO_TIME
from vidfer.video.probe import probe
from vidfer.video.reader import choose_reader

KINDS = {
    "ts": "libx264",
    "mpg": "mpeg2video",
    "vob": "mpeg2video",
    "mkv": "libx264",
    "webm": "libvpx",
}


@pytest.mark.parametrize("suffix", KINDS)
def test_joined_recordings_keep_every_frame_and_their_clock_goes_on(tmp_path: Path, suffix: str) -> None:
    count = 2 if suffix in ("mkv", "webm") else 3  # of Matroska FFmpeg reads no more
    parts = [
        make_clip(tmp_path / f"{k}.{suffix}", num_frames=30, codec=KINDS[suffix], first_number=30 * k)
        for k in range(count)
    ]
    path = joined_bytes(tmp_path / f"all.{suffix}", parts)
    probed = probe(path)
    assert choose_reader(probed) == "pyav"
    images, times = images_and_times(probed)
    assert [read_number(image) for image in images] == list(range(30 * count))
    assert plainly_decoded(path) == 30 * count
    np.testing.assert_allclose(times, np.arange(30 * count) / 25, atol=0.002)
    assert probed.info.average_fps == pytest.approx(25, abs=0.1)
    (warning,) = probed.warnings
    assert all(f"at {1.2 * k:.2f} s (1.20 s back)" in warning for k in range(1, count))


def test_reading_may_start_anywhere_in_a_joined_recording(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{k}.ts", num_frames=30, first_number=30 * k) for k in range(2)]
    probed = probe(joined_bytes(tmp_path / "all.ts", parts))
    whole, _ = images_and_times(probed)
    for first in (7, 29, 30, 31, 45):
        tail, _ = images_and_times(probed, first=first)
        np.testing.assert_array_equal(tail, whole[first:])


def test_another_recordings_clock_hours_ahead_is_a_jump_and_a_pause_is_none(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.ts", num_frames=30, options={"bf": "0"})
    for seconds, end in ((4 * 3600, 59 / 25), (600, 59 / 25 + 600)):
        later = restamped(tmp_path / "later.ts", plain, lambda _, pts, dts, s=seconds: (pts + s * 90000 + 108000,) * 2)
        probed = probe(joined_bytes(tmp_path / "both.ts", [plain, later]))
        _, times = images_and_times(probed)
        assert len(times) == 60
        assert times[-1] == pytest.approx(end, abs=0.05)
        assert bool(probed.warnings) == (seconds > 3600)


RESTAMPS: dict[str, tuple[dict[str, str], Restamp]] = {
    "in pairs": ({"bf": "0"}, lambda _, pts, dts: (pts // 80 * 80,) * 2),
    "five at a time": ({"bf": "0"}, lambda _, pts, dts: (pts // 200 * 200,) * 2),
    "in pairs, with B-frames": ({"bf": "2"}, lambda _, pts, dts: (pts // 80 * 80, dts)),
    "in the packets' order, with B-frames": ({"bf": "2"}, lambda number, pts, dts: (40 * number,) * 2),
    "all zero": ({"bf": "0"}, lambda *_: (0, 0)),
}


@pytest.mark.parametrize("name", RESTAMPS)
def test_frames_with_useless_times_get_some_between_their_neighbours(tmp_path: Path, name: str) -> None:
    options, restamp = RESTAMPS[name]
    path = restamped(tmp_path / "b.mkv", make_clip(tmp_path / "a.mkv", num_frames=60, options=options), restamp)
    images, times = images_and_times(probe(path))
    assert [read_number(image) for image in images] == list(range(60))
    np.testing.assert_allclose(times, np.arange(60) / 25, atol=0.002)


def test_the_shared_cases(shared_folder: Path) -> None:
    for name in ("cat_restart.ts", "cat_back_1s.ts"):
        path = shared_folder / "cases" / name
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        probed = probe(path)
        images, times = images_and_times(probed)
        assert len(images) == 200
        np.testing.assert_allclose(times, np.arange(200) / 25, atol=1e-6)
        assert "jumps at 4.00 s" in probed.warnings[0]


def test_one_wrong_time_is_no_jump() -> None:
    times = np.arange(0, 4000, 40, dtype=np.int64)
    every = np.ones(len(times), bool)
    for wrong in (0, 90_000_000):
        stamped = times.copy()
        stamped[50] = wrong
        mended, jumps = continued(stamped, stamped, every)
        assert not jumps
        assert mended[50] == NO_TIME
        np.testing.assert_allclose(spread(mended, 40), times)


def test_a_jump_at_any_place_and_by_any_length_goes_on_by_one_step() -> None:
    times = np.arange(0, 4000, 40, dtype=np.int64)
    for at, back in ((1, 120), (50, 80), (50, 2000), (97, 3000)):
        stamped = times.copy()
        stamped[at:] -= back
        mended, jumps = continued(stamped, stamped, np.ones(len(times), bool))
        np.testing.assert_array_equal(mended, times)
        assert [(jump.row, jump.ticks) for jump in jumps] == [(at, -back)]


@given(st.lists(st.one_of(st.just(NO_TIME), st.integers(-(10**9), 10**9)), min_size=1, max_size=60))
def test_times_always_rise_in_the_end(times: list[int]) -> None:
    ticks, finer = whole_ticks(spread(np.array(times, dtype=np.int64), 40))
    assert len(ticks) == len(times)
    assert (np.diff(ticks) > 0).all()
    assert finer >= 1


@pytest.mark.parametrize("suffix", ["mpg", "vob"])
def test_pictures_without_a_time_as_on_discs(tmp_path: Path, suffix: str) -> None:
    """A DVD stamps some pictures only; the others' places are known from decoding."""
    parts = []
    for k in range(2):
        part = make_clip(
            tmp_path / f"{k}.{suffix}", num_frames=48, codec="mpeg2video", options={"bf": "2"}, first_number=48 * k
        )
        parts.append(without_most_times(part, keep_every=5))
    path = joined_bytes(tmp_path / f"all.{suffix}", parts)
    images, times = images_and_times(probe(path))
    assert plainly_decoded(path) == 96
    assert [read_number(image) for image in images] == list(range(96))
    np.testing.assert_allclose(times, np.arange(96) / 25, atol=0.002)
