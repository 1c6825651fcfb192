"""One real face in every format: the command finds the same face in the same place, at the times it was recorded."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fixtures.commands import read_csv
from fixtures.face_clips import HEIGHT, WIDTH, draw_portrait
from fixtures.forked import vidfer
from fixtures.mp4_atoms import MIRRORED, set_display_matrix, set_edit_list
from fixtures.numbered_clips import make_clip
from fixtures.timeline_rows import assert_rows_match_frames

NUM_FRAMES = 10
REFERENCE = "h264.mp4"
MIRROR = "mirrored.mp4"
NO_FACE = "no_face.mkv"
CUT = 4  # frames that the edit list leaves out
PAUSES_MS = [0, 40, 50, 90, 290, 300, 420, 460, 500, 700]

X265 = {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=none:frame-threads=1"}}
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0"}}
AV1 = {"codec": "libsvtav1", "options": {"preset": "8", "crf": "10", "svtav1-params": "lp=1"}}
PRORES = {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}
MPEG4 = {"codec": "mpeg4", "options": {"b": "4000000"}}
TURNED = {"width": HEIGHT, "height": WIDTH}

CLIPS: dict[str, dict[str, Any]] = {
    REFERENCE: {"options": {"bf": "2"}},
    "hevc_10_bit.mp4": {**X265, "pix_fmt": "yuv420p10le"},
    "vp9.webm": VP9,
    "av1.mkv": AV1,
    "prores.mov": PRORES,
    "mpeg4.avi": MPEG4,
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": {"q": "2"}},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "irregular.mkv": {"pts_ms": PAUSES_MS},
    "starts_late.mp4": {"pts_ms": [6000 + 40 * i for i in range(NUM_FRAMES)]},
    "fps_240.mp4": {"fps": 240, "num_frames": 60},
    "one_frame.mp4": {"num_frames": 1},
    "turned_90.mp4": {**TURNED, "rotation": 90},
    "turned_180.mov": {"rotation": 180},
    "turned_270.mp4": {**TURNED, "rotation": 270},
    "wide_pixels.mp4": {"width": 240, "pixel_aspect": Fraction(4, 3)},
    "high_pixels.mov": {**PRORES, "width": 360, "pixel_aspect": Fraction(8, 9)},
    "wide_pixels_turned.mp4": {**TURNED, "width": 180, "pixel_aspect": Fraction(4, 3), "rotation": 90},
    "fields.mp4": {"first_field": "top", "options": {"x264-params": "tff=1:threads=1"}},
    "fields.avi": {**MPEG4, "first_field": "bottom", "options": {"flags": "+ildct+ilme", "b": "4000000"}},
    "odd_size.mp4": {"width": 321, "height": 241, "pix_fmt": "yuv444p"},
    "trimmed.mp4": {"num_frames": NUM_FRAMES + CUT},
    MIRROR: {},
    NO_FACE: {"draw": None},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("formats")
    (base / "videos").mkdir()
    for name, made in CLIPS.items():
        path = base / "videos" / name
        make_clip(path, **{"num_frames": NUM_FRAMES, "width": WIDTH, "height": HEIGHT, "draw": draw_portrait, **made})
    set_edit_list(base / "videos" / "trimmed.mp4", [(40 * NUM_FRAMES, 512 * CUT + 1024)])  # 1024: two B-frames
    set_display_matrix(base / "videos" / MIRROR, MIRRORED)
    done = vidfer("process", base / "videos", "--out", base / "out", "--export", "csv,summary,overlay")
    assert done.returncode == 0, done.stderr
    return base / "out"


def folder_of(results: Path, name: str) -> Path:
    """A clip's folder keeps the suffix where another clip has the same stem."""
    return results / name if (results / name).is_dir() else results / Path(name).stem


def rows_of(results: Path, name: str) -> list[dict[str, str]]:
    return read_csv(folder_of(results, name) / "timeline.csv")


def expected_seconds(name: str) -> list[float]:
    made = CLIPS[name]
    count = NUM_FRAMES if name == "trimmed.mp4" else made.get("num_frames", NUM_FRAMES)
    times = made.get("pts_ms", [1000 * i / made.get("fps", 25) for i in range(count)])
    return [(time - times[0]) / 1000 for time in times]


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_has_its_row_at_its_time(results: Path, name: str) -> None:
    assert_rows_match_frames(rows_of(results, name), expected_seconds(name))


@pytest.mark.parametrize("name", [name for name in CLIPS if name != NO_FACE])
def test_the_face_is_found_where_people_see_it(results: Path, name: str) -> None:
    reference, rows = rows_of(results, REFERENCE), rows_of(results, name)
    first = CUT if name == "trimmed.mp4" else 0
    for i, row in enumerate(rows[: NUM_FRAMES - first]):
        same_view = reference[i + first]
        assert row["success"] == "1"
        numbers = {key: float(row[key]) - float(same_view[key]) for key in ("y", "width", "height", "pitch")}
        left, right = float(row["x"]), float(row["x"]) + float(row["width"])
        mirrored = WIDTH - right if name == MIRROR else left
        numbers["x"] = mirrored - float(same_view["x"])
        sign = -1 if name == MIRROR else 1
        numbers["yaw"] = sign * float(row["yaw"]) - float(same_view["yaw"])
        numbers["roll"] = sign * float(row["roll"]) - float(same_view["roll"])
        assert max(abs(number) for number in numbers.values()) < 5, (i, numbers)  # px and degrees
        assert row["emotion"] == same_view["emotion"] == "happiness"


def test_no_face_is_found_where_none_is(results: Path) -> None:
    assert {row["success"] for row in rows_of(results, NO_FACE)} == {"0"}


@pytest.mark.parametrize("name", ["wide_pixels.mp4", "high_pixels.mov", "turned_90.mp4", "fields.mp4"])
def test_everything_else_fits_the_picture_as_shown(results: Path, name: str) -> None:
    folder = folder_of(results, name)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["width"], summary["height"]) == (WIDTH, HEIGHT)
    assert any("interlaced" in warning for warning in summary["warnings"]) == (name == "fields.mp4")
    overlay, same_overlay = first_overlay(results, name), first_overlay(results, REFERENCE)
    assert overlay.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(overlay.astype(int) - same_overlay).mean() < 6  # boxes, points and bars lie over the same view
    assert np.abs(overlay.astype(int) - draw_portrait(0, width=WIDTH, height=HEIGHT)).mean() > 12


def first_overlay(results: Path, name: str) -> np.ndarray:
    with av.open(str(folder_of(results, name) / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio in (None, 0, 1)
        return next(container.decode(stream)).to_ndarray(format="rgb24")
