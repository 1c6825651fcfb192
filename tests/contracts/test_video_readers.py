"""Both readers over many containers and codecs: the same frames at the same times, wherever reading starts."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fixtures.numbered_clips import joined_clips, make_clip, read_number

from vidfer.video.probe import VideoProbe, frame_times_seconds, probe
from vidfer.video.reader import DecoderFailed, choose_reader, decord_objection, open_reader
from vidfer.video.sampling import sample_indices

NUM_FRAMES = 30


def _irregular_ms() -> list[int]:
    rng = random.Random(7)
    times = [0]
    while len(times) < NUM_FRAMES:
        times.append(times[-1] + rng.choice([17, 33, 40, 100, 250]))
    return times


X265 = "log-level=none:keyint=10:min-keyint=10:pools=none:frame-threads=1"
H264_B = {"bf": "2", "threads": "1"}
LATE_MS = [5000 + 40 * i for i in range(NUM_FRAMES)]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}

# name -> arguments of make_clip
CLIPS: dict[str, dict[str, Any]] = {
    "h264_b_frames.mp4": {"options": H264_B, "audio": True},
    "h264_open_gop.mp4": {"options": {"x264-params": "open-gop=1:bframes=3:keyint=10:b-adapt=0:threads=1"}},
    "h264_intra_refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=10:threads=1"}},
    "h264_intra_refresh.ts": {"options": {"x264-params": "intra-refresh=1:keyint=10:threads=1"}},
    "h264_444.mp4": {"pix_fmt": "yuv444p"},
    "h264_10_bit.mp4": {"pix_fmt": "yuv420p10le"},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": X265}},
    "hevc_open_gop.mkv": {"codec": "libx265", "options": {"x265-params": X265 + ":open-gop=1:bframes=3"}},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "av1.mkv": {"codec": "libsvtav1", "options": {"preset": "8", "crf": "10", "svtav1-params": "lp=1"}},
    "mpeg4.avi": {"codec": "mpeg4", "audio": True},
    "mpeg4_b_frames.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "h264_b_frames.avi": {"options": H264_B},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mjpeg_422.mov": {"codec": "mjpeg", "pix_fmt": "yuvj422p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "h264.ts": {"options": H264_B, "audio": True},
    "hevc.ts": {"codec": "libx265", "options": {"x265-params": X265}},
    "h264.flv": {},
    "h264_fragmented.mp4": {"options": H264_B, "container_options": FRAGMENTED},
    "raw.h264": {"options": H264_B},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "irregular.mp4": {"pts_ms": _irregular_ms(), "options": H264_B},
    "irregular.mkv": {"pts_ms": _irregular_ms(), "options": H264_B},
    "starts_late.mkv": {"pts_ms": LATE_MS},
    "starts_late.mp4": {"pts_ms": LATE_MS, "options": H264_B},
    "turned_90.mp4": {"rotation": 90},
    "turned_180.mp4": {"rotation": 180},
    "turned_270.mkv": {"rotation": 270},
    "odd_size.mkv": {"codec": "mpeg4", "width": 161, "height": 127},
    "odd_size.mp4": {"width": 166, "height": 130},
    "one_frame.mp4": {"num_frames": 1},
}
READERS = ["decord", "decord_in_short_pieces", "pyav"]

GetClip = Callable[[str], Path]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> GetClip:
    folder = tmp_path_factory.mktemp("clips")

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            make_clip(path, **{"num_frames": NUM_FRAMES, "gop": 10, **CLIPS[name]})
        return path

    return get


def truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Decode the plain way, everything from the start: (F, H, W, 3) upright images and (F,) seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        images = [np.rot90(f.to_ndarray(format="rgb24"), (f.rotation // 90) % 4) for f in frames]
        times = np.array([f.time if f.time is not None else np.nan for f in frames])
        return np.stack(images), times - times[0]


def read_all(reader: Any, indices: np.ndarray, *, batch_size: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    batches = list(reader.read(indices, batch_size=batch_size))
    assert all(len(b) == batch_size for b in batches[:-1])
    return (
        np.concatenate([b.images for b in batches]),
        np.concatenate([b.frame_index for b in batches]),
        np.concatenate([b.pts_seconds for b in batches]),
    )


def reader_unless_refused(probed: VideoProbe, name: str) -> Any:
    """Return the reader, or None after checking that decord refuses a file that it would read wrongly."""
    if name == "pyav":
        return open_reader(probed, decoder="pyav")
    pytest.importorskip("decord", reason="decord has wheels for x86-64 only")
    if decord_objection(probed) is not None:
        with pytest.raises(DecoderFailed):
            open_reader(probed, decoder="decord")
        assert choose_reader(probed) == "pyav"
        return None
    if name == "decord":
        return open_reader(probed, decoder="decord")
    from vidfer.video.decord_reader import DecordReader

    return DecordReader(probed, piece_frames=1)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("reader_name", READERS)
def test_every_frame_comes_once_upright_and_at_its_time(clip: GetClip, name: str, reader_name: str) -> None:
    path = clip(name)
    probed = probe(path)
    reader = reader_unless_refused(probed, reader_name)
    if reader is None:
        return
    images, indices, times = read_all(reader, np.arange(probed.num_frames))
    expected_images, expected_times = truth(path)
    assert [read_number(image) for image in images] == list(range(len(expected_images)))
    assert indices.tolist() == list(range(len(expected_images)))
    assert np.abs(images.astype(int) - expected_images).mean() < 2.0
    if probed.mapping == "pts":
        np.testing.assert_allclose(times, expected_times, atol=1e-6)
    report = reader.report()
    assert (report.reader, report.truncated) == (reader_name.split("_")[0], False)
    assert report.expected_frames == report.decoded_frames == len(images)


@pytest.mark.parametrize("name", [n for n in CLIPS if n != "one_frame.mp4"])
@pytest.mark.parametrize("reader_name", READERS)
@pytest.mark.parametrize("start", [10, 19])
def test_the_tail_is_the_same_wherever_reading_starts(clip: GetClip, name: str, reader_name: str, start: int) -> None:
    probed = probe(clip(name))
    reader = reader_unless_refused(probed, reader_name)
    if reader is None:
        return
    images, _, times = read_all(reader, np.arange(probed.num_frames))
    tail_images, tail_indices, tail_times = read_all(reader, np.arange(start, probed.num_frames))
    assert tail_indices.tolist() == list(range(start, probed.num_frames))
    np.testing.assert_array_equal(tail_images, images[start:])
    np.testing.assert_array_equal(tail_times, times[start:])


@pytest.mark.parametrize("name", [n for n in CLIPS if n != "one_frame.mp4"])
@pytest.mark.parametrize("reader_name", READERS)
def test_chosen_frames_are_the_chosen_ones(clip: GetClip, name: str, reader_name: str) -> None:
    probed = probe(clip(name))
    reader = reader_unless_refused(probed, reader_name)
    if reader is None:
        return
    for wanted in (sample_indices(frame_times_seconds(probed), 5.0), np.array([2, 21, 22, 29])):
        images, indices, _ = read_all(reader, wanted, batch_size=3)
        assert indices.tolist() == wanted.tolist()
        assert [read_number(image) for image in images] == wanted.tolist()


@pytest.mark.parametrize("name", ["h264_b_frames.mp4", "h264.ts", "mpeg4.avi", "vp9.webm", "turned_90.mp4"])
def test_auto_takes_decord_where_it_is_right(clip: GetClip, name: str) -> None:
    installed = importlib.util.find_spec("decord") is not None
    assert choose_reader(probe(clip(name))) == ("decord" if installed else "pyav")


@pytest.mark.parametrize("name", ["av1.mkv", "h264_10_bit.mp4", "h264_b_frames.avi", "raw.h264", "animation.gif"])
def test_auto_takes_pyav_where_decord_is_wrong(clip: GetClip, name: str) -> None:
    probed = probe(clip(name))
    assert choose_reader(probed) == "pyav"
    if importlib.util.find_spec("decord") is not None:
        with pytest.raises(DecoderFailed, match="decord"):
            open_reader(probed, decoder="decord")


def test_without_decord_auto_takes_pyav(clip: GetClip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choose_reader(probe(clip("h264_b_frames.mp4"))) == "pyav"


def test_frames_of_other_sizes_are_fitted_into_the_largest(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.ts", num_frames=10)
    large = make_clip(tmp_path / "large.ts", num_frames=10, width=320, height=256, first_number=10)
    probed = probe(joined_clips(tmp_path / "both.ts", [small, large], container_format="mpegts"))
    assert probed.size_changes
    assert choose_reader(probed) == "pyav"
    images, _, _ = read_all(open_reader(probed), np.arange(probed.num_frames))
    assert images.shape == (20, 256, 320, 3)
    assert [read_number(image) for image in images] == list(range(20))


def test_batches_that_are_kept_are_not_overwritten(clip: GetClip) -> None:
    probed = probe(clip("h264_b_frames.mp4"))
    kept = [batch.images[:1] for batch in open_reader(probed, decoder="pyav").read(np.arange(30), batch_size=1)]
    assert [read_number(image[0]) for image in kept] == list(range(30))
