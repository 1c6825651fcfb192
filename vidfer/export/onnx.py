"""Networks as ONNX files, for ONNX Runtime and what else reads them."""

from __future__ import annotations

import importlib.util
import io
import json
import warnings
from pathlib import Path

import torch

from vidfer.errors import MissingDependency
from vidfer.export.networks import ExportableNetwork, description
from vidfer.pipeline.exported import METADATA
from vidfer.store.atomic import write_bytes

OPSET = 17  # ONNX Runtime 1.12 (2022) and later


def check_onnx(*packages: str) -> None:
    """Raise MissingDependency where the package onnx, or one of these, is not installed."""
    for package in ("onnx", *packages):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(package, needed_for="vidfer export onnx", extra="onnx")


def write_onnx(network: ExportableNetwork, folder: Path) -> Path:
    """Write a network as ``NAME.onnx``, whole or not at all, and return the file.

    Raises
    ------
    MissingDependency
        The package onnx is not installed.
    OutputError
        The file cannot be written.
    """
    check_onnx()
    import onnx

    buffer = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: shapes that are constant here are meant to be
        torch.onnx.export(
            network.module,
            tuple(network.inputs.values()),
            buffer,  # type: ignore[arg-type]  # the stubs know paths only
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_axes={name: dict(axes) for name, axes in network.dynamic.items()},
            opset_version=OPSET,
            dynamo=False,  # ten times as fast as the newer exporter, and it keeps a GRU one operator
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, {METADATA: json.dumps(description(network), sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    path = folder / f"{network.name}.onnx"
    write_bytes(path, model.SerializeToString())
    return path
