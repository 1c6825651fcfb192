"""A video call of 25 people, 5 x 5, through the real command: everybody is there in every frame, or it is said."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from fixtures.forked import vidfer
from PIL import Image, ImageOps

from vidfer.learning.datasets.face_scenes import SCENES_FILE, read_scenes
from vidfer.pipeline.chunk import CHUNK_FRAMES

SIDE = 5
TILE = (384, 216)  # px, width and height: a call of 1920 x 1080
WHOLE_BODY = "s13"  # a clip whose face is smaller than the summary's least_face_px here
NUM_FRAMES = 3 * CHUNK_FRAMES
FOLLOWED = 16  # where the limit is less than the people


@pytest.fixture(scope="module")
def gallery(clips_folder: Path, shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every real clip is a tile; photographs of further people, who sway as heads do, fill the call."""
    paths = [path for path in sorted(clips_folder.rglob("*.mp4")) if path.stem != WHOLE_BODY]
    clips = [_tiles_of_clip(path) for path in paths[: SIDE**2]]
    missing = SIDE**2 - len(clips)
    if missing and not (shared_folder / "data" / SCENES_FILE).is_file():
        pytest.skip(f"no faces to fill the call: {SCENES_FILE} is absent")
    people = clips + ([_tiles_of_photograph(one) for one in _photographs(shared_folder, missing)] if missing else [])
    path = tmp_path_factory.mktemp("gallery") / "call.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = SIDE * TILE[0], SIDE * TILE[1], "yuv420p"
        for number in range(NUM_FRAMES):
            rows = [np.concatenate([one[number] for one in people[i : i + SIDE]], 1) for i in range(0, SIDE**2, SIDE)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate(rows), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _tiles_of_clip(path: Path) -> list[np.ndarray]:
    """Return the first frames, cut to the shape of a tile; a clip that is too short goes back and forth."""
    with av.open(str(path)) as container:
        frames = [frame.to_image() for _, frame in zip(range(NUM_FRAMES), container.decode(video=0), strict=False)]
    tiles = [_tile(frame) for frame in frames]
    return [tiles[i if i < len(tiles) else 2 * len(tiles) - i - 2] for i in range(NUM_FRAMES)]


def _tile(frame: Image.Image) -> np.ndarray:
    return np.asarray(ImageOps.pad(frame, TILE, Image.Resampling.BILINEAR, color=(30, 30, 30)))


def _photographs(shared: Path, count: int) -> list[np.ndarray]:
    """Return photographs of one person each, people who are in no training."""
    scenes = (one for one in read_scenes(shared / "data", "val") if one.source == "lfw" and len(one.score) == 1)
    of_person = {one.name.rsplit("_", 1)[0]: one.pixels for one in scenes}
    return list(of_person.values())[:count]


def _tiles_of_photograph(pixels: np.ndarray) -> list[np.ndarray]:
    image = Image.fromarray(pixels)
    angle = np.arange(NUM_FRAMES) / 25 * 2
    shifts = zip((5 * np.sin(angle)).tolist(), (3 * np.cos(angle)).tolist(), strict=True)
    return [_tile(image.transform(image.size, Image.Transform.AFFINE, (1, 0, x, 0, 1, y))) for x, y in shifts]


def _in_tiles(table: pd.DataFrame) -> pd.DataFrame:
    """Return the faces with the tile that each lies in."""
    seen = table[table["success"] == 1]
    column = (seen["x"] + seen["width"] / 2) // TILE[0]
    row = (seen["y"] + seen["height"] / 2) // TILE[1]
    return seen.assign(tile=(row * SIDE + column).astype(int))


def _processed(gallery: Path, out: Path, *settings: str) -> tuple[pd.DataFrame, list[str]]:
    done = vidfer("process", gallery, "--out", out, "--export", "csv,summary", *settings, timeout=600)
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "call" / "summary.json").read_text())
    return _in_tiles(pd.read_csv(out / "call" / "timeline.csv")), summary["warnings"]


def test_everybody_is_there_in_every_frame(gallery: Path, tmp_path: Path) -> None:
    faces, warnings = _processed(gallery, tmp_path)
    frames = faces.groupby("tile")["frame"].nunique()
    assert frames.to_dict() == dict.fromkeys(range(SIDE**2), NUM_FRAMES)  # 25 people, and nobody flickers
    assert (faces.groupby("tile")["face_id"].nunique() == 1).all()  # one number each
    assert len(faces) == SIDE**2 * NUM_FRAMES  # and nothing else is taken for a face
    assert not [text for text in warnings if "max_faces" in text]


def test_with_too_low_a_limit_the_others_are_counted(gallery: Path, tmp_path: Path) -> None:
    """The same people stay throughout, from chunk to chunk."""
    faces, warnings = _processed(gallery, tmp_path, "--set", f"faces.max_faces={FOLLOWED}")
    assert (faces.groupby("frame").size() == FOLLOWED).all()
    assert faces["tile"].nunique() == FOLLOWED
    (text,) = (text for text in warnings if "max_faces" in text)
    assert f"up to {SIDE**2 - FOLLOWED} are left out in {NUM_FRAMES} of {NUM_FRAMES} frames" in text
