"""Predictions hold when a video is written again: benchmarks/stability.py on short stretches of clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fixtures.benchmarks import load_benchmark

stability = load_benchmark("stability")
FLOOR = 0.02  # of a probability
SECONDS = 3.0  # in a second or two a person's own neutral is of few frames, whose noise moves all the others
NAMES = ("crf 23", "scaled by 0.75", "scaled by 1.5")


def test_predictions_hold(clips_folder: Path, tmp_path: Path) -> None:
    """A smile that begins, and a talking child; a copy beyond recognition shows that the measure can fail."""
    clips = [clips_folder / "d0.mp4", clips_folder / "d11.mp4"]
    ruined = stability.Variant("ruined", {"crf": "51", "preset": "ultrafast"})
    variants = [variant for variant in stability.VARIANTS if variant.name in NAMES]
    found = stability.results(clips, (stability.REFERENCE, *variants, ruined), tmp_path, SECONDS, [])
    before = found["reference"]
    for variant in variants:
        after = found[variant.name]
        moved = [stability.changes(before[name], after[name]) for name in before]
        temporal = np.concatenate([part.temporal for part in moved])
        assert len(temporal) > 50
        assert sum(part.lost for part in moved) == 0
        assert np.percentile(temporal, 95) <= FLOOR
        assert np.concatenate([part.per_frame for part in moved]).mean() <= FLOOR
        assert np.concatenate([part.same_label for part in moved]).mean() >= 0.97
        for name, clip in before.items():
            assert after[name].info.width == 2 * round(clip.info.width * variant.scale / 2)
    assert stability.changes(before["d11"], found["ruined"]["d11"]).per_frame.mean() > FLOOR
