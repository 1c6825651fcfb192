"""The same person throughout a clip, on real video; and what is kept of the vectors by which faces are compared."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from fixtures.commands import read_csv
from fixtures.forked import vidfer
from PIL import Image, ImageOps

from vidfer import Pipeline
from vidfer.people.table import write_people
from vidfer.pipeline.clip import Clip
from vidfer.store.cache import StageCache

FPS = 5.0
BASIC = ("--export", "csv,summary", "--fps", "4")


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline("default", device="cpu", settings=[f"video.fps={FPS}"])


@pytest.fixture
def cases(shared_folder: Path) -> Path:
    folder = shared_folder / "cases"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def spans(table: pd.DataFrame) -> dict[tuple[int, int], tuple[float, float]]:
    """Return from when to when each (face_id, person_id) is seen."""
    seen = table[table["success"] == 1].groupby(["face_id", "person_id"])["timestamp"]
    return {face: (round(times.min(), 2), round(times.max(), 2)) for face, times in seen}


def probabilities_of(clip: Clip) -> dict[int, np.ndarray]:
    timeline = clip.result.timeline
    return {track: timeline.probabilities[timeline.track_id == track] for track in np.unique(timeline.track_id)}


def test_tiles_that_swap_are_four_tracks_of_two_people(pipeline: Pipeline, cases: Path) -> None:
    clip = pipeline.video(cases / "two_swap.mp4")
    found = spans(clip.to_dataframe())
    assert len(found) == 4
    of_person = defaultdict(set)
    for (_, person), span in found.items():
        of_person[person].add(span)
    assert of_person == {0: {(0.0, 2.8), (3.0, 5.8)}, 1: {(0.0, 2.8), (3.0, 5.8)}}
    for segment in clip.result.segments:
        assert segment.end_seconds <= 3.0 or segment.start_seconds >= 3.0, "episodes end where the person changes"


def test_one_tile_that_gets_another_person_does_not_touch_the_others(pipeline: Pipeline, cases: Path) -> None:
    found = spans(pipeline.video(cases / "one_tile_2x2.mp4").to_dataframe())
    assert len({person for _, person in found}) == 5
    assert sorted(found.values()) == [(0.0, 2.8), (0.0, 5.8), (0.0, 5.8), (0.0, 5.8), (3.0, 5.8)]


def test_slides_behind_a_face_do_not_end_it(pipeline: Pipeline, cases: Path) -> None:
    with av.open(str(cases / "slides_pip.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    closely = pipeline.frames(
        frames[30:75], fps=25
    )  # from frame to frame a face hardly changes, with a new slide in between
    assert closely.result.frames.is_cut.any()
    assert list(spans(closely.to_dataframe())) == [(0, 0)]
    seldom = pipeline.frames(frames[::5], fps=FPS)
    assert {person for _, person in spans(seldom.to_dataframe())} == {0}, (
        "at a few frames a second it may be a new track"
    )


def dark_faces(path: Path, *, side: int, count: int) -> list[np.ndarray]:
    """Return every fourth picture of a clip, the square in its middle, as dark as a theatre."""
    with av.open(str(path)) as container:
        frames = [frame.to_image() for _, frame in zip(range(4 * count), container.decode(video=0), strict=False)]
    pictures = [ImageOps.fit(frame, (side, side), Image.Resampling.BILINEAR) for frame in frames[::4]]
    return [(0.55 * np.asarray(picture)).astype(np.uint8) for picture in pictures]


def test_a_cut_from_a_stage_to_a_dark_audience_ends_a_track_in_the_same_place(
    pipeline: Pipeline, clips_folder: Path
) -> None:
    """Both pictures are dark, and a face is where the singer's was: whose it is must be asked."""
    count, side = 8, 220

    def shown(face: np.ndarray, lights: tuple[int, int]) -> np.ndarray:
        picture = np.full((360, 640, 3), 14, np.uint8)
        picture[lights[0] : lights[1], 20:620] = 30
        picture[70 : 70 + side, 210 : 210 + side] = face
        return picture

    singer = dark_faces(clips_folder / "d0.mp4", side=side, count=count)
    listener = dark_faces(clips_folder / "d14.mp4", side=side, count=count)
    images = [shown(face, (0, 60)) for face in singer] + [shown(face, (300, 360)) for face in listener]
    images += [shown(face, (0, 60)) for face in singer]
    clip = pipeline.frames(images, fps=FPS)
    found = spans(clip.to_dataframe())
    assert list(found) == [(0, 0), (1, 1), (2, 0)]
    assert list(found.values()) == [(0.0, 1.4), (1.6, 3.0), (3.2, 4.6)]
    alone = pipeline.frames(images[:count], fps=FPS)
    np.testing.assert_allclose(probabilities_of(clip)[0], probabilities_of(alone)[0], atol=0.03)


def test_a_clip_with_one_person_in_a_shot_keeps_their_number(pipeline: Pipeline, clips_folder: Path) -> None:
    clip = pipeline.video(clips_folder / "s29.mp4")
    table = clip.to_dataframe()
    assert set(table["person_id"]) == {0}
    assert np.array_equal(table["person_id"], table["face_id"])
    assert clip.result.embeddings.vectors.shape[1] == 0
    assert clip.result.tables == {}, "no vector is handed on"


@pytest.fixture(scope="module")
def returning(clips_folder: Path) -> list[np.ndarray]:
    """Pictures of somebody who goes out of the picture for three seconds, and comes back further to the right."""
    with av.open(str(clips_folder / "d0.mp4")) as container:
        frames = [frame.to_image() for _, frame in zip(range(80), container.decode(video=0), strict=False)]
    shown = [np.asarray(ImageOps.fit(frame, (260, 260), Image.Resampling.BILINEAR)) for frame in frames[::4]]
    images = np.full((20 + 15 + 20, 280, 620, 3), 90, np.uint8)
    images[:20, 10:270, 20:280] = shown
    images[-20:, 10:270, 330:590] = shown[::-1]
    return list(images)


def of_tracks(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities of the rows of face 0, and of face 1."""
    found = probabilities_of(clip)
    return np.log(found[0].astype(np.float64)), np.log(found[1].astype(np.float64))


def test_who_comes_back_has_one_baseline(returning: list[np.ndarray]) -> None:
    """The baseline is taken where only the first track is; the second gets it where both are one person's."""

    def shift(*settings: str) -> list[np.ndarray]:
        moved, plain = (
            of_tracks(
                Pipeline("default", device="cpu", settings=[*settings, f"emotions.baseline={more}"]).frames(
                    returning, fps=FPS
                )
            )
            for more in ("[0.0, 3.0]", "none")
        )
        both = [one - other for one, other in zip(moved, plain, strict=True)]
        return [(by - by.mean(1, keepdims=True)).round(4) for by in both]

    before, after = shift()
    assert np.ptp(before, axis=0).max() < 1e-3, "one shift for all rows"
    assert np.abs(before).max() > 0.1
    np.testing.assert_allclose(after, np.broadcast_to(before[0], after.shape), atol=1e-3)
    _, unlinked = shift("people.link=false")
    np.testing.assert_allclose(unlinked, 0, atol=1e-3)


def test_movements_are_less_those_of_the_person_at_rest(returning: list[np.ndarray]) -> None:
    settings = ["movements.enabled=true", "movements.baseline=[0.0, 3.0]"]
    table = Pipeline("default", device="cpu", settings=settings).frames(returning, fps=FPS).to_dataframe()
    seen = table[table["success"] == 1]
    assert set(zip(seen["face_id"], seen["person_id"], strict=True)) == {(0, 0), (1, 0)}
    own = seen.loc[seen["timestamp"] < 3, "mouth_open"].median()
    np.testing.assert_allclose(seen["mouth_open_change"], seen["mouth_open"] - own, atol=1e-4)


def cached_vectors(out: Path) -> list[Path]:
    return sorted((out / ".vidfer" / "cache" / "identity").rglob("*.h5"))


def process(video: Path, out: Path, *more: str) -> list[dict[str, str]]:
    done = vidfer("process", video, "--out", out, *BASIC, "--quiet", *more, timeout=600)
    assert done.returncode == 0, done.stderr
    return read_csv(out / video.stem / "timeline.csv")


def test_without_linking_there_is_no_column_and_nothing_is_computed(sample_video: Path, tmp_path: Path) -> None:
    rows = process(sample_video, tmp_path, "--set", "people.link=false", "--set", "people.network=none_such")
    assert "person_id" not in rows[0]
    assert not (tmp_path / ".vidfer" / "cache" / "identity").exists()


def test_vectors_are_gone_when_the_clip_is_complete_and_a_change_looks_again_and_says_so(
    sample_video: Path, tmp_path: Path
) -> None:
    whole = process(sample_video, tmp_path)
    assert cached_vectors(tmp_path) == []
    done = vidfer("process", sample_video, "--out", tmp_path, *BASIC[2:], "--export", "csv,summary,segments")
    assert "looked at the video again" not in done.stderr  # another export needs no vectors
    done = vidfer("process", sample_video, "--out", tmp_path, *BASIC, "--set", "tracks.max_gap_seconds=0.9")
    assert done.returncode == 0, done.stderr
    assert "looked at the video again" in done.stderr
    assert "people.keep_vectors" in done.stderr
    assert cached_vectors(tmp_path) == []
    assert read_csv(tmp_path / sample_video.stem / "timeline.csv") == whole


def test_a_damaged_table_behind_forgotten_vectors_is_computed_anew_with_vectors(
    sample_video: Path, tmp_path: Path
) -> None:
    whole = process(sample_video, tmp_path)
    (tracks,) = (tmp_path / ".vidfer" / "cache" / "tracks").rglob("*.h5")
    tracks.write_bytes(tracks.read_bytes()[:-40])
    (tmp_path / sample_video.stem / "timeline.csv").unlink()
    assert process(sample_video, tmp_path) == whole
    assert cached_vectors(tmp_path) == []


def test_vectors_can_be_kept_and_serve_again(sample_video: Path, tmp_path: Path) -> None:
    kept = ("--set", "people.keep_vectors=true")
    process(sample_video, tmp_path, *kept)
    (path,) = cached_vectors(tmp_path)
    before = path.read_bytes()
    table = StageCache(tmp_path / ".vidfer" / "cache").load("identity", path.stem)
    assert table is not None
    assert 0 < table.arrays["has_vector"].mean() < 0.25, "of a few good faces only"
    done = vidfer("process", sample_video, "--out", tmp_path, *BASIC, *kept, "--set", "people.min_confidence=0.8")
    assert done.returncode == 0, done.stderr
    assert "looked at the video again" not in done.stderr
    assert path.read_bytes() == before


def people_in(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "people.csv").read_text("utf-8-sig"))))


def test_what_people_csv_says_goes_before_links_and_outlives_them(cases: Path, tmp_path: Path) -> None:
    """Of two linked people one is taken apart by hand; the edit holds, and follows where nobody is linked any more."""
    exports = ("--fps", "4", "--export", "csv,summary,segments,vtt,textgrid")
    video = cases / "two_swap.mp4"

    def run(*more: str) -> tuple[pd.DataFrame, dict[str, str]]:
        done = vidfer("process", video, "--out", tmp_path, *exports, *more, timeout=600)
        assert done.returncode == 0, done.stderr
        names = {row["name"]: row["face_ids"] for row in people_in(tmp_path) if row["name"]}
        return pd.read_csv(tmp_path / "two_swap" / "timeline.csv"), names

    table, _ = run()
    rows = people_in(tmp_path)
    assert sorted(" ".join(row["face_ids"] for row in rows).split()) == ["0", "1", "2", "3"]
    assert len(rows) == 2
    before, after = rows[0]["face_ids"].split()
    rows[0] |= {"face_ids": before, "name": "Ann"}
    rows.append({"clip": "two_swap", "face_ids": after, "name": "Bea"})
    (tmp_path / "people.csv").write_bytes(b"".join(write_people(rows)))
    table, names = run()
    assert names == {"Ann": before, "Bea": after}
    assert len({person for _, person in spans(table)}) == 3
    assert "Bea: " in (tmp_path / "two_swap" / "emotions.vtt").read_text()
    assert 'name = "Bea"' in (tmp_path / "two_swap" / "emotions.TextGrid").read_text()
    summary = json.loads((tmp_path / "two_swap" / "summary.json").read_text())
    assert {person["label"] for person in summary["people"]} == {"Ann", "Bea", "person 1"}
    table, names = run("--set", "people.link=false")
    assert "person_id" not in table
    assert set(names) == {"Ann", "Bea"}, "by place and time"
