"""How much expression is seen in clips, and how restless their labels are: for clips of talk that should have little.

``python benchmarks/talking.py CLIP_OR_FOLDER... [--set SECTION.KEY=VALUE]``

Printed per clip: faces (rows), the share of them in an episode that is not neutral and in none (unsure), changes of the
label per minute of a track, and the mean probability of neutral.
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
        for record in report.records:
            print(row(Path(out) / record.clip_id, record.clip_id), flush=True)


def row(folder: Path, name: str) -> str:
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
    unsure = 1 - inside.any(0).mean()
    figures = (f"{inside[1].mean():.0%}", f"{unsure:.0%}", f"{changes / max(minutes, 1e-9):.1f}")
    return f"| {name} | {len(faces)} | {' | '.join(figures)} | {faces.neutral.mean():.2f} |"


if __name__ == "__main__":
    main()
