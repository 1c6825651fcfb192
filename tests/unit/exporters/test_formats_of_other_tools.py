"""openface.csv, fex.csv, emotions.eaf, emotions.vtt: read the way those tools read them."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from fixtures.clip_results import make_clip

from vidfer.exporters import EXPORTERS
from vidfer.types import ClipResult

LANDMARKS = [f"x_{i}" for i in range(68)] + [f"y_{i}" for i in range(68)]


def render(name: str, clip: ClipResult) -> bytes:
    (content,) = EXPORTERS.get(name).render(clip).values()
    return content


@pytest.fixture(scope="module")
def clip() -> ClipResult:
    return make_clip(seconds=4, faces=2, gaps=[(0, 1, 2), (1, 0, 3)], path='/videos/it\'s, "a".mp4')


def test_openface_has_its_names_in_its_order(clip: ClipResult) -> None:
    table = pd.read_csv(io.BytesIO(render("openface", clip)))
    head = ["frame", "face_id", "timestamp", "confidence", "success", "pose_Rx", "pose_Ry", "pose_Rz"]
    assert list(table.columns) == head + LANDMARKS
    assert not table.isna().any(axis=None)


def test_openface_without_a_face_is_zero_and_success_tells(clip: ClipResult) -> None:
    table = pd.read_csv(io.BytesIO(render("openface", clip)))
    empty = table[table["success"] == 0]
    assert len(empty) == 25
    assert (empty["face_id"] == -1).all()
    assert (empty.drop(columns=["frame", "face_id", "timestamp"]) == 0).all(axis=None)


def test_openface_landmarks(clip: ClipResult) -> None:
    table = pd.read_csv(io.BytesIO(render("openface", clip)))
    first = table.iloc[0]
    assert first["frame"] == 1
    np.testing.assert_allclose(first[LANDMARKS].to_numpy(float), clip.faces.landmarks[0].T.ravel(), rtol=0, atol=0.0006)


def test_fex_has_the_columns_py_feat_looks_for(clip: ClipResult) -> None:
    table = pd.read_csv(io.BytesIO(render("fex", clip)))
    box = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"]
    emotions = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert {"frame", "input", "Pitch", "Roll", "Yaw", *box, *LANDMARKS, *emotions} <= set(table.columns)
    assert not [column for column in table.columns if "AU" in column]
    assert table["frame"].iloc[0] == 0
    assert set(table["input"]) == {'it\'s, "a".mp4'}
    assert set(table["Identity"].dropna()) == {"Person_0", "Person_1"}
    seen = table.dropna(subset=["FaceScore"])
    assert seen[[*emotions, "contempt"]].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-5)
    assert table["FaceScore"].isna().sum() == 25


@pytest.mark.parametrize("name", ["openface", "fex"])
def test_landmarks_of_a_long_clip_stand_in_their_rows(name: str) -> None:
    clip = make_clip(seconds=100, fps=25, gaps=[(0, 30, 60)])
    table = pd.read_csv(io.BytesIO(render(name, clip)))
    assert len(table) == 2500
    seen = table["frame"].between(1 + 750, 1500) if name == "openface" else table["frame"].between(750, 1499)
    expected = np.asarray(clip.faces.landmarks).transpose(0, 2, 1).reshape(-1, 136)
    np.testing.assert_allclose(table.loc[~seen, LANDMARKS].to_numpy(float), expected, rtol=0, atol=0.0006)


def test_elan_refers_only_to_what_it_defines_and_keeps_the_times(clip: ClipResult) -> None:
    root = ET.fromstring(render("elan", clip))
    assert root.tag == "ANNOTATION_DOCUMENT"
    order = [child.tag for child in root]
    assert order == sorted(order, key=["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "CONSTRAINT"].index)
    slots = {slot.get("TIME_SLOT_ID"): int(str(slot.get("TIME_VALUE"))) for slot in root.iter("TIME_SLOT")}
    types = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    found = []
    for tier in root.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in types
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            start, end = (slots[annotation.get(f"TIME_SLOT_REF{i}")] for i in (1, 2))
            found.append((tier.get("TIER_ID"), annotation.findtext("ANNOTATION_VALUE"), start, end))
    assert found == [
        (f"face {s.track_id}", s.emotion, round(s.start_seconds * 1000), round(s.end_seconds * 1000))
        for s in clip.segments
    ]
    ids = [annotation.get("ANNOTATION_ID") for annotation in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(ids) == len(set(ids))
    (media,) = root.iter("MEDIA_DESCRIPTOR")
    assert media.get("MEDIA_URL") == "file:///videos/it%27s%2C%20%22a%22.mp4"


def test_subtitles_parse_and_come_in_order(clip: ClipResult) -> None:
    text = render("vtt", clip).decode()
    header, *cues = text.strip().split("\n\n")
    assert header == "WEBVTT"
    assert len(cues) == len(clip.segments)
    starts = []
    for cue in cues:
        _, timing, payload = cue.split("\n")
        match = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})", timing)
        assert match
        h1, m1, s1, f1, h2, m2, s2, f2 = map(int, match.groups())
        start, end = ((h1 * 60 + m1) * 60 + s1) * 1000 + f1, ((h2 * 60 + m2) * 60 + s2) * 1000 + f2
        assert start < end
        assert re.fullmatch(r"face \d: [a-z]+ \d+ %", payload)
        starts.append(start)
    assert starts == sorted(starts)


def test_subtitles_of_one_face_do_not_name_it() -> None:
    assert "face" not in render("vtt", make_clip(seconds=2)).decode()
