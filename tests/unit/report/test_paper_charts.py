"""Charts for a column of a paper: measured in the files."""

from __future__ import annotations

import dataclasses
import io
import re
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.labels import EMOTIONS, STATES, UNSURE_COLOUR
from vidfer.report.batch_chart import Align, average_chart, share_chart
from vidfer.report.chart import timeline_chart, timeline_pdf, timeline_svg
from vidfer.report.chart_options import ApexFrame, ChartOptions
from vidfer.timeline.summary import summarise
from vidfer.timeline.time_course import time_course
from vidfer.types import ClipResult, DecodeReport, FaceEmbeddings

COLUMN_MM = 85
SVG = "{http://www.w3.org/2000/svg}"
DAMAGED = DecodeReport(reader="pyav", expected_frames=90_000, decoded_frames=50_000, bad_packets=3, truncated=True)


def restless(clip: ClipResult) -> ClipResult:
    """A clip with a band to explain."""
    logits = np.random.default_rng(0).normal(0, 2, clip.embeddings.logits.shape).astype(np.float32)
    return dataclasses.replace(clip, embeddings=FaceEmbeddings(vectors=clip.embeddings.vectors, logits=logits))


CLIPS = {
    "one face": restless(make_clip(seconds=10)),
    "two faces with gaps": make_clip(seconds=30, faces=2, gaps=[(0, 5, 9), (1, 0, 20)]),
    "an hour": make_clip(seconds=3600, fps=1),
    "nobody": make_clip(seconds=1, faces=0),
    "damaged, many faces": make_clip(seconds=4, faces=8, decode=DAMAGED),
}


def paper(clip: ClipResult) -> ChartOptions:
    picture = np.full((20, 20, 3), 90, np.uint8)
    return ChartOptions(
        size="paper",
        apexes=tuple(
            ApexFrame(
                track_id=s.track_id,
                emotion=s.emotion,
                seconds=s.peak_seconds,
                picture=picture,
                probability=s.peak_probability,
            )
            for s in clip.segments[:9]
        ),
    )


@pytest.fixture(params=CLIPS.values(), ids=CLIPS.keys())
def clip(request: pytest.FixtureRequest) -> ClipResult:
    made: ClipResult = request.param
    return made


def test_a_png_is_a_column_wide_at_300_dpi_with_nothing_cut_off(clip: ClipResult) -> None:
    image = Image.open(io.BytesIO(timeline_chart(clip, options=paper(clip)).png))
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert image.width / 300 * 25.4 == pytest.approx(COLUMN_MM, abs=0.2)
    pixels = np.asarray(image.convert("RGB"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


def test_an_svg_is_a_column_wide_and_its_text_is_text_of_7_points(clip: ClipResult) -> None:
    root = ElementTree.fromstring(timeline_svg(clip, options=paper(clip)))
    assert root.attrib["width"].endswith("pt")
    points = float(root.attrib["width"].removesuffix("pt"))
    assert points / 72 * 25.4 == pytest.approx(COLUMN_MM, abs=0.1)
    assert float(root.attrib["viewBox"].split()[2]) == pytest.approx(points)  # so a px in it is a pt
    texts = root.findall(f".//{SVG}text")
    assert {text.text for text in texts} >= {*STATES, "not seen"}
    sizes = [float(match[1]) for text in texts for match in [re.search(r"([0-9.]+)px", text.attrib["style"])] if match]
    assert len(sizes) == len(texts)
    assert min(sizes) >= 7


def test_a_pdf_is_a_column_wide_with_fonts_of_7_points(clip: ClipResult) -> None:
    data = timeline_pdf(clip, options=paper(clip))
    box = re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ", data)
    assert box is not None
    assert float(box[1]) / 72 * 25.4 == pytest.approx(COLUMN_MM, abs=0.1)
    sizes = [
        float(size) for content in pdf_streams(data) for size in re.findall(rb"/F[0-9A-Za-z]+ ([0-9.]+) Tf", content)
    ]
    assert sizes
    assert min(sizes) >= 7
    assert b"/Type3" not in data  # journals refuse them
    assert b"CreationDate" not in data


def pdf_streams(data: bytes) -> list[bytes]:
    streams = []
    for match in re.finditer(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        try:
            streams.append(zlib.decompress(match[1]))
        except zlib.error:
            continue  # not packed: a picture or a font
    return streams


@pytest.mark.parametrize("align", ["start", "fraction"])
def test_pictures_of_a_batch_are_a_column_wide_too(align: Align) -> None:
    clips = [make_clip(seconds=3 + i, faces=i % 2, clip_id=f"interviews/person {i}", seed=i) for i in range(5)]
    shares = share_chart([summarise(clip) for clip in clips], size="paper")
    averages = average_chart([time_course(clip) for clip in clips], align=align, size="paper")
    for png in (shares, averages):
        image = Image.open(io.BytesIO(png))
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.width / 300 * 25.4 == pytest.approx(COLUMN_MM, abs=0.2)
        pixels = np.asarray(image.convert("RGB"))
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 255).all()


def test_the_most_probable_pictures_are_shown_where_few_fit() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    apexes = tuple(
        ApexFrame(track_id=0, emotion="anger", seconds=float(i), picture=picture, probability=0.5 + i % 3 / 10)
        for i in range(6)
    )
    shown = ChartOptions(apexes=apexes).of_face(0, most=3)
    assert [apex.seconds for apex in shown] == [1.0, 2.0, 5.0]


def share_of_unsure(clip: ClipResult, options: ChartOptions) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(timeline_chart(clip, options=options).png)).convert("RGB"))
    gray = [int(UNSURE_COLOUR[i : i + 2], 16) for i in (1, 3, 5)]
    return float((pixels == gray).all(axis=-1).mean())


@pytest.mark.parametrize("size", ["screen", "paper"])
def test_the_ribbon_is_gray_where_a_face_is_unsure(size: str) -> None:
    clip = make_clip(seconds=10)
    options = ChartOptions(size="paper" if size == "paper" else "screen")
    without = dataclasses.replace(clip, segments=())
    assert share_of_unsure(without, options) > share_of_unsure(clip, options) + 0.02
    svg = timeline_svg(without, options=ChartOptions(size="paper")).decode()
    assert svg.count(">unsure</text>") == 2  # in the legend and on the ribbon
    assert all(svg.count(f">{name}</text>") == 1 for name in EMOTIONS)  # in the legend alone
