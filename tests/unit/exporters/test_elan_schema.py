"""emotions.eaf against the schema of its format, and read with pympi; emotions.vtt read with webvtt-py.

``fixtures/EAFv3.0.xsd`` is the Max Planck Institute's http://www.mpi.nl/tools/elan/EAFv3.0.xsd, as the source
distribution of pympi-ling 1.71 carries it for its own tests.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import webvtt
from fixtures.clip_results import make_clip
from lxml import etree
from pympi.Elan import Eaf

from vidfer.exporters import EXPORTERS
from vidfer.types import ClipResult

SCHEMA = Path(__file__).parents[2] / "fixtures" / "EAFv3.0.xsd"
CLIPS = {
    "one face": make_clip(seconds=6),
    "two faces with gaps": make_clip(seconds=6, faces=2, gaps=[(0, 1, 2), (1, 0, 3)]),
    "no face": make_clip(seconds=1, faces=0),
    "awkward names": make_clip(seconds=2, clip_id='a/$x "it\'s" <script>&\n日本\udce9', path='/v/a, "b"<i>\udce9.mp4'),
}


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(SCHEMA)))


def render(name: str, clip: ClipResult) -> bytes:
    (content,) = EXPORTERS.get(name).render(clip).values()
    return content


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_elan_files_keep_to_the_schema_of_eaf_3(clip: ClipResult, schema: etree.XMLSchema) -> None:
    schema.assertValid(etree.fromstring(render("elan", clip)))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'LINGUISTIC_TYPE_REF="emotion"', b'LINGUISTIC_TYPE_REF="emotions"'),
        (b'TIME_SLOT_REF1="ts1"', b'TIME_SLOT_REF1="ts999"'),
        (b"<TIME_ORDER>", b"<TIME_ORDER><TIME_SLOT/>"),
        (b"1970-01-01T00:00:00", b"today"),
    ],
)
def test_the_schema_refuses_what_is_wrong(right: bytes, wrong: bytes, schema: etree.XMLSchema) -> None:
    content = render("elan", CLIPS["one face"])
    assert content.count(right) == 1
    assert not schema.validate(etree.fromstring(content.replace(right, wrong)))


def test_subtitles_and_annotations_are_on_the_clock_that_players_show() -> None:
    clip = CLIPS["one face"]
    late = replace(clip, info=replace(clip.info, start_seconds=2.007))
    first = clip.segments[0]
    start = 2.007 + first.start_seconds
    cue = f"00:00:{start:06.3f} --> 00:00:{2.007 + first.end_seconds:06.3f}"
    assert cue in render("vtt", late).decode()
    slots = [int(slot.get("TIME_VALUE")) for slot in etree.fromstring(render("elan", late)).iter("TIME_SLOT")]
    assert slots[:2] == [round(start * 1000), round((2.007 + first.end_seconds) * 1000)]


def test_pympi_reads_the_tiers_and_their_annotations(tmp_path: Path) -> None:
    clip = CLIPS["two faces with gaps"]
    (tmp_path / "emotions.eaf").write_bytes(render("elan", clip))
    eaf = Eaf(str(tmp_path / "emotions.eaf"))
    assert list(eaf.get_tier_names()) == ["face 0", "face 1"]
    for track in (0, 1):
        expected = [
            (round(segment.start_seconds * 1000), round(segment.end_seconds * 1000), segment.emotion)
            for segment in clip.segments
            if segment.track_id == track
        ]
        assert sorted(eaf.get_annotation_data_for_tier(f"face {track}")) == expected
    assert [media["MEDIA_URL"] for media in eaf.media_descriptors] == ["file:///videos/anna.mp4"]


def test_a_subtitle_parser_reads_every_cue(tmp_path: Path) -> None:
    clip = CLIPS["two faces with gaps"]
    (tmp_path / "emotions.vtt").write_bytes(render("vtt", clip))
    captions = webvtt.read(str(tmp_path / "emotions.vtt")).captions
    found = sorted((caption.start_in_seconds, caption.text.split(":")[0]) for caption in captions)
    expected = sorted((int(segment.start_seconds), f"face {segment.track_id}") for segment in clip.segments)
    assert found == expected
    assert all(caption.text.split()[2] in {segment.emotion for segment in clip.segments} for caption in captions)
