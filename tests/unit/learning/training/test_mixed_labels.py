"""Learning from votes, labels and a teacher at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.fer_files import write_fer_files, write_lfw_file, write_teacher_file

from vidfer.backbones.load import load_backbone
from vidfer.config import parse_section, read_toml
from vidfer.errors import ConfigError, DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.learning.datasets.teachers import NUM_SHAPES, Lessons, read_fer_lessons, read_scene_lessons
from vidfer.learning.training.emotion_cnn import SOURCES, EmotionRecipe, MixedConfig
from vidfer.learning.training.frame_network import train_emotion_cnn
from vidfer.learning.training.mixed_labels import MixedTask, mixed_targets, own_shares
from vidfer.weights import save_tensors

RECIPE = """
[model]
options = { widths = [8, 16], depths = [1, 1], stem = 8, embedding_size = 16, dropout = 0.1, size = 48 }
[data]
labels = "mixed"
balance = 0.5
[mixed]
teacher_share = 0.3
scenes_share = 0.3
votes_weight = 0.3
shapes_weight = 1.0
[augment]
flip = true
[loop]
epochs = 8
batch_size = 16
learning_rate = 0.01
average_decay = 0.6
"""
SCENES = 1  # kind of face
BOTH_SIDES = (
    "browDown",
    "browOuterUp",
    "eyeBlink",
    "eyeSquint",
    "eyeWide",
    "mouthDimple",
    "mouthFrown",
    "mouth",
    "jaw",
)
BOTH_SIDES += ("mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp")
SHAPES = (
    *(f"{name}{side}" for name in BOTH_SIDES for side in ("Left", "Right")),
    *("browInnerUp", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_lfw_file(write_fer_files(tmp_path_factory.mktemp("data"), per_class=6))
    return write_teacher_file(folder, shapes=SHAPES)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def votes_for(**shares: float) -> np.ndarray:
    return np.array([[shares.get(name, 0.0) for name in EMOTIONS]], np.float32)


def taught(**shares: float) -> Lessons:
    return Lessons(emotion=votes_for(**shares), shapes=np.zeros((1, NUM_SHAPES), np.float32))


def test_every_source_has_its_share() -> None:
    target = mixed_targets(
        votes_for(neutral=1.0),
        np.array([EMOTION_INDEX["sadness"]]),
        taught(anger=1.0),
        fer2013=np.array([0.25]),
        teacher=0.4,
    )
    assert target == pytest.approx(votes_for(neutral=0.45, sadness=0.25, anger=0.3))


def test_what_the_teacher_does_not_know_it_leaves_alone() -> None:
    disgusted = mixed_targets(
        votes_for(disgust=0.8, neutral=0.2),
        np.array([EMOTION_INDEX["disgust"]]),
        taught(anger=1.0),
        fer2013=np.zeros(1),
        teacher=0.5,
    )
    assert disgusted == pytest.approx(votes_for(disgust=0.8, neutral=0.1, anger=0.1))


def test_a_silent_teacher_leaves_it_to_people() -> None:
    target = mixed_targets(
        votes_for(fear=0.5, surprise=0.5),
        np.array([EMOTION_INDEX["fear"]]),
        taught(),
        fer2013=np.array([0.5]),
        teacher=0.5,
    )
    assert target == pytest.approx(votes_for(fear=0.75, surprise=0.25))


def test_own_labels_count_where_an_annotator_agrees() -> None:
    label = np.array([EMOTION_INDEX[name] for name in ("anger", "anger", "sadness")])
    votes = np.zeros((3, 10), np.int64)
    votes[:, EMOTION_INDEX["neutral"]] = 9
    votes[[0, 2], label[[0, 2]]] = 1
    assert own_shares(votes, label, MixedConfig(fer2013_share=0.5)).tolist() == [0.5, 0.0, 0.5]
    few = MixedConfig(fer2013_share=0.5, fer2013_labels=("anger", "fear"))
    assert own_shares(votes, label, few).tolist() == [0.5, 0.0, 0.0]


def test_shapes_are_the_same_in_the_mirror(data: Path) -> None:
    lessons = read_fer_lessons(data)
    assert lessons.shapes.shape[1] == NUM_SHAPES
    assert set(np.unique(lessons.shapes)) == {0.0, 0.5}  # both halves alike: means of a half, no differences


def test_faces_of_scenes_are_those_of_the_split(data: Path) -> None:
    faces, lessons = read_scene_lessons(data, "train", size=48, border=4)
    assert faces.shape == (20, 1, 56, 56)  # 25 faces, every fifth in val
    assert len(lessons) == 20
    assert np.isfinite(lessons.shapes).all(1).sum() == 10  # every other one has shapes
    assert np.ptp(faces.reshape(20, -1), axis=1).min() > 50


def test_learns_and_keeps_the_backbone_alone(data: Path, recipe: Path, tmp_path: Path) -> None:
    best = train_emotion_cnn(recipe, data, tmp_path / "run", device="cpu")
    network = load_backbone("compact", weights=tmp_path / "run" / "best.safetensors")
    assert best["accuracy"] > 0.4  # chance is 0.125; the teacher says anger of everything
    assert network.embed(torch.rand(2, 1, 48, 48))[0].shape == (2, 16)
    assert sum(network.metadata["class_shares"].values()) == pytest.approx(1.0, abs=1e-3)


def test_scenes_teach_the_five_classes_alone(data: Path, recipe: Path) -> None:
    task = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    model = task.build_model()
    batch = next(b for b in batches(task) if (b.kind == SCENES).any())
    rows = batch.kind == SCENES
    scenes = type(batch)(**{name: getattr(batch, name)[rows] for name in batch.__dataclass_fields__})
    task.loss(model, scenes)[0].backward()
    gradient = model.deployed.classify.bias.grad
    known = [EMOTION_INDEX[name] for name in ("neutral", "happiness", "sadness", "surprise", "anger")]
    unknown = [EMOTION_INDEX[name] for name in ("disgust", "fear", "contempt")]
    assert gradient[known].abs().min() > 0
    assert gradient[unknown].abs().max() == 0


def test_what_is_shown_more_often_is_not_expected_more_often(data: Path, recipe: Path) -> None:
    """A network that says nothing of the picture must answer FER+'s shares, however often each class was shown."""
    task = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    task.training.target[:] = task.training.votes.clone()
    stills = task.training.source == SOURCES.index("fer")
    prior = task.class_shares.log()
    shown = (task._excess[0] + prior).softmax(0)
    weights = task._row_weights.float()
    task = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    expected = (weights[stills, None] * task.training.target[stills]).sum(0)
    torch.testing.assert_close(shown, expected / expected.sum(), atol=1e-3, rtol=0)


def test_posed_faces_do_not_change_what_stills_are_expected_to_show(data: Path, recipe: Path) -> None:
    without = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    recipe.write_text(RECIPE.replace("[data]", "[data]\nposed_share = 0.4"))
    task = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    torch.testing.assert_close(task._excess[0], without._excess[0])
    fear = EMOTION_INDEX["fear"]
    assert task._excess[2, fear] > task._excess[0, fear]  # most of them are fearful
    batch = next(b for b in batches(task) if (b.kind == 2).any())
    assert torch.isfinite(task.loss(task.build_model(), batch)[0])


def test_learns_what_larger_networks_say(data: Path, recipe: Path, tmp_path: Path) -> None:
    """Beside labels that say nothing of it, two networks that say fear of everything and one that says nothing."""
    files = []
    for number, bias in enumerate((12.0, 12.0, 0.0)):
        task = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
        network = task.build_model().deployed
        network.classify.weight.data.zero_()
        network.classify.bias.data.zero_()[EMOTION_INDEX["fear"]] = bias
        files.append(tmp_path / f"{number}.safetensors")
        save_tensors(files[-1], network.state_dict(), task.metadata())
    recipe.write_text(RECIPE.replace("[mixed]", f"[mixed]\nnetworks_share = 1.0\nnetworks = {[str(f) for f in files]}"))
    train_emotion_cnn(recipe, data, tmp_path / "run", device="cpu")
    network = load_backbone("compact", weights=tmp_path / "run" / "last.safetensors")
    logits = network.embed(torch.rand(4, 1, 48, 48))[1]
    assert (logits.argmax(1) == EMOTION_INDEX["fear"]).all()


def test_networks_of_another_size_are_refused(data: Path, recipe: Path, tmp_path: Path) -> None:
    task = MixedTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    file = tmp_path / "wide.safetensors"
    save_tensors(file, task.build_model().deployed.state_dict(), task.metadata())
    smaller = RECIPE.replace("size = 48", "size = 32").replace("[mixed]", f'[mixed]\nnetworks = ["{file}"]')
    recipe.write_text(smaller)
    with pytest.raises(ConfigError, match=r"wide\.safetensors: expected a network .*size=32.*, got .*size=48"):
        train_emotion_cnn(recipe, data, tmp_path / "run", device="cpu")


def batches(task: MixedTask):
    for step in range(task.steps_per_epoch()):
        yield task.batch(step, torch.Generator().manual_seed(step), torch.device("cpu"))


def test_teachers_that_are_missing_are_named(recipe: Path, tmp_path: Path) -> None:
    folder = write_lfw_file(write_fer_files(tmp_path, per_class=2))
    with pytest.raises(DataError, match=r"teachers\.h5: expected what teachers say"):
        train_emotion_cnn(recipe, folder, tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("section", "line", "told"),
    [
        ("mixed", 'fer2013_labels = ["angry"]', r"expected some of neutral, .*, got angry"),
        ("data", "mixup = 0.2", "goes without mixup"),
    ],
)
def test_recipes_that_cannot_be_are_refused(
    data: Path, recipe: Path, tmp_path: Path, section: str, line: str, told: str
) -> None:
    recipe.write_text(RECIPE.replace(f"[{section}]", f"[{section}]\n{line}"))
    with pytest.raises(ConfigError, match=told):
        train_emotion_cnn(recipe, data, tmp_path / "run", device="cpu")
