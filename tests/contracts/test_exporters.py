"""What every exporter promises, whatever its format."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from fixtures.clip_results import make_clip

import vidfer.exporters
from vidfer.config import OutputConfig
from vidfer.errors import ConfigError
from vidfer.exporters import EXPORTERS, SnippetExporter, VideoExporter
from vidfer.types import ClipResult, DecodeReport, SampledFrames, StoredArray

TESTS = Path(__file__).parents[1]
DAMAGED = DecodeReport(
    reader="pyav", expected_frames=90, decoded_frames=50, bad_packets=3, truncated=True, warnings=("3 bad packets.",)
)
CLIPS: dict[str, ClipResult] = {
    "one face": make_clip(seconds=3),
    "two faces with gaps": make_clip(seconds=4, faces=2, gaps=[(0, 1, 2), (1, 0, 3)]),
    "no face": make_clip(seconds=1, faces=0),
    "only dropped faces": make_clip(seconds=1, faces=0, dropped=[(0, 1)]),
    "one frame": make_clip(seconds=0.04),
    "damaged": make_clip(seconds=2, decode=DAMAGED),
    "awkward names": make_clip(
        seconds=1, clip_id='a/$x_1$ "it\'s" <script>&\n日本\udce9' + "n" * 200, path='/v/a, "b"<i>\udce9.mp4'
    ),
}


VIDEOS = [name for name in EXPORTERS.names() if isinstance(EXPORTERS.get(name), VideoExporter | SnippetExporter)]
PAINTED = [name for name in VIDEOS if EXPORTERS.get(name).painter is not None]


@pytest.fixture(params=[name for name in EXPORTERS.names() if name not in VIDEOS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_gives_every_file_it_names_and_no_other(name: str, clip: ClipResult) -> None:
    exporter = EXPORTERS.get(name)
    files = exporter.render(clip)
    assert tuple(files) == exporter.filenames
    assert all(isinstance(content, bytes) and content for content in files.values())


def test_gives_the_same_bytes_for_the_same_clip(name: str) -> None:
    first = make_clip(seconds=2, faces=2, gaps=[(0, 0.5, 1)])
    again = make_clip(seconds=2, faces=2, gaps=[(0, 0.5, 1)])
    assert EXPORTERS.get(name).render(first) == EXPORTERS.get(name).render(again)


def digests() -> dict[str, str]:
    """Return the digest of every file that exporters of one file write of a clip."""
    clip = make_clip(seconds=2, faces=2, gaps=[(0, 0.5, 1)])
    names = sorted(set(EXPORTERS.names()) - set(VIDEOS))
    files = {file: content for name in names for file, content in EXPORTERS.get(name).render(clip).items()}
    return {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}


def test_gives_the_same_bytes_in_every_process() -> None:
    """The other has another seed of hashes, time zone and language."""
    code = (
        f"import sys, json; sys.path.insert(0, {str(TESTS)!r})\n"
        "from contracts.test_exporters import digests\nprint(json.dumps(digests()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert json.loads(done.stdout) == digests() != {}


def test_leaves_the_clip_as_it_was(name: str) -> None:
    clip = make_clip(seconds=1, dropped=[(0, 0.5)])
    before = {
        (part.name, field.name): np.copy(value)
        for part in dataclasses.fields(clip)
        if dataclasses.is_dataclass(getattr(clip, part.name))
        for field in dataclasses.fields(getattr(clip, part.name))
        if isinstance(value := getattr(getattr(clip, part.name), field.name), np.ndarray)
    }
    EXPORTERS.get(name).render(clip)
    for (part_name, field_name), value in before.items():
        np.testing.assert_array_equal(getattr(getattr(clip, part_name), field_name), value)


def test_reads_landmarks_that_stay_on_disk_piece_by_piece(name: str) -> None:
    clip = make_clip(seconds=100, faces=2, gaps=[(0, 10, 90), (1, 20, 30)])
    values = np.asarray(clip.faces.landmarks)
    sizes = [0]

    def read(first: int, last: int) -> np.ndarray:
        sizes.append(last - first)
        return values[first:last]

    faces = dataclasses.replace(clip.faces, landmarks=StoredArray(values.shape, values.dtype, read))
    assert EXPORTERS.get(name).render(dataclasses.replace(clip, faces=faces)) == EXPORTERS.get(name).render(clip)
    assert max(sizes) < len(values) / 2


def test_works_on_variable_frame_rate(name: str) -> None:
    clip = make_clip(seconds=1, fps=10)
    pts = np.array([0.0, 0.01, 0.02, 0.5, 0.9, 1.0, 3.0, 3.001, 4.0, 60.0])
    frames = SampledFrames(frame_index=clip.frames.frame_index, pts_seconds=pts, is_cut=clip.frames.is_cut)
    assert EXPORTERS.get(name).render(dataclasses.replace(clip, frames=frames))


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
@pytest.mark.parametrize("video", PAINTED)
def test_a_painter_returns_a_picture_of_the_same_shape_at_any_time(video: str, clip: ClipResult) -> None:
    paint = EXPORTERS.get(video).painter(clip)
    image = np.random.default_rng(0).integers(0, 255, (clip.info.height, clip.info.width, 3), dtype=np.uint8)
    before = image.copy()
    image.setflags(write=False)
    for seconds in (0.0, 0.5, 1e6):
        painted = paint(image, seconds)
        assert (painted.shape, painted.dtype) == (image.shape, np.uint8)
        np.testing.assert_array_equal(painted, paint(image, seconds))
    np.testing.assert_array_equal(image, before)
    is_seen = clip.timeline.track_id >= (-1 if video.endswith("-blurred") else 0)  # dropped faces are hidden, too
    assert (paint(image, 0.0) != image).any() == is_seen.any()


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_has_a_version_and_plain_file_names(name: str) -> None:
    exporter = EXPORTERS.get(name)
    assert exporter.name == name
    assert exporter.version >= 1
    assert exporter.filenames
    assert all(PurePosixPath(file).name == file for file in exporter.filenames)


def test_no_two_exporters_write_the_same_file() -> None:
    files = [file for name in EXPORTERS.names() for file in EXPORTERS.get(name).filenames]
    assert len(files) == len(set(files))


def test_the_default_exports_exist() -> None:
    assert set(OutputConfig().exports) <= set(EXPORTERS.names())


def test_an_unknown_exporter_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'parquet'"):
        EXPORTERS.get("parket")


def test_listing_exporters_imports_nothing_heavy() -> None:
    heavy = {"matplotlib", "pyarrow", "torch", "PIL", "pandas", "cv2", "av"}
    for module in Path(vidfer.exporters.__file__).parent.glob("*.py"):
        for node in ast.parse(module.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not heavy & {imported.split(".")[0] for imported in names}, module
            assert not {"vidfer.report.chart", "vidfer.report.html"} & set(names), module
