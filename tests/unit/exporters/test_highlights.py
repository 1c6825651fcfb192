"""Highlights: which moments are chosen, whose, and what becomes of files of earlier runs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures.clip_results import make_clip
from fixtures.forked import vidfer

from vidfer.config import OutputConfig
from vidfer.errors import BadVideo
from vidfer.exporters import EXPORTERS
from vidfer.exporters.highlights import moments
from vidfer.pipeline.clip import Clip
from vidfer.report.chart_options import ChartOptions
from vidfer.store import outputs
from vidfer.types import ClipResult, EmotionSegment, Person, Roster


def _episode(track: int, peak: float, probability: float, emotion: str = "happiness") -> EmotionSegment:
    return EmotionSegment(
        track_id=track, emotion=emotion, start_seconds=peak - 0.2, end_seconds=peak + 0.2, peak_seconds=peak,
        mean_probability=probability, peak_probability=probability,
    )  # fmt: skip


def _clip() -> ClipResult:
    segments = (
        *(_episode(0, 2.0, 0.9), _episode(0, 3.0, 0.8), _episode(0, 6.0, 0.7), _episode(0, 9.0, 0.6)),
        *(_episode(0, 7.5, 0.99, "neutral"), _episode(1, 4.0, 0.95, "surprise")),
    )
    return replace(make_clip(faces=2), segments=segments)


def test_a_clip_in_memory_is_cut_as_the_settings_say() -> None:
    settings = OutputConfig(highlight_margin_seconds=0.5, highlights_per_person=1)
    options = Clip(_clip(), settings).chart_options
    chosen = EXPORTERS.get("highlights").choose(_clip(), options)  # type: ignore[union-attr]
    assert [(one.start_seconds, one.end_seconds) for one in chosen] == [(1.5, 2.5), (3.5, 4.5)]


def _with_people(clip: ClipResult, **second: object) -> ClipResult:
    known = {"name": "", "role": "", "include": True, "reason": "", "median_size_px": 100.0, "still_share": 0.0}
    first = Person(number=0, label="Ann", face_ids="0", **{**known, "name": "Ann"})  # type: ignore[arg-type]
    other = Person(number=1, label="other", face_ids="1", **{**known, **second})  # type: ignore[arg-type]
    return replace(clip, roster=Roster(person_id=clip.timeline.track_id, people=(first, other), rows=()))


def test_the_strongest_moments_of_each_are_chosen_neutral_and_near_ones_are_not() -> None:
    found = [(one.track_id, one.peak_seconds) for one in moments(_clip(), most=2, apart_seconds=2.0)]
    assert found == [(0, 2.0), (1, 4.0), (0, 6.0)]


@pytest.mark.parametrize(
    ("second", "expected"), [({"name": "Ben"}, {0, 1}), ({}, {0}), ({"name": "Ben", "include": False}, {0})]
)
def test_who_has_no_name_or_does_not_count_is_left_out(second: dict[str, object], expected: set[int]) -> None:
    clip = _with_people(_clip(), **second)
    assert {one.track_id for one in moments(clip, most=3, apart_seconds=1.0)} == expected


@pytest.mark.parametrize(
    ("exports", "stays"),
    [(("highlights-blurred",), False), (("highlights", "highlights-blurred"), True), (("highlights",), True)],
)
def test_no_clear_snippet_stays_beside_blurred_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: tuple[str, ...], stays: bool
) -> None:
    def cut(
        video: object, target: Path, between: tuple[float, float], paint: object, *, on_progress: Callable[[], None]
    ) -> tuple[float, float, bool]:
        target.write_bytes(b"video")  # cutting is tested elsewhere
        return (*between, paint is None)

    monkeypatch.setattr("vidfer.video.snippet.cut", cut)
    monkeypatch.setattr("vidfer.video.probe.probe", lambda path, **_: None)
    (tmp_path / "highlights").mkdir()
    (tmp_path / "highlights" / "0001.00s_person9_fear.mp4").write_bytes(b"from an earlier run")
    (tmp_path / "highlights.html").write_bytes(b"from an earlier run")
    stamps = outputs.write_outputs(_clip(), tmp_path, exports, options=ChartOptions(highlight_margin_seconds=1.0))
    assert not (tmp_path / "highlights" / "0001.00s_person9_fear.mp4").exists()
    assert (tmp_path / "highlights.html").exists() == (tmp_path / "highlights").exists() == stays
    for name in exports:
        folder = name.replace("-", "_")
        assert f"{folder}/00002.00s_person0_happiness.mp4" in stamps
        rows = list(csv.DictReader((tmp_path / f"{folder}.csv").read_text().splitlines()))
        assert [row["file"] for row in rows] == sorted(file for file in stamps if file.startswith(f"{folder}/"))
        assert [float(row["start_seconds"]) for row in rows] == [1.0, 2.0, 3.0, 5.0]
        assert {row["is_copied"] for row in rows} == {"1" if name == "highlights" else "0"}


def test_without_its_video_a_clip_keeps_the_snippets_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "highlights").mkdir()
    (tmp_path / "highlights" / "a.mp4").write_bytes(b"from an earlier run")
    with pytest.raises(BadVideo, match="the file does not exist"):
        outputs.write_outputs(_clip(), tmp_path, ("highlights",))
    assert (tmp_path / "highlights" / "a.mp4").exists()


def test_highlights_of_a_real_clip(tmp_path: Path, clips_folder: Path) -> None:
    for more in ([], ["--blur-faces"]):
        done = vidfer(
            "process", clips_folder / "d0.mp4", "--out", tmp_path / "out", "--fps", "5", "--export",
            "highlights,summary", "--set", "output.highlight_margin_seconds=0.5", *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "d0"
    assert not (folder / "highlights").exists()
    (row,) = csv.DictReader((folder / "highlights_blurred.csv").read_text().splitlines())
    assert row["emotion"] == "happiness"
    start, end, peak = (float(row[name]) for name in ("start_seconds", "end_seconds", "peak_seconds"))
    assert start <= peak < end
    assert end - start == pytest.approx(1.0, abs=0.05)
    with av.open(str(folder / row["file"])) as container:
        hidden = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(clips_folder / "d0.mp4")) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    shown = [image for time, image in frames if start - 1e-6 <= time - frames[0][0] < end - 1e-6]
    assert len(hidden) == len(shown)
    difference = np.abs(np.stack(hidden).astype(int) - np.stack(shown)).max(axis=-1)[..., : shown[0].shape[1]]
    edge = difference[:, :20]
    face = difference[
        :, shown[0].shape[0] // 3 : -shown[0].shape[0] // 3, shown[0].shape[1] // 3 : -shown[0].shape[1] // 3
    ]
    assert edge.mean() < 6 < 15 < face.mean()  # the picture is the same, the face is not
    assert row["file"] in (folder / "highlights_blurred.html").read_text()
