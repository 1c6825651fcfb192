"""Formats as people record and export them, through every reader: the right frames, at the right times, as shown.

Times and sizes are known from how each clip is made, not from another decoder.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.mp4_atoms import MIRRORED, TRANSPOSED, UPSIDE_DOWN_MIRRORED, set_display_matrix, set_edit_list
from fixtures.numbered_clips import make_clip, read_number

from vidfer.video.probe import VideoProbe, probe
from vidfer.video.reader import DecoderFailed, decord_objection, open_reader

NUM_FRAMES = 24
WIDTH, HEIGHT = 160, 128  # stored


def _irregular_ms() -> list[int]:
    rng = random.Random(5)
    times = [0]
    while len(times) < NUM_FRAMES:
        times.append(times[-1] + rng.choice([20, 30, 40, 110, 260]))  # hundredths of a second: gif has no finer ones
    return times


IRREGULAR = _irregular_ms()
X265 = {"x265-params": "log-level=none:keyint=10:min-keyint=10:pools=none:frame-threads=1"}
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}
AV1 = {"codec": "libsvtav1", "options": {"preset": "8", "crf": "10", "svtav1-params": "lp=1"}}
HEVC = {"codec": "libx265", "options": X265}
PRORES = {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}
MJPEG = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}
GIF = {"codec": "gif", "pix_fmt": "rgb8"}
B_FRAMES = {"options": {"bf": "2", "threads": "1"}}
FIELDS = {"flags": "+ildct+ilme"}

CLIPS: dict[str, dict[str, Any]] = {
    "h264.mov": {**B_FRAMES, "audio": True},
    "hevc_10_bit.mp4": {**HEVC, "pix_fmt": "yuv420p10le"},
    "hevc_10_bit.mkv": {**HEVC, "pix_fmt": "yuv420p10le"},
    "vp9.mp4": VP9,
    "vp9_alpha.webm": {**VP9, "pix_fmt": "yuva420p"},
    "av1.mp4": AV1,
    "av1.webm": AV1,
    "mpeg4.mov": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mjpeg.mkv": MJPEG,
    "prores.mov": PRORES,
    "prores_4444.mov": {"codec": "prores_ks", "pix_fmt": "yuva444p10le"},
    "irregular.gif": {**GIF, "pts_ms": IRREGULAR},
    "irregular.webm": {**VP9, "pts_ms": IRREGULAR},
    "irregular_hevc.mp4": {**HEVC, "pts_ms": IRREGULAR},
    "irregular.avi": {"codec": "mpeg4", "pts_ms": IRREGULAR},
    "irregular.ts": {"pts_ms": IRREGULAR},
    "starts_late.mov": {**PRORES, "pts_ms": [7000 + 40 * i for i in range(NUM_FRAMES)]},
    "starts_late.webm": {**VP9, "pts_ms": [7000 + 40 * i for i in range(NUM_FRAMES)]},
    "fps_240.mp4": {**B_FRAMES, "fps": 240},
    "fps_240.mkv": {**B_FRAMES, "fps": 240},  # Matroska rounds to milliseconds
    "fps_240.mov": {**PRORES, "fps": 240},
    "one_frame.mkv": {"num_frames": 1},
    "one_frame.webm": {**VP9, "num_frames": 1},
    "one_frame.avi": {"codec": "mpeg4", "num_frames": 1},
    "one_frame.gif": {**GIF, "num_frames": 1},
    "one_frame.mov": {**PRORES, "num_frames": 1},
    "one_frame_av1.mp4": {**AV1, "num_frames": 1},
    "turned_90.mov": {**PRORES, "rotation": 90},
    "turned_180.webm": {**VP9, "rotation": 180},
    "turned_270.mp4": {**HEVC, "rotation": 270},
    "odd_size.gif": {**GIF, "width": 161, "height": 127},
    "odd_size.webm": {**VP9, "width": 161, "height": 127},
    "odd_size_444.mp4": {"pix_fmt": "yuv444p", "width": 161, "height": 127},
    "odd_size.mov": {**PRORES, "width": 161, "height": 127},
    "wide_pixels.mp4": {"pixel_aspect": Fraction(16, 15)},
    "wide_pixels.mkv": {"pixel_aspect": Fraction(64, 45)},
    "wide_pixels.avi": {"codec": "mpeg4", "pixel_aspect": Fraction(16, 11)},
    "high_pixels.mov": {**PRORES, "pixel_aspect": Fraction(8, 9)},
    "wide_pixels_turned_90.mp4": {"pixel_aspect": Fraction(4, 3), "rotation": 90},
    "nearly_square_pixels.mp4": {"pixel_aspect": Fraction(1280, 1279)},
    "top_field_first.mp4": {"first_field": "top", "options": {"x264-params": "tff=1:threads=1"}},
    "bottom_field_first.mkv": {"first_field": "bottom", "options": {"x264-params": "bff=1:threads=1", "bf": "2"}},
    "fields.mpg": {"first_field": "top", "codec": "mpeg2video", "options": FIELDS},
    "fields.avi": {"first_field": "bottom", "codec": "mpeg4", "options": FIELDS},
    "fields.mov": {**PRORES, "first_field": "top", "options": FIELDS},
    "fields_wide_pixels.ts": {
        **{"first_field": "top", "pixel_aspect": Fraction(4, 3)},
        "options": {"x264-params": "tff=1:threads=1"},
    },
}
SHOWN = {  # (width, height) where it is not the stored size
    **dict.fromkeys(("turned_90.mov", "turned_270.mp4"), (HEIGHT, WIDTH)),
    "wide_pixels.mp4": (171, HEIGHT),
    "wide_pixels.mkv": (228, HEIGHT),
    "wide_pixels.avi": (233, HEIGHT),
    "high_pixels.mov": (142, HEIGHT),
    "wide_pixels_turned_90.mp4": (HEIGHT, 213),
    "fields_wide_pixels.ts": (213, HEIGHT),
}
READERS = ["decord", "pyav"]

GetClip = Callable[[str], Path]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> GetClip:
    folder = tmp_path_factory.mktemp("formats")

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            make_clip(path, **{"num_frames": NUM_FRAMES, "gop": 10, **CLIPS[name]})
        return path

    return get


def read(probed: VideoProbe, reader_name: str, start: int = 0) -> tuple[np.ndarray, np.ndarray] | None:
    """Return images and seconds from a frame on; None after checking that decord refuses a file that it misreads."""
    if reader_name == "decord":
        pytest.importorskip("decord", reason="decord has wheels for x86-64 only")
        if decord_objection(probed) is not None:
            with pytest.raises(DecoderFailed):
                open_reader(probed, decoder="decord")
            return None
    reader = open_reader(probed, decoder=reader_name)  # type: ignore[arg-type]
    batches = list(reader.read(np.arange(start, probed.num_frames), batch_size=7))
    assert not reader.report().truncated
    return np.concatenate([b.images for b in batches]), np.concatenate([b.pts_seconds for b in batches])


def numbers(images: np.ndarray) -> list[int]:
    return [read_number(image) for image in images]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("reader_name", READERS)
def test_frames_times_and_shape_are_as_made(clip: GetClip, name: str, reader_name: str) -> None:
    made = CLIPS[name]
    probed = probe(clip(name))
    result = read(probed, reader_name)
    if result is None:
        return
    images, seconds = result
    count = made.get("num_frames", NUM_FRAMES)
    assert numbers(images) == list(range(count))
    times_ms = np.array(made.get("pts_ms", np.arange(count) * 1000 / made.get("fps", 25)))
    rounding = 6e-4 if name.endswith((".mkv", ".webm")) else 1e-6
    np.testing.assert_allclose(seconds, (times_ms - times_ms[0]) / 1000, atol=rounding)
    assert np.all(np.diff(seconds) > 0)
    width, height = SHOWN.get(name, (made.get("width", WIDTH), made.get("height", HEIGHT)))
    assert images.shape[1:] == (height, width, 3)
    assert (probed.info.width, probed.info.height, probed.info.num_frames) == (width, height, count)
    if count > 1:  # the same from the middle on
        tail_images, tail_seconds = read(probed, reader_name, start=13) or ([], [])
        np.testing.assert_array_equal(tail_images, images[13:])
        np.testing.assert_array_equal(tail_seconds, seconds[13:])


@pytest.mark.parametrize("name", [name for name, made in CLIPS.items() if "first_field" in made])
def test_interlaced_frames_show_one_moment_and_are_said_to_be(clip: GetClip, name: str) -> None:
    probed = probe(clip(name))
    assert decord_objection(probed) is not None
    images, _ = read(probed, "pyav") or pytest.fail("PyAV reads everything")
    combed = np.abs(np.diff(images.astype(int), axis=1)).mean()
    smooth = np.abs(images[:, 2:].astype(int) - images[:, :-2]).mean()
    assert combed < 0.75 * smooth  # neighbouring lines differ less than every second one: there is no comb
    assert any("interlaced" in warning for warning in probed.warnings)


def test_progressive_frames_of_a_stream_that_allows_fields_keep_all_their_lines(tmp_path: Path) -> None:
    options = {"x264-params": "fake-interlaced=1:threads=1"}
    path = make_clip(tmp_path / "a.mp4", num_frames=3, options=options)
    plain = make_clip(tmp_path / "b.mp4", num_frames=3)
    probed = probe(path)
    assert probed.may_be_interlaced
    assert not probe(plain).may_be_interlaced
    assert "interlaced" in (decord_objection(probed) or "")
    images, _ = read(probed, "pyav") or pytest.fail("PyAV reads everything")
    assert numbers(images) == [0, 1, 2]
    assert probed.warnings == ()


@pytest.mark.parametrize(
    ("matrix", "back"),
    [
        (MIRRORED, lambda image: image[:, ::-1]),
        (UPSIDE_DOWN_MIRRORED, lambda image: image[::-1]),
        (TRANSPOSED, lambda image: image.transpose(1, 0, 2)),
    ],
    ids=["mirrored", "upside down and mirrored", "transposed"],
)
@pytest.mark.parametrize("reader_name", READERS)
def test_mirrored_recordings_are_shown_as_players_show_them(
    tmp_path: Path, matrix: tuple[int, ...], back: Callable[[np.ndarray], np.ndarray], reader_name: str
) -> None:
    path = set_display_matrix(make_clip(tmp_path / "clip.mp4", num_frames=4, options={"bf": "0"}), matrix)
    images, _ = read(probe(path), reader_name) or pytest.fail("decord reads it, too")
    assert numbers(images) != list(range(4))  # the stored picture carries the number, the shown one its mirror image
    assert [read_number(back(image)) for image in images] == list(range(4))


def test_pixels_of_an_unbelievable_shape_are_taken_as_square(tmp_path: Path) -> None:
    probed = probe(make_clip(tmp_path / "clip.mov", num_frames=2, **PRORES, pixel_aspect=Fraction(9, 1)))
    assert (probed.info.width, probed.info.height) == (WIDTH, HEIGHT)
    assert "9 times" in probed.warnings[0]


FRAME = 512  # ticks of a frame in the clips below


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        ([(400, -1), (800, 0)], range(20)),
        ([(800, 5)], range(5, 25)),
        ([(320, 12), (400, 2)], [*range(12, 20), *range(2, 12)]),
        ([(320, 2), (320, 2)], [*range(2, 10), *range(2, 10)]),
    ],
    ids=["starts later", "beginning cut off", "second half first", "shown twice"],
)
def test_edit_lists_show_what_they_say(
    tmp_path: Path, b_frames: int, edits: list[tuple[int, int]], shown: list[int]
) -> None:
    path = make_clip(tmp_path / "clip.mp4", num_frames=30, gop=10, options={"bf": str(b_frames)})
    delay = 2 * FRAME if b_frames else 0  # B-frames move every time in the track
    set_edit_list(path, [(ms, -1 if start < 0 else start * FRAME + delay) for ms, start in edits])
    probed = probe(path)
    for start in (0, 12):
        images, seconds = read(probed, "pyav", start) or pytest.fail("PyAV reads everything")
        assert numbers(images) == list(shown)[start:]
        np.testing.assert_allclose(seconds, np.arange(start, len(shown)) / 25, atol=1e-6)
    assert read(probed, "decord") is None or numbers(read(probed, "decord")[0]) == list(shown)  # type: ignore[index]
