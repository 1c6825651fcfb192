"""Hand-made features with a classifier from before neural networks, as backbones: ``hog_svm``, ``lbp_knn`` and so on.

Fitted by scikit-learn (``vidfer train classical``), kept as plain arrays, and evaluated here without it.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.backbones.hand_features import FEATURES, SIZE
from vidfer.labels import NUM_EMOTIONS
from vidfer.weights import files_of

Feature = Literal["lbp", "gabor", "hog", "geometry", "geometry3d"]
Classifier = Literal["svm", "rbf", "knn"]


@fx.wrap  # one step where the network is traced: scikit-image computes it, on the CPU
def extracted(faces: Tensor, feature: str) -> Tensor:
    """Return features (N, F) float32 of faces (N, 1, 48, 48) float 0..1."""
    return FEATURES[feature].extract(faces.detach().float().cpu()).to(faces.device)


class ClassicalNetwork(nn.Module):
    """Features, a linear projection of them (the embedding), a classifier's scores, and their calibration.

    Parameters
    ----------
    feature
        ``lbp``, ``gabor``, ``hog``, ``geometry`` or ``geometry3d``: see ``hand_features``.
    classifier
        ``svm``: a linear support vector machine, one class against the others. ``rbf``: the same on the values of a
        radial kernel at ``references`` faces, so that it can learn from all (a reduced support vector machine, Lee and
        Mangasarian 2001). ``knn``: shares of the classes among the nearest of ``references`` faces.
    dimensions
        D, of the embedding: principal components, or linear discriminants.
    references
        How many faces the classifier keeps; 0 for ``svm``.
    neighbours
        Of ``knn``.
    gamma
        Of the kernel exp(-gamma d²).
    landmarks
        Start of the sha256 of the landmark network that the geometry was learnt with; raises ValueError for another.
    """

    input_spec: InputSpec
    embedding_size: int
    mean: Tensor
    components: Tensor
    references: Tensor
    labels: Tensor

    def __init__(
        self,
        feature: Feature,
        classifier: Classifier,
        *,
        dimensions: int = 32,
        references: int = 64,
        neighbours: int = 15,
        gamma: float = 1.0,
        landmarks: str = "",
    ) -> None:
        super().__init__()
        if landmarks and landmarks != landmark_digest():
            raise ValueError(f"it learnt from the points of another landmark network ({landmarks}): train it again")
        self.input_spec, self.embedding_size = InputSpec(size=SIZE, mean=0.0, std=1.0), dimensions
        self.feature, self.classifier, self.neighbours, self.gamma = feature, classifier, neighbours, gamma
        count = FEATURES[feature].count
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("components", torch.randn(count, dimensions) / count**0.5)
        if classifier != "svm":
            self.register_buffer("references", torch.randn(references, dimensions))
        if classifier == "knn":
            self.register_buffer("labels", torch.arange(references) % NUM_EMOTIONS)
        else:
            self.score = nn.Linear(references if classifier == "rbf" else dimensions, NUM_EMOTIONS)
        self.slope = nn.Parameter(torch.ones(NUM_EMOTIONS))
        self.offset = nn.Parameter(torch.zeros(NUM_EMOTIONS))

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        return self.read(extracted(faces, self.feature))

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return embedding (N, D) and logits (N, 8) of features (N, F)."""
        embedding = self.project(features)
        # Platt 1999: each class's probability by a sigmoid; their logarithms are logits whose softmax is their shares
        return embedding, functional.logsigmoid(self.scores(embedding.float()) * self.slope + self.offset)

    def project(self, features: Tensor) -> Tensor:
        """Return the embedding (N, D) of features (N, F)."""
        return (features - self.mean) @ self.components

    def scores(self, embedding: Tensor) -> Tensor:
        """Return what the classifier says before calibration, (N, 8), of embeddings (N, D)."""
        if self.classifier == "svm":
            return self.score(embedding)
        if self.classifier == "rbf":
            return self.score(self.kernel(embedding))
        distances = torch.cdist(embedding, self.references)  # (N, R)
        nearest = distances.topk(self.neighbours, largest=False).indices  # (N, k)
        return functional.one_hot(self.labels, NUM_EMOTIONS).float()[nearest].mean(1)

    def kernel(self, embedding: Tensor) -> Tensor:
        """Return the radial kernel (N, R) of embeddings (N, D) and the references."""
        return torch.exp(-self.gamma * torch.cdist(embedding, self.references).square())


def landmark_digest() -> str:
    """Return the start of the sha256 of the embedded landmark network."""
    return files_of("landmarks", "embedded")[0].sha256[:16]


for _feature in get_args(Feature):
    for _classifier in get_args(Classifier):
        BACKBONES.register(f"{_feature}_{_classifier}")(partial(ClassicalNetwork, _feature, _classifier))
