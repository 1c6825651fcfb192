"""Fits classifiers on features by hand: ``vidfer train classical --recipe classical_hog --data DIR --out DIR``.

scikit-learn does the fitting; what is kept is arrays in safetensors, which ``backbones.classical`` evaluates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from vidfer.backbones.classical import ClassicalNetwork, Classifier, Feature, extracted, landmark_digest
from vidfer.config import Section, parse_section, read_toml
from vidfer.errors import DataError
from vidfer.labels import EMOTIONS, NUM_EMOTIONS
from vidfer.learning.evaluation.calibration import calibration, softmax
from vidfer.learning.evaluation.classification import classification
from vidfer.learning.training.emotion_cnn import DataConfig, LabelledFaces, load_faces
from vidfer.weights import save_tensors

logger = logging.getLogger(__name__)
_BATCH = 512
_NEVER = -10.0  # logit of a class that no face to learn from has

Projection = tuple[np.ndarray, np.ndarray]
ProgressCallback = Callable[[int, int, dict[str, float]], None]


class ModelConfig(Section):
    """``[model]``: which features, and which classifiers are fitted on them."""

    feature: Feature = "hog"
    classifiers: tuple[Classifier, ...] = Field(("svm", "rbf", "knn"), min_length=1)


class FacesConfig(Section):
    """``[data]``: as of the emotion CNN."""

    labels: Literal["ferplus", "fer2013"] = "ferplus"
    frames_per_clip: int = Field(8, ge=1, description="of a video that a manifest names")


class LearningConfig(Section):
    """``[learning]``: what the classifiers are fitted with."""

    faces: int = Field(0, ge=0, description="learn from at most so many, drawn at random; 0: from all")
    components: int = Field(200, ge=1, le=4096, description="principal components that svm and rbf read")
    svm_c: float = Field(1.0, gt=0.0, description="what an error costs, svm")
    rbf_c: float = Field(10.0, gt=0.0, description="what an error costs, rbf")
    rbf_width: float = Field(1.0, gt=0.0, description="gamma of the kernel, where the faces' total variance is 1")
    rbf_references: int = Field(1000, ge=1, le=4096, description="faces, drawn at random, at which the kernel is taken")
    knn_references: int = Field(4096, ge=1, le=4096, description="faces, drawn at random, among which are the nearest")
    neighbours: int = Field(31, ge=1, le=4096)
    held_out: float = Field(0.1, gt=0.0, lt=1.0, description="share of the faces that only calibrate")
    seed: int = 0


class ClassicalRecipe(Section):
    """A whole recipe for features by hand."""

    model: ModelConfig = ModelConfig()
    data: FacesConfig = FacesConfig()
    learning: LearningConfig = LearningConfig()


def train_classical(
    recipe_file: Path, data: Path, out: Path, *, device: str = "auto", progress: ProgressCallback | None = None
) -> dict[str, float]:
    """Fit every classifier of a recipe, and return the validation's figures of the best one.

    Writes ``FEATURE_CLASSIFIER.safetensors`` for each into ``out``, and the best once more as ``best.safetensors``. A
    run is not continued: it takes minutes. ``device`` is not used: scikit-image and scikit-learn compute on the CPU.
    ``data`` may be a manifest, FILE.csv.

    Raises
    ------
    ConfigError
        For a wrong recipe.
    DataError
        For wrong data, or fewer than two classes.
    """
    recipe = parse_section(ClassicalRecipe, read_toml(recipe_file), source=str(recipe_file))
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(recipe.learning.seed)
    config = DataConfig(border=0, **recipe.data.model_dump())
    spec = ClassicalNetwork(recipe.model.feature, "svm").input_spec
    faces = load_faces(data, "Training", config, spec, training=True)
    validation = load_faces(data, "PublicTest", config, spec, training=False)
    order = random.permutation(len(faces))[: recipe.learning.faces or len(faces)]
    label = faces.label.numpy()[order]
    if len(np.unique(label)) < 2:
        raise DataError(f"{data}: expected faces of two classes or more to learn from, got {len(np.unique(label))}")
    shown = _shown(progress, len(order) + len(validation))
    x = features_of(faces.faces[order], recipe.model.feature, shown)
    v = features_of(validation.faces, recipe.model.feature, partial(shown, first=len(order)))
    best: dict[str, float] = {}
    for classifier, network in fitted_networks(recipe, x, label):
        figures = _figures(network, v, validation)
        logger.info("%s_%s: %s", network.feature, classifier, figures)
        names = [f"{network.feature}_{classifier}"]
        if not best or figures["accuracy"] > best["accuracy"]:
            best, names = figures, [*names, "best"]
        metadata = _metadata(recipe, classifier, network, figures, label)
        for name in names:
            save_tensors(out / f"{name}.safetensors", network.state_dict(), metadata)
    return best


def features_of(faces: Tensor, feature: Feature, shown: Callable[[int], None] = lambda done: None) -> np.ndarray:
    """Return features (N, F) float32 of aligned faces (N, 1, 48, 48) uint8."""
    parts = []
    for part in faces.split(_BATCH):
        parts.append(extracted(part.float() / 255, feature).numpy())
        shown(sum(map(len, parts)))
    return np.concatenate(parts)


def fitted_networks(
    recipe: ClassicalRecipe, x: np.ndarray, label: np.ndarray
) -> Iterator[tuple[Classifier, ClassicalNetwork]]:
    """Yield the recipe's backbones, fitted on features (N, F) in random order and their labels (N,)."""
    held = max(1, round(recipe.learning.held_out * len(x)))
    projections = _projections(recipe.learning, x[held:], label[held:])
    for classifier in recipe.model.classifiers:
        network = _fitted(recipe, classifier, projections[classifier], x[held:], label[held:])
        _calibrate(network, x[:held], label[:held])
        yield classifier, network.eval()


def _fitted(
    recipe: ClassicalRecipe, classifier: Classifier, projection: Projection, x: np.ndarray, label: np.ndarray
) -> ClassicalNetwork:
    """Return a backbone whose probabilities are not calibrated."""
    config = recipe.learning
    mean, components = projection
    z = (x - mean) @ components  # (M, D)
    kept = {"svm": 0, "rbf": config.rbf_references, "knn": config.knn_references}[classifier]
    references = z[: min(kept, len(z))]
    network = ClassicalNetwork(
        recipe.model.feature,
        classifier,
        dimensions=z.shape[1],
        references=len(references),
        neighbours=min(config.neighbours, len(references)),
        gamma=config.rbf_width,
        landmarks=_points_of(recipe.model.feature),
    )
    _set(network, mean=mean, components=components)
    if classifier != "svm":
        _set(network, references=references)
    if classifier == "knn":
        _set(network, labels=label[: len(references)])
    elif classifier == "svm":
        _set(network.score, **_one_against_others(z, label, config.svm_c))
    else:
        with torch.inference_mode():
            kernel = network.kernel(torch.from_numpy(z)).numpy()
        _set(network.score, **_one_against_others(kernel, label, config.rbf_c))
    return network


def _projections(config: LearningConfig, x: np.ndarray, label: np.ndarray) -> dict[Classifier, Projection]:
    """Return by classifier a mean (F,) and components (F, D): principal ones, and for kNN discriminants of them.

    Turk and Pentland 1991, and Belhumeur et al. 1997. A total variance of 1 makes one kernel's width fit all features.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    pca = PCA(min(config.components, *x.shape), svd_solver="covariance_eigh", random_state=config.seed).fit(x)
    principal = pca.components_.T / np.sqrt(pca.explained_variance_.sum())
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=1e-3).fit((x - pca.mean_) @ principal, label)
    discriminants = principal @ lda.scalings_[:, : len(lda.classes_) - 1]
    return {"svm": (pca.mean_, principal), "rbf": (pca.mean_, principal), "knn": (pca.mean_, discriminants)}


def _one_against_others(x: np.ndarray, label: np.ndarray, cost: float) -> dict[str, np.ndarray]:
    """Return weight (8, D) and bias (8,) of linear support vector machines, each class against the others."""
    from sklearn.svm import LinearSVC

    weight, bias = np.zeros((NUM_EMOTIONS, x.shape[1])), np.full(NUM_EMOTIONS, _NEVER)
    for k in np.unique(label):
        machine = LinearSVC(C=cost, dual=False, tol=1e-2, max_iter=200).fit(x, label == k)
        weight[k], bias[k] = machine.coef_[0], machine.intercept_[0]
    return {"weight": weight, "bias": bias}


def _calibrate(network: ClassicalNetwork, x: np.ndarray, label: np.ndarray) -> None:
    """Fit each class's sigmoid (Platt 1999) on faces that the classifier did not learn from."""
    from sklearn.linear_model import LogisticRegression

    with torch.inference_mode():
        scores = network.scores(network.project(torch.from_numpy(x))).numpy()
    slope, offset = np.zeros(NUM_EMOTIONS), np.full(NUM_EMOTIONS, _NEVER)
    for k in range(NUM_EMOTIONS):
        if 0 < (label == k).sum() < len(label):
            found = LogisticRegression(C=100.0).fit(scores[:, k : k + 1], label == k)
            slope[k], offset[k] = found.coef_[0, 0], found.intercept_[0]
    _set(network, slope=slope, offset=offset)


def _set(module: nn.Module, **arrays: np.ndarray) -> None:
    with torch.no_grad():
        for name, array in arrays.items():
            getattr(module, name).copy_(torch.from_numpy(np.asarray(array)))


def _figures(network: ClassicalNetwork, features: np.ndarray, validation: LabelledFaces) -> dict[str, float]:
    with torch.inference_mode():
        logits = network.read(torch.from_numpy(features))[1].numpy()
    labelled = (validation.label >= 0).numpy()
    logits, truth = logits[labelled], validation.label.numpy()[labelled]
    found = classification(truth, logits.argmax(1))
    return {"accuracy": found.accuracy, "uar": found.uar, "ece": calibration(softmax(logits), truth).ece}


def _metadata(
    recipe: ClassicalRecipe,
    classifier: Classifier,
    network: ClassicalNetwork,
    figures: dict[str, float],
    label: np.ndarray,
) -> dict[str, Any]:
    options = {"dimensions": network.embedding_size, "landmarks": _points_of(recipe.model.feature)}
    if classifier != "svm":
        options["references"] = len(network.references)
    if classifier == "knn":
        options["neighbours"] = network.neighbours
    if classifier == "rbf":
        options["gamma"] = network.gamma
    counts = np.bincount(label, minlength=NUM_EMOTIONS) + 1.0
    shares = (counts / counts.sum()).round(6).tolist()
    return {
        "kind": "emotion_cnn",
        "backbone": f"{recipe.model.feature}_{classifier}",
        "options": options,
        "labels": list(EMOTIONS),
        "mirror": False,
        "class_shares": dict(zip(EMOTIONS, shares, strict=True)),
        "training": {"recipe": recipe.model_dump(mode="json"), "best": figures},
    }


def _points_of(feature: Feature) -> str:
    return landmark_digest() if feature in ("geometry", "geometry3d") else ""


def _shown(progress: ProgressCallback | None, total: int) -> Callable[..., None]:
    def show(done: int, first: int = 0) -> None:
        if progress is not None:
            progress(first + done, total, {})

    return show
