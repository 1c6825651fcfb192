"""Pieces cut out of a video: the right pictures at the right times with their sound, copied where that is possible."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from fixtures.numbered_clips import make_clip, read_number

from vidfer.video.probe import probe
from vidfer.video.snippet import cut


def _decoded(path: Path) -> tuple[list[int], np.ndarray, float]:
    """Return the frames' numbers, their times, and how many seconds of sound there are."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
    with av.open(str(path)) as container:
        samples = sum(frame.samples / frame.sample_rate for frame in container.decode(container.streams.audio[0]))
    numbers = [read_number(frame.to_ndarray(format="rgb24")) for frame in frames]
    return numbers, np.array([frame.time for frame in frames]), samples


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_pictures_are_copied_from_the_key_frame_before(tmp_path: Path, suffix: str) -> None:
    source = make_clip(
        tmp_path / f"a.{suffix}", num_frames=100, audio=True, gop=20, options={"bf": "2", "sc_threshold": "0"}
    )
    start, end, is_copied = cut(probe(source), tmp_path / "out", (1.0, 2.0))
    assert is_copied
    assert (start, end) == pytest.approx((0.8, 2.0))  # frame 20, a key frame
    numbers, times, sound = _decoded(tmp_path / "out")
    assert numbers[:30] == list(range(20, 50))
    assert len(numbers) <= 33  # pictures that the last wanted ones refer to
    assert np.diff(times) == pytest.approx(0.04, abs=0.002)
    assert sound == pytest.approx(1.2, abs=0.15)
    with av.open(str(source)) as whole, av.open(str(tmp_path / "out")) as piece:
        originals = {bytes(packet) for packet in whole.demux(video=0)}
        assert {bytes(packet) for packet in piece.demux(video=0)} <= originals


@pytest.mark.parametrize(
    ("make", "paint"),
    [
        ({"gop": 250, "options": {"sc_threshold": "0"}}, None),  # the key frame is too far before
        ({"rotation": 90}, None),
        ({"codec": "mjpeg", "pix_fmt": "yuvj420p"}, None),
        ({"gop": 20}, lambda image, seconds: image),
    ],
)
def test_else_they_are_encoded_anew_and_begin_where_they_should(
    tmp_path: Path, make: dict[str, object], paint: object
) -> None:
    source = make_clip(tmp_path / "a.mkv", num_frames=100, audio=True, **make)  # type: ignore[arg-type]
    start, end, is_copied = cut(probe(source), tmp_path / "out", (2.5, 3.5), paint)  # type: ignore[arg-type]
    assert not is_copied
    assert (start, end) == pytest.approx((2.52, 3.52), abs=0.021)
    numbers, times, sound = _decoded(tmp_path / "out")
    first = round(start * 25)
    assert numbers == list(range(first, round(end * 25)))
    assert times == pytest.approx(np.arange(len(numbers)) / 25, abs=0.002)
    assert sound == pytest.approx(1.0, abs=0.15)


def test_beyond_the_end_what_is_left_is_cut(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", num_frames=50, audio=True, gop=10)
    start, end, _ = cut(probe(source), tmp_path / "out", (1.5, 9.0))
    assert end == pytest.approx(2.0)
    assert _decoded(tmp_path / "out")[0] == list(range(round(start * 25), 50))
