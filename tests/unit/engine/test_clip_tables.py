"""Landmarks are loaded last: what is in between never reads them, and exporters get them as they were stored."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
from fixtures.clip_results import make_clip, tables_of

from vidfer.config import load_pipeline
from vidfer.engine.clip_tables import load_clip_result, load_table
from vidfer.pipeline import STAGES
from vidfer.store.cache import StageCache
from vidfer.store.cache_key import key_for
from vidfer.types import FaceDetections
from vidfer.types.stored import StoredArray

CONFIG = load_pipeline("default", ["temporal.name='ema'", "people.link=false"])
KEYS = {name: key_for(name, version=1, config={}) for name in ("faces", "embeddings", "tracks", "emotions")}
DECODE = {
    "reader": "pyav", "expected_frames": 60, "decoded_frames": 60, "bad_packets": 0, "corrupt_frames": 0,
    "truncated": False, "warnings": [],
}  # fmt: skip


def test_a_clip_is_put_together_with_its_landmarks(tmp_path: Path) -> None:
    clip = make_clip()
    cache = StageCache(tmp_path)
    for name, table in tables_of(clip, dim=4).items():
        if name != "tracks":
            cache.store(name, KEYS[name], table.arrays(), {"decode": DECODE})

    assert isinstance(load_table(cache, STAGES[0], KEYS["faces"]).arrays()["landmarks"], StoredArray)  # no memory
    computed: dict[str, bool] = {}
    for expected in (True, False):
        whole = load_clip_result(
            cache, KEYS, CONFIG, clip_id="a", info=clip.info, on_stage=lambda name, now: computed.update({name: now})
        )
        assert computed == {"tracks": expected, "emotions": expected}
        for field in fields(FaceDetections):
            np.testing.assert_array_equal(getattr(whole.faces, field.name), getattr(clip.faces, field.name))
