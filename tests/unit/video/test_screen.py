"""The screen as a source: a real X server in memory, whose picture is known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vidfer.errors import MissingDependency, VidferError
from vidfer.live.feed import Feed
from vidfer.video.live_source import LiveSource

WAIT_SECONDS = 60
WIDTH, HEIGHT = 320, 240


@pytest.fixture
def shown(tmp_path: Path, monkeypatch) -> Iterator[np.ndarray]:
    """A screen, and what it shows, (H, W, 3) uint8 RGB."""
    pytest.importorskip("mss", reason="mss is not installed (pip install 'vidfer[screen]')")
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb here (Debian: xvfb)")
    told, tell = os.pipe()
    screen = ("-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", str(tmp_path), "-nolisten", "tcp", "-noreset")
    server = subprocess.Popen(
        ["timeout", str(WAIT_SECONDS), "Xvfb", "-displayfd", str(tell), *screen],
        pass_fds=(tell,),
        stderr=subprocess.DEVNULL,
    )
    os.close(tell)
    try:
        with open(told) as file:
            number = file.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        monkeypatch.setenv("DISPLAY", f":{number}")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield painted(tmp_path / "Xvfb_screen0")
    finally:
        server.terminate()
        server.wait()


def painted(framebuffer: Path) -> np.ndarray:
    """Paint the server's memory, an XWD file; return the picture."""
    header = np.fromfile(framebuffer, ">u4", 25)
    header_size, num_colours, bytes_per_line = int(header[0]), int(header[19]), int(header[12])
    pixels = np.memmap(framebuffer, np.uint8, "r+", header_size + 12 * num_colours, (HEIGHT, bytes_per_line))
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : 4 * WIDTH].reshape(HEIGHT, WIDTH, 4)[..., :3] = picture[..., ::-1]  # BGRX
    pixels.flush()
    return picture


@pytest.mark.parametrize(
    ("name", "place"),
    [("screen", np.s_[:, :]), ("screen:30,20,160x100", np.s_[20:120, 30:190])],
)
def test_frames_are_what_the_screen_shows(shown: np.ndarray, name: str, place: tuple[slice, slice]) -> None:
    with Feed(LiveSource(name=name), policy="latest") as feed:
        shots = [shot for shot, _ in zip(feed, range(3), strict=False)]
    assert all(np.array_equal(shot.picture, shown[place]) for shot in shots)
    assert np.all(np.diff([shot.seconds for shot in shots]) > 0.5 / 30)


def test_what_is_no_region_of_the_screen_is_said(shown: np.ndarray) -> None:
    with pytest.raises(VidferError, match=r"screen:300,0,100x100: cannot be read: is the region on the screen\?"):
        LiveSource(name="screen:300,0,100x100").open()


def test_what_cannot_be_is_said(monkeypatch) -> None:
    with pytest.raises(VidferError, match=r"screen:0,0: expected screen or screen:X,Y,WxH"):
        LiveSource(name="screen:0,0").open()
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vidfer\[screen\]'"):
        LiveSource(name="screen").open()


def test_no_screen_is_said(monkeypatch) -> None:
    pytest.importorskip("mss", reason="mss is not installed (pip install 'vidfer[screen]')")
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems have a screen")
    monkeypatch.setenv("DISPLAY", ":97")
    with pytest.raises(VidferError, match="screen: there is no screen that can be read"):
        LiveSource(name="screen").open()
