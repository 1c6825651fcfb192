"""The pipeline as an object: what it gives for arrays, pictures and videos is what the command writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

import vidfer
from vidfer.errors import BadVideo, ConfigError, DataError
from vidfer.faces.detectors import DETECTORS
from vidfer.types import FaceBoxes
from vidfer.video.probe import frame_times_seconds, probe
from vidfer.video.reader import open_reader

SETTINGS = ["video.fps=10"]
EXPORTS = ("csv", "parquet", "segments", "summary", "chart")


@pytest.fixture(scope="module")
def pipeline() -> vidfer.Pipeline:
    return vidfer.Pipeline("default", settings=SETTINGS, device="cpu")


@pytest.fixture(scope="module")
def clip(pipeline: vidfer.Pipeline, sample_video: Path) -> vidfer.Clip:
    return pipeline.video(sample_video)


@pytest.fixture(scope="module")
def results(pipeline: vidfer.Pipeline, sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    report = vidfer.process(sample_video, out, pipeline=pipeline, settings=[f"output.exports={list(EXPORTS)}"])
    assert not report.failed
    return out / "sample"


def frames_of(video: Path) -> tuple[list[np.ndarray], np.ndarray]:
    probed = probe(video)
    batches = list(open_reader(probed).read(np.arange(probed.num_frames), batch_size=7))
    return [image for batch in batches for image in batch.images], frame_times_seconds(probed)


def test_a_video_in_memory_equals_the_files_of_process(clip: vidfer.Clip, results: Path) -> None:
    assert clip.to_dataframe().equals(vidfer.load_timeline(results))
    assert clip.episodes.equals(pd.read_csv(results / "segments.csv"))
    assert clip.chart() == (results / "timeline.png").read_bytes()
    written = json.loads((results / "summary.json").read_text())
    differ = {name for name in written if clip.summary.get(name) != written[name]}
    assert differ <= {"provenance", "fingerprint"}  # cache keys, and the digest of the whole file


def test_real_clips_in_memory_equal_the_files_of_process(clips_folder: Path, tmp_path: Path) -> None:
    pipeline = vidfer.Pipeline("default", settings=["video.fps=5", "output.exports=['parquet']"], device="cpu")
    videos = [clips_folder / "d19.mp4", clips_folder / "talking" / "t2.mp4"]
    report = vidfer.process(videos, tmp_path, pipeline=pipeline.config)
    assert not report.failed
    for record in report.records:
        table = vidfer.load_timeline(tmp_path / record.clip_id)
        assert table["face_id"].max() >= 0
        assert pipeline.video(record.path).to_dataframe().equals(table)


def test_what_is_written_has_the_bytes_of_process(clip: vidfer.Clip, results: Path, tmp_path: Path) -> None:
    vidfer.write(clip, tmp_path, exports=["csv", "segments", "chart"])
    for name in ("timeline.csv", "segments.csv", "timeline.png"):
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes()
    with pytest.raises(ConfigError, match="unknown exporter 'cvs'; did you mean 'csv'"):
        vidfer.write(clip, tmp_path, exports=["cvs"])


def test_a_page_that_is_written_alone_finds_what_it_needs(clip: vidfer.Clip, tmp_path: Path) -> None:
    vidfer.write(clip, tmp_path, exports=["report"])
    sources = re.findall(r'<script src="([^"]+)"', (tmp_path / "report.html").read_text())
    assert "assets/plotly.min.js" in sources
    assert (tmp_path / "assets" / "plotly.min.js").is_file()


def test_frames_may_be_an_array_or_a_generator(sample_video: Path, clip: vidfer.Clip) -> None:
    every_frame = vidfer.Pipeline(device="cpu")
    images, times = frames_of(sample_video)
    few = slice(0, 40)
    whole = every_frame.frames(np.stack(images[few]), times[few])

    def one_by_one() -> Iterator[np.ndarray]:
        yield from images[few]

    assert every_frame.frames(one_by_one(), (time for time in times[few])) == whole
    later = every_frame.frames(images[few], times[few] + 100).to_dataframe()  # times count from the first
    assert later["timestamp"].to_numpy() == pytest.approx(whole.to_dataframe()["timestamp"].to_numpy(), abs=1e-9)
    assert len(whole) == 40
    assert every_frame.frames(images[few], fps=25) == whole
    assert whole != clip
    assert whole != "something else"


def test_the_faces_of_one_picture(pipeline: vidfer.Pipeline, tmp_path: Path) -> None:
    from PIL import Image

    portrait = pytest.importorskip("skimage.data").astronaut()
    faces = pipeline.image(portrait)
    assert len(faces) == 1
    assert faces[0].landmarks.shape == (68, 2)
    assert sum(faces[0].probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert faces[0].emotion == "happiness"
    assert repr(faces) == "Faces(1: landmarks (1, 68, 2), happiness)"
    Image.fromarray(portrait).save(tmp_path / "portrait.png")
    assert pipeline.image(tmp_path / "portrait.png") == faces
    assert len(pipeline.image(np.zeros((100, 100, 3), np.uint8))) == 0


def test_results_can_be_looked_at(clip: vidfer.Clip) -> None:
    table = clip.to_dataframe()
    assert len(clip) == table["frame"].nunique() == 80
    seen = next(k for k in range(len(clip)) if len(clip[k]))
    row = table[(table["frame"] == clip.result.frames.frame_index[seen] + 1)].iloc[0]
    assert clip[seen][0].probabilities["happiness"] == pytest.approx(row["happiness"])
    assert [len(faces) for faces in clip] == [len(clip[k]) for k in range(len(clip))]
    assert repr(clip).startswith("Clip('sample': 80 frames of ")
    assert set(clip.face(0)["face_id"]) == {0}
    with pytest.raises(KeyError, match="no face 99"):
        clip.face(99)
    with pytest.raises(IndexError):
        clip[len(clip)]


@pytest.mark.parametrize(
    ("images", "times", "message"),
    [
        ([np.zeros((9, 9, 3), np.float32)], [0.0], "(H, W, 3) uint8 RGB, got (9, 9, 3) float32"),
        ([np.zeros((9, 9), np.uint8)], [0.0], "got (9, 9) uint8"),
        (["a.png"], [0.0], "got str"),
        ([np.zeros((0, 9, 3), np.uint8)], [0.0], "expected a picture with pixels, got one of 9x0"),
        ([], [], "at least one picture"),
        ([np.zeros((9, 9, 3), np.uint8)] * 2, [0.0], "one time for each picture, got 1"),
        ([np.zeros((9, 9, 3), np.uint8)] * 2, [1.0, 1.0], "rising times, got 1 after 1"),
        ([np.zeros((9, 9, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], [0.0, 1.0], "picture 1: expected (9, 9, 3)"),
        ([np.zeros((9, 9, 3), np.uint8)], None, "either pts_seconds"),
    ],
)
def test_wrong_frames_are_named(
    pipeline: vidfer.Pipeline, images: list[np.ndarray], times: list[float] | None, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        pipeline.frames(images, times)
    assert message in str(caught.value)


def test_a_detector_of_ones_own_as_an_instance(tmp_path: Path) -> None:
    class Nobody:
        """The embedded detector that is always told to look away."""

        def __init__(self) -> None:
            self._detector = DETECTORS.get("embedded")(device="cpu", min_score=0.5, long_side=320, weights="")

        def detect(self, images: Tensor) -> FaceBoxes:
            return self._detector.detect(images * 0)

    pipeline = vidfer.Pipeline(device="cpu", detector=Nobody())
    with pytest.raises(ConfigError, match=r"components of its own \(detector .*Nobody\)"):
        vidfer.process("a.mp4", tmp_path, pipeline=pipeline)
    assert len(pipeline.image(pytest.importorskip("skimage.data").astronaut())) == 0


def test_a_file_that_is_no_video_raises(pipeline: vidfer.Pipeline, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(BadVideo):
        pipeline.video(tmp_path / "a.mp4")


def test_settings_are_applied_over_a_config(pipeline: vidfer.Pipeline, sample_video: Path, tmp_path: Path) -> None:
    vidfer.process(sample_video, tmp_path, pipeline=pipeline.config, settings=["video.fps=2", "output.exports=['csv']"])
    assert vidfer.load_timeline(tmp_path / "sample")["frame"].nunique() == 16
