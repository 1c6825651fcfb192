"""Prints the table of backbones: accuracy, mean recall, parameters, size and time per face of training runs.

``python benchmarks/backbones.py --data DIR runs/emotion_cnn runs/emotion_vgg13 ...``; each folder holds a
``best.safetensors``. Times are of one core, in batches of 32, preprocessing included.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.evaluation.faces import evaluate_ferplus
from vidfer.weights import load_tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
        network = load_backbone(load_tensors(file)[1]["backbone"], weights=file, precision=options.precision)
        figures = evaluate_ferplus(network, options.data, options.split)
        majority = figures["majority"]
        print(
            f"| {run.stem} | {majority.classification.accuracy:.1%} | {majority.classification.uar:.1%} "
            f"| {majority.calibration.ece:.1%} | {figures['plurality'].classification.accuracy:.1%} "
            f"| {sum(p.numel() for p in network.module.parameters()):,} | {file.stat().st_size / 1e6:.1f} "
            f"| {milliseconds_per_face(network):.2f} |",
            flush=True,
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
