"""Runs a trained network over tracks: grid, windows, batches, and back to the rows."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.errors import WeightsError
from vidfer.temporal import TemporalModel, TrackSequence
from vidfer.temporal.grid import STEP_SECONDS, between_nodes, make_grid
from vidfer.temporal.networks.features import node_features
from vidfer.temporal.online import OnlineGrid, TrackStream
from vidfer.temporal.probabilities import softmax
from vidfer.temporal.windows import overlap_for, run_windows, window_steps

if TYPE_CHECKING:
    from vidfer.temporal.networks.build import NetworkName
    from vidfer.temporal.networks.refiner import Refiner

_READ_NODES = 4  # a row reads at most three nodes behind the first open one


class NetworkModel:
    """A temporal model around a ``Refiner``.

    Parameters
    ----------
    network
        Trained.
    source
        Where its weights are from, for messages.
    device
        Of torch.
    window_seconds, overlap_seconds
        Longer tracks are run in windows this long that share at least this much, if the network's reach in time is
        bounded. A recurrent network remembers for longer than any overlap would be, so it reads each track in one
        pass, which takes about two seconds for an hour.
    """

    def __init__(
        self,
        network: Refiner,
        *,
        source: str = "network",
        device: str = "cpu",
        window_seconds: float = 60.0,
        overlap_seconds: float = 10.0,
    ) -> None:
        import torch

        self._device = torch.device(device)
        self._use(network.to(self._device).eval(), source, window_seconds, overlap_seconds)

    def _use(self, network: Any, source: str, window_seconds: float, overlap_seconds: float) -> None:
        self._network, self._source = network, source
        window, overlap = window_steps(window_seconds, overlap_seconds, STEP_SECONDS)
        reach = self._network.reach
        self._overlap = overlap if reach is None else max(overlap, overlap_for(reach))
        self._window = sys.maxsize if reach is None else max(window, 2 * self._overlap)

    @property
    def network(self) -> Refiner:
        """The network over the nodes of the grid, in evaluation mode."""
        return self._network

    @property
    def causal(self) -> bool:
        """Whether no row's result depends on a later row."""
        return self._network.causal

    def predict(self, tracks: list[TrackSequence]) -> list[np.ndarray]:
        """Return per track (T, K) float32 probabilities, rows summing to 1.

        Raises
        ------
        WeightsError
            If the embeddings are not of the size that the network was trained on.
        """
        for track in tracks:
            self.check(track)
        grids = [make_grid(t.pts_seconds, t.quality, causal=self.causal) for t in tracks]
        filled = [i for i, track in enumerate(tracks) if len(track)]
        features = [node_features(tracks[i], grids[i]) for i in filled]
        found = run_windows(self._run, features, window=self._window, overlap=self._overlap)
        results = [np.zeros(t.logits.shape, np.float32) for t in tracks]
        for i, logits in zip(filled, found, strict=True):
            results[i] = softmax(grids[i].at_rows(logits))
        return results

    def stream(self) -> TrackStream:
        """Return a stream for a new track."""
        return _NetworkStream(self)

    def _run(self, pieces: list[np.ndarray]) -> list[np.ndarray]:
        """Return log-probabilities (G, K) of the node features (G, F) of each piece."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        lengths = [len(piece) for piece in pieces]
        # A copy, one piece or many: the last bit of a matrix product may depend on where its numbers lie in memory.
        features = pad_sequence([torch.from_numpy(piece) for piece in pieces], batch_first=True)  # (B, G, F)
        with torch.inference_mode():
            logits = self._network(features.to(self._device), torch.tensor(lengths, device=self._device))
        log_p = logits.float().log_softmax(-1).cpu().numpy()  # (B, G, K)
        return [log_p[i, :length] for i, length in enumerate(lengths)]

    def first_state(self) -> Any:
        """Return what ``step`` knows before the first node."""
        return self._network.first_state()

    def step(self, features: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Return log-probabilities (G, K) of the next nodes' features (G, F), and the state behind them."""
        import torch

        with torch.inference_mode():
            logits, after = self._network.step(torch.from_numpy(features).clone()[None].to(self._device), state)
            return logits[0].float().log_softmax(-1).cpu().numpy(), after

    def check(self, track: TrackSequence) -> None:
        """Raise WeightsError if the embeddings are not of the size that the network was trained on."""
        dim, num_labels = track.vectors.shape[1], track.logits.shape[1]
        if (dim, num_labels) != (self._network.dim, self._network.num_labels):
            raise WeightsError(
                f"{self._source}: this temporal model was trained on embeddings of size {self._network.dim} and "
                f"{self._network.num_labels} emotions, but the backbone gives {dim} and {num_labels}: set "
                '[temporal] name = "hmm", "ema" or "none" (they fit any backbone), or train one with '
                "'vidfer train temporal' and set [temporal] weights"
            )


class _NetworkStream:
    """The network's state at the last closed node of a track, and its results at the nodes that a row may read."""

    def __init__(self, model: NetworkModel) -> None:
        self._model = model
        self._grid = OnlineGrid()
        self._state = model.first_state()
        self._num_done = 0
        self._results: deque[np.ndarray] = deque(maxlen=_READ_NODES)  # (K,) log-probabilities of the last nodes

    def push(self, seconds: float, vector: np.ndarray, logits: np.ndarray, quality: float) -> np.ndarray:
        grid = self._grid
        grid.add(seconds, vector, logits, quality)
        if grid.num_closed > self._num_done:
            track, window = grid.window()
            self._model.check(track)
            closed = slice(self._num_done - grid.first_node, grid.num_closed - grid.first_node)
            found, self._state = self._model.step(node_features(track, window)[closed], self._state)
            self._results.extend(found)
            self._num_done = grid.num_closed
            grid.forget()
        read = grid.read - (self._num_done - len(self._results))
        return softmax(between_nodes(np.array(self._results), np.array([read])))[0]


def load_model(
    name: NetworkName,
    *,
    device: str = "cpu",
    weights: str = "",
    causal: bool = False,
    window_seconds: float,
    overlap_seconds: float,
) -> TemporalModel:
    """Return the trained model called ``name``; raises WeightsError without usable weights."""
    from vidfer.temporal.networks.build import load_network

    network, path = load_network(name, weights, causal=causal)
    return NetworkModel(
        network,
        source=str(path),
        device=device,
        window_seconds=window_seconds,
        overlap_seconds=overlap_seconds,
    )
