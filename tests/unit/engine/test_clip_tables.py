"""Landmarks are loaded last: what is in between never reads them, and exporters get them as they were stored."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
from fixtures.clip_results import make_clip

from vidfer.config import load_pipeline
from vidfer.engine.cache import StageCache
from vidfer.engine.cache_key import key_for
from vidfer.engine.clip_tables import assemble, find_emotions, find_tracks, load_faces, load_frame_tables
from vidfer.faces.cuts import SIGNATURE_SIZE
from vidfer.stages.tables import EmbeddingsTable, FacesTable
from vidfer.types import FaceDetections

CONFIG = load_pipeline("default", ["temporal.name='ema'"])
KEYS = {name: key_for(name, version=1, config={}) for name in ("faces", "embeddings", "tracks", "emotions")}
DECODE = {
    "reader": "pyav", "expected_frames": 60, "decoded_frames": 60, "bad_packets": 0, "corrupt_frames": 0,
    "truncated": False, "warnings": [],
}  # fmt: skip


def test_a_clip_is_put_together_with_its_landmarks(tmp_path: Path) -> None:
    clip = make_clip()
    cache = StageCache(tmp_path)
    num_frames = len(clip.frames)
    columns = {
        field.name: getattr(clip.faces, field.name) for field in fields(FaceDetections) if field.name != "frame_row"
    }
    stored = FacesTable(
        frame_index=clip.frames.frame_index,
        pts_seconds=clip.frames.pts_seconds,
        signature=np.zeros((num_frames, SIGNATURE_SIZE), np.float16),
        num_faces=np.bincount(clip.faces.frame_row, minlength=num_frames).astype(np.uint16),
        **columns,
    )
    cache.store("faces", KEYS["faces"], stored.arrays(), {"decode": DECODE})
    vectors = np.ones((len(clip.faces.score), 4), np.float16)
    embeddings = EmbeddingsTable(vectors=vectors, logits=clip.embeddings.logits)
    cache.store("embeddings", KEYS["embeddings"], embeddings.arrays())

    tables = load_frame_tables(cache, KEYS)
    assert np.isnan(tables.faces.landmarks).all()
    assert tables.faces.landmarks.strides == (0, 0, 0)  # no memory for them
    tracks, _ = find_tracks(cache, KEYS["tracks"], tables, CONFIG.tracks)
    timeline, _ = find_emotions(cache, KEYS["emotions"], tables, tracks, CONFIG.temporal, device="cpu")
    whole = assemble("a", clip.info, tables, tracks, timeline, config=CONFIG, keys=KEYS, cache=cache)
    for field in fields(FaceDetections):
        np.testing.assert_array_equal(getattr(whole.faces, field.name), getattr(clip.faces, field.name))
    np.testing.assert_array_equal(load_faces(cache, KEYS["faces"])[0].landmarks, clip.faces.landmarks)
