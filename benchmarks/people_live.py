"""How well a stream finds who comes back, and how soon a person's own neutral is what the whole recording tells.

    python benchmarks/people_live.py [--clips ../shared/clips]

Both halves of every clip, in random order with two seconds of nothing in between, are one stream at 12.5 frames a
second with ``people.link`` and ``emotions.baseline=clip``. Whose they are is compared with what it says, and its
probabilities with what they are when the neutral of the whole stream is taken off.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from across import row
from people import SAME

from vidfer.pipeline.people import with_first_faces
from vidfer.pipeline.pipeline import Pipeline
from vidfer.pipeline.stream import LiveFrame
from vidfer.temporal.prior import shifted

EVERY, FPS, NOTHING_SECONDS, HEIGHT = 2, 12.5, 2.0, 240
FRAMES = 60  # of a clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, default=Path("../shared/clips"))
    options = parser.parse_args()
    pipeline = Pipeline("live", device="cpu", settings=["people.link=true", "emotions.baseline=clip"])
    frames: list[LiveFrame] = []
    told: dict[str, Counter[int]] = {}  # by half: the people who were seen in it, and in how many frames
    with pipeline.stream() as stream:
        for half, picture, seconds in shown(options.clips):
            frame = stream.process(picture, seconds)
            assert frame is not None
            frames.append(frame)
            told.setdefault(half, Counter()).update(face.person_id for face in frame.faces if face.person_id >= 0)
    seen = {half: counted.most_common(1)[0][0] for half, counted in told.items() if counted}
    whose = np.array([SAME.get(half[:-1], half[:-1]) for half in seen])
    print("| | halves | people | found | right pairs joined | wrong ones |")
    print(row("one stream", whose, np.array(list(seen.values()))))
    print(f"halves with several people told: {sum(len(counted) > 1 for counted in told.values())}; none: "
          f"{', '.join(half for half in told if half not in seen)}")  # fmt: skip
    baselines(pipeline, frames)


def shown(clips: Path) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield the half of a clip, a picture of it, and the time in the stream."""
    paths = {path.stem: path for path in [*clips.glob("*.mp4"), *clips.glob("talking/*.mp4")]}
    rng, seconds = np.random.default_rng(0), 0.0
    for half in "ab":
        for name in rng.permutation(sorted(paths)).tolist():
            with av.open(str(paths[name])) as container:
                images = [image for _, image in zip(range(EVERY * FRAMES), container.decode(video=0), strict=False)]
            images = images[::EVERY]
            for image in images[: len(images) // 2] if half == "a" else images[len(images) // 2 :]:
                seconds += 1 / FPS
                width = round(image.width * HEIGHT / image.height)
                picture = image.reformat(width=width, height=HEIGHT, format="rgb24").to_ndarray()
                yield name + half, picture, seconds
            seconds += NOTHING_SECONDS


def baselines(pipeline: Pipeline, frames: list[LiveFrame]) -> None:
    tables = {name: type(table).stack([f.tables[name] for f in frames]) for name, table in frames[0].tables.items()}
    track_id = tables["tracks"].track_id
    tables["people"] = with_first_faces(tables["people"], track_id)
    offline, online = pipeline.stage("emotions").process(tables), tables["emotions"]
    # What the stream would have said with the neutral of the whole: nothing else differs.
    whole = shifted(online.probabilities, offline.shift.astype(np.float64) - online.shift)
    apart = np.abs(whole - online.probabilities).max(1)
    same = whole.argmax(1) == online.probabilities.argmax(1)
    frame_row = tables["faces"].detections().frame_row
    person_id, since = tables["people"].person_id, np.zeros(len(track_id))
    for person in np.unique(person_id[track_id >= 0]):  # seconds in which the person was seen before
        rows = np.flatnonzero(person_id == person)
        since[rows] = np.searchsorted(np.unique(frame_row[rows]), frame_row[rows]) / FPS
    print("person seen for | rows | largest difference of a probability: median | 95 % | same emotion")
    for first, last in ((0, 1), (1, 2), (2, 3), (3, np.inf)):
        rows = (track_id >= 0) & (since >= first) & (since < last)
        middle, most = np.percentile(apart[rows], [50, 95])
        print(f"{first} to {last} s | {rows.sum()} | {middle:.3f} | {most:.3f} | {same[rows].mean():.1%}")


if __name__ == "__main__":
    main()
