"""``vidfer export``: the networks for other runtimes."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.commands import EXIT_OK
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from vidfer.export.networks import ExportableNetwork

BOTH = ("default", "live")  # without --pipeline: they share all networks but those over time


def run(options: argparse.Namespace) -> int:
    """Write the networks of a pipeline for another runtime."""
    if options.runtime and options.format != "web":
        raise ConfigError(f"--runtime: expected export web, got {options.format}")
    if options.int8 and options.format == "executorch":
        raise ConfigError("--int8: expected export onnx or web, got executorch")
    names = [options.pipeline] if options.pipeline else BOTH if options.format == "onnx" else ["live"]
    configs = [load_pipeline(name, options.set) for name in names]
    from vidfer.export.networks import exportable_networks

    write = {"onnx": _onnx, "web": _web, "executorch": _executorch}[options.format](options, configs)
    networks = {n.name: n for config in configs for n in exportable_networks(config, mirror=options.mirror)}
    for line in write(networks.values()):
        if not options.quiet:
            print(line)
    return EXIT_OK


# Each checks first what it needs, then gives what writes the networks and tells of each file.
_Writer = Callable[[Iterable["ExportableNetwork"]], Iterator[str]]


def _onnx(options: argparse.Namespace, configs: list[PipelineConfig], *, below: str = "") -> _Writer:
    from vidfer.export.eight_bits import quantise
    from vidfer.export.onnx import check_onnx, write_onnx

    check_onnx(*(["onnxruntime"] if options.int8 else []))
    folder = Path(options.out, below)

    def write(networks: Iterable[ExportableNetwork]) -> Iterator[str]:
        faces = _faces(configs[0], options.calibrate) if options.int8 else {}
        for network in networks:
            path = write_onnx(network, folder)
            about = quantise(path, faces[network.name]) if network.name in faces else {}
            yield f"{path}: {about['precision']}, {json.dumps(about['int8'])}" if about else str(path)

    return write


def _web(options: argparse.Namespace, configs: list[PipelineConfig]) -> _Writer:
    from vidfer.export.browser import NETWORKS, runtime_files, write_web
    from vidfer.export.networks import check_live

    check_live(configs[0], runtime="web")
    write_networks = _onnx(options, configs, below="networks")
    runtime, out = runtime_files(options.runtime), Path(options.out)

    def write(networks: Iterable[ExportableNetwork]) -> Iterator[str]:
        wanted = [network for network in networks if network.name in NETWORKS]
        yield from write_networks(wanted)
        write_web(configs[0], wanted, out, runtime=runtime)
        yield f"{out / 'index.html'}: try it with 'python3 -m http.server --directory {out}' at http://localhost:8000"

    return write


def _executorch(options: argparse.Namespace, configs: list[PipelineConfig]) -> _Writer:
    from vidfer.export.executorch import check_executorch, write_executorch
    from vidfer.export.networks import check_live

    check_live(configs[0], runtime="executorch")
    check_executorch()
    return lambda networks: (str(write_executorch(network, Path(options.out))) for network in networks)


def _faces(config: PipelineConfig, videos: list[str]) -> Mapping[str, np.ndarray]:
    """Return the faces that networks in 8 bits are calibrated on: of these videos, or of vidfer's sample."""
    from vidfer.export.eight_bits import calibration_faces
    from vidfer.video.sample_clip import write_sample

    if videos:
        return calibration_faces(config, map(Path, videos))
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "sample.mp4")
        write_sample(sample)
        return calibration_faces(config, [sample])
