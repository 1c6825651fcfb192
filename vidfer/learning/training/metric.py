"""Losses on the embedding itself: faces of one emotion near each other, those of others apart.

They go beside the cross-entropy of the logits, ``[learning]`` of a recipe for the emotion CNN. Both look at embeddings
scaled to length 1, and at the pairs of a batch alone.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from vidfer.config import Section


class LearningConfig(Section):
    """``[learning]``: a metric loss on the embedding, beside the emotion's."""

    metric: Literal["none", "triplet", "supcon"] = Field("none", description="triplet or supervised contrastive loss")
    weight: float = Field(0.1, ge=0.0, description="of that loss beside the cross-entropy")
    margin: float = Field(0.2, gt=0.0, le=4.0, description="triplet: between squared distances, which reach 4")
    temperature: float = Field(0.1, gt=0.0, description="supcon")


def metric_loss(config: LearningConfig, embedding: Tensor, label: Tensor) -> Tensor:
    """Return the weighted loss that ``[learning]`` asks for, a scalar; 0 for ``metric = "none"``."""
    if config.metric == "triplet":
        return config.weight * triplet_loss(embedding, label, margin=config.margin)
    if config.metric == "supcon":
        return config.weight * supervised_contrastive_loss(embedding, label, temperature=config.temperature)
    return embedding.new_zeros(())


def triplet_loss(embedding: Tensor, label: Tensor, *, margin: float) -> Tensor:
    """Triplet loss with semi-hard negatives of the batch (Schroff et al. 2015, "FaceNet", section 3.2).

    For each ordered pair of one label, the negative is the nearest that is farther than the positive; where none is,
    the farthest of all. The loss is how much the pair's squared distance plus ``margin`` exceeds the negative's.

    Parameters
    ----------
    embedding
        (B, D) float, any length but 0.
    label
        (B,) int.
    margin
        Of squared distances between unit vectors, which lie in 0..4.

    Returns
    -------
    Scalar: mean over the pairs; 0 where no two have one label, or all have.
    """
    distance = _squared_distances(embedding)  # (B, B)
    same = label[:, None] == label
    anchor, positive = (same & ~_self_pairs(label)).nonzero(as_tuple=True)  # (P,)
    some = (~same).any(1)[anchor]
    anchor, positive = anchor[some], positive[some]
    if not len(anchor):
        return embedding.sum() * 0.0
    near = distance[anchor, positive]
    with torch.no_grad():  # which negative is chosen is not learnt from
        others = distance[anchor].masked_fill(same[anchor], torch.nan)  # (P, B)
        farther = others.masked_fill(~(others > near[:, None]), torch.inf)
        chosen = torch.where(torch.isfinite(farther).any(1), farther.argmin(1), others.nan_to_num(nan=-1.0).argmax(1))
    return functional.relu(near - distance[anchor, chosen] + margin).mean()


def supervised_contrastive_loss(embedding: Tensor, label: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrastive loss, the sum over positives outside of the logarithm (Khosla et al. 2020, eq. 2).

    Parameters
    ----------
    embedding, label
        (B, D) float, any length but 0, and (B,) int.
    temperature
        Cosines are divided by it.

    Returns
    -------
    Scalar: mean over the samples that share their label with another; 0 without any.
    """
    direction = functional.normalize(embedding.float(), dim=1)
    itself = _self_pairs(label)
    share = (direction @ direction.T / temperature).masked_fill(itself, -torch.inf).log_softmax(1)  # (B, B)
    positive = (label[:, None] == label) & ~itself
    count = positive.sum(1)
    if not count.any():
        return embedding.sum() * 0.0
    mean = torch.where(positive, share, 0.0).sum(1) / count.clamp_min(1)
    return -mean[count > 0].mean()


def _squared_distances(embedding: Tensor) -> Tensor:
    direction = functional.normalize(embedding.float(), dim=1)
    return (2 - 2 * direction @ direction.T).clamp_min(0)


def _self_pairs(label: Tensor) -> Tensor:
    return torch.eye(len(label), dtype=torch.bool, device=label.device)
