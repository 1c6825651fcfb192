"""Each network of a pipeline as one function of plain tensors, with what its user must know to call it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import vidfer
from vidfer.backbones import InputSpec, preprocess
from vidfer.backbones.classical import ClassicalNetwork
from vidfer.backbones.load import build_backbone, fold_normalisation
from vidfer.config import BackboneConfig, PipelineConfig, options_of
from vidfer.errors import ConfigError
from vidfer.faces.align import TEMPLATE
from vidfer.faces.convolution_units import fuse_norms
from vidfer.faces.detector_network import STRIDES, DetectorNetwork, cells, decode
from vidfer.faces.detectors.embedded import network_from
from vidfer.faces.landmarks.point_network import PointNetwork, build_network
from vidfer.faces.quality import QUALITY_SIZE
from vidfer.faces.quality_network import NUM_FEATURES, QualityNetwork, build_quality_network
from vidfer.identity.network import VectorNetwork
from vidfer.identity.network import build_network as build_identity
from vidfer.labels import EMOTIONS
from vidfer.movements import MOVEMENTS
from vidfer.movements.network import build_network as build_movements
from vidfer.temporal.grid import CAUSAL_DELAY_SECONDS, STEP_SECONDS
from vidfer.temporal.networks.build import load_network
from vidfer.temporal.networks.features import num_features
from vidfer.temporal.networks.recurrent import RecurrentBody
from vidfer.temporal.networks.refiner import Refiner
from vidfer.weights import ComponentKind, digests, finite_number, load_tensors, locate


@dataclass(frozen=True, kw_only=True)
class ExportableNetwork:
    """A network and how it is called.

    Attributes
    ----------
    name
        Of its file, without suffix.
    module
        float32, on the CPU, in evaluation mode.
    inputs
        An example of each input, by name.
    outputs
        Names.
    dynamic
        Axes of any size, by input or output: number -> name.
    about
        JSON-ready, for the file's metadata.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, Mapping[int, str]]
    about: Mapping[str, Any] = field(default_factory=dict)


def exportable_networks(config: PipelineConfig, *, mirror: bool | None = None) -> list[ExportableNetwork]:
    """Return the networks of a pipeline.

    Parameters
    ----------
    config
        With vidfer's own detector, landmarks and, if any is a network, own model over time. One that also looks ahead
        is for whole tracks, a causal one for streams, too.
    mirror
        Whether the expression network takes the mean over a face and its mirror image; None = as its weights say.

    Raises
    ------
    ConfigError
        A component is another one.
    WeightsError
        Weights are missing or do not fit.
    """
    for key, name in (("faces.detector", config.faces.detector), ("faces.landmarks", config.faces.landmarks)):
        if name != "embedded":
            raise ConfigError(f"{key}: expected 'embedded', vidfer's own network, got {name!r}: it has its own export")
    networks = [
        _detector(config.faces.detector_weights),
        _landmarks(config.faces.landmark_weights),
        _quality(config.faces.quality_weights),
        _expressions(config.backbone, mirror),
        _identity(config.people.weights),
        _movements(config.movements.weights),
    ]
    if config.temporal.is_network:
        networks.append(_temporal(config))
    for network in networks:
        network.module.eval().requires_grad_(False)
    return networks


def check_live(config: PipelineConfig, *, runtime: str) -> None:
    """Raise ConfigError for settings that look at more than one picture after the other, as ``runtime`` has to."""
    temporal, where = config.temporal, f"vidfer export {runtime} is for streams: expected"
    if not (temporal.is_network and temporal.causal):
        raise ConfigError(
            f"{where} temporal.name gru or lstm and temporal.causal=true, as in --pipeline live, "
            f"got {temporal.name!r} and {str(temporal.causal).lower()}"
        )
    if config.emotions.baseline not in ("auto", "none"):  # auto is none for a causal model
        raise ConfigError(f"{where} emotions.baseline=none, got {config.emotions.baseline!r}")


def description(network: ExportableNetwork) -> dict[str, Any]:
    """Return what a file says of a network, JSON-ready."""
    return {"vidfer": vidfer.__version__, "name": network.name, "precision": "float32", **network.about}


class DetectorOutputs(nn.Module):
    """Scores (B, C), boxes (B, C, 4) xyxy and five points (B, C, 5, 2) px of all cells, from images (B, 3, H, W)."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = self.network(images)
        centres, strides = cells(images.shape[2], images.shape[3])
        boxes, points = decode(outputs, centres, strides)
        return outputs[..., 0].sigmoid(), boxes, points


class LandmarkOutputs(nn.Module):
    """Points (N, 68, 2) in the unit square of each crop and face scores (N,), from crops (N, 1, S, S) 0..1."""

    def __init__(self, network: PointNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        points, logits = self.network(crops)
        return points, logits.sigmoid()


class QualityOutputs(nn.Module):
    """Quality (N,) from aligned faces (N, 1, 48, 48) 0..1 and features (N, 6)."""

    def __init__(self, network: QualityNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor, features: Tensor) -> Tensor:
        quality: Tensor = self.network(faces, features).sigmoid()
        return quality


class ExpressionOutputs(nn.Module):
    """Vectors (N, D) and calibrated logits (N, 8) from aligned faces (N, C, S, S) 0..1."""

    def __init__(self, network: nn.Module, spec: InputSpec, *, temperature: float, mirror: bool) -> None:
        super().__init__()
        self.network, self.spec, self.temperature, self.mirror = network, spec, temperature, mirror

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        prepared = preprocess(faces, self.spec)
        vectors, logits = self.network(prepared)
        if self.mirror:
            mirrored_vectors, mirrored_logits = self.network(prepared.flip(3))
            vectors, logits = (vectors + mirrored_vectors) / 2, (logits + mirrored_logits) / 2
        return vectors, logits / self.temperature


class WholeTrack(nn.Module):
    """Log-probabilities (1, G, 8) at all nodes of a track, from their features (1, G, F)."""

    def __init__(self, network: Refiner) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        lengths = torch.ones(1, dtype=torch.int64) * features.shape[1]
        logits: Tensor = self.network(features, lengths)
        return logits.log_softmax(-1)


class TemporalStep(nn.Module):
    """Log-probabilities (1, G, 8) at the next nodes of a track, and the state behind them; see ``Refiner.step``."""

    def __init__(self, network: Refiner) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, after = self.network.step(features, state)
        return logits.log_softmax(-1), *after


def _detector(weights: str) -> ExportableNetwork:
    path = locate("detector", "embedded", weights)[0]
    network = fuse_norms(network_from(*load_tensors(path), source=str(path)))
    return ExportableNetwork(
        name="detector",
        module=DetectorOutputs(network),
        inputs={"images": torch.zeros(1, 3, 256, 320)},
        outputs=("score", "boxes", "points"),
        dynamic={
            "images": {0: "B", 2: "H", 3: "W"},
            **{name: {0: "B", 1: "C"} for name in ("score", "boxes", "points")},
        },
        about={
            **_origin("detector", "embedded", weights),
            "input": "RGB, 0..255; H and W multiples of 32, filled up with 0 on the right and below",
            "strides": list(STRIDES),
            "output": "one row per cell; keep scores from 0.5 on and suppress overlaps above an IoU of 0.4",
        },
    )


def _landmarks(weights: str) -> ExportableNetwork:
    path = locate("landmarks", "embedded", weights)[0]
    tensors, metadata = load_tensors(path)
    network = fuse_norms(build_network(tensors, metadata, source=path))
    return ExportableNetwork(
        name="landmarks",
        module=LandmarkOutputs(network),
        inputs={"crops": torch.zeros(1, 1, network.size, network.size)},
        outputs=("points", "score"),
        dynamic={"crops": {0: "N"}, "points": {0: "N"}, "score": {0: "N"}},
        about={
            **_origin("landmarks", "embedded", weights),
            "input": "gray, 0..1: the square around a box, with this margin",
            "margin": finite_number(metadata, "margin", default=0.0, source=path),
            "output": "68 points in the unit square of the crop, and how surely it is a face, 0..1",
        },
    )


def _quality(weights: str) -> ExportableNetwork:
    path = locate("quality", "embedded", weights)[0]
    network = fuse_norms(build_quality_network(*load_tensors(path), source=path))
    size = QUALITY_SIZE
    return ExportableNetwork(
        name="quality",
        module=QualityOutputs(network),
        inputs={"faces": torch.zeros(1, 1, size, size), "features": torch.zeros(1, NUM_FEATURES)},
        outputs=("quality",),
        dynamic={"faces": {0: "N"}, "features": {0: "N"}, "quality": {0: "N"}},
        about={
            **_origin("quality", "embedded", weights),
            "input": "aligned face, gray, 0..1; features as vidfer.faces.quality.quality_features gives them",
            "template": TEMPLATE.tolist(),
        },
    )


def _expressions(config: BackboneConfig, mirror: bool | None) -> ExportableNetwork:
    name, weights = config.name, config.weights
    path = locate("backbone", name, weights)[0]
    tensors, metadata = load_tensors(path)
    model = build_backbone(name, tensors, metadata, source=path, options=options_of(config, name))
    if isinstance(model, ClassicalNetwork):
        raise ConfigError(f"the backbone {name!r} computes its features outside of networks: it cannot be exported")
    spec = model.input_spec
    assert isinstance(spec, InputSpec)
    temperature = finite_number(metadata, "temperature", default=1.0, source=path)
    mirrored = bool(metadata.get("mirror", False)) if mirror is None else mirror
    module = ExpressionOutputs(fold_normalisation(model), spec, temperature=temperature, mirror=mirrored)
    return ExportableNetwork(
        name="expressions",
        module=module,
        inputs={"faces": torch.zeros(1, spec.channels, spec.size, spec.size)},
        outputs=("vectors", "logits"),
        dynamic={"faces": {0: "N"}, "vectors": {0: "N"}, "logits": {0: "N"}},
        about={
            **_origin("backbone", name, weights),
            "input": f"aligned face, {spec.colour}, 0..1; it is standardised inside",
            "template": TEMPLATE.tolist(),
            "labels": list(EMOTIONS),
            "colour": spec.colour,
            "embedding_size": int(model.embedding_size),  # type: ignore[arg-type]
            "temperature": temperature,
            "mirror": mirrored,
            "trained": metadata,
            "output": "the temperature is applied: the softmax of the logits are probabilities",
        },
    )


def _identity(weights: str) -> ExportableNetwork:
    path = locate("identity", "embedded", weights)[0]
    network: VectorNetwork = fuse_norms(build_identity(*load_tensors(path), source=path))
    side = -(-network.size // 16)  # of the last layer; the exporter knows no adaptive pooling where it is odd
    network.pool = nn.AvgPool2d(-(-side // 2), side // 2)  # type: ignore[assignment]
    return ExportableNetwork(
        name="identity",
        module=network,
        inputs={"faces": torch.zeros(1, 3, network.size, network.size)},
        outputs=("vectors",),
        dynamic={"faces": {0: "N"}, "vectors": {0: "N"}},
        about={
            **_origin("identity", "embedded", weights),
            "input": "aligned face, RGB, 0..1",
            "template": TEMPLATE.tolist(),
            "output": "vectors of length 1: the product of two says how much two faces look like one person's",
        },
    )


def _movements(weights: str) -> ExportableNetwork:
    path = locate("movements", "embedded", weights)[0]
    network = fuse_norms(build_movements(*load_tensors(path), source=path))
    face, eye = network.face_size, network.eye_size
    names = ("values", "iris", "error")
    return ExportableNetwork(
        name="movements",
        module=network,
        inputs={"faces": torch.zeros(1, 1, face, face), "eyes": torch.zeros(1, 2, 1, eye, eye)},
        outputs=names,
        dynamic={name: {0: "N"} for name in ("faces", "eyes", *names)},
        about={
            **_origin("movements", "embedded", weights),
            "input": "aligned face, gray, 0..1; the right eye and the left one mirrored, cut out by the transforms of "
            "vidfer.movements.eyes",
            "template": TEMPLATE.tolist(),
            "eye_size": eye,
            "labels": list(MOVEMENTS),
        },
    )


def _temporal(config: PipelineConfig) -> ExportableNetwork:
    given = config.temporal
    if given.name in ("tcn", "transformer"):
        raise ConfigError(f"[temporal] name: expected gru or lstm, or a model that is no network, got {given.name!r}")
    network, _ = load_network(given.name, given.weights, causal=given.causal)  # type: ignore[arg-type]
    assert isinstance(network.body, RecurrentBody)
    if network.body.attention is not None:
        raise ConfigError("[temporal] weights: a network with attention has no state of fixed size")
    features = {"features": torch.zeros(1, 1, num_features(network.dim, network.num_labels))}
    along = {"features": {1: "G"}, "log_probabilities": {1: "G"}}
    about = {
        **_origin("temporal", given.weights_name, given.weights),
        "input": "features of the nodes of one track as vidfer.temporal.networks.features.node_features gives them",
        "labels": list(EMOTIONS),
        "dim": network.dim,
        "causal": network.causal,
        "step_seconds": STEP_SECONDS,
        "delay_seconds": CAUSAL_DELAY_SECONDS if network.causal else 0.0,
    }
    if not network.causal:
        return ExportableNetwork(
            name="temporal",
            module=WholeTrack(network),
            inputs=features,
            outputs=("log_probabilities",),
            dynamic=along,
            about=about,
        )
    state = network.first_state()
    names = ["frames", "results", *(f"hidden_{i}" for i in range(len(state) - 2))]
    return ExportableNetwork(
        name="temporal_step",
        module=TemporalStep(network),
        inputs={**features, **dict(zip(names, state, strict=True))},
        outputs=("log_probabilities", *(f"{name}_after" for name in names)),
        dynamic=along,
        about={**about, "state": "zeros at first, then what came out as *_after"},
    )


def _origin(kind: ComponentKind, name: str, weights: str) -> dict[str, Any]:
    return {"component": f"{kind} {name}", "sha256": list(digests(kind, name, weights))}
