"""How well the same people are found in different clips (``people.across``): pairs found, and pairs joined wrongly.

    python benchmarks/across.py [--clips ../shared/clips] [--data ../shared/data]

With --clips: each clip is cut into two files, all go through `vidfer.process`, and people.csv is compared with whose
they are. With --data: pictures stand for clips, as nothing else shows many people in front of one camera. Of CK+ a clip
is a sequence, of JAFFE a third of the pictures of each of its ten women, of Yale and LFW one picture, of LFW three of
a person at most.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import h5py
import numpy as np
import torch
from made_clips import write_clip
from people import SAME
from unseen import enlarged

from vidfer import process
from vidfer.config import FacesConfig
from vidfer.faces.align import warp_faces
from vidfer.faces.linking import LINK_MIDDLE, link_clips, link_tracks
from vidfer.identity import IDENTITIES, IdentityNetwork
from vidfer.learning.datasets.encoded_images import read_encoded_images
from vidfer.learning.datasets.named_faces import NOBODY, read_named_faces
from vidfer.pipeline.pictures import PictureFaces

SETTINGS = ("people.keep_vectors=true", 'people.across="folder"', 'output.exports=["summary"]')
LEAST = 0.9  # people.min_confidence


def row(name: str, whose: np.ndarray, found: np.ndarray) -> str:
    """Return a row of figures, given whose each clip is (N,) and which person was found (N,)."""
    first, second = np.triu_indices(len(whose), 1)
    same, joined = whose[first] == whose[second], found[first] == found[second]
    return (
        f"| {name} | {len(whose)} | {len(set(whose))} | {len(set(found))} | {(joined & same).sum()} of {same.sum()} | "
        f"{(joined & ~same).sum()} of {(~same).sum():,} |"
    )


def halves(clips: Path) -> str:
    """Cut every clip in two, and return how well the parts were put together."""
    with tempfile.TemporaryDirectory() as folder:
        videos, out = Path(folder, "videos"), Path(folder, "results")
        videos.mkdir()
        for path in sorted([*clips.glob("*.mp4"), *clips.glob("talking/*.mp4")]):
            with av.open(str(path)) as container:
                rate = container.streams.video[0].average_rate
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            for half, part in (("a", frames[: len(frames) // 2]), ("b", frames[len(frames) // 2 :])):
                write_clip(videos / f"{path.stem}_{half}.mp4", part, rate=rate, crf="20", preset="ultrafast")
        process(videos, out, settings=SETTINGS)
        with (out / "people.csv").open(encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    names = [line["clip"].split("_")[0] for line in rows]
    whose = np.array([SAME.get(name, name) for name in names])
    return row("halves of clips", whose, np.array([line["across_person"] for line in rows]))


def linked(vectors: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each clip, and which person it was found to be; ``clip`` (N,) is each vector's."""
    _, first, clip = np.unique(clip, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), vectors.shape[1]))
    np.add.at(sums, clip, vectors)
    links = link_clips(sums, np.zeros((len(first),) * 2, np.bool_), min_confidence=LEAST)
    return first, links.person


def unseen_rows(data: Path, network: IdentityNetwork) -> Iterator[str]:
    path = data / "unseen.h5"
    with h5py.File(path, locking=False) as file:
        corpus, subject, sequence = (file[key][:].astype(str) for key in ("corpus", "subject", "sequence"))
    images = read_encoded_images(path, dataset="webp", mode="rgb")
    finder = PictureFaces(FacesConfig(), device="cpu")
    rows, faces = [], []
    for number in np.flatnonzero(corpus != "sfew").tolist():
        picture = enlarged(images[number])
        transform = finder.find(picture)
        if transform is not None:
            rows.append(number)
            at = np.zeros(1, np.int64)
            faces.append(warp_faces(torch.from_numpy(picture)[None], at, transform[None], size=network.size)[0])
    vectors = network.embed(torch.stack(faces))
    corpus, subject, sequence = corpus[rows], subject[rows], sequence[rows]
    random = np.random.default_rng(3)
    third = np.array([f"{name} {random.integers(3)}" for name in subject])
    single = np.arange(len(rows)).astype(str)
    yield from alike_rows(vectors[corpus == "jaffe"], third[corpus == "jaffe"])
    for name, clip in (("ck+", sequence), ("jaffe", third), ("yale", single)):
        mine = np.flatnonzero(corpus == name)
        first, found = linked(vectors[mine], clip[mine])
        yield row(name, subject[mine][first], found)


def alike_rows(vectors: np.ndarray, track: np.ndarray, tries: int = 40) -> Iterator[str]:
    """Yield rows of six people as if in one clip, tracks by name, of whom some pairs are seen together."""
    tracks, track = np.unique(track, return_inverse=True)
    sums = np.zeros((len(tracks), vectors.shape[1]))
    np.add.at(sums, track, vectors)
    whose = np.array([name.split()[0] for name in tracks])
    for together in (0, 2, 5):
        random = np.random.default_rng(0)
        figures = np.zeros((2, 4), np.int64)  # found, same, joined wrongly, different: as set, and by one threshold
        for _ in range(tries):
            rows = np.flatnonzero(np.isin(whose, random.permutation(np.unique(whose))[:6]))
            apart = np.zeros((len(rows),) * 2, np.bool_)
            while np.triu(apart).sum() < together:
                one, other = random.choice(len(rows), 2)
                apart[one, other] |= whose[rows[one]] != whose[rows[other]]
                apart[other, one] = apart[one, other]
            first, second = np.triu_indices(len(rows), 1)
            same = whose[rows[first]] == whose[rows[second]]
            for figure, middle in zip(figures, (None, LINK_MIDDLE), strict=True):
                person = link_tracks(sums[rows], apart, min_confidence=LEAST, middle=middle).person
                joined = person[first] == person[second]
                figure += ((joined & same).sum(), same.sum(), (joined & ~same).sum(), (~same).sum())
        for figure, name in zip(figures, ("", ", by one threshold"), strict=True):
            right, wrong = f"{figure[0]} of {figure[1]}", f"{figure[2]} of {figure[3]:,}"
            yield f"| six of jaffe as one clip, {together} pairs seen together{name} | | 6 | | {right} | {wrong} |"


def lfw_row(data: Path, network: IdentityNetwork) -> str:
    faces = read_named_faces(data, "val", size=network.size, border=0)
    faces = faces.take(np.concatenate([np.flatnonzero(faces.person == k)[:3] for k in set(faces.person) - {NOBODY}]))
    vectors = network.embed(torch.from_numpy(faces.pictures).permute(0, 3, 1, 2).float() / 255)
    first, found = linked(vectors, np.arange(len(faces)))
    return row("lfw, held-back people", faces.person[first], found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips of one person each")
    parser.add_argument("--data", type=Path, help="folder of unseen.h5, faces_in_scenes.h5 and teachers.h5")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| | clips | people | found | pairs found | joined wrongly |\n|---|---|---|---|---|---|")
    if options.clips:
        print(halves(options.clips), flush=True)
    if options.data:
        network = IDENTITIES.get("embedded")(device="cpu")
        print(lfw_row(options.data, network), flush=True)
        for line in unseen_rows(options.data, network):
            print(line, flush=True)


if __name__ == "__main__":
    main()
