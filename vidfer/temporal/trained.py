"""The networks over the track: gated recurrent units (the default), long short-term memory, convolutions, attention.

All read both ways unless trained otherwise. Their own code imports torch, and so is imported when one is made, not when
names are listed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vidfer.temporal import TEMPORAL_MODELS, TemporalModel

if TYPE_CHECKING:
    from vidfer.temporal.networks.build import NetworkName

_NAMES: tuple[NetworkName, ...] = ("gru", "lstm", "tcn", "transformer")


def make_trained(
    name: NetworkName,
    *,
    device: str = "cpu",
    weights: str = "",
    causal: bool = False,
    window_seconds: float = 60.0,
    overlap_seconds: float = 10.0,
) -> TemporalModel:
    """Return the model with the weights of the table or the user's own; raises WeightsError without any."""
    from vidfer.temporal.networks.predictor import load_model

    return load_model(
        name,
        device=device,
        weights=weights,
        causal=causal,
        window_seconds=window_seconds,
        overlap_seconds=overlap_seconds,
    )


for _name in _NAMES:
    TEMPORAL_MODELS.register(_name)(partial(make_trained, _name))
