"""A picture that changes its size or is turned: one size for all, nothing is bent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.numbered_clips import joined_clips, make_clip, read_number
from fixtures.stream_files import images_and_times

from vidfer.video.picture_size import placed
from vidfer.video.probe import VideoProbe, probe
from vidfer.video.reader import choose_reader


def joined(folder: Path, *parts: tuple[int, int, int], codec: str = "libvpx", suffix: str = "webm") -> VideoProbe:
    """Probe (frames, width, height) after another in one file."""
    paths, number = [], 0
    for frames, width, height in parts:
        path = folder / f"{number}.{suffix}"
        paths.append(make_clip(path, num_frames=frames, width=width, height=height, codec=codec, first_number=number))
        number += frames
    format_name = {"webm": "webm", "ts": "mpegts", "mkv": "matroska"}[suffix]
    return probe(joined_clips(folder / f"all.{suffix}", paths, container_format=format_name))


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx", "webm"), ("libx264", "ts"), ("libx265", "ts")])
def test_a_call_that_starts_small_is_seen_at_its_full_size(tmp_path: Path, codec: str, suffix: str) -> None:
    probed = joined(tmp_path, (20, 160, 96), (20, 640, 384), codec=codec, suffix=suffix)
    assert choose_reader(probed) == "pyav"
    assert (probed.info.width, probed.info.height) == (640, 384)
    images, _ = images_and_times(probed)
    assert [read_number(image) for image in images] == list(range(40))
    assert "160 x 96 (20 frames), 640 x 384 (20 frames); all are fitted into 640 x 384" in probed.warnings[-1]


def test_a_size_that_is_hardly_seen_does_not_count(tmp_path: Path) -> None:
    probed = joined(tmp_path, (60, 160, 96), (2, 640, 384), (60, 160, 96))
    assert (probed.info.width, probed.info.height) == (160, 96)
    images, _ = images_and_times(probed)
    assert [read_number(image) for image in images] == list(range(122))


def test_a_turned_phone_is_fitted_in_with_its_aspect_kept(tmp_path: Path) -> None:
    probed = joined(tmp_path, (30, 320, 180), (20, 180, 320))
    assert (probed.info.width, probed.info.height) == (320, 180)
    images, _ = images_and_times(probed)
    left, _, width, _ = placed((180, 320), (320, 180))
    assert width == 101
    upright = images[-1]
    assert read_number(upright[:, left : left + width]) == 49
    assert (upright[:, : left - 2] == 0).all()
    assert (upright[:, left + width + 2 :] == 0).all()


def test_the_tail_is_the_same_wherever_reading_starts(tmp_path: Path) -> None:
    probed = joined(tmp_path, (30, 320, 180), (20, 180, 320), (20, 640, 360))
    whole, _ = images_and_times(probed)
    for first in (13, 30, 41, 50, 60):
        tail, _ = images_and_times(probed, first=first)
        np.testing.assert_array_equal(tail, whole[first:])


def test_a_picture_is_placed_in_the_middle() -> None:
    assert placed((160, 90), (1280, 720)) == (0, 0, 1280, 720)
    assert placed((100, 100), (300, 200)) == (50, 0, 200, 200)
    assert placed((1, 1000), (10, 10)) == (4, 0, 1, 10)


def test_the_shared_case(shared_folder: Path) -> None:
    path = shared_folder / "cases" / "ramp_720.webm"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    probed = probe(path)
    assert (probed.info.width, probed.info.height, probed.num_frames) == (1280, 720, 100)
