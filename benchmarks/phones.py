"""The programs of ``vidfer export executorch`` beside ONNX Runtime, on this machine: size, and ms a call on one thread.

pip install executorch && python benchmarks/phones.py [--rounds 30]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from executorch.runtime import Runtime

from vidfer.config import load_pipeline
from vidfer.export.executorch import example_inputs, write_executorch
from vidfer.export.networks import exportable_networks
from vidfer.export.onnx import write_onnx
from vidfer.pipeline.exported import ExportedNetwork


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    print("program | MB | ms, least of the rounds | ONNX Runtime, ms")
    with tempfile.TemporaryDirectory() as name:
        for network in exportable_networks(load_pipeline("live")):
            path = write_executorch(network, Path(name))
            forward = Runtime.get().load_program(path).load_method("forward")
            onnx = ExportedNetwork(write_onnx(network, Path(name)))
            given = list(example_inputs(network).values())
            arrays = [tensor.numpy() for tensor in given]
            least = [float("inf")] * 2
            for _ in range(options.rounds):
                for i, call in enumerate((lambda: forward.execute(given), lambda: onnx(*arrays))):  # noqa: B023
                    began = time.perf_counter()
                    call()
                    least[i] = min(least[i], 1000 * (time.perf_counter() - began))
            print(f"{path.name} | {path.stat().st_size / 1e6:.2f} | {least[0]:.2f} | {least[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
