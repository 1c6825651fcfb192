"""Networks from settings, and settings from weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from vidfer.config import Section, temporal_weights_name
from vidfer.errors import WeightsError
from vidfer.labels import EMOTIONS
from vidfer.temporal.grid import STEP_SECONDS
from vidfer.temporal.networks.convolution import ConvolutionBody
from vidfer.temporal.networks.recurrent import RecurrentBody
from vidfer.temporal.networks.refiner import Body, Refiner
from vidfer.temporal.networks.transformer import TransformerBody
from vidfer.weights import check_description, files_of, fill, in_brief, load_tensors, locate

NetworkName = Literal["gru", "lstm", "tcn", "transformer"]


class NetworkConfig(Section):
    """``[model]`` of a training recipe; also kept in the weight file."""

    name: NetworkName = "gru"
    hidden: int = Field(64, ge=1, description="features of each direction")
    layers: int = Field(1, ge=1, le=8, description="gru, lstm and transformer")
    causal: bool = Field(False, description="only the past counts")
    attention: bool = Field(False, description="gru and lstm: attention to the 2 s around each step")
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    vector_dropout: float = Field(0.1, ge=0.0, lt=1.0, description="share of sequences whose embeddings are hidden")
    steadying_seconds: float = Field(0.25, gt=0.0, description="time constant of the mean over the result")


def build_network(config: NetworkConfig, *, dim: int) -> Refiner:
    """Return an untrained network for embeddings of size ``dim``."""
    body: Body
    if config.name == "tcn":
        body = ConvolutionBody(inputs=config.hidden, hidden=config.hidden, causal=config.causal, dropout=config.dropout)
    elif config.name == "transformer":
        body = TransformerBody(
            inputs=config.hidden,
            hidden=config.hidden,
            layers=config.layers,
            causal=config.causal,
            dropout=config.dropout,
        )
    else:
        body = RecurrentBody(
            config.name,
            inputs=config.hidden,
            hidden=config.hidden,
            layers=config.layers,
            causal=config.causal,
            attention=config.attention,
        )
    return Refiner(
        body,
        dim=dim,
        num_labels=len(EMOTIONS),
        project=config.hidden,
        causal=config.causal,
        dropout=config.dropout,
        vector_dropout=config.vector_dropout,
        steadying_seconds=config.steadying_seconds,
    )


def network_metadata(config: NetworkConfig, *, dim: int) -> dict[str, Any]:
    """Return what ``load_network`` must know to build the network again."""
    return {
        "kind": "temporal",
        "name": config.name,
        "model": config.model_dump(),
        "dim": dim,
        "labels": list(EMOTIONS),
        "step_seconds": STEP_SECONDS,
    }


def load_network(name: NetworkName, own_file: str = "", *, causal: bool = False) -> tuple[Refiner, Path]:
    """Return the trained network called ``name`` from the table's weights or the user's, and its file.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or holds another kind of model, or one that reads ahead where ``causal`` is
        asked for.
    """
    path = _weight_file(name, own_file, causal)
    tensors, metadata = load_tensors(path)
    found = (metadata.get("kind"), metadata.get("name"))
    if found != ("temporal", name):
        got = in_brief(" ".join(str(part) for part in found if part) or "something else")
        raise WeightsError(f"{path}: expected weights of the temporal model {name!r}, got those of {got}")
    if metadata.get("labels") != list(EMOTIONS) or metadata.get("step_seconds") != STEP_SECONDS:
        raise WeightsError(f"{path}: made for other labels or another step of time; train it again with this vidfer")
    try:
        check_description([metadata["model"], metadata["dim"]], source=path)
        config, dim = NetworkConfig.model_validate(metadata["model"]), int(metadata["dim"])
        network = fill(lambda: build_network(config, dim=dim), tensors)
    except (KeyError, ValueError, TypeError, RuntimeError, ValidationError) as error:
        raise WeightsError(f"{path}: not complete: {in_brief(error)}; train it again") from error
    if causal and not network.causal:
        raise WeightsError(
            f"{path}: [temporal] causal = true needs a network that reads no later rows, but this one does; train one "
            "with [model] causal = true (pipelines/train/temporal_gru_causal.toml)"
        )
    return network.eval().requires_grad_(False), path


def _weight_file(name: NetworkName, own_file: str, causal: bool) -> Path:
    table_name = temporal_weights_name(name, causal=causal)
    if not own_file and not files_of("temporal", table_name):
        kind, how = ("causal ", ", with [model] causal = true in a copy of it,") if causal else ("", "")
        raise WeightsError(
            f"the {kind}temporal model {name!r} has no weights of its own: train it with "
            f"'vidfer train temporal --recipe temporal_{name}'{how} and set [temporal] weights to the file"
        )
    return locate("temporal", table_name, own_file)[0]
