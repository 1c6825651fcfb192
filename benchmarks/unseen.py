"""Prints how networks read the faces of corpora that none of them learnt from: ``unseen.h5``.

``python benchmarks/unseen.py --data DIR vidfer/assets/emotion_cnn.safetensors runs/emotion_cnn_mixed/last.safetensors``

Faces are found, aligned and cut by the networks of the package as in a video's frame; small pictures are enlarged
first. A face that is not found counts as wrong. Persons (of films: the films) are drawn into two halves: one to
choose by, one to report. Nothing is fitted on either. They are read with ``emotions.prior = "natural"``, its default
and ``"balanced"``, and against a person's own neutral (``vidfer evaluate --baseline``): by their other pictures that
are labelled neutral (balanced), and, without any label, by the third of all their pictures that looks most neutral, as
in a clip (balanced, and with the default prior). The last columns are of all pictures of a corpus read together, as a
set of stimuli whose design is known: how often each label occurs, not where (``vidfer.temporal.prior.matched``).
FER+'s rows are read twice: by the network as it is, natural and with the default prior, and by a linear read-out of
embedding and logits, learnt from FER+'s votes on Training alone, with the default prior over their shares, too.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import h5py
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.config import EmotionsConfig, FacesConfig
from vidfer.faces.align import warp_faces
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.learning.datasets.encoded_images import read_encoded_images
from vidfer.learning.datasets.fer2013 import read_fer_folder
from vidfer.learning.datasets.fer2013plus import Split, majority_labels, soft_labels
from vidfer.learning.evaluation.calibration import calibration, softmax
from vidfer.learning.evaluation.faces import aligned_pictures
from vidfer.pipeline.pictures import PictureFaces
from vidfer.temporal.baseline import (
    NEUTRAL_LOG_ODDS,
    centred,
    neutral_log_odds,
    neutral_row_shifts,
    unlabelled_row_shifts,
)
from vidfer.temporal.prior import Prior, class_shares, log_ratio, matched, shifted
from vidfer.weights import load_tensors

DEFAULT = cast(Prior, EmotionsConfig().prior)
SMALL, ENLARGED = 128, 192  # px of the shorter side: pictures below the first are enlarged to the second
SIZE = 48
SEED = 15
READOUT_STEPS = 300


@dataclass(frozen=True)
class Unseen:
    """``faces`` (N, 3, S, S) uint8, black where not ``found`` (N,); ``name`` (N,) corpus and phase; ``half`` (N,).

    ``subject`` (N,) says who it is, or which film.
    """

    faces: torch.Tensor
    found: np.ndarray
    label: np.ndarray
    name: np.ndarray
    half: np.ndarray
    subject: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="weight files of per-frame networks")
    parser.add_argument("--data", type=Path, required=True, help="folder with unseen.h5, and FER2013 with votes")
    parser.add_argument("--half", choices=["choose", "report", "both"], default="choose")
    parser.add_argument("--ferplus", choices=["PublicTest", "PrivateTest", "none"], default="PublicTest")
    parser.add_argument("--classes", action="store_true", help="print the recall of every class, too")
    options = parser.parse_args()
    unseen = read_unseen(options.data)
    chosen = np.ones(len(unseen.half), bool) if options.half == "both" else unseen.half == options.half
    print(f"half: {options.half}; {int((~unseen.found[chosen]).sum())} of {int(chosen.sum())} faces were not found\n")
    print(
        f"| | faces | weights | natural: accuracy | UAR | ECE | prior {DEFAULT}: accuracy | UAR | ECE "
        "| balanced: accuracy | UAR | ECE | with a baseline: accuracy | UAR | ECE "
        f"| baseline without labels: accuracy | UAR | ECE | the same, prior {DEFAULT}: accuracy | UAR | ECE "
        "| with known shares: accuracy | UAR | ECE |"
    )
    print("|" + "---|" * 24)
    for name in sorted(set(unseen.name)):
        rows = np.flatnonzero(chosen & (unseen.name == name))
        for file in options.weights:
            print_row(name, file, unseen, rows, classes=options.classes)
    if options.ferplus != "none":
        print(
            f"\n| FER+ | weights | natural: accuracy | UAR | ECE | prior {DEFAULT}: accuracy | UAR | ECE "
            "| balanced: accuracy | UAR | ECE | read-out: accuracy | UAR | ECE "
            f"| read-out, prior {DEFAULT}: accuracy | UAR | ECE |"
        )
        print("|" + "---|" * 17)
        for file in options.weights:
            print_ferplus(file, options.data, options.ferplus)


def read_unseen(folder: Path) -> Unseen:
    """Read, find and align; the aligned faces are kept in the temporary folder."""
    path = folder / "unseen.h5"
    with h5py.File(path, "r", locking=False) as file:
        corpus, label, subject, phase = (file[key][:].astype(str) for key in ("corpus", "label", "subject", "phase"))
    key = hashlib.sha256(f"{path.stat().st_size} {path.stat().st_mtime_ns} {SIZE} {ENLARGED}".encode()).hexdigest()[:12]
    kept = Path(tempfile.gettempdir()) / f"vidfer-unseen-{key}.npz"
    if not kept.is_file():
        np.savez(kept, **align_all(path))
    stored = np.load(kept)
    name = np.where(corpus == "ck+", np.char.add("ck+ ", phase), corpus)
    return Unseen(
        faces=torch.from_numpy(stored["faces"]),
        found=stored["found"],
        label=np.array([EMOTION_INDEX[one] for one in label]),
        name=name,
        half=halves(corpus, subject),
        subject=np.char.add(corpus, subject),
    )


def align_all(path: Path) -> dict[str, np.ndarray]:
    images = read_encoded_images(path, dataset="webp", mode="rgb")
    finder = PictureFaces(FacesConfig(), device="cpu")
    faces = np.zeros((len(images), 3, SIZE, SIZE), np.uint8)
    found = np.zeros(len(images), bool)
    for i in tqdm(range(len(images)), desc="aligning", leave=False):
        picture = enlarged(images[i])
        transform = finder.find(picture)
        if transform is None:
            continue
        face = warp_faces(torch.from_numpy(picture)[None], np.zeros(1, np.int64), transform[None], size=SIZE)
        faces[i], found[i] = (face[0] * 255).round().to(torch.uint8).numpy(), True
    return {"faces": faces, "found": found}


def enlarged(picture: np.ndarray) -> np.ndarray:
    short = min(picture.shape[:2])
    if short >= SMALL:
        return picture
    size = (round(picture.shape[1] * ENLARGED / short), round(picture.shape[0] * ENLARGED / short))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def halves(corpus: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return (N,) ``choose`` or ``report``: of each corpus's persons or films, in random order, every other one."""
    out = np.full(len(corpus), "report", dtype="<U6")
    for name in np.unique(corpus):
        subjects = np.unique(subject[corpus == name])
        order = np.random.default_rng(SEED).permutation(len(subjects))
        out[(corpus == name) & np.isin(subject, subjects[order[::2]])] = "choose"
    return out


def print_row(name: str, file: Path, unseen: Unseen, rows: np.ndarray, *, classes: bool) -> None:
    network = load_backbone(str(load_tensors(file)[1]["backbone"]), weights=file)
    natural = seen_probabilities(network, unseen, rows)
    text = []
    for prior in ("natural", DEFAULT, "balanced"):
        p = shifted(natural, ratio_of(network, prior))
        text.append(measured(p, unseen.label[rows], unseen.found[rows]))
    labelled, unlabelled = own_shifts(network, unseen, rows)
    found = unseen.found[rows]
    for prior, shifts in (("balanced", labelled), ("balanced", unlabelled), (DEFAULT, unlabelled)):
        p = shifted(natural, ratio_of(network, prior) + shifts)
        text.append(measured(p, unseen.label[rows], found))
    together = natural.copy()
    together[found] = matched(natural[found], np.bincount(unseen.label[rows][found], minlength=NUM_EMOTIONS))
    text.append(measured(together, unseen.label[rows], found))
    print(f"| {name} | {len(rows)} | {short(file)} | {' | '.join(text)} |", flush=True)
    if classes:
        p = shifted(natural, ratio_of(network, "balanced"))
        for k in np.unique(unseen.label[rows]):
            mine = unseen.label[rows] == k
            counts = np.bincount(p.argmax(1)[mine], minlength=NUM_EMOTIONS)
            print(f"|   {EMOTIONS[k]} | {mine.sum()} | balanced | {counts.tolist()} |")


def seen_probabilities(network: EmotionNetwork, unseen: Unseen, rows: np.ndarray) -> np.ndarray:
    return softmax(seen_faces(network, unseen.faces[rows])[1])


def own_shifts(network: EmotionNetwork, unseen: Unseen, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 8) what each row's person's baseline adds, by labels and without; 0 for films and who has none."""
    if NEUTRAL_LOG_ODDS not in network.metadata:
        return np.zeros((len(rows), NUM_EMOTIONS)), np.zeros((len(rows), NUM_EMOTIONS))
    average = neutral_log_odds(network.metadata, source=Path("weights"))
    people = np.flatnonzero(np.isin(unseen.subject, unseen.subject[rows]))  # CK+'s neutral pictures, too
    odds = centred(np.log(np.maximum(seen_probabilities(network, unseen, people), 1e-9)))
    known = unseen.found[people] & ~np.char.startswith(unseen.subject[people], "sfew")
    who = np.where(known, unseen.subject[people], "").tolist()
    labelled = neutral_row_shifts(odds, who, unseen.label[people] == EMOTION_INDEX["neutral"], average)
    mine = np.searchsorted(people, rows)
    return labelled[mine], unlabelled_row_shifts(odds, who, average)[mine]


def ratio_of(network: EmotionNetwork, prior: Prior) -> np.ndarray:
    return log_ratio(prior, class_shares(network.metadata), temperature=network.temperature)


def measured(probabilities: np.ndarray, label: np.ndarray, found: np.ndarray) -> str:
    right = (probabilities.argmax(1) == label) & found
    recall = np.mean([right[label == k].mean() for k in np.unique(label)])
    ece = calibration(probabilities[found], label[found]).ece
    return f"{right.mean():.1%} | {recall:.1%} | {ece:.1%}"


def print_ferplus(file: Path, folder: Path, split: str) -> None:
    network = load_backbone(str(load_tensors(file)[1]["backbone"]), weights=file)
    vectors, logits, votes = seen_ferplus(network, folder, cast(Split, split))
    label = majority_labels(votes)
    mine = label >= 0
    learn_vectors, learn_logits, learn_votes = seen_ferplus(network, folder, "Training")
    read = read_out(
        np.concatenate([learn_vectors, learn_logits], 1), soft_labels(learn_votes), np.concatenate([vectors, logits], 1)
    )
    ratios = [ratio_of(network, prior) for prior in ("natural", DEFAULT, "balanced")]
    ways = [*(logits + ratio for ratio in ratios), read, read + log_ratio(DEFAULT, class_shares({}))]
    text = [measured(softmax(way[mine]), label[mine], np.ones(mine.sum(), bool)) for way in ways]
    print(f"| {split} | {short(file)} | {' | '.join(text)} |", flush=True)


def seen_ferplus(network: EmotionNetwork, folder: Path, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings, logits and votes of the pictures whose most votes are for an emotion."""
    pictures = read_fer_folder(folder, split)
    pictures = pictures.take(majority_labels(pictures.votes, strict=False) >= 0)
    return *seen_faces(network, aligned_pictures(pictures, size=network.input_spec.size)), pictures.votes


def seen_faces(network: EmotionNetwork, faces: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, D) and logits (N, 8), float32, of aligned faces (N, C, S, S) uint8."""
    seen = [network.embed(part.float() / 255) for part in faces.split(256)]
    vectors, logits = (np.concatenate(part).astype(np.float32) for part in zip(*seen, strict=True))
    return vectors, logits


def read_out(learn: np.ndarray, target: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Return logits (M, 8) by a linear layer from (M, D) to FER+'s classes, learnt from (N, D) and votes (N, 8)."""
    mean, scale = learn.mean(0), learn.std(0) + 1e-6
    x, y = torch.from_numpy((learn - mean) / scale), torch.from_numpy(target)
    weights = torch.zeros(x.shape[1], NUM_EMOTIONS, requires_grad=True)
    bias = torch.zeros(NUM_EMOTIONS, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=READOUT_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weights + bias, y) + 1e-4 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)
    with torch.no_grad():
        return (torch.from_numpy(((read - mean) / scale).astype(np.float32)) @ weights + bias).numpy()


def short(file: Path) -> str:
    return file.parent.name if file.stem in ("best", "last") else file.stem


if __name__ == "__main__":
    main()
