"""A network that corrects smoothed log-probabilities: never far from smoothing, better where it knows more."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.temporal.grid import STEP_SECONDS
from vidfer.temporal.networks.features import num_features

SMOOTHING_RADIUS = 10  # steps: how far the learned smoothing reaches to each side
MAX_VECTOR = 6.0  # standard deviations; an embedding further out is noise


State = tuple[Tensor, ...]  # of one sequence, each (1, ...)


class Body(Protocol):
    """Maps (B, G, C) features with their lengths (B,) to (B, G, ``width``), whatever stands behind the lengths.

    ``reach`` is how many steps to each side a result depends on; None: on the whole sequence.
    """

    width: int
    reach: int | None

    def __call__(self, x: Tensor, lengths: Tensor) -> Tensor: ...

    def first_state(self) -> State:
        """Return what ``step`` knows before the first node; for causal bodies."""
        ...

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on from ``state`` over the next nodes (1, G, C); return (1, G, ``width``) and the state behind them."""
        ...


class Refiner(nn.Module):
    """Smoothed log-probabilities plus a correction by a sequence network.

    Parameters
    ----------
    body
        The sequence network; made for ``project`` features.
    dim, num_labels
        Size D of the embedding, and K.
    project
        Features that the input is projected to.
    causal
        Only the past counts.
    dropout, vector_dropout
        Share of projected features, and of whole sequences' embeddings, that are hidden in training; the latter
        keeps the model sound on faces unlike those it was trained on.
    steadying_seconds
        Time constant of the mean over the corrected probabilities: no label for one syllable.
    """

    steadying: Tensor
    vector_mean: Tensor
    vector_scale: Tensor
    log_temperature: Tensor

    def __init__(
        self,
        body: Body,
        *,
        dim: int,
        num_labels: int,
        project: int,
        causal: bool = False,
        dropout: float = 0.1,
        vector_dropout: float = 0.1,
        steadying_seconds: float = 0.25,
    ) -> None:
        super().__init__()
        self.body, self.dim, self.num_labels, self.causal = body, dim, num_labels, causal
        self.project = nn.Linear(num_features(dim, num_labels), project)
        self.norm = nn.LayerNorm(project)
        self.dropout, self.vector_dropout = nn.Dropout(dropout), vector_dropout
        self.head = nn.Linear(body.width, num_labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        taps = SMOOTHING_RADIUS + 1 if causal else 2 * SMOOTHING_RADIUS + 1
        # Not on "meta", the device that weights.fill builds it on first: arange there imports PyTorch's compiler, 1 s.
        away = torch.arange(taps, device="cpu").float() - SMOOTHING_RADIUS
        self.smoothing = nn.Parameter(-away.abs() / 3.0)  # log-weights; a time constant of 0.3 s to begin with
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("steadying", torch.softmax(-away.abs() * STEP_SECONDS / steadying_seconds, 0))
        self.register_buffer("vector_mean", torch.zeros(dim))
        self.register_buffer("vector_scale", torch.ones(dim))
        self.register_buffer("log_temperature", torch.zeros(()))

    @property
    def reach(self) -> int | None:
        """How many steps to each side a result depends on; None: on the whole sequence."""
        return None if self.body.reach is None else max(self.body.reach, SMOOTHING_RADIUS) + SMOOTHING_RADIUS

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (B, G, K) from node features (B, G, F); what lies behind a sequence's length is undefined."""
        valid = torch.arange(features.shape[1], device=features.device) < lengths[:, None]  # (B, G)
        x = self._standardised(features).mul_(valid[..., None])
        hidden = self.body(self._projected(x), lengths)  # (B, G, W)
        reach = (SMOOTHING_RADIUS, 0 if self.causal else SMOOTHING_RADIUS)
        logits = self._corrected(_padded(self._frames(features, valid), reach), hidden)
        if not self.training:  # in training it would be undone by sharper corrections
            logits = self._steadied(_padded(_stacked(logits.softmax(-1), valid.to(logits.dtype)), reach))
        return logits / self.log_temperature.exp()

    def first_state(self) -> State:
        """Return what ``step`` knows before the first node: frames and results so far (none), the body's own state."""
        nothing = self.steadying.new_zeros((1, SMOOTHING_RADIUS, self.num_labels + 1))
        return (nothing, nothing, *self.body.first_state())

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on over the next nodes of one track: what ``forward`` gives for them with all before, if causal.

        Parameters
        ----------
        features
            (1, G, F), G at least 1.
        state
            Of ``first_state``, or of the step before.

        Returns
        -------
        Logits (1, G, K), and the state behind them.
        """
        frames, results, *rest = state
        hidden, body = self.body.step(self._projected(self._standardised(features)), tuple(rest))
        valid = torch.ones_like(features[..., 0])
        frames = torch.cat([frames, self._frames(features, valid)], 1)
        logits = self._corrected(frames, hidden)
        results = torch.cat([results, _stacked(logits.softmax(-1), valid)], 1)
        logits = self._steadied(results) / self.log_temperature.exp()
        return logits, (frames[:, -SMOOTHING_RADIUS:], results[:, -SMOOTHING_RADIUS:], *body)

    def _projected(self, x: Tensor) -> Tensor:
        return self.dropout(functional.gelu(self.norm(self.project(x))))

    def _frames(self, features: Tensor, valid: Tensor) -> Tensor:
        log_p = features[..., self.dim : self.dim + self.num_labels]
        coverage = features[..., self.dim + 2 * self.num_labels]
        return _stacked(log_p, (coverage + 1e-3) * valid)

    def _corrected(self, frames: Tensor, hidden: Tensor) -> Tensor:
        """Return logits (B, G, K): the smoothed log-probabilities and the correction."""
        base = _weighted_means(frames, self.smoothing.softmax(0)[None, None])
        return base * self.scale + self.head(self.dropout(hidden))

    def _steadied(self, results: Tensor) -> Tensor:
        # A mean of probabilities, not of logits: one sure node must not outvote its unsure neighbours.
        return _weighted_means(results, self.steadying[None, None]).clamp_min(1e-6).log()

    def _standardised(self, features: Tensor) -> Tensor:
        """Return a copy with standardised embeddings; in place as far as exporters follow: an hour takes 20 MB."""
        vectors = (features[..., : self.dim] - self.vector_mean).mul_(self.vector_scale).clamp_(-MAX_VECTOR, MAX_VECTOR)
        if self.training and self.vector_dropout:
            keep = torch.rand(len(vectors), 1, 1, device=vectors.device) >= self.vector_dropout
            vectors = vectors * keep
        return torch.cat([vectors, features[..., self.dim :]], -1)


def _stacked(values: Tensor, weight: Tensor) -> Tensor:
    """Return values (B, G, K) times their weights (B, G), and the weights, (B, G, K + 1)."""
    return torch.cat([values * weight[..., None], weight[..., None]], -1)


def _padded(stacked: Tensor, reach: tuple[int, int]) -> Tensor:
    """Return stacked values with that many nodes without weight before and behind them."""
    return functional.pad(stacked, (0, 0, *reach))


def _weighted_means(stacked: Tensor, kernel: Tensor) -> Tensor:
    """Return means (B, G, K) over windows of stacked values (B, G + taps - 1, K + 1), by kernel (1, 1, taps)."""
    batch, steps, channels = stacked.shape
    flat = stacked.transpose(1, 2).reshape(batch * channels, 1, steps)
    total = functional.conv1d(flat, kernel).reshape(batch, channels, -1).transpose(1, 2)  # (B, G, K + 1)
    return total[..., :-1] / total[..., -1:].clamp_min(1e-6)
