"""The same person in several clips of a folder, from the real command on real faces (``people.across``)."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fixtures.commands import cache_digests, computed_frames, output_digests, read_events
from fixtures.forked import vidfer
from PIL import Image, ImageOps

from vidfer.people.table import ACROSS_COLUMNS, write_people

KEPT = ("--set", "people.keep_vectors=true")
ACROSS = (*KEPT, "--set", 'people.across="folder"')
SIDE = 200
# Whom each clip shows, from left to right, and which half of their clip.
CLIPS = {"1_ann": ["d0 0"], "2_bea": ["t4 0"], "3_both": ["t4 1", "d0 1"], "4_cai": ["d19 0"], "5_ann": ["d0 1"]}


def pictures_of(clips: Path, name: str, half: int) -> list[np.ndarray]:
    path = clips / "talking" / f"{name}.mp4" if name.startswith("t") else clips / f"{name}.mp4"
    with av.open(str(path)) as container:
        frames = [frame.to_image() for _, frame in zip(range(72), container.decode(video=0), strict=False)]
    half_of_them = frames[half * len(frames) // 2 :][:30:3]
    return [np.asarray(ImageOps.fit(frame, (SIDE, SIDE), Image.Resampling.BILINEAR)) for frame in half_of_them]


@pytest.fixture(scope="module")
def videos(clips_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for clip, shown in CLIPS.items():
        parts = [pictures_of(clips_folder, name, int(half)) for name, half in map(str.split, shown)]
        with av.open(str(folder / f"{clip}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"crf": "18"})
            stream.width, stream.height, stream.pix_fmt = SIDE * len(parts), SIDE, "yuv420p"
            for pictures in zip(*parts, strict=True):
                frame = av.VideoFrame.from_ndarray(np.concatenate(pictures, 1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


def process(videos: Path, out: Path, *more: str) -> Any:
    done = vidfer("process", videos, "--out", out, "--export", "csv,summary,segments", "--jobs", "1", *more)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def processed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one clip, and then of all."""
    out = tmp_path_factory.mktemp("across") / "results"
    process(videos / "5_ann.mp4", out, *ACROSS)
    (out.parent / "of_one.csv").write_bytes((out / "people.csv").read_bytes())
    process(videos, out, *ACROSS, "--events", str(out.parent / "events.jsonl"))
    return out


@pytest.fixture
def results(processed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(processed, tmp_path / "results", copy_function=shutil.copy2))


def rows_of(out: Path, name: str = "people.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / name).read_text("utf-8-sig"))))


def named(out: Path, **names: str) -> None:
    """Write names into people.csv: ``c3_both_1`` is person 1 of the clip 3_both."""
    rows = rows_of(out)
    for row in rows:
        row["name"] = names.get(f"c{row['clip']}_{row['person']}", row["name"])
    (out / "people.csv").write_bytes(b"".join(write_people(rows, across=True)))


def people_of(out: Path, name: str = "people.csv") -> dict[str, set[str]]:
    """Return the clips of each person of the folder."""
    found = defaultdict(set)
    for row in rows_of(out, name):
        found[row["across_person"]].add(row["clip"])
    return dict(found)


ANN, BEA = {"1_ann", "3_both", "5_ann"}, {"2_bea", "3_both"}


def test_a_person_has_one_number_in_all_clips_and_no_vector_is_handed_on(processed: Path) -> None:
    assert people_of(processed) == {"P1": ANN, "P2": BEA, "P3": {"4_cai"}}
    assert people_of(processed, "summary_people.csv") == people_of(processed)
    assert all(0.9 <= float(row["across_confidence"]) <= 1 for row in rows_of(processed))
    kept = {path.parent.parent.name for path in processed.rglob("*.h5")}
    assert {"identity", "track_vectors"} < kept
    assert {path.suffix for path in processed.rglob("*") if path.is_file() and ".vidfer" not in path.parts} == {
        *(".csv", ".json", ".html")
    }
    for name in ("people.csv", "summary_people.csv"):
        assert set(ACROSS_COLUMNS) <= set(rows_of(processed, name)[0])
    summary = json.loads((processed / "3_both" / "summary.json").read_text())
    del summary["provenance"]  # names of settings and weights
    assert "vector" not in json.dumps(summary)


def test_a_second_run_computes_nothing_and_a_changed_row_does_not_last(videos: Path, results: Path) -> None:
    before, cached = output_digests(results), cache_digests(results)
    process(videos, results, *ACROSS)
    assert output_digests(results) == before
    rows = [row | {"across_person": "P9"} for row in rows_of(results)]
    (results / "people.csv").write_bytes(b"".join(write_people(rows, across=True)))
    process(videos, results, *ACROSS)
    assert people_of(results) == {"P1": ANN, "P2": BEA, "P3": {"4_cai"}}
    assert cache_digests(results) == cached


def test_what_one_run_has_compared_the_next_goes_on_with(processed: Path) -> None:
    assert people_of(processed.parent, "of_one.csv") == {"P1": {"5_ann"}}
    assert computed_frames(read_events(processed.parent / "events.jsonl"), "identity") == 4 * 10


def test_a_name_is_a_persons_in_every_clip_and_goes_before_every_comparison(videos: Path, results: Path) -> None:
    named(results, c1_ann_0="Ann", c5_ann_0="Another", c2_bea_0="Bea", c4_cai_0="Bea")
    process(videos, results, *ACROSS)
    found = people_of(results)
    assert "1_ann" in found["Ann"]
    assert "5_ann" in found["Another"]
    assert not found["Ann"] & found["Another"]
    assert found["Bea"] >= {"2_bea", "4_cai"}
    assert {row["across_confidence"] for row in rows_of(results) if row["name"]} == {"1.00"}


def test_report_follows_names_too(results: Path) -> None:
    named(results, c3_both_0="Bea")
    done = vidfer("report", results)
    assert done.returncode == 0, done.stderr
    assert people_of(results, "summary_people.csv") == {"P1": ANN, "Bea": BEA, "P2": {"4_cai"}}


def test_without_vectors_it_says_so(videos: Path, results: Path, tmp_path: Path) -> None:
    refused = vidfer("process", videos, "--out", tmp_path / "other", "--set", 'people.across="folder"')
    assert refused.returncode == 2
    assert "people.keep_vectors = true" in refused.stderr
    shutil.rmtree(results / ".vidfer" / "cache" / "track_vectors")
    (results / "people.csv").unlink()
    done = process(videos, results, *ACROSS)
    assert "5 clips could not be compared" in done.stderr
    assert people_of(results) == {"": set(CLIPS)}
    done = process(videos / "1_ann.mp4", results, *ACROSS, "--force", "identity")
    assert "4 clips could not be compared" in done.stderr
    assert people_of(results)["P1"] == {"1_ann"}


def test_what_is_not_to_be_kept_any_more_is_removed_and_its_absence_is_told(videos: Path, results: Path) -> None:
    def kept(stage: str) -> bool:
        return any((results / ".vidfer" / "cache" / stage).rglob("*.h5"))

    process(videos, results, *KEPT)
    assert "across_person" not in rows_of(results)[0]
    assert kept("identity")
    process(videos, results)
    assert not kept("identity")
    assert not kept("track_vectors")
    done = process(videos / "1_ann.mp4", results, *ACROSS)
    assert "had not been kept" in done.stderr
    assert [row["across_person"] for row in rows_of(results) if row["clip"] == "1_ann"] == ["P1"]
