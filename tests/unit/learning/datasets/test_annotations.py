"""Labels and events that people wrote in ELAN and Praat, in files that pympi writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.stream_files import with_early_sound
from pympi.Elan import Eaf
from pympi.Praat import TextGrid

from vidfer.errors import DataError
from vidfer.learning.datasets.annotations import manifest_of_annotations, read_annotations
from vidfer.video.probe import first_audio_seconds, probe


def _elan(path: Path, labels: list[tuple[int, int, str]], *, video: Path | None = None) -> Path:
    file = Eaf()
    file.add_tier("coder A")
    for start, end, text in labels:
        file.add_annotation("coder A", start, end, text)
    if video:
        file.add_linked_file(str(video), mimetype="video/mp4")
    file.to_file(str(path))
    return path


def test_elan(tmp_path: Path) -> None:
    path = _elan(tmp_path / "a.eaf", [(500, 1500, "Happiness"), (2000, 3000, "neutral")])
    got = [(one.tier, one.start_seconds, one.end_seconds, one.text) for one in read_annotations(path)]
    assert got == [("coder A", 0.5, 1.5, "Happiness"), ("coder A", 2.0, 3.0, "neutral")]


@pytest.mark.parametrize("form", ["normal", "short"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_textgrid_in_both_forms(tmp_path: Path, form: str, codec: str) -> None:
    grid = TextGrid(xmin=0, xmax=5)
    intervals = grid.add_tier("words 1")
    intervals.add_interval(0.5, 1.25, 'she said "no" [2] = 3')
    points = grid.add_tier("points", tier_type="TextTier")
    points.add_point(2.5, "clap")
    path = tmp_path / "a.TextGrid"
    grid.to_file(str(path), codec=codec, mode=form)
    got = [(one.tier, one.start_seconds, one.end_seconds, one.text) for one in read_annotations(path)]
    assert [(tier, text.replace('""', '"')) for tier, *_, text in got] == [
        ("words 1", 'she said "no" [2] = 3'), ("points", "clap"),
    ]  # fmt: skip
    assert got[0][1:3] == (0.5, 1.25)
    assert got[1][1:3] == (2.5, 2.5)


def test_what_is_no_such_file_says_so(tmp_path: Path) -> None:
    for name in ("a.eaf", "a.TextGrid"):
        (tmp_path / name).write_text("<html>")
        with pytest.raises(DataError, match=r"expected (an ELAN file|a TextGrid), got something else"):
            read_annotations(tmp_path / name)


def test_labels_become_a_manifest_on_the_clock_of_the_tables(tmp_path: Path) -> None:
    pictures = [np.full((64, 96, 3), shade, np.uint8) for shade in range(0, 250, 5)]
    video = with_early_sound(tmp_path / "talk.mkv", pictures, codec="libx264", sound="flac", start=2.0)
    start = probe(video).info.start_seconds
    assert start == pytest.approx(2.0, abs=0.1)
    assert first_audio_seconds(video) == pytest.approx(0.0, abs=0.1)
    path = _elan(tmp_path / "talk.eaf", [(3000, 4000, "happiness"), (4500, 5000, "wrong")])
    manifest = manifest_of_annotations(path)
    assert manifest.path == (video, video)
    assert manifest.label == ("happiness", "wrong")
    np.testing.assert_allclose(manifest.start_seconds, np.array([3.0, 4.5]) - start)
    assert manifest.further["annotator"] == ("coder A", "coder A")


def test_an_unknown_label_names_tier_and_nearest(tmp_path: Path, sample_video: Path) -> None:
    path = _elan(tmp_path / "a.eaf", [(0, 900, "hapiness")], video=sample_video)
    with pytest.raises(DataError, match="tier coder A, annotation 1: unknown label 'hapiness'; did you mean 'happines"):
        manifest_of_annotations(path)
    with pytest.raises(DataError, match="no labels in coder B; tiers: coder A"):
        manifest_of_annotations(path, tiers=("coder B",))
