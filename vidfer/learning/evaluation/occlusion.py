"""Which parts of a face the network looks at: what it says when they are covered (Zeiler and Fergus 2014)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vidfer.backbones.load import EmotionNetwork
from vidfer.learning.evaluation.calibration import softmax

PATCH_SHARE = 1 / 6  # of a face's side: an eye, or half a mouth
_STRIDES = 2  # a patch is moved by half its side
_BATCH = 64


def occlusion(
    network: EmotionNetwork, faces: Tensor, emotions: np.ndarray, *, ratio: np.ndarray | None = None
) -> np.ndarray:
    """Return by how much covering each place of each face lowers the probability of an emotion.

    A square in the mean colour of the face is moved over it (Zeiler and Fergus 2014, "Visualizing and Understanding
    Convolutional Networks", section 4.2). Where Grad-CAM asks what the last maps would add, this asks the whole network
    what it says without a place; it is signed, and as fine as the square, not as the last map.

    Parameters
    ----------
    network
        From ``load_backbone``.
    faces
        (N, 1 or 3, S, S) float 0..1, as for ``EmotionNetwork.embed``.
    emotions
        (N,) into ``labels.EMOTIONS``.
    ratio
        (8,) what ``[emotions] prior`` adds to log-probabilities.

    Returns
    -------
    (N, S, S) float32, -1..1: the mean over the squares that cover a place; above 0: the emotion is read from there.
    """
    return np.stack(
        [_of_face(network, face, int(emotion), ratio) for face, emotion in zip(faces, emotions, strict=True)]
    )


def _of_face(network: EmotionNetwork, face: Tensor, emotion: int, ratio: np.ndarray | None) -> np.ndarray:
    side = face.shape[-1]
    patch = max(2, round(side * PATCH_SHARE))
    starts = range(-patch // _STRIDES, side, max(1, patch // _STRIDES))
    places = [(slice(max(0, top), top + patch), slice(max(0, left), left + patch)) for top in starts for left in starts]
    colour = face.mean((1, 2), keepdim=True)

    def probability(pictures: Tensor) -> np.ndarray:
        logits = network.embed(pictures)[1]
        return np.asarray(softmax(logits if ratio is None else logits + ratio)[:, emotion])

    whole = probability(face[None])[0]
    total, covered = np.zeros((side, side)), np.zeros((side, side))
    for first in range(0, len(places), _BATCH):
        some = places[first : first + _BATCH]
        pictures = face.repeat(len(some), 1, 1, 1)  # (B, C, S, S)
        for picture, (rows, columns) in zip(pictures, some, strict=True):
            picture[:, rows, columns] = colour
        for (rows, columns), without in zip(some, probability(pictures).tolist(), strict=True):
            total[rows, columns] += whole - without
            covered[rows, columns] += 1
    return (total / covered).astype(np.float32)
