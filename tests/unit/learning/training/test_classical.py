import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.fer_files import write_fer_files

from vidfer.backbones.hand_features import FEATURES
from vidfer.backbones.load import load_backbone
from vidfer.cli import main
from vidfer.config import load_pipeline, parse_section, pipelines_folder, read_toml
from vidfer.errors import ConfigError, DataError, WeightsError
from vidfer.export.networks import exportable_networks
from vidfer.learning.evaluation.faces import evaluate_ferplus
from vidfer.learning.evaluation.gradcam import gradcam
from vidfer.learning.training.classical import (
    ClassicalRecipe,
    LearningConfig,
    ModelConfig,
    fitted_networks,
    train_classical,
)
from vidfer.weights import load_tensors, save_tensors

RECIPE = """
[model]
feature = "{feature}"
[learning]
components = 20
rbf_references = 40
knn_references = 60
neighbours = 5
held_out = 0.2
"""
CLASSIFIERS = ("svm", "rbf", "knn")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fer_files(tmp_path_factory.mktemp("data"), per_class=12)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return trained("hog", data, folder / "out", folder / "recipe.toml")


def trained(feature: str, data: Path, out: Path, recipe: Path) -> Path:
    recipe.write_text(RECIPE.format(feature=feature))
    command = ["train", "classical", "--recipe", str(recipe), "--data", str(data), "--out", str(out), "--quiet"]
    assert main(command) == 0
    return out


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_learns_and_the_weights_can_be_used(run: Path, data: Path, classifier: str) -> None:
    network = load_backbone(f"hog_{classifier}", weights=run / f"hog_{classifier}.safetensors")
    assert network.metadata["training"]["best"]["accuracy"] > 0.5  # chance is 0.125
    found = evaluate_ferplus(network, data, "PublicTest")["majority"].classification.accuracy
    assert found == pytest.approx(network.metadata["training"]["best"]["accuracy"], abs=0.02), "files hold float16"
    vectors, logits = network.embed(torch.rand(3, 1, 48, 48))
    assert vectors.shape == (3, network.embedding_size)
    assert np.isfinite(logits).all()
    best = load_tensors(run / "best.safetensors")[1]["training"]["best"]["accuracy"]
    assert best >= network.metadata["training"]["best"]["accuracy"]


def test_same_seed_same_file(data: Path, run: Path, tmp_path: Path) -> None:
    again = trained("hog", data, tmp_path / "out", tmp_path / "recipe.toml")
    for classifier in CLASSIFIERS:
        name = f"hog_{classifier}.safetensors"
        assert (again / name).read_bytes() == (run / name).read_bytes()


def test_use_needs_no_scikit_learn(run: Path) -> None:
    code = (
        "import sys, torch; sys.modules['sklearn'] = None\n"
        "from vidfer.backbones.load import load_backbone\n"
        f"network = load_backbone('hog_rbf', weights={str(run / 'hog_rbf.safetensors')!r})\n"
        "print(network.embed(torch.rand(2, 1, 48, 48))[1].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(2, 8)", done.stderr


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_says_what_scikit_learn_says(classifier: str) -> None:
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC

    random = np.random.default_rng(0)
    label = np.arange(300) % 8
    x = (random.normal(size=(8, 900))[label] + random.normal(0, 6, (300, 900))).astype(np.float32)
    config = LearningConfig(components=30, rbf_references=50, knn_references=4096, neighbours=7, held_out=0.2)
    recipe = ClassicalRecipe(model=ModelConfig(classifiers=(classifier,)), learning=config)  # type: ignore[arg-type]
    [(_, network)] = fitted_networks(recipe, x, label)
    with torch.inference_mode():
        z = network.project(torch.from_numpy(x))
        found = network.scores(z).numpy()
    learn, rest, y = z[60:].numpy(), z[:60].numpy(), label[60:]
    if classifier == "knn":
        expected = KNeighborsClassifier(7).fit(learn, y).predict_proba(rest)
    elif classifier == "svm":
        expected = LinearSVC(C=config.svm_c, dual=False, tol=1e-2, max_iter=200).fit(learn, y).decision_function(rest)
    else:
        machine = LinearSVC(C=config.rbf_c, dual=False, tol=1e-2, max_iter=200)
        machine.fit(rbf_kernel(learn, learn[:50], gamma=config.rbf_width), y)
        expected = machine.decision_function(rbf_kernel(rest, learn[:50], gamma=config.rbf_width))
    np.testing.assert_allclose(found[:60], expected, atol=0.02)


def test_probabilities_are_those_of_the_faces_that_were_held_out() -> None:
    random = np.random.default_rng(1)
    label = random.choice(8, 4000, p=[0.4, 0.3, 0.1, 0.1, 0.04, 0.02, 0.02, 0.02])
    x = (0.8 * random.normal(size=(8, 900))[label] + random.normal(0, 7, (4000, 900))).astype(np.float32)
    recipe = ClassicalRecipe(model=ModelConfig(classifiers=("svm",)), learning=LearningConfig(components=10))
    [(_, network)] = fitted_networks(recipe, x[:2000], label[:2000])
    with torch.inference_mode():
        found = network.read(torch.from_numpy(x[2000:]))[1].softmax(1).numpy()
    confidence, right = found.max(1), found.argmax(1) == label[2000:]
    assert abs(confidence.mean() - right.mean()) < 0.08
    assert 0.45 < right.mean() < 0.98


@pytest.mark.parametrize("feature", ["geometry", "geometry3d"])
def test_geometry_of_another_landmark_network_is_refused(feature: str, data: Path, tmp_path: Path) -> None:
    out = trained(feature, data, tmp_path / "out", tmp_path / "recipe.toml")
    tensors, metadata = load_tensors(out / f"{feature}_svm.safetensors")
    metadata["options"]["landmarks"] = "0" * 16
    save_tensors(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match="another landmark network"):
        load_backbone(f"{feature}_svm", weights=tmp_path / "other.safetensors")


def test_what_needs_a_network_inside_is_refused(run: Path) -> None:
    weights = run / "hog_svm.safetensors"
    with pytest.raises(ConfigError, match="cannot be exported"):
        exportable_networks(load_pipeline("live", ["backbone.name=hog_svm", f"backbone.weights={weights}"]))
    with pytest.raises(ConfigError, match="Grad-CAM"):
        gradcam(load_backbone("hog_svm", weights=weights), torch.rand(1, 1, 48, 48))


def test_one_class_is_too_few(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(feature="hog") + "faces = 1\n")
    with pytest.raises(DataError, match="two classes"):
        train_classical(recipe, data, tmp_path / "out")


@pytest.mark.parametrize("feature", FEATURES)
def test_shipped_recipes_are_valid(feature: str) -> None:
    file = pipelines_folder() / "train" / f"classical_{feature}.toml"
    assert parse_section(ClassicalRecipe, read_toml(file), source=str(file)).model.feature == feature
