"""Networks as ExecuTorch programs for phones, computed by XNNPACK: one face, one step or one picture a call."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path

import torch

from vidfer.errors import MissingDependency
from vidfer.export.eight_bits import silenced
from vidfer.export.networks import ExportableNetwork, description
from vidfer.pipeline.exported import METADATA
from vidfer.store.atomic import write_bytes

DETECTOR_SIDE = 320  # px: programs have fixed shapes; upright and lying pictures both fit in a square


def check_executorch() -> None:
    """Raise MissingDependency where ExecuTorch is not installed."""
    if importlib.util.find_spec("executorch") is None:
        raise MissingDependency("executorch", needed_for="vidfer export executorch")


def write_executorch(network: ExportableNetwork, folder: Path) -> Path:
    """Write a network as ``NAME.pte``, whole or not at all, and return the file.

    Its method ``forward`` is the network, its method ``vidfer`` returns the metadata as JSON.

    Raises
    ------
    MissingDependency
        ExecuTorch is not installed.
    OutputError
        The file cannot be written.
    """
    check_executorch()
    given = example_inputs(network)
    about = {
        **description(network),
        "inputs": [{"name": name, "shape": list(tensor.shape)} for name, tensor in given.items()],
        "outputs": list(network.outputs),
    }
    with torch.no_grad(), silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(network.module, tuple(given.values()))
        lowered = to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            constant_methods={METADATA: json.dumps(about, sort_keys=True)},
        )
        data = lowered.to_executorch().buffer
    path = folder / f"{network.name}.pte"
    write_bytes(path, data)
    return path


def example_inputs(network: ExportableNetwork) -> dict[str, torch.Tensor]:
    """Return an input of each shape that the program will have; no two share memory, or they would become one."""
    given = {name: tensor.clone() for name, tensor in network.inputs.items()}
    if network.name == "detector":
        return {name: torch.zeros(1, 3, DETECTOR_SIDE, DETECTOR_SIDE) for name in given}
    return given
