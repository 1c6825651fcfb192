"""How much expression is seen in clips, and how restless their labels are: for clips of talk that should have little.

``python benchmarks/talking.py CLIP_OR_FOLDER... [--set SECTION.KEY=VALUE]``

Printed per clip, and of all together: faces (rows), the share of them in an episode that is not neutral and in none
(unsure), changes of the label per minute of a track, and the mean probability of neutral.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import vidfer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    options = parser.parse_args()
    print("| clip | rows | not neutral | unsure | changes/min | neutral, mean |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as out:
        settings = ['output.exports=["csv", "segments", "summary"]', *options.set]
        report = vidfer.process([str(clip) for clip in options.clips], out, settings=settings)
        clips = {record.clip_id: sums_of(Path(out) / record.clip_id) for record in report.records}
    for name, sums in {**clips, "all, by time": np.sum(list(clips.values()), axis=0)}.items():
        print(row(name, sums))


def row(name: str, sums: np.ndarray) -> str:
    rows, expressive, unsure, changes, minutes, neutral = sums.tolist()
    faces = max(rows, 1)  # a clip may show none
    shares = f"{expressive / faces:.0%} | {unsure / faces:.0%}"
    return f"| {name} | {rows:.0f} | {shares} | {changes / max(minutes, 1e-9):.1f} | {neutral / faces:.2f} |"


def sums_of(folder: Path) -> np.ndarray:
    """Return rows with a face, those in an episode that is not neutral, those in none, changes of the label, minutes of
    tracks, and the sum of the probabilities of neutral."""
    table = pd.read_csv(folder / "timeline.csv")
    faces = table[table.success == 1]
    episodes = pd.read_csv(folder / "segments.csv")
    inside = np.zeros((2, len(faces)), bool)
    for one in episodes.itertuples():
        mine = (faces.face_id == one.face_id) & faces.timestamp.between(one.start_seconds, one.end_seconds, "left")
        inside[int(one.emotion != "neutral")] |= mine.to_numpy()
    changes = minutes = 0.0
    for _, track in faces.groupby("face_id"):
        changes += int((track.emotion.to_numpy()[1:] != track.emotion.to_numpy()[:-1]).sum())
        minutes += (track.timestamp.iloc[-1] - track.timestamp.iloc[0]) / 60
    return np.array([len(faces), inside[1].sum(), (~inside.any(0)).sum(), changes, minutes, faces.neutral.sum()])


if __name__ == "__main__":
    main()
