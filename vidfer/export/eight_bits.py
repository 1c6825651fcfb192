"""Networks in 8 bits by ONNX Runtime's static quantisation, calibrated on faces; what loses too much stays as it is.

Convolutions are quantised, weights by channel (Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018,
arXiv:1806.08342). The linear layers behind them cost next to nothing and stay in float32.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vidfer.config import PipelineConfig
from vidfer.errors import DataError
from vidfer.faces.align import box_transforms, warp_faces
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.exported import METADATA, ExportedNetwork
from vidfer.pipeline.pipeline import Pipeline
from vidfer.store.atomic import write_bytes
from vidfer.temporal.probabilities import softmax
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader

FRAMES_OF_A_VIDEO = 48
MIN_FACES = 20
MIN_SAME_LABELS = 0.985
MAX_PROBABILITY_SHIFT = 0.03  # by which a probability may change, of 95 faces in 100
MOST_POINTS = 0.005  # by which landmarks may move, in sides of the crop, of 95 faces in 100
MIN_COSINE = 0.98  # of a vector with what it was, of 95 faces in 100
# Light that calibration faces are seen in, too: gain and contrast.
_LIGHT = ((1.0, 1.0), (0.5, 1.0), (1.3, 1.0), (1.0, 0.4))


def calibration_faces(config: PipelineConfig, videos: Iterable[Path]) -> dict[str, np.ndarray]:
    """Return what the networks that run on every face read of the faces of some videos: (N, C, S, S) by network.

    Raises
    ------
    BadVideo
        A video cannot be read.
    DataError
        There are fewer than ``MIN_FACES`` faces in them.
    """
    pipeline = Pipeline(config)
    faces_stage, backbone = pipeline.stage("faces"), pipeline.stage("embeddings")._loaded()
    identity = pipeline.stage("identity")._loaded()
    landmarker = faces_stage._loaded()[1]
    found: dict[str, list[np.ndarray]] = {"landmarks": [], "expressions": [], "identity": []}
    for video in map(probe, videos):
        rows = np.unique(np.linspace(0, video.num_frames - 1, FRAMES_OF_A_VIDEO).astype(np.int64))
        for batch in PyAVReader(video).read(rows, batch_size=8):
            chunk = FrameChunk(batch, pipeline.device)
            faces = faces_stage.process(chunk).detections()
            where, around = faces.frame_row, box_transforms(faces.xyxy, margin=landmarker._margin)
            spec = backbone.input_spec
            cut = {
                "landmarks": warp_faces(chunk.images, where, around, size=landmarker._network.size, gray=True),
                "expressions": warp_faces(
                    chunk.images, where, faces.transform, size=spec.size, gray=spec.colour == "gray"
                ),
                "identity": warp_faces(chunk.images, where, faces.transform, size=identity.size),
            }
            for name, pictures in cut.items():
                found[name].append(pictures.cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in found.items() if parts}
    if not joined or len(joined["landmarks"]) < MIN_FACES:
        raise DataError(f"--calibrate: expected {MIN_FACES} faces or more, found {len(joined.get('landmarks', ()))}")
    return joined


def quantise(path: Path, faces: np.ndarray) -> dict[str, Any]:
    """Turn an exported file's convolutions to 8 bits, unless that loses too much; return what its metadata say of it.

    Parameters
    ----------
    path
        Of ``write_onnx``.
    faces
        (N, C, S, S): every second one calibrates, the others say what is lost.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quant_pre_process, quantize_static

    kept, held_back = faces[::2], faces[1::2]
    exact = ExportedNetwork(path)
    with tempfile.TemporaryDirectory() as folder:
        prepared, target = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        with silenced():
            quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(target),
                _Reader(exact.input_name, kept),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        model = onnx.load(str(target))
        onnx.helper.set_model_props(model, {METADATA: json.dumps(exact.about)})
        onnx.save(model, str(target))
        lost, fits = loss(exact, ExportedNetwork(target), held_back)
    about = {
        **exact.about,
        "precision": "int8" if fits else "float32",
        "int8": {"calibrated_on": len(kept), "checked_on": len(held_back), **lost},
    }
    model = model if fits else onnx.load(str(path))
    onnx.helper.set_model_props(model, {METADATA: json.dumps(about, sort_keys=True)})
    write_bytes(path, model.SerializeToString())
    return about


def loss(exact: ExportedNetwork, other: ExportedNetwork, faces: np.ndarray) -> tuple[Mapping[str, float], bool]:
    """Return what ``other`` gives otherwise than ``exact`` on faces (N, C, S, S), and whether that is little."""
    ours, theirs = other.of_faces(faces), exact.of_faces(faces)
    if exact.about["name"] == "expressions":
        a, b = softmax(ours[1]), softmax(theirs[1])
        others = int((a.argmax(1) != b.argmax(1)).sum())
        same = 1 - others / len(a)
        change = np.abs(a - b).max(1)
        most = float(np.quantile(change, 0.95))
        lost = {"same_labels": same, "probability_p95": most, "probability_most": float(change.max())}
        # Of few faces one may lie between two labels.
        return lost, (others <= 1 or same >= MIN_SAME_LABELS) and most <= MAX_PROBABILITY_SHIFT
    if exact.about["name"] == "landmarks":
        moved = float(np.quantile(np.abs(ours[0] - theirs[0]).mean((1, 2)), 0.95))
        return {"points_p95": moved}, moved <= MOST_POINTS
    cosine = float(np.quantile((ours[0] * theirs[0]).sum(1), 0.05))
    return {"cosine_p5": cosine}, cosine >= MIN_COSINE


class _Reader:
    """What ONNX Runtime's calibration asks for its pictures, one after the other, in more lights than they were in."""

    def __init__(self, name: str, faces: np.ndarray) -> None:
        self._given = (
            {name: np.clip((face * gain - 0.5) * contrast + 0.5, 0, 1)[None].astype(np.float32)}
            for face in faces
            for gain, contrast in _LIGHT
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._given, None)


@contextmanager
def silenced() -> Iterator[None]:
    """Suppress warnings of other packages: ONNX Runtime's are about what is intended, ExecuTorch's about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
