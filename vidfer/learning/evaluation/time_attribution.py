"""Which seconds of a track decided what a sequence model says at one moment: integrated gradients over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vidfer.errors import ConfigError
from vidfer.labels import NUM_EMOTIONS
from vidfer.temporal import TemporalModel, TrackSequence
from vidfer.temporal.grid import make_grid
from vidfer.temporal.networks.features import NUM_EXTRA, node_features
from vidfer.temporal.networks.predictor import NetworkModel

STEPS = 32  # of the path; twice as many change no attribution by more than 1 % of the sum
_AT_ONCE = 8  # of them in a batch
REACH_SECONDS = 60.0  # to each side of the moment: what is further away is not followed


@dataclass(frozen=True, kw_only=True)
class TimeAttribution:
    """What spoke for an emotion, and when.

    Attributes
    ----------
    seconds
        (G,) float64, the model's steps of time.
    amount
        (G,) float32, what each step added to the log-probability; their sum is ``log_probability - without``.
    probabilities
        (G, 8) float32, what the model says at each step.
    emotion
        Into ``labels.EMOTIONS``.
    at_seconds
        The moment, one of ``seconds``.
    log_probability, without
        Of the emotion at that moment, for the track as it is, and for one of which nothing is known.
    """

    seconds: np.ndarray
    amount: np.ndarray
    probabilities: np.ndarray
    emotion: int
    at_seconds: float
    log_probability: float
    without: float


def time_attribution(
    model: TemporalModel,
    track: TrackSequence,
    *,
    at_seconds: float,
    emotion: int | None = None,
    shift: np.ndarray | None = None,
) -> TimeAttribution:
    """Follow a probability back to the moments that it is read from (integrated gradients).

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks". The path begins at a face that is seen as often
    and as well, but of which nothing is known: all emotions alike, and the average embedding. Attention weights would
    say less: what a step holds has been mixed by the recurrent layers.

    Parameters
    ----------
    model
        gru, lstm or another network over time.
    track
        At least one row.
    at_seconds
        The moment; the nearest step of the model's grid is taken.
    emotion
        Into ``labels.EMOTIONS``; by default the most probable one at that moment.
    shift
        (8,) what ``[emotions]`` (prior, baseline) adds to the log-probabilities; None: nothing.

    Raises
    ------
    ConfigError
        The model is no network.
    """
    if not isinstance(model, NetworkModel):
        raise ConfigError(
            "--over-time follows gradients: set [temporal] name to a network (gru, lstm, tcn, transformer)"
        )
    network, grid = model.network, make_grid(track.pts_seconds, track.quality, causal=model.causal)
    model.check(track)
    seconds = np.interp(np.arange(len(grid)), grid.position, track.pts_seconds)
    near = np.flatnonzero(np.abs(seconds - at_seconds) <= REACH_SECONDS)
    if not len(near):
        near = np.array([np.abs(seconds - at_seconds).argmin()])
    given = torch.from_numpy(node_features(track, grid)[near])  # (G, F)
    seconds = seconds[near]
    at = int(np.abs(seconds - at_seconds).argmin())
    start = _nothing_known(given, network.dim, network.vector_mean.cpu())
    device = network.vector_mean.device
    length = torch.tensor([len(given)], device=device)
    added = torch.zeros(NUM_EMOTIONS) if shift is None else torch.from_numpy(shift).float()

    def log_probabilities(points: torch.Tensor) -> torch.Tensor:
        logits = network(points.to(device), length.expand(len(points))).float()
        return (logits + added.to(device)).log_softmax(-1)  # (B, G, K)

    with torch.inference_mode():
        log_p = log_probabilities(torch.stack([start, given])).cpu()  # (2, G, K)
    chosen = int(log_p[1, at].argmax()) if emotion is None else emotion
    total = torch.zeros_like(given)
    for shares in ((torch.arange(STEPS) + 0.5) / STEPS).split(_AT_ONCE):
        points = torch.lerp(start[None], given[None], shares[:, None, None]).to(device).requires_grad_()  # (B, G, F)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(log_probabilities(points)[:, at, chosen].sum(), points)
        total += gradient.sum(0).cpu()
    amount = ((given - start) * total / STEPS).sum(1)  # (G,)
    return TimeAttribution(
        seconds=seconds,
        amount=amount.numpy().astype(np.float32),
        probabilities=log_p[1].exp().numpy(),
        emotion=chosen,
        at_seconds=float(seconds[at]),
        log_probability=float(log_p[1, at, chosen]),
        without=float(log_p[0, at, chosen]),
    )


def _nothing_known(features: torch.Tensor, dim: int, mean: torch.Tensor) -> torch.Tensor:
    """Return features (G, F) with the average embedding and uniform probabilities, seen as often and as well."""
    out = features.clone()
    out[:, :dim] = mean
    out[:, dim : dim + NUM_EMOTIONS] = -np.log(NUM_EMOTIONS)
    out[:, dim + NUM_EMOTIONS : -NUM_EXTRA] = 1 / NUM_EMOTIONS
    return out
