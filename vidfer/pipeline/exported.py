"""Networks from a folder that ``vidfer export onnx`` wrote, run by ONNX Runtime on the CPU: no torch is imported.

They take the places of vidfer's own components, over arrays instead of tensors; what is done before and behind each
network is theirs, too. ``[networks]`` of the settings chooses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vidfer.backbones import InputSpec
from vidfer.errors import MissingDependency, WeightsError
from vidfer.faces.align import to_gray
from vidfer.faces.array_pictures import resized
from vidfer.faces.detectors.embedded import EVERY_PX, EmbeddedDetector, is_coloured_light, kept_boxes, searched_size
from vidfer.faces.landmarks.crops import locate_in_crops
from vidfer.faces.quality import FaceQuality
from vidfer.labels import EMOTIONS
from vidfer.movements import Movements
from vidfer.temporal.networks.predictor import NetworkModel
from vidfer.types import FaceBoxes
from vidfer.weights import check_file_size, in_brief

METADATA = "vidfer"  # the key of the file's metadata, whose value is JSON
_AT_ONCE = 32  # faces in one call: bounds memory, more are no faster
_FRAMES_AT_ONCE = 4
_helper: ContextVar[Executor | None] = ContextVar("helper", default=None)


@contextmanager
def shared_with(helper: Executor) -> Iterator[None]:
    """Let another thread look at half of the faces of each call in the block.

    For streams: chunks are computed side by side instead.
    """
    token = _helper.set(helper)
    try:
        yield
    finally:
        _helper.reset(token)


class ExportedNetwork:
    """One exported file; threads may share it.

    Parameters
    ----------
    path
        The file.
    component
        Kind and name of what it must hold, as its metadata say; empty: whatever it holds.

    Attributes
    ----------
    about
        Its metadata.

    Raises
    ------
    MissingDependency
        ONNX Runtime is not installed.
    WeightsError
        It is no such file, or of another network.
    """

    def __init__(self, path: str | Path, component: str = "") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependency("onnxruntime", needed_for="networks.runtime=onnx", extra="onnx") from error
        check_file_size(Path(path))
        options = onnxruntime.SessionOptions()
        # Chunks are computed side by side instead, so that results do not depend on how many cores there are.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors, which are raised besides
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.about: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map[METADATA])
            found = self.about["component"]
        except Exception as error:  # of many kinds, all of them about the file
            raise WeightsError(f"{path}: expected a file of 'vidfer export onnx', got {in_brief(error)}") from error
        if component not in ("", found):
            raise WeightsError(f"{path}: expected the {component}, got the {found}: export this pipeline's networks")
        self.path = path
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._shapes = [given.shape for given in self._session.get_inputs()]

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Return its outputs; raises WeightsError if they are no numbers."""
        found: list[np.ndarray] = self._session.run(None, dict(zip(self._inputs, arrays, strict=True)))
        if not all(np.isfinite(output).all() for output in found):
            raise WeightsError(f"{self.path} gives no numbers: export it again")
        return found

    def of_faces(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Return its outputs for any number of rows."""
        count, helper = len(arrays[0]), _helper.get()
        at_once = _AT_ONCE if helper is None else min(_AT_ONCE, max(1, -(-count // 2)))
        pieces = [[array[start : start + at_once] for array in arrays] for start in range(0, max(1, count), at_once)]
        if helper is not None and len(pieces) == 2:
            second = helper.submit(self, *pieces[1])
            parts = [self(*pieces[0]), second.result()]
        else:
            parts = [self(*piece) for piece in pieces]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def first_state(self) -> list[np.ndarray]:
        """Return zeros for all inputs but the first."""
        return [np.zeros(shape, np.float32) for shape in self._shapes[1:]]

    @property
    def input_name(self) -> str:
        """Name of its first input."""
        return self._inputs[0]

    @property
    def side(self) -> int:
        """Side of the pictures that it reads, px."""
        return int(self._shapes[0][-1])


@lru_cache(maxsize=4)
def trained_metadata(path: str) -> dict[str, Any]:
    """Return what the weight file said from which a network was exported."""
    trained: dict[str, Any] = ExportedNetwork(path).about["trained"]
    return trained


class ExportedDetector(EmbeddedDetector):
    """The detector."""

    def __init__(self, *, device: str, min_score: float, long_side: int, weights: str) -> None:
        self._exported = ExportedNetwork(weights, "detector embedded")
        self._min_score, self._long_side = min_score, long_side

    def detect(self, images: np.ndarray) -> FaceBoxes:  # type: ignore[override]
        """Return the faces of images (B, H, W, 3) uint8 RGB, ordered by image, then by descending score."""
        count, height, width = images.shape[:3]
        size, padded = searched_size(self._long_side, height=height, width=width)
        scale = np.tile(np.array([width / size[1], height / size[0]], np.float32), 7)
        found = [(np.zeros((0, 14), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))]
        for start in range(0, count if height and width else 0, _FRAMES_AT_ONCE):
            part = _without_coloured_light(images[start : start + _FRAMES_AT_ONCE])
            inputs = np.zeros((len(part), 3, *padded), np.float32)
            for planes, picture in zip(inputs, part, strict=True):
                planes[:, : size[0], : size[1]] = resized(picture, width=size[1], height=size[0]).transpose(2, 0, 1)
            score, boxes, points = self._exported(inputs)
            row, cell = np.nonzero(score >= self._min_score)
            values = np.concatenate([boxes[row, cell], points[row, cell].reshape(-1, 10)], 1)
            found.append((values * scale, score[row, cell], row + start))
        return kept_boxes(count, *(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _without_coloured_light(images: np.ndarray) -> np.ndarray:
    light = images[:, ::EVERY_PX, ::EVERY_PX].mean((1, 2), dtype=np.float32)  # (B, 3)
    coloured = is_coloured_light(light, light.min(1), light.max(1))
    if not coloured.any():
        return images
    gray = images.mean(3, keepdims=True, dtype=np.float32).round().astype(np.uint8)
    return np.where(coloured[:, None, None, None], gray, images)


class ExportedLandmarker:
    """The network for 68 landmarks; see ``FaceLandmarker``."""

    is_thread_safe = True

    def __init__(self, *, device: str, weights: str) -> None:
        self._exported = ExportedNetwork(weights, "landmarks embedded")

    def locate(self, images: np.ndarray, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return landmarks (N, 68, 2) float32 px of the images and scores (N,) float32 0..1 (is this a face?)."""
        network = self._exported
        margin = network.about["margin"]
        return locate_in_crops(network.of_faces, images, image_row, xyxy, size=network.side, margin=margin)  # type: ignore[arg-type]


class ExportedQuality(FaceQuality):
    """The network that judges faces."""

    def __init__(self, *, device: str, weights: str) -> None:
        self._exported = ExportedNetwork(weights, "quality embedded")

    def _run(self, gray: np.ndarray, features: np.ndarray) -> np.ndarray:
        return self._exported(gray, features)[0]


class ExportedBackbone:
    """The per-frame network; see ``EmotionNetwork``."""

    def __init__(self, name: str, weights: str) -> None:
        self._exported = ExportedNetwork(weights, f"backbone {name}")
        about = self._exported.about
        self.input_spec = InputSpec(size=self._exported.side, colour=about["colour"])
        self.embedding_size = int(about["embedding_size"])

    def embed(self, faces: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors (N, D) float16 and calibrated logits (N, 8) float32 of aligned faces (N, 3, S, S) 0..1."""
        if not len(faces):
            return np.empty((0, self.embedding_size), np.float16), np.empty((0, len(EMOTIONS)), np.float32)
        pictures = to_gray(faces) if self.input_spec.colour == "gray" else faces
        vectors, logits = self._exported.of_faces(pictures)
        return vectors.astype(np.float16), logits


class ExportedIdentity:
    """The network by which faces are compared; see ``IdentityNetwork``."""

    is_thread_safe = True

    def __init__(self, *, device: str, weights: str) -> None:
        self._exported = ExportedNetwork(weights, "identity embedded")
        self.size = self._exported.side

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Return vectors (N, D) float32 of length 1 of faces (N, 3, size, size) float 0..1, RGB; N may be 0."""
        return self._exported.of_faces(faces)[0]


class ExportedMovements:
    """The network that sees movements; see ``MovementNetwork``."""

    def __init__(self, *, device: str, weights: str) -> None:
        self._exported = ExportedNetwork(weights, "movements embedded")
        self.face_size, self.eye_size = self._exported.side, int(self._exported.about["eye_size"])

    def predict(self, faces: np.ndarray, eyes: np.ndarray) -> Movements:
        """Return the movements of faces (N, 3, S, S) and eyes (N, 2, 1, E, E)."""
        values, iris, error = self._exported.of_faces(to_gray(faces), eyes)
        return Movements(values=values, iris=iris, error=error)


class ExportedModel(NetworkModel):
    """The recurrent network over a track, which it reads in one pass."""

    reach = None

    def __init__(self, *, weights: str, **_: Any) -> None:
        self._exported = ExportedNetwork(weights)
        about = self._exported.about
        self.is_causal, self.dim, self.num_labels = about["causal"], about["dim"], len(about["labels"])
        self._use(self, weights, window_seconds=60.0, overlap_seconds=10.0)

    @property
    def causal(self) -> bool:
        """Whether no row's result depends on a later row."""
        return bool(self.is_causal)

    def _run(self, pieces: list[np.ndarray]) -> list[np.ndarray]:
        if self.causal:
            return [self.step(piece, self.first_state())[0] for piece in pieces]
        return [self._exported(piece[None])[0][0] for piece in pieces]

    def first_state(self) -> list[np.ndarray]:
        """Return what ``step`` knows before the first node."""
        return self._exported.first_state()

    def step(self, features: np.ndarray, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return log-probabilities (G, K) of the next nodes' features (G, F), and the state behind them."""
        found, *after = self._exported(features[None], *state)
        return found[0], after


FACTORIES = {
    "detector": ExportedDetector,
    "landmark network": ExportedLandmarker,
    "identity network": ExportedIdentity,
    "movement network": ExportedMovements,
    "temporal model": ExportedModel,
}
