"""``vidfer export``: the networks for other runtimes."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.commands import EXIT_OK
from vidfer.config import PipelineConfig, load_pipeline

if TYPE_CHECKING:
    import numpy as np

BOTH = ("default", "live")  # without --pipeline: they share all networks but those over time


def run(options: argparse.Namespace) -> int:
    """Write the networks of a pipeline as ONNX files."""
    configs = [load_pipeline(name, options.set) for name in ([options.pipeline] if options.pipeline else BOTH)]
    from vidfer.export.eight_bits import quantise
    from vidfer.export.networks import exportable_networks
    from vidfer.export.onnx import check_onnx, write_onnx

    check_onnx(*(["onnxruntime"] if options.int8 else []))
    networks = {n.name: n for config in configs for n in exportable_networks(config, mirror=options.mirror)}
    faces = _faces(configs[0], options.calibrate) if options.int8 else {}
    for network in networks.values():
        path = write_onnx(network, Path(options.out))
        said = ""
        if network.name in faces:
            about = quantise(path, faces[network.name])
            said = f": {about['precision']}, {json.dumps(about['int8'])}"
        if not options.quiet:
            print(f"{path}{said}")
    return EXIT_OK


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
