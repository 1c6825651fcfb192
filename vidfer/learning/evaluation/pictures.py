"""What a per-frame network sees in labelled pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from vidfer.backbones.load import EmotionNetwork
from vidfer.faces.align import warp_faces
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.datasets.manifest_faces import read_labelled_picture
from vidfer.learning.evaluation.calibration import softmax
from vidfer.learning.evaluation.labelled import Seen
from vidfer.pipeline.pictures import PictureFaces

_FACES_AT_ONCE = 32


def see_pictures(
    manifest: Manifest,
    rows: np.ndarray,
    finder: PictureFaces,
    network: EmotionNetwork,
    *,
    prior_ratio: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Seen | None]:
    """Return what the network sees in the largest face of each row's picture; None where no face was found.

    The face is found, cut and aligned as in a video's frame. ``prior_ratio`` (8,) is added to its log-probabilities.

    Raises
    ------
    DataError
        If a picture cannot be decoded; names the row.
    """
    seen: list[Seen | None] = [None] * len(rows)
    waiting: list[tuple[int, torch.Tensor]] = []
    size = network.input_spec.size
    for i, row in enumerate(rows.tolist()):
        picture = read_labelled_picture(manifest, row)
        found = finder.find(picture)
        if found is not None:
            image = torch.from_numpy(picture)[None]
            waiting.append((i, warp_faces(image, np.zeros(1, np.int64), found[None], size=size)))
        if len(waiting) == _FACES_AT_ONCE:
            _embed(network, waiting, seen, prior_ratio)
        if progress is not None:
            progress(i + 1, len(rows))
    _embed(network, waiting, seen, prior_ratio)
    return seen


def _embed(
    network: EmotionNetwork,
    waiting: list[tuple[int, torch.Tensor]],
    seen: list[Seen | None],
    prior_ratio: np.ndarray | None,
) -> None:
    if not waiting:
        return
    vectors, logits = network.embed(torch.cat([face for _, face in waiting]))
    probabilities = softmax(logits if prior_ratio is None else logits + prior_ratio)
    for n, (i, _) in enumerate(waiting):
        seen[i] = Seen(vectors=vectors[n : n + 1], network=probabilities[n : n + 1])
    waiting.clear()
