"""A video written again: times, sound and size are the source's, pictures are what was painted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures.numbered_clips import draw_number, make_clip, read_number
from fixtures.stream_files import joined_bytes, with_early_sound

from vidfer.errors import BadVideo
from vidfer.video.repaint import repaint

TICKS = (0, 40, 80, 400, 420, 900, 1000, 1040)  # milliseconds: a variable frame rate


def write_video(path: Path, *, sound: str | None, size: tuple[int, int] = (64, 48)) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", options={"bf": "2", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        voice = container.add_stream(sound, rate=48000) if sound else None
        for number, ticks in enumerate(TICKS):
            image = np.full((size[1], size[0], 3), 20 * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            for start in range(0, 48000, 960):
                noise = np.random.default_rng(start).integers(-9000, 9000, (1, 2 * 960), dtype=np.int16)
                heard = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = 48000, start, Fraction(1, 48000)
                container.mux(voice.encode(heard))
            container.mux(voice.encode())
    return path


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]


def invert(image: np.ndarray, seconds: float) -> np.ndarray:
    return 255 - image


def test_frames_keep_their_times_and_sound_is_copied(tmp_path: Path) -> None:
    source, target = write_video(tmp_path / "a.mp4", sound="aac"), tmp_path / "out"
    times: list[float] = []
    repaint(source, target, lambda image, seconds: times.append(seconds) or 255 - image)
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([ticks / 1000 for ticks in TICKS], abs=1e-6)
    assert times == pytest.approx([ticks / 1000 for ticks in TICKS], abs=1e-6)
    brightness = [frame.to_ndarray(format="rgb24").mean() for frame in frames]
    assert brightness == pytest.approx([255 - 20 * number for number in range(len(TICKS))], abs=6)
    before, after = sound_packets(source), sound_packets(target)
    assert [data for _, data in after] == [data for _, data in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1e-3)


def test_sound_that_mp4_players_do_not_know_is_encoded(tmp_path: Path) -> None:
    source, target = write_video(tmp_path / "a.mkv", sound="pcm_s16le"), tmp_path / "out"
    repaint(source, target, invert)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples == pytest.approx(48000, rel=0.05)


def test_odd_sizes_lose_a_row_and_silent_videos_stay_silent(tmp_path: Path) -> None:
    source, target = write_video(tmp_path / "a.mp4", sound=None, size=(63, 47)), tmp_path / "out"
    repaint(source, target, invert)
    with av.open(str(target)) as container:
        assert not container.streams.audio
        assert (container.streams.video[0].width, container.streams.video[0].height) == (62, 46)


@pytest.mark.parametrize(("suffix", "codec", "sound"), [("mkv", "libx264", "libopus"), ("ts", "libx264", "mp2")])
def test_sound_that_starts_before_the_picture_still_does(tmp_path: Path, suffix: str, codec: str, sound: str) -> None:
    pictures = [draw_number(number) for number in range(25)]
    source = with_early_sound(tmp_path / f"a.{suffix}", pictures, codec=codec, sound=sound, start=2.0)
    repaint(source, tmp_path / "out", lambda image, seconds: image)
    with av.open(str(tmp_path / "out")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([2 + number / 25 for number in range(25)], abs=0.05)
    assert sound_packets(tmp_path / "out")[0][0] == pytest.approx(0, abs=0.05)


def test_joined_recordings_are_written_on_one_clock(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{k}.ts", num_frames=50, audio=True, first_number=50 * k) for k in range(2)]
    repaint(joined_bytes(tmp_path / "all.ts", parts), tmp_path / "out", lambda image, seconds: image)
    with av.open(str(tmp_path / "out")) as container:
        frames = list(container.decode(video=0))
    assert [read_number(frame.to_ndarray(format="rgb24")) for frame in frames] == list(range(100))
    assert [frame.time - frames[0].time for frame in frames] == pytest.approx([k / 25 for k in range(100)], abs=0.001)
    heard = [time for time, _ in sound_packets(tmp_path / "out")]
    assert np.diff(heard).min() > 0
    assert heard[-1] == pytest.approx(4, abs=0.3)


def test_the_same_video_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", sound="aac")
    for name in ("first", "second"):
        repaint(source, tmp_path / name, invert)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_video_that_has_moved_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadVideo, match="does not exist"):
        repaint(tmp_path / "gone.mp4", tmp_path / "out", invert)
