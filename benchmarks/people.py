"""Whether people keep their number in galleries and edits of known truth, and how well the network compares faces.

    python benchmarks/people.py --clips ../shared/clips [--data ../shared/data] [--seconds 6] [--scenes 2x2,cuts]

Scenes are made of clips of one person each: tiles of a call that swap, join, leave and flow anew, a speaker's view, a
picture in picture over slides, hard cuts with returns after ten seconds, people who cross. They run through
`vidfer.Pipeline` as a user's video does. Printed by scene: IDF1 (Ristani et al. 2016) of `person_id`, and beside it of
the tracks as they are without `[people]`; the share of pairs of tracks of two people that got one number; and the mean
difference of each person's probabilities from those of the same pictures alone. With --data: pairs of held-back people
of LFW, as they are and made small, dark, coarse, and across yaw.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from vidfer import Pipeline
from vidfer.faces.boxes import pair_up
from vidfer.faces.tracking import track_faces
from vidfer.identity import IDENTITIES
from vidfer.learning.datasets.named_faces import NOBODY, NamedFaces, read_named_faces
from vidfer.learning.evaluation.pairs import Pairs, all_pairs
from vidfer.learning.training.augment import AugmentConfig, compressed
from vidfer.types import ClipResult
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

FPS = 12.5
SPEED = 2  # every second frame of a clip is shown
# The square around the face where it is small in its clip: centre and side, px. Two clips of ten (t5, t8) show people
# who are in others.
CROPS = {"s18": (780, 300, 520), "s20": (190, 280, 480), "s29": (370, 320, 620), "s32": (610, 318, 480)}
PEOPLE = (
    *("d0", "d11", "d14", "d19", "d20", "d6", "s18", "s20", "s29", "s32"),
    *("t1", "t10", "t2", "t3", "t4", "t6", "t7", "t9"),
)
SOURCE_PX = 360
HIDDEN = -2


@dataclass(frozen=True)
class Tile:
    """A person's picture: number in PEOPLE, left, top and side in px, and whether it lies over others."""

    person: int
    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Scene:
    """What is shown: ``tiles(seconds)`` from back to front, on a canvas of ``size`` (height, width) px."""

    name: str
    size: tuple[int, int]
    tiles: Callable[[float], list[Tile]]
    seconds: float
    slides: bool = False


def grid(people: list[int], columns: int, side: int) -> list[Tile]:
    """Return tiles in rows."""
    return [Tile(p, k % columns * side, k // columns * side, side) for k, p in enumerate(people) if p >= 0]


def scenes(seconds: float) -> list[Scene]:
    """Return all scenes, each of about this many seconds."""
    half, third = seconds / 2, seconds / 3

    def gallery(columns: int, side: int, start: int) -> Scene:
        people = [(start + k) % len(PEOPLE) for k in range(min(columns**2, len(PEOPLE)))]
        swapped = [people[1], people[0], *people[2:]]
        replaced = [*swapped[:-1], (start + columns**2) % len(PEOPLE)] if columns**2 < len(PEOPLE) else swapped

        def tiles(now: float) -> list[Tile]:
            shown = people if now < third else swapped if now < 2 * third else replaced
            return grid(shown, columns, side)

        return Scene(f"{columns}x{columns}", (side * columns, side * columns), tiles, seconds)

    def reflow(now: float) -> list[Tile]:  # one leaves and the rest move up; another joins
        people = [6, 7, 8, 9, 10, 11]
        people = people if now < third else [6, 8, 9, 10, 11] if now < 2 * third else [12, 6, 8, 9, 10, 11]
        return grid(people, 3, 240)

    def speaker(now: float) -> list[Tile]:  # who speaks is large, the others small beside
        large = [0, 3, 10][int(now / third) % 3]
        others = [p for p in (0, 3, 10, 14) if p != large]
        return [Tile(large, 0, 0, 480), *(Tile(p, 480, 160 * k, 160) for k, p in enumerate(others))]

    def cuts(now: float) -> list[Tile]:  # one shot a person, each comes again
        order = [4, 12, 5, 4, 16, 12, 5, 16]
        return [Tile(order[int(now / seconds * len(order) / 2) % len(order)], 140, 0, 360)]

    def returns(now: float) -> list[Tile]:  # both leave, and come back to other places after ten seconds
        if now < 3:
            return [Tile(2, 0, 0, 320), Tile(13, 320, 0, 320)]
        return [] if now < 13 else [Tile(13, 0, 0, 320), Tile(2, 320, 0, 320)]

    def crossing(now: float) -> list[Tile]:
        there = int(400 * min(1.0, max(0.0, (now - 1) / (seconds - 2))))
        return [Tile(11, 400 - there, 0, 240), Tile(15, there, 20, 240)]

    def corner(now: float) -> list[Tile]:
        return [Tile(14 if now < half else 9, 460, 240, 180)]

    return [
        *(gallery(columns, side, 3 * columns) for columns, side in ((2, 320), (3, 240), (4, 200), (5, 176))),
        Scene("reflow", (480, 720), reflow, seconds),
        Scene("speaker view", (480, 640), speaker, seconds),
        Scene("picture in picture", (420, 640), corner, seconds, slides=True),
        Scene("hard cuts", (360, 640), cuts, 2 * seconds),
        Scene("returns after 10 s", (320, 640), returns, 16.0),
        Scene("crossing", (260, 640), crossing, seconds),
    ]


@cache
def pictures_of(clips: Path, name: str) -> np.ndarray:
    """Return every second picture of a clip (F, S, S, 3), cut to a square."""
    path = clips / "talking" / f"{name}.mp4" if name.startswith("t") else clips / f"{name}.mp4"
    video = probe(path)
    indices = np.arange(min(video.num_frames, 150))[::SPEED]
    parts = [batch.images for batch in open_reader(video).read(indices, batch_size=16)]
    images = np.concatenate(parts)
    height, width = images.shape[1:3]
    x, y, side = CROPS.get(name, (width // 2, height // 2, min(height, width)))
    top, left = max(0, min(y - side // 2, height - side)), max(0, min(x - side // 2, width - side))
    return resized(images[:, top : top + side, left : left + side], SOURCE_PX)


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Return pictures (F, S, S, 3) at another size."""
    planar = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    out = functional.interpolate(planar, size=side, mode="bilinear", antialias=True)
    return out.permute(0, 2, 3, 1).contiguous().numpy()


@cache
def tile_pictures(clips: Path, person: int, side: int) -> np.ndarray:
    return resized(pictures_of(clips, PEOPLE[person]), side)


def frame_of(person_pictures: np.ndarray, number: int) -> np.ndarray:
    """Return the picture of a frame; clips run forwards and backwards for ever."""
    count = len(person_pictures)
    place = number % max(1, 2 * count - 2)
    picture: np.ndarray = person_pictures[place if place < count else 2 * count - 2 - place]
    return picture


def shown(scene: Scene, clips: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a scene."""
    slides = np.random.default_rng(0).integers(40, 255, (50, 6, 8, 3))
    for number in range(round(scene.seconds * FPS)):
        canvas = np.full((*scene.size, 3), 32, np.uint8)
        if scene.slides:
            blocks = slides[int(number / FPS / 1.5)].repeat(scene.size[0] // 6 + 1, 0).repeat(scene.size[1] // 8 + 1, 1)
            canvas[:] = blocks[: scene.size[0], : scene.size[1]]
        for tile in scene.tiles(number / FPS):
            picture = frame_of(tile_pictures(clips, tile.person, tile.side), number)
            part = canvas[tile.y : tile.y + tile.side, tile.x : tile.x + tile.side]
            part[:] = picture[: part.shape[0], : part.shape[1]]
        yield canvas


def truth_of(scene: Scene, clip: ClipResult) -> np.ndarray:
    """Return whose each face is (N,), by the frontmost tile that its centre lies in; -1 in none, HIDDEN behind one."""
    visible = visible_of(scene)
    centres = (clip.faces.xyxy[:, :2] + clip.faces.xyxy[:, 2:]) / 2
    person = np.full(len(centres), -1)
    for row, (x, y) in enumerate(centres):
        for tile in scene.tiles(clip.faces.frame_row[row] / FPS):
            if 0 <= x - tile.x < tile.side and 0 <= y - tile.y < tile.side:
                person[row] = tile.person if tile.person in visible[clip.faces.frame_row[row]] else HIDDEN
    return person


def visible_of(scene: Scene) -> list[set[int]]:
    """Return who is shown in each frame, and not mostly behind somebody else."""
    out = []
    for number in range(round(scene.seconds * FPS)):
        tiles = scene.tiles(number / FPS)
        hidden = {
            back.person
            for back, front in combinations(tiles, 2)
            if abs(back.x - front.x) < 0.6 * front.side and abs(back.y - front.y) < 0.6 * front.side
        }
        out.append({tile.person for tile in tiles} - hidden)
    return out


def idf1(truth: np.ndarray, number: np.ndarray, num_visible: int) -> float:
    """Return the share of faces whose number is their person's, people and numbers matched for the best."""
    kept = (number >= 0) & (truth != HIDDEN)
    people, numbers = np.unique(truth[kept & (truth >= 0)]), np.unique(number[kept])
    if not len(people):
        return 0.0
    counts = np.array([[np.count_nonzero((truth == p) & (number == n)) for n in numbers] for p in people])
    best = counts[pair_up(-counts)].sum()
    return float(2 * best / (num_visible + np.count_nonzero(kept)))


def merged_pairs(truth: np.ndarray, track: np.ndarray, person: np.ndarray) -> tuple[int, int]:
    """Return how many pairs of tracks of two people have one number, of how many pairs."""
    found = []
    for one in np.unique(track[track >= 0]):
        rows = track == one
        found.append((np.bincount(truth[rows].clip(-1) + 1).argmax() - 1, person[rows][0]))
    pairs = [(a[1] == b[1]) for a, b in combinations(found, 2) if a[0] != b[0] and min(a[0], b[0]) >= 0]
    return sum(pairs), len(pairs)


@cache
def alone(pipeline: Pipeline, clips: Path, person: int, side: int, count: int) -> np.ndarray:
    """Return the probabilities (F, 8) of a person's pictures alone, NaN where no face is found."""
    pictures = tile_pictures(clips, person, side)
    result = pipeline.frames((frame_of(pictures, k) for k in range(count)), fps=FPS).result
    out = np.full((count, result.timeline.probabilities.shape[1]), np.nan)
    out[result.timeline.frame_row] = result.timeline.probabilities
    return out


def difference(scene: Scene, clips: Path, clip: ClipResult, truth: np.ndarray, pipeline: Pipeline) -> list[float]:
    """Return by person how far the probabilities are from those of the same pictures alone, on average."""
    out = []
    count = round(scene.seconds * FPS)
    sides = {tile.person: tile.side for number in range(count) for tile in scene.tiles(number / FPS)}
    for person in np.unique(truth[truth >= 0]).tolist():
        rows = np.flatnonzero((truth == person) & (clip.timeline.track_id >= 0))
        expected = alone(pipeline, clips, person, sides[person], count)[clip.timeline.frame_row[rows]]
        out.append(float(np.nanmean(np.abs(clip.timeline.probabilities[rows] - expected))))
    return out


def measure(scene: Scene, clips: Path, pipeline: Pipeline) -> str:
    """Run a scene and return its row."""
    started = time.process_time()
    clip = pipeline.frames(shown(scene, clips), fps=FPS).result
    assert clip.people is not None
    truth = truth_of(scene, clip)
    visible = sum(map(len, visible_of(scene)))
    before = track_faces(clip.faces, clip.frames, **pipeline.config.tracks.model_dump()).track_id
    merged, pairs = merged_pairs(truth, clip.timeline.track_id, clip.people.person_id)
    off = difference(scene, clips, clip, truth, pipeline)
    people = len(np.unique(truth[truth >= 0]))
    found = len(np.unique(clip.people.person_id[clip.people.person_id >= 0]))
    tracks = len(np.unique(clip.timeline.track_id[clip.timeline.track_id >= 0]))
    return (
        f"| {scene.name} | {people} | {found} ({tracks} tracks) | {idf1(truth, clip.people.person_id, visible):.3f} | "
        f"{idf1(truth, before, visible):.3f} | {merged} of {pairs} | {np.mean(off):.3f}, {max(off):.3f} | "
        f"{len(clip.people.unsure)} | {time.process_time() - started:.0f} s |"
    )


def network_rows(data: Path) -> Iterator[str]:
    """Yield rows of figures over pairs of held-back people."""
    network = IDENTITIES.get("embedded")(device="cpu")
    faces = read_named_faces(data, "val", size=network.size, border=0)
    named = faces.take(np.flatnonzero(faces.person != NOBODY))
    shown = torch.from_numpy(named.pictures).permute(0, 3, 1, 2).float() / 255
    clean = network.embed(shown)

    def row(name: str, pairs: Pairs) -> str:
        right, threshold = pairs.accuracy()
        return f"| {name} | {pairs.same.sum()} | {right:.1%} | {pairs.found_at(0.01)[0]:.1%} | {threshold:.2f} |"

    def across(vectors: np.ndarray) -> Pairs:
        """One picture as it is, the other changed."""
        first, second = np.triu_indices(len(named), 1)
        return Pairs(cosine=(clean @ vectors.T)[first, second], same=named.person[first] == named.person[second])

    yield row("as they are (about 120 px)", all_pairs(clean, named.person))
    for side in (48, 32, 24):
        small = functional.interpolate(shown, size=side, mode="bilinear", antialias=True)
        vectors = network.embed(functional.interpolate(small, size=network.size, mode="bilinear"))
        yield row(f"both {side} px", all_pairs(vectors, named.person))
        yield row(f"one {side} px", across(vectors))
    yield row("one darker (gamma 2.2, half the contrast)", across(network.embed(0.25 + 0.5 * shown**2.2)))
    generator = torch.Generator().manual_seed(0)
    coarse = compressed(shown.clone(), AugmentConfig(compression_share=1.0), generator).clamp(0, 1)
    yield row("one compressed (JPEG 20 to 90)", across(network.embed(coarse)))
    yield row("the teacher, on its own pictures", all_pairs(named.vectors, named.person))
    yield from _by_yaw(named, clean, row)


def _by_yaw(named: NamedFaces, vectors: np.ndarray, row: Callable[[str, Pairs], str]) -> Iterator[str]:
    first, second = np.triu_indices(len(named), 1)
    apart = np.abs(named.yaw_share[first] - named.yaw_share[second])
    cosine, same = (vectors @ vectors.T)[first, second], named.person[first] == named.person[second]
    for name, rows in (("turned alike", apart < 0.15), ("turned apart (nose by 0.35 of the eyes)", apart > 0.35)):
        yield row(name, Pairs(cosine=cosine[rows], same=same[rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips of one person each")
    parser.add_argument("--data", type=Path, help="folder of faces_in_scenes.h5 and teachers.h5")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--scenes", default="", help="names, with commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.clips:
        print("| scene | people | found | IDF1 | tracks before | merged | difference: mean, most | unsure | CPU |")
        print("|---|---|---|---|---|---|---|---|---|")
        pipeline = Pipeline(device="cpu")
        for scene in scenes(options.seconds):
            if not options.scenes or scene.name in options.scenes.split(","):
                print(measure(scene, options.clips, pipeline), flush=True)
    if options.data:
        print("| pairs of 574 people | same pairs | right | same at 1 % false | threshold |\n|---|---|---|---|---|")
        for line in network_rows(options.data):
            print(line, flush=True)


if __name__ == "__main__":
    main()
