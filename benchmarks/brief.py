"""Which brief expressions (0.3 to 1 s) sequence models find, and how often they see one in neutral talk.

``python benchmarks/brief.py --data DIR [--split validation] [--bank DIR] [--weights gru=FILE]``

Sequences are made from people that no model learnt from. An expression is found at a threshold if a row of it (or up
to 0.3 s later) has the right label with at least this probability; a false alarm is a run of rows at least 0.5 s away
from any expression with a label that is not neutral and at least this probability, per minute of such rows. The last
columns: how long after its onset (half of the apex) an expression that the label names is named, and the apex
probability of the right label relative to that of the per-frame network: of all, and of those that last 0.4 to 0.6 s.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from temporal import choose

from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets.face_sequences import FaceSequences, LabelledSequence
from vidfer.learning.training.temporal import BankBuilder, read_recipe
from vidfer.temporal.probabilities import softmax

SCRIPT = {"brief_share": 1.0, "neutral_seconds": 4.0, "calm_share": 0.0, "steady_share": 0.0, "damage_share": 0.05}
THRESHOLDS = (0.35, 0.5, 0.7, 0.9)
AFTER, APART, HALF_SECOND = 0.3, 0.5, 0.5  # seconds
NEUTRAL = EMOTION_INDEX["neutral"]


@dataclass(frozen=True)
class Event:
    """Rows [start, stop) of a sequence in which an expression is labelled, and its label."""

    start: int
    stop: int
    label: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013plus.h5")
    parser.add_argument("--recipe", type=Path, default=Path("pipelines/train/temporal_gru.toml"))
    parser.add_argument("--bank", type=Path, default=Path("runs/temporal_gru/bank"), help="where people are kept")
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    parser.add_argument("--weights", action="append", default=[], metavar="MODEL=FILE", help="may be repeated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(options.recipe)
    banks = BankBuilder(recipe.data, options.data, options.bank).banks(options.split)
    script = recipe.script.model_copy(update=SCRIPT)
    sequences = FaceSequences(banks, script).evaluation_set(sum(map(len, banks)) // 2, seed=4)
    found = [list(events_of(one)) for one in sequences]
    minutes = sum(quiet_rows(one).sum() * np.median(np.diff(one.track.pts_seconds)) for one in sequences) / 60
    print(f"{len(sequences)} sequences, {sum(map(len, found))} brief expressions, {minutes:.0f} minutes without one\n")
    columns = [f"found at {t}: false alarms a minute" for t in THRESHOLDS]
    print(f"| model | {' | '.join(columns)} | lag s | apex kept | of 0.5 s |\n|{' --- |' * (len(THRESHOLDS) + 4)}")
    frames = [softmax(one.track.logits) for one in sequences]
    for name, chosen in choose(options.weights, Path("runs")):
        timelines = chosen.make().predict([one.track for one in sequences])
        print(f"| {name} | {' | '.join(cells(timelines, frames, sequences, found, minutes))} |", flush=True)


def events_of(sequence: LabelledSequence) -> Iterator[Event]:
    labels = sequence.labels
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, stops = [0, *edges], [*edges, len(labels)]
    for start, stop in zip(starts, stops, strict=True):
        if labels[start] != NEUTRAL and start > 0 and stop < len(labels):
            yield Event(int(start), int(stop), int(labels[start]))


def quiet_rows(sequence: LabelledSequence) -> np.ndarray:
    """(T,) bool: at rest, and no expression within ``APART`` seconds."""
    pts, target = sequence.track.pts_seconds, sequence.target
    rest = target[target[:, NEUTRAL].argmax()]
    moving = pts[np.abs(target - rest).max(1) > 1e-3]
    if not len(moving):
        return np.ones(len(pts), bool)
    nearest = np.searchsorted(moving, pts)
    before, after = moving[np.maximum(nearest - 1, 0)], moving[np.minimum(nearest, len(moving) - 1)]
    return np.asarray(np.minimum(np.abs(pts - before), np.abs(pts - after)) > APART)


def cells(
    timelines: Sequence[np.ndarray],
    frames: Sequence[np.ndarray],
    sequences: Sequence[LabelledSequence],
    events: Sequence[Sequence[Event]],
    minutes: float,
) -> Iterator[str]:
    total = sum(map(len, events))
    for threshold in THRESHOLDS:
        hits = alarms = 0
        for p, one, there in zip(timelines, sequences, events, strict=True):
            label = np.where(p.max(1) >= threshold, p.argmax(1), NEUTRAL)
            hits += sum((label[rows(one, event)] == event.label).any() for event in there)
            wrong = (label != NEUTRAL) & quiet_rows(one)
            alarms += int((np.diff(wrong.astype(int), prepend=0) == 1).sum())
        yield f"{hits / total:.0%}: {alarms / minutes:.2f}"
    lags, kept, lasting = [], [], []
    for p, frame, one, there in zip(timelines, frames, sequences, events, strict=True):
        pts = one.track.pts_seconds
        for event in there:
            named = np.flatnonzero(p[rows(one, event)].argmax(1) == event.label)
            if len(named):
                lags.append(pts[event.start + named[0]] - pts[event.start])
            mine = slice(event.start, event.stop)
            lasting.append(pts[event.stop - 1] - pts[event.start])
            kept.append(p[rows(one, event), event.label].max() / frame[mine, event.label].max())
    yield f"{np.median(lags):.2f}" if lags else "none"
    yield f"{np.median(kept):.0%}"
    yield f"{np.median(np.array(kept)[np.abs(np.array(lasting) - HALF_SECOND) <= 0.1]):.0%}"


def rows(sequence: LabelledSequence, event: Event) -> slice:
    """Return the rows of an event and of ``AFTER`` seconds more."""
    pts = sequence.track.pts_seconds
    return slice(event.start, int(np.searchsorted(pts, pts[event.stop - 1] + AFTER, side="right")))


if __name__ == "__main__":
    main()
