"""A clip that lies on its side or stands on its head, though its file does not say so."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures.face_clips import draw_portrait
from fixtures.forked import vidfer

from vidfer.config import FacesConfig
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.orientation import find_turn
from vidfer.video.probe import probe, turned

WIDTH, HEIGHT = 320, 240
FRAMES = 24


@pytest.fixture(scope="module")
def stage() -> FacesStage:
    return FacesStage(FacesConfig(), device="cpu")


def write(path: Path, pictures: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(12))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return path


def portrait_turned(path: Path, degrees: int, *, blank: int = 0) -> Path:
    """The portrait, stored turned clockwise, after some pictures in which nobody is."""
    views = [draw_portrait(number, width=WIDTH, height=HEIGHT) for number in range(FRAMES)]
    views = [view * 0 + 90 for view in views[:1] * blank] + views
    return write(path, [np.rot90(view, -degrees // 90) for view in views])


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_picture_is_turned_until_its_faces_stand_upright(stage, tmp_path, degrees):
    clip = portrait_turned(tmp_path / "a.mp4", degrees)
    assert find_turn(probe(clip), stage) == -degrees % 360


def test_where_nobody_is_at_first_the_whole_video_is_looked_at(stage, tmp_path):
    clip = portrait_turned(tmp_path / "a.mp4", 90, blank=40)
    assert find_turn(probe(clip), stage) == 270


def test_a_clip_without_a_face_stays_as_it_is(stage, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 15, 20, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    assert find_turn(probe(write(tmp_path / "a.mp4", list(noise))), stage) == 0


@pytest.mark.parametrize("name", ["d11", "talking/t10"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_real_clips_are_decided_right(stage, clips_folder, name, degrees):
    video = turned(probe(clips_folder / f"{name}.mp4"), degrees)
    assert find_turn(video, stage) == -degrees % 360


def summary_of(clip: Path, out: Path, *settings: str) -> dict:
    done = vidfer("process", clip, "--out", out, *(part for setting in settings for part in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    return json.loads(next(out.glob("*/summary.json")).read_text())


def test_a_run_turns_the_clip_and_says_so(tmp_path):
    clip = portrait_turned(tmp_path / "a.mp4", 180)
    summary = summary_of(clip, tmp_path / "auto")
    assert summary["turned_degrees"] == 180
    assert summary["warnings"] == [
        "the picture stands on its head: turned by 180 degrees clockwise; video.rotation=0 leaves it"
    ]
    assert "rotate(180deg)" in (tmp_path / "auto" / "a" / "report.html").read_text()
    left = summary_of(clip, tmp_path / "left", "video.rotation=0")
    assert (left["turned_degrees"], left["warnings"]) == (0, [])


def test_a_turn_that_the_settings_ask_for_is_made(tmp_path):
    summary = summary_of(portrait_turned(tmp_path / "a.mp4", 90), tmp_path / "out", "video.rotation=270")
    assert (summary["width"], summary["height"]) == (WIDTH, HEIGHT)
    assert summary["frames_with_face"] == FRAMES
    assert summary["warnings"] == []
