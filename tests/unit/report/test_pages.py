"""report.html and index.html: parsed as a browser parses them."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from fixtures.clip_results import make_clip

from vidfer.exporters import EXPORTERS, ChartExporter
from vidfer.report.chart_options import ChartOptions
from vidfer.report.html import render_report
from vidfer.report.index import render_index
from vidfer.report.page import CLIPS
from vidfer.report.report_data import overlay_data, script_json
from vidfer.timeline.states import episode_labels
from vidfer.timeline.summary import summarise
from vidfer.timeline.time_course import time_course
from vidfer.types import DecodeReport

VOID = {"meta", "img", "br", "input", "link", "hr", "source"}
HOSTILE = "a/\"><script>alert('1')</script> & 'q' ü\n日本"


class Page(HTMLParser):
    """Collects text, tags and attributes, and fails on tags that do not match."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(content.decode())
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def references(page: Page) -> list[str]:
    return [str(value) for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]


def test_a_report_needs_no_network() -> None:
    content = render_report(
        make_clip(seconds=2), video_href="../../videos/anna.mp4", up="../../", plotly="assets/plotly.min.js"
    )
    page = Page(content)
    chart, *others = sorted(references(page), key=len, reverse=True)
    assert base64.b64decode(chart.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    beside = ["../../videos/anna.mp4", "../../assets/clips.js", "overlay_blurred.mp4"]
    assert sorted(others) == sorted(["../../assets/plotly.min.js", *beside])
    assert not re.search(rb"https?://|@import|url\(", content)


def test_the_exporter_shares_one_plotting_library_among_all_pages() -> None:
    exporter = EXPORTERS.get("report")
    ((name, library),) = exporter.shared_files().items()
    assert len(library) > 1_000_000
    for clip_id, link in (("a", f"../{name}"), ("a/b c/d", f"../../../{name}")):
        page = Page(exporter.render(make_clip(seconds=1, clip_id=clip_id))["report.html"])
        assert [script["src"] for script in page.all("script") if "src" in script] == [link.replace(name, CLIPS), link]


def unpacked(packed: dict[str, Any], name: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed[name]), dtype=kind)


def test_faces_over_the_video_are_where_they_were_found() -> None:
    clip = make_clip(seconds=4, faces=2, gaps=[(0, 1, 2), (1, 0, 3)], dropped=[(0, 1)])
    packed = overlay_data(clip)
    seconds, first = unpacked(packed, "seconds", "<f4"), unpacked(packed, "first", "<u4")
    np.testing.assert_allclose(seconds, clip.frames.pts_seconds, atol=1e-4)
    kept = clip.timeline.track_id >= 0
    np.testing.assert_array_equal(np.repeat(np.arange(len(seconds)), np.diff(first)), clip.timeline.frame_row[kept])
    np.testing.assert_array_equal(unpacked(packed, "face", "<i4"), clip.timeline.track_id[kept])
    box = unpacked(packed, "box", "<i2").reshape(-1, 4).astype(float)
    np.testing.assert_allclose(box[:, :2], clip.faces.xyxy[kept, :2], atol=0.51)
    landmarks = unpacked(packed, "landmarks", "u1").reshape(-1, 68, 2) / 255 * 1.5 - 0.25
    drawn = box[:, None, :2] + landmarks * box[:, None, 2:]
    np.testing.assert_allclose(drawn, clip.faces.landmarks[kept], atol=1.5)


def test_the_label_over_the_video_is_that_of_the_episode() -> None:
    clip = make_clip(seconds=10)
    held = episode_labels(clip.timeline, clip.frames, clip.segments)
    packed = overlay_data(clip)
    emotion, percent = unpacked(packed, "emotion", "u1"), unpacked(packed, "percent", "u1")
    np.testing.assert_array_equal(emotion, np.where(held < 0, 255, held))
    assert 0 < (emotion == 255).mean() < 0.5
    sure = np.flatnonzero(held >= 0)
    np.testing.assert_allclose(percent[sure], clip.timeline.probabilities[sure, held[sure]] * 100, atol=0.51)


def test_faces_of_a_long_clip_are_thinned_evenly() -> None:
    packed = overlay_data(make_clip(seconds=40, faces=2), max_rows=500)
    seconds, first = unpacked(packed, "seconds", "<f4"), unpacked(packed, "first", "<u4")
    assert len(seconds) == 250
    np.testing.assert_allclose(np.diff(seconds), 0.16, atol=1e-4)
    assert np.diff(first).tolist() == [2] * 250


def test_data_cannot_end_the_script_that_holds_it() -> None:
    text = script_json({"a": "</script><!--"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--"}


def test_a_report_tells_what_the_clip_holds() -> None:
    decode = DecodeReport(
        reader="pyav", expected_frames=900, decoded_frames=50, truncated=True, warnings=("3 bad packets.",)
    )
    clip = make_clip(seconds=20, faces=2, gaps=[(1, 0, 2)], decode=decode)
    page = Page(render_report(clip))
    assert "interviews/anna" in page.words
    assert "2 people" in page.words
    assert "50 of 900 frames" in page.words
    assert "3 bad packets." in page.words
    assert "aa" * 32 in page.words  # provenance: the weights
    rows = [row for row in page.all("tr") if "data-seconds" in row]
    assert [float(str(row["data-seconds"])) for row in rows] == pytest.approx(
        [segment.start_seconds for segment in clip.segments], abs=1e-6
    )


def test_a_report_without_a_face_says_so() -> None:
    assert "No face was found" in Page(render_report(make_clip(seconds=1, faces=0))).words


def test_a_report_without_a_video_has_no_player() -> None:
    assert not Page(render_report(make_clip(seconds=1))).all("video")


def test_the_exporter_points_at_the_video_wherever_it_lies() -> None:
    clip = make_clip(seconds=1, path='/videos/it\'s, 100 % "a" <b>#?.mp4')
    exporter = EXPORTERS.get("report")
    assert isinstance(exporter, ChartExporter)
    content = exporter.draw(clip, ChartOptions(folder=Path("/results/a")))["report.html"]
    video, blurred = Page(content).all("source")
    assert unquote(str(video["src"])) == '../../videos/it\'s, 100 % "a" <b>#?.mp4'
    assert blurred["src"] == "overlay_blurred.mp4"
    assert b"file://" not in content


@pytest.mark.parametrize("hostile", [HOSTILE, "caf\udce9", "x" * 200, "</title></style></script>"])
def test_what_comes_from_file_names_is_only_ever_text(hostile: str) -> None:
    clip = make_clip(seconds=1, clip_id=hostile, path=f"/v/{hostile}.mp4")
    harmless = make_clip(seconds=1)
    report, same = Page(render_report(clip)), Page(render_report(harmless))
    assert [tag for tag, _ in report.tags] == [tag for tag, _ in same.tags]
    failure = {"clip": hostile, "path": hostile, "stage": hostile, "reason": hostile, "message": hostile, "attempts": 1}
    index = Page(render_index([summarise(clip)], [failure]))
    other = Page(render_index([summarise(harmless)], [dict.fromkeys(failure, "a")]))
    assert [tag for tag, _ in index.tags] == [tag for tag, _ in other.tags]


def test_the_index_links_to_each_clip_by_a_url_that_finds_it() -> None:
    names = ["a/b c", 'it\'s "x" #1?%20', "日本/ü", "caf\udce9"]
    page = Page(render_index([summarise(make_clip(seconds=0.4, clip_id=name)) for name in names]))
    links = [str(attributes["href"]) for attributes in page.all("a")]
    found = [link.removesuffix("/report.html") for link in links if link.endswith("/report.html")]
    assert [unquote(link, errors="surrogateescape") for link in found] == names
    assert all(re.fullmatch(r"[\w./%~-]+", link, re.ASCII) for link in links)


def test_the_index_links_only_to_files_that_were_written() -> None:
    page = Page(render_index([summarise(make_clip(seconds=0.4))], files=["timeline.csv", "fex.csv"]))
    assert [a["href"] for a in page.all("a")] == [
        "interviews/anna/timeline.csv",
        "summary.csv",
        "summary_people.csv",
        "people.csv",
    ]


def test_the_index_shows_failures_with_their_reasons() -> None:
    failures: list[dict[str, Any]] = [
        {"clip": "d/bad", "path": "/v/d/bad.mp4", "stage": "decode", "reason": "no_video_stream",
         "message": "holds sound only", "attempts": 1}
    ]  # fmt: skip
    page = Page(render_index([], failures))
    for text in ("1 failed", "d/bad", "/v/d/bad.mp4", "no video stream", "holds sound only", "No clip was finished"):
        assert text in page.words


def test_the_index_draws_each_clips_time_course_with_its_gaps() -> None:
    clip = make_clip(seconds=10, gaps=[(0, 4, 6)])
    (drawn,) = Page(render_index([{**summarise(clip), "course": time_course(clip)}])).all("svg")
    assert drawn["aria-label"] == "mean probability of each emotion over time, stacked"
    assert not Page(render_index([summarise(clip)])).all("svg")  # as in the journal of an older version


def test_the_index_shows_the_batchs_pictures_only_where_they_lie_beside_it() -> None:
    page = Page(render_index([summarise(make_clip(seconds=0.4))], pictures=["batch_share.png"]))
    assert [image["src"] for image in page.all("img")] == ["batch_share.png"]


def test_the_index_can_be_sorted_by_numbers() -> None:
    page = Page(render_index([summarise(make_clip(seconds=0.4)), summarise(make_clip(seconds=0.4, faces=0))]))
    values = [
        float(str(cell["data-sort"])) for cell in page.all("td") if re.match(r"[\d.]+$", cell.get("data-sort") or "")
    ]
    assert len(values) == 8  # duration, frames with a face and people of two clips; share and quality of one
    (empty,) = [cell for cell in page.all("td") if cell.get("data-sort") == "" and "number" in str(cell.get("class"))]
    assert empty  # the quality of the clip without a face comes last
