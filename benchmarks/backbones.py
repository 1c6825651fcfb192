"""Prints the table of backbones: accuracy, mean recall, parameters, size and time per face of training runs.

``python benchmarks/backbones.py --data DIR runs/emotion_cnn runs/emotion_vgg13 ...``; each folder holds a
``best.safetensors``, and is named after its recipe. Times are processor time of one core in batches of 32,
preprocessing included. The recall of each class is in what ``vidfer evaluate`` writes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.learning.evaluation.faces import FaceEvaluation, evaluate_fer2013, evaluate_ferplus
from vidfer.weights import load_tensors


@dataclass(frozen=True)
class Measured:
    """One run: its name and file, the network and its figures."""

    name: str
    file: Path
    network: EmotionNetwork
    figures: dict[str, FaceEvaluation]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of training runs, or weight files")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013 and the votes of FER+")
    parser.add_argument("--split", choices=["PublicTest", "PrivateTest"], default="PublicTest")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| {options.split} | accuracy | mean recall | calibration error | plurality | parameters | MB | ms/face |")
    print("|---|---|---|---|---|---|---|---|")
    for run in options.runs:
        file = run / "best.safetensors" if run.is_dir() else run
        if not file.is_file():
            print(f"| {run.stem} | no best.safetensors yet | | | | | | |", flush=True)
            continue
        print(row(measure(run, file, options.data, options.split, options.precision)), flush=True)


def measure(run: Path, file: Path, data: Path, split: str, precision: str) -> Measured:
    """Evaluate a run on the labels that it learnt."""
    metadata = load_tensors(file)[1]
    network = load_backbone(metadata["backbone"], weights=file, precision=precision)  # type: ignore[arg-type]
    own_labels = metadata.get("training", {}).get("recipe", {}).get("data", {}).get("labels") == "fer2013"
    figures = (evaluate_fer2013 if own_labels else evaluate_ferplus)(network, data, split)  # type: ignore[arg-type]
    return Measured(run.name.removesuffix(".safetensors"), file, network, figures)


def row(one: Measured) -> str:
    main_figures = one.figures.get("majority") or one.figures["fer2013"]
    plurality = one.figures.get("plurality")
    name = one.name if "majority" in one.figures else f"{one.name} (FER2013's own labels)"
    return (
        f"| {name} | {main_figures.classification.accuracy:.1%} | {main_figures.classification.uar:.1%} "
        f"| {main_figures.calibration.ece:.1%} | {f'{plurality.classification.accuracy:.1%}' if plurality else '-'} "
        f"| {sum(p.numel() for p in one.network.module.parameters()):,} | {one.file.stat().st_size / 1e6:.1f} "
        f"| {milliseconds_per_face(one.network):.2f} |"
    )


def milliseconds_per_face(network: EmotionNetwork, *, batch: int = 32, repeats: int = 15) -> float:
    """Return the processor time per face, the least over some batches; the wall clock would measure other work too."""
    faces = torch.rand(batch, 1, network.input_spec.size, network.input_spec.size)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        network.embed(faces)
        times.append(time.process_time() - start)
    return min(times) / batch * 1000


if __name__ == "__main__":
    main()
