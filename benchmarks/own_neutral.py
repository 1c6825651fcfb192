"""What a person's own neutral (``emotions.baseline``) does to clips: made of pictures that no network learnt from.

``python benchmarks/own_neutral.py --data DIR [--half report]``

Of each person of CK+ and JAFFE in ``unseen.h5`` clips are made of two pictures, by what the network sees in them: one
goes from neutral to an expression and back, one holds the expression throughout, more or less, one goes from another
expression to it and back, so that the person is never neutral. The label is that of the mean over the rows that should
show it, by the default temporal model with the default prior. "Found of": the share of clips in which a baseline was
found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from unseen import DEFAULT, Unseen, ratio_of, read_unseen, seen_faces

from vidfer.backbones.load import load_backbone
from vidfer.config import load_pipeline
from vidfer.labels import EMOTION_INDEX, NUM_EMOTIONS
from vidfer.pipeline.emotions import neutral_average, temporal_model
from vidfer.temporal import TrackSequence
from vidfer.temporal.baseline import baseline_shift
from vidfer.temporal.prior import shifted

NEUTRAL = EMOTION_INDEX["neutral"]
CORPORA = {"CK+": ("ck+ apex", "ck+ onset"), "JAFFE": ("jaffe", "jaffe")}  # where expressions are, where neutral faces
REST, ONSET, OFFSET, STEP = 2.5, 0.3, 0.4, 0.04  # seconds
HELD, CHANGES = 3.5, 0.5  # seconds; how often what is held gets stronger or weaker
NOISE = (0.05, 0.15)  # of the embedding, in its standard deviations, and of logits: from frame to frame


@dataclass(frozen=True)
class Seen:
    """``vectors`` (N, D), ``logits`` (N, 8) of the per-frame network."""

    vectors: np.ndarray
    logits: np.ndarray


Pairs = Callable[[Unseen, str, str, str], Iterator[tuple[int, int]]]  # of pictures: what is before, what is to be read
Intensity = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]  # (T,) seconds, (T,) 0..1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with unseen.h5")
    parser.add_argument("--half", choices=["choose", "report"], default="choose")
    options = parser.parse_args()
    unseen = read_unseen(options.data)
    config = load_pipeline("default", [])
    network = load_backbone(config.backbone.name)
    seen, ratio = Seen(*seen_faces(network, unseen.faces)), ratio_of(network, DEFAULT)
    model, average = temporal_model(config.temporal, device="cpu"), neutral_average(config.backbone)
    print("| clips | corpus | faces | baseline | accuracy | mean recall | probability of the label | found of |")
    print("|" + "---|" * 8)
    scripts: dict[str, tuple[Pairs, Intensity]] = {
        "neutral, 1.5 s of expression": (neutral_pairs, lambda random: there_and_back(1.5)),
        "neutral, 0.4 s of expression": (neutral_pairs, lambda random: there_and_back(0.4)),
        "held, 0.8 to 1 of the apex": (neutral_pairs, lambda random: held(random, 0.8)),
        "held, 0.6 to 1 of the apex": (neutral_pairs, lambda random: held(random, 0.6)),
        "another expression, 1.5 s of it": (expression_pairs, lambda random: there_and_back(1.5)),
    }
    for name, (pairs_of, intensity) in scripts.items():
        for corpus in CORPORA:
            pairs = list(pairs_of(unseen, options.half, *CORPORA[corpus]))
            label = unseen.label[[apex for _, apex in pairs]]
            clips = [clip_of(seen, *pair, intensity, np.random.default_rng(i)) for i, pair in enumerate(pairs)]
            found = model.predict([track for track, _ in clips])
            for baseline in ("none", "clip"):
                shifts = [baseline_shift(track.logits, track.pts_seconds, baseline, average) for track, _ in clips]
                p = np.array(
                    [
                        shifted(timeline, ratio + shift)[shown].mean(0)
                        for timeline, shift, (_, shown) in zip(found, shifts, clips, strict=True)
                    ]
                )
                print(f"| {name} | {corpus} | {len(pairs)} | {baseline} | {cells(p, label, shifts)} |", flush=True)


def neutral_pairs(unseen: Unseen, half: str, expressions: str, neutral: str) -> Iterator[tuple[int, int]]:
    """Draw for every picture with an expression a neutral one of the person, if there is one."""
    return drawn_pairs(unseen, half, expressions, (unseen.name == neutral) & (unseen.label == NEUTRAL))


def expression_pairs(unseen: Unseen, half: str, expressions: str, neutral: str) -> Iterator[tuple[int, int]]:
    """Draw for every picture with an expression one of the person with another, if there is one."""
    return drawn_pairs(unseen, half, expressions, (unseen.name == expressions) & (unseen.label != NEUTRAL))


def drawn_pairs(unseen: Unseen, half: str, expressions: str, others: np.ndarray) -> Iterator[tuple[int, int]]:
    random = np.random.default_rng(0)
    usable = unseen.found & (unseen.half == half)
    for apex in np.flatnonzero(usable & (unseen.name == expressions) & (unseen.label != NEUTRAL)):
        other = (unseen.subject == unseen.subject[apex]) & (unseen.label != unseen.label[apex])
        rest = np.flatnonzero(usable & others & other)
        if len(rest):
            yield int(random.choice(rest)), int(apex)


def there_and_back(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    knots = np.cumsum([0, REST, ONSET, seconds, OFFSET, REST])
    times = np.arange(0, knots[-1], STEP)
    return times, np.interp(times, knots, [0, 0, 1, 1, 0, 0])


def held(random: np.random.Generator, least: float) -> tuple[np.ndarray, np.ndarray]:
    times, knots = np.arange(0, HELD, STEP), np.arange(0, HELD + CHANGES, CHANGES)
    return times, np.interp(times, knots, random.uniform(least, 1, len(knots)))


def clip_of(
    seen: Seen, rest: int, apex: int, intensity: Intensity, random: np.random.Generator
) -> tuple[TrackSequence, np.ndarray]:
    """Return a track, and which of its rows should show the expression, (T,) bool."""
    times, share = intensity(random)
    share = share.astype(np.float32)[:, None]
    vectors, logits = ((1 - share) * values[rest] + share * values[apex] for values in (seen.vectors, seen.logits))
    vectors = vectors + random.normal(0, NOISE[0], vectors.shape).astype(np.float32) * seen.vectors.std(0)
    logits = logits + random.normal(0, NOISE[1], logits.shape).astype(np.float32)
    quality = np.full(len(times), 0.9, np.float32)
    track = TrackSequence(pts_seconds=times, vectors=vectors, logits=logits, quality=quality)
    return track, share[:, 0] >= (0.99 if share[0] == 0 else 0)


def cells(p: np.ndarray, label: np.ndarray, shifts: list[np.ndarray]) -> str:
    right = p.argmax(1) == label
    recall = np.mean([right[label == k].mean() for k in range(NUM_EMOTIONS) if (label == k).any()])
    own = np.mean([shift.any() for shift in shifts])
    return f"{right.mean():.1%} | {recall:.1%} | {p[np.arange(len(label)), label].mean():.2f} | {own:.0%}"


if __name__ == "__main__":
    main()
