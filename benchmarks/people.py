"""Whether people keep their number in galleries and edits of known truth, and how well the network compares faces.

    python benchmarks/people.py --clips ../shared/clips [--data ../shared/data] [--seconds 6] [--scenes 2x2,cuts]
        [--further]

Scenes are made of clips of one person each: tiles of a call that swap, join, leave and flow anew, a speaker's view, a
picture in picture over slides, hard cuts with returns after ten seconds, people who cross. They run through
`vidfer.Pipeline` as a user's video does. Printed by scene: IDF1 (Ristani et al. 2016) of `person_id`, and beside it of
the tracks as they are without `[people]`; the share of pairs of tracks of two people that got one number; and the mean
difference of each person's probabilities from those of the same pictures alone. The thresholds of cuts and links were
set on these scenes; --further shows other ones, of later pictures of the clips. With --data: pairs of held-back people
of LFW, as they are and made small, dark, coarse, and across yaw and expression.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.nn import functional

from vidfer import Pipeline
from vidfer.faces.boxes import pair_up
from vidfer.faces.tracking import track_faces
from vidfer.identity import IDENTITIES
from vidfer.learning.datasets.named_faces import NOBODY, read_named_faces
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
FURTHER_PEOPLE = (*PEOPLE, "t5", "t8", "s13")
SAME = {"t5": "t1", "t8": "t7"}  # another recording of the same person
SOURCE_PX = 360
HIDDEN = -2
NEUTRAL, HAPPY, UNKNOWN = 0, 1, -1  # of the expressions that the teacher of ``teachers.h5`` knows


@dataclass(frozen=True)
class Tile:
    """A person's picture: number in FURTHER_PEOPLE, left, top and side in px, in the mirror, how bright."""

    person: int
    x: int
    y: int
    side: int
    mirrored: bool = False
    light: float = 1.0

    @property
    def whose(self) -> int:
        """The number of the person, the same for all recordings of one."""
        name = FURTHER_PEOPLE[self.person]
        return FURTHER_PEOPLE.index(SAME.get(name, name))


@dataclass(frozen=True)
class Scene:
    """What is shown: ``tiles(seconds)`` from back to front, on a canvas of ``size`` (height, width) px."""

    name: str
    size: tuple[int, int]
    tiles: Callable[[float], list[Tile]]
    seconds: float
    slides: bool = False
    late: bool = False  # of the last pictures of the clips instead of the first


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


def number_of(name: str) -> int:
    return FURTHER_PEOPLE.index(name)


def further_scenes(seconds: float) -> list[Scene]:
    """Return scenes on which no threshold was set, each of about this many seconds."""
    third = seconds / 3
    nine = [number_of(name) for name in ("t9", "s29", "d6", "t3", "d14", "s32", "t10", "d19", "t2")]
    guests = [number_of(name) for name in ("t6", "d20")]

    def twice(now: float) -> list[Tile]:  # the middle tile shows three people in turn
        middle = [nine[4], *guests][min(2, int(now / third))]
        return grid([*nine[:4], middle, *nine[5:]], 3, 220)

    def black(now: float) -> list[Tile]:  # cameras that are switched off and on again; one moves up meanwhile
        off = (1, 4, 6) if third < now < 2 * third else ()
        people = [-1 if k in off else person for k, person in enumerate(nine)]
        if now > 2 * third:
            people[1], people[7] = people[7], people[1]
        return grid(people, 3, 220)

    shots = [1.9, 3.1, 3.9, 5.6, 6.6, 8.7, 9.9, 11.0]  # ends of shots, seconds

    def dialogue(now: float) -> list[Tile]:  # close-ups in turn, each from its own side; then both in one picture
        if now > shots[-1]:
            return [Tile(nine[0], 0, 60, 320), Tile(nine[3], 320, 60, 320)]
        is_first = np.searchsorted(shots, now) % 2 == 0
        return [Tile(nine[0], 30, 0, 380)] if is_first else [Tile(nine[3], 230, 0, 380)]

    def small_picture(now: float) -> list[Tile]:
        small = [nine[1], guests[0], nine[1]][min(2, int(now / third))]
        return [Tile(nine[2], 0, 0, 400), Tile(small, 450, 230, 170)]

    def mirror(now: float) -> list[Tile]:  # switched on and off, as in a call
        return [
            Tile(nine[5], 0, 0, 320, mirrored=third < now < 2 * third),
            Tile(nine[8], 320, 0, 320, mirrored=now > 1.5 * third),
        ]

    def alike(now: float) -> list[Tile]:  # the three most alike of all clips, each in the place of the others
        order = [number_of(name) for name in ("d0", "t6", "d20", "t6", "d0", "d20")]
        return [Tile(order[min(5, int(now / seconds * 6))], 140, 0, 360)]

    def other_recording(now: float) -> list[Tile]:  # of one person, after somebody else
        order = [number_of(name) for name in ("t1", "t4", "t5", "t7", "t4", "t8")]
        return [Tile(order[min(5, int(now / (2 * seconds) * 6))], 140, 0, 360)]

    def fade(now: float) -> list[Tile]:  # through black from one to the other and back
        place = now / seconds * 3
        light = min(1.0, 4 * abs(place - round(place))) if 0.5 < place < 2.5 else 1.0
        return [Tile(nine[6] if 1 <= place < 2 else nine[7], 140, 0, 360, light=light)]

    def late(name: str, size: tuple[int, int], tiles: Callable[[float], list[Tile]], length: float = seconds) -> Scene:
        return Scene(name, size, tiles, length, late=True)

    return [
        late("3x3, one tile twice", (660, 660), twice),
        late("3x3, black tiles", (660, 660), black),
        late("dialogue", (380, 640), dialogue, 12.0),
        late("small picture changes", (400, 640), small_picture),
        late("mirror", (320, 640), mirror),
        late("alike, hard cuts", (360, 640), alike, 2 * seconds),
        late("other recordings", (360, 640), other_recording, 2 * seconds),
        late("fades", (360, 640), fade, 1.5 * seconds),
    ]


@cache
def pictures_of(clips: Path, name: str, late: bool) -> np.ndarray:
    """Return every second picture of a clip (F, S, S, 3), cut to a square."""
    path = clips / "talking" / f"{name}.mp4" if name.startswith("t") else clips / f"{name}.mp4"
    video = probe(path)
    indices = np.arange(min(video.num_frames, 150))[::SPEED] + late * max(0, video.num_frames - 150)
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
def tile_pictures(clips: Path, person: int, side: int, late: bool) -> np.ndarray:
    return resized(pictures_of(clips, FURTHER_PEOPLE[person], late), side)


def looks(tile: Tile, picture: np.ndarray) -> np.ndarray:
    """Return a picture as a tile shows it."""
    shown = picture[:, ::-1] if tile.mirrored else picture
    return shown if tile.light == 1 else (shown * tile.light).astype(np.uint8)


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
            picture = looks(tile, frame_of(tile_pictures(clips, tile.person, tile.side, scene.late), number))
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
                person[row] = tile.whose if tile.whose in visible[clip.faces.frame_row[row]] else HIDDEN
    return person


def visible_of(scene: Scene) -> list[set[int]]:
    """Return who is shown in each frame, and not mostly behind somebody else."""
    out = []
    for number in range(round(scene.seconds * FPS)):
        tiles = scene.tiles(number / FPS)
        hidden = {
            back.whose
            for back, front in combinations(tiles, 2)
            if abs(back.x - front.x) < 0.6 * front.side and abs(back.y - front.y) < 0.6 * front.side
        }
        out.append({tile.whose for tile in tiles} - hidden)
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
def alone(pipeline: Pipeline, clips: Path, tiles: tuple[Tile, ...], late: bool) -> np.ndarray:
    """Return the probabilities (F, 8) of a person's pictures alone, tile by tile, NaN where no face is found."""
    count = len(tiles)
    pictures = [tile_pictures(clips, tile.person, tile.side, late) for tile in tiles]
    result = pipeline.frames((looks(tiles[k], frame_of(pictures[k], k)) for k in range(count)), fps=FPS).result
    out = np.full((count, result.timeline.probabilities.shape[1]), np.nan)
    out[result.timeline.frame_row] = result.timeline.probabilities
    return out


def difference(scene: Scene, clips: Path, clip: ClipResult, truth: np.ndarray, pipeline: Pipeline) -> list[float]:
    """Return by person how far the probabilities are from those of the same pictures alone, on average."""
    out = []
    shown_in = [scene.tiles(number / FPS) for number in range(round(scene.seconds * FPS))]
    for recording in {tile.person for tiles in shown_in for tile in tiles}:
        # The tile of the frame, or else the last one of before, at one place and size: pictures of one size are given.
        found = [next((tile for tile in tiles if tile.person == recording), None) for tiles in shown_in]
        last = next(tile for tile in found[::-1] if tile is not None)
        frames = [number for number, tile in enumerate(found) if tile is not None]
        tiles = tuple(replace(tile or last, x=0, y=0, side=last.side) for tile in found)
        expected = alone(pipeline, clips, tiles, scene.late)
        mine = np.isin(clip.timeline.frame_row, frames) & (truth == last.whose) & (clip.timeline.track_id >= 0)
        rows = np.flatnonzero(mine)
        if len(rows):
            off = np.abs(clip.timeline.probabilities[rows] - expected[clip.timeline.frame_row[rows]])
            out.append(float(np.nanmean(off)))
    return out


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of a scene: how many people there are and were found, in how many tracks, and the columns of the table."""

    people: int
    found: int
    tracks: int
    idf1: float
    idf1_before: float
    merged: int
    pairs: int
    difference: list[float]
    unsure: int

    def row(self, name: str, seconds: float) -> str:
        """Return the scene's row."""
        return (
            f"| {name} | {self.people} | {self.found} ({self.tracks} tracks) | {self.idf1:.3f} | "
            f"{self.idf1_before:.3f} | {self.merged} of {self.pairs} | "
            f"{np.mean(self.difference):.3f}, {max(self.difference):.3f} | {self.unsure} | {seconds:.0f} s |"
        )


def measure(scene: Scene, clips: Path, pipeline: Pipeline) -> Figures:
    """Run a scene."""
    clip = pipeline.frames(shown(scene, clips), fps=FPS).result
    assert clip.people is not None
    truth = truth_of(scene, clip)
    visible = sum(map(len, visible_of(scene)))
    before = track_faces(clip.faces, clip.frames, **pipeline.config.tracks.model_dump()).track_id
    merged, pairs = merged_pairs(truth, clip.timeline.track_id, clip.people.person_id)
    return Figures(
        people=len(np.unique(truth[truth >= 0])),
        found=len(np.unique(clip.people.person_id[clip.people.person_id >= 0])),
        tracks=len(np.unique(clip.timeline.track_id[clip.timeline.track_id >= 0])),
        idf1=idf1(truth, clip.people.person_id, visible),
        idf1_before=idf1(truth, before, visible),
        merged=merged,
        pairs=pairs,
        difference=difference(scene, clips, clip, truth, pipeline),
        unsure=len(clip.people.unsure),
    )


def network_rows(data: Path) -> Iterator[str]:
    """Yield rows of figures over pairs of held-back people."""
    network = IDENTITIES.get("embedded")(device="cpu")
    faces = read_named_faces(data, "val", size=network.size, border=0)
    has_name = np.flatnonzero(faces.person != NOBODY)
    named, expression = faces.take(has_name), expressions_of(data)[has_name]
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
    first, second = np.triu_indices(len(named), 1)
    apart = np.abs(named.yaw_share[first] - named.yaw_share[second])
    known = (expression[first] != UNKNOWN) & (expression[second] != UNKNOWN)
    alike = expression[first] == expression[second]
    parts = {
        "turned alike": apart < 0.15,
        "turned apart (nose by 0.35 of the eyes)": apart > 0.35,
        "of one expression": known & alike,
        "of two expressions": known & ~alike,
        "one neutral, one happy": known
        & (np.minimum(expression[first], expression[second]) == NEUTRAL)
        & (np.maximum(expression[first], expression[second]) == HAPPY),
    }
    cosine, same = (clean @ clean.T)[first, second], named.person[first] == named.person[second]
    for name, rows in parts.items():
        yield row(name, Pairs(cosine=cosine[rows], same=same[rows]))


def expressions_of(data: Path) -> np.ndarray:
    """Return the expression (N,) of the faces of ``read_named_faces``, where the teacher gives it 0.6 or more."""
    with h5py.File(data / "teachers.h5", locking=False) as file:
        face_row, emotion = file["scenes/face_row"][:], file["scenes/emotion5"][:].astype(np.float32)
    with h5py.File(data / "faces_in_scenes.h5", locking=False) as file:
        of_split = file["split"][:].astype(str) == "val"
        emotion = np.nan_to_num(emotion[of_split[file["face/image_row"][:][face_row]]])
    return np.where(emotion.max(1) >= 0.6, emotion.argmax(1), UNKNOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips of one person each")
    parser.add_argument("--data", type=Path, help="folder of faces_in_scenes.h5 and teachers.h5")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--further", action="store_true", help="the scenes on which no threshold was set")
    parser.add_argument("--scenes", default="", help="names, with commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.clips:
        print("| scene | people | found | IDF1 | tracks before | merged | difference: mean, most | unsure | CPU |")
        print("|---|---|---|---|---|---|---|---|---|")
        pipeline = Pipeline(device="cpu")
        for scene in (further_scenes if options.further else scenes)(options.seconds):
            if not options.scenes or scene.name in options.scenes.split(","):
                started = time.process_time()
                figures = measure(scene, options.clips, pipeline)
                print(figures.row(scene.name, time.process_time() - started), flush=True)
    if options.data:
        print("| pairs of 574 people | same pairs | right | same at 1 % false | threshold |\n|---|---|---|---|---|")
        for line in network_rows(options.data):
            print(line, flush=True)


if __name__ == "__main__":
    main()
