"""Temporal convolutions over the track."""

from __future__ import annotations

from vidfer.temporal import TEMPORAL_MODELS, TemporalModel


@TEMPORAL_MODELS.register("tcn")
def make_tcn(
    *,
    device: str = "cpu",
    weights: str = "",
    causal: bool = False,
    window_seconds: float = 60.0,
    overlap_seconds: float = 10.0,
) -> TemporalModel:
    """Return the model with the weights of the table or the user's own; raises WeightsError without any."""
    from vidfer.temporal.networks.predictor import load_model  # torch is imported here, not when names are listed

    return load_model(
        "tcn",
        device=device,
        weights=weights,
        causal=causal,
        window_seconds=window_seconds,
        overlap_seconds=overlap_seconds,
    )
