"""Which of several video streams is used, and how a user chooses another."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.numbered_clips import make_clip, read_number
from fixtures.stream_files import images_and_times, side_by_side
from fixtures.transport_stream import two_programmes

from vidfer.errors import BadVideo
from vidfer.video.probe import probe

SMALL, LARGE = (160, 128), (320, 256)


def clip(path: Path, num_frames: int, size: tuple[int, int], *, codec: str = "libx264") -> Path:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return make_clip(path, num_frames=num_frames, width=size[0], height=size[1], codec=codec, pix_fmt=pixels)


@pytest.mark.parametrize(
    ("suffix", "frames", "sizes", "default", "expected"),
    [
        (".mkv", (30, 30), (LARGE, SMALL), (1,), 1),  # the flag
        (".mkv", (20, 30), (LARGE, SMALL), (), 1),  # most frames
        (".mkv", (30, 30), (SMALL, LARGE), (), 1),  # the largest
        (".mkv", (30, 30), (SMALL, SMALL), (), 0),  # the first
        (".mkv", (20, 30, 30), (LARGE, SMALL, LARGE), (0, 1), 1),  # of those that are flagged
        (".mov", (30, 40), (LARGE, SMALL), (0, 1), 1),
        (".ts", (100, 101), (LARGE, SMALL), (), 0),  # programmes that do not end with the same frame
        (".mkv", (1, 30), (LARGE, SMALL), (0,), 1),  # a still is never meant, whatever its flag
        (".mkv", (3, 400), (LARGE, SMALL), (0,), 1),
    ],
)
def test_the_flag_then_most_frames_then_size(
    tmp_path: Path,
    suffix: str,
    frames: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    default: tuple[int, ...],
    expected: int,
) -> None:
    parts = [clip(tmp_path / f"{k}.mp4", n, size) for k, (n, size) in enumerate(zip(frames, sizes, strict=True))]
    probed = probe(side_by_side(tmp_path / f"all{suffix}", parts, default=default))
    assert (probed.info.stream, probed.num_frames) == (expected, frames[expected])
    assert (probed.info.width, probed.info.height) == sizes[expected]
    (warning,) = probed.warnings
    assert f"stream {expected} is used" in warning
    for number, (count, size) in enumerate(zip(frames, sizes, strict=True)):
        assert f"{number} (h264, {size[0]} x {size[1]}, {count} frame" in warning


@pytest.mark.parametrize(
    ("frames", "sizes", "expected"),
    [((60, 80), (LARGE, SMALL), 1), ((80, 80), (SMALL, LARGE), 1), ((80, 60), (SMALL, LARGE), 0)],
)
@pytest.mark.parametrize("clocks", [(1.0, 5000.0), (5000.0, 1.0), (10.0, 10.0)])
def test_two_programmes_of_one_broadcast(
    tmp_path: Path,
    frames: tuple[int, int],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    expected: int,
    clocks: tuple[float, float],
) -> None:
    """Each has a table and a clock of its own; an offset on the other one's clock would say nothing."""
    parts = tuple(clip(tmp_path / f"{k}.mp4", n, size) for k, (n, size) in enumerate(zip(frames, sizes, strict=True)))
    path = two_programmes(tmp_path / "two.ts", (parts[0], parts[1]), clocks_seconds=clocks)
    probed = probe(path)
    assert (probed.info.stream, probed.num_frames) == (expected, frames[expected])
    (warning,) = probed.warnings
    assert warning.startswith("2 video streams: 0 (h264")
    assert f"stream {expected} is used" in warning
    for number in (0, 1):
        chosen = probe(path, stream=number)
        images, times = images_and_times(chosen)
        assert [read_number(image) for image in images] == list(range(frames[number]))
        assert images[0].shape[1::-1] == sizes[number]
        assert times[-1] == pytest.approx((frames[number] - 1) / 25)
        assert chosen.info.start_seconds == pytest.approx(0)
        assert not chosen.warnings


def test_a_thumbnail_before_the_camera_in_mov(tmp_path: Path) -> None:
    still = clip(tmp_path / "still.mov", 1, LARGE, codec="mjpeg")
    for default in ((0,), (0, 1), (1,), ()):
        path = side_by_side(tmp_path / "all.mov", [still, clip(tmp_path / "camera.mov", 40, SMALL)], default=default)
        assert probe(path).num_frames == 40


def test_a_number_chooses(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{k}.mp4", n, size) for k, (n, size) in enumerate(((20, SMALL), (30, LARGE)))]
    path = side_by_side(tmp_path / "both.mkv", parts)
    chosen = probe(path, stream=0)
    images, _ = images_and_times(chosen)
    assert [read_number(image) for image in images] == list(range(20))
    assert images[0].shape == (128, 160, 3)
    assert not chosen.warnings


def test_a_number_that_is_no_video_stream_is_said(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", num_frames=10, audio=True)
    for number in (1, 7):
        with pytest.raises(BadVideo, match=rf"video.stream={number} .*its only video stream is 0 \(h264") as caught:
            probe(path, stream=number)
        assert caught.value.reason == "no_video_stream"


def test_the_shared_cases(shared_folder: Path) -> None:
    for name in ("two_streams.mkv", "thumb_track.mov"):
        path = shared_folder / "cases" / name
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        probed = probe(path)
        assert (probed.info.stream, probed.num_frames, probed.info.height) == (1, 100, 320)
