from pathlib import Path

import h5py
import numpy as np
import pytest
from fixtures.fer_files import write_fer_files, write_lfw_file, write_teacher_file

from vidfer.errors import DataError
from vidfer.learning.datasets.named_faces import NOBODY, read_fer_faces, read_named_faces


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = write_teacher_file(write_lfw_file(write_fer_files(tmp_path)), shapes=("jawOpen",))
    with h5py.File(folder / "teachers.h5", "a") as file:
        rng = np.random.default_rng(0)
        file["scenes/identity"] = rng.integers(-127, 128, (len(file["scenes/face_row"]), 256)).astype(np.int8)
    return folder


def test_faces_come_aligned_with_vectors_of_length_one_and_the_people_of_their_split(data: Path) -> None:
    train, held_back = (read_named_faces(data, split, size=64, border=8) for split in ("train", "val"))
    assert train.pictures.shape == (20, 80, 80, 3)
    np.testing.assert_allclose(np.linalg.norm(train.vectors, axis=1), 1, atol=1e-6)
    assert sorted(set(train.person)) == [0, 1, 2, 3]
    assert set(held_back.person) == {0}  # Person_0 alone is held back, with all pictures
    assert len(held_back) == 5
    with h5py.File(data / "faces_in_scenes.h5") as file:
        names = file["name"][:].astype(str)[file["split"][:].astype(str) == "train"]
    by_name = {
        name: set(train.person[[n.rpartition("_")[0] == name for n in names]]) for name in {n[:-9] for n in names}
    }
    assert all(len(people) == 1 for people in by_name.values())


def test_only_the_face_in_the_middle_has_the_name_of_the_picture(data: Path) -> None:
    with h5py.File(data / "faces_in_scenes.h5", "a") as file:
        boxes = file["face/xyxy"][:]
        boxes[1] += 40  # of Person_1's first picture: at its edge
        file["face/xyxy"][:] = boxes
        file["face/image_row"][...] = np.where(np.arange(len(boxes)) == 2, 3, np.arange(len(boxes)))
        boxes[2] += 10  # another face in picture 3, less central than its own
        file["face/xyxy"][:] = boxes
    faces = read_named_faces(data, "train", size=64, border=8)
    assert faces.person[:3].tolist() == [NOBODY, NOBODY, faces.person[2]]
    assert faces.person[2] != NOBODY


def test_small_faces_can_be_left_out_and_a_missing_file_is_named(data: Path) -> None:
    assert len(read_named_faces(data, "train", size=64, border=8, min_width=37.0)) == 0
    (data / "teachers.h5").unlink()
    with pytest.raises(DataError, match="what a teacher says"):
        read_named_faces(data, "train", size=64, border=8)


def test_faces_of_fer2013_are_gray_and_nobodys_and_only_those_to_learn_from(data: Path) -> None:
    with h5py.File(data / "fer2013plus.h5") as file:
        usage = file["usage"][:]
    row = np.flatnonzero(usage < 2)[::-1]  # PublicTest, too; in another order
    vectors = np.random.default_rng(1).normal(size=(len(row), 8)).astype(np.float32)
    with pytest.raises(DataError, match=r"label_identity\.py"):
        read_fer_faces(data, size=64, border=8)
    with h5py.File(data / "fer_identity.h5", "w") as file:
        file["row"], file["vector"] = row, vectors
    faces = read_fer_faces(data, size=64, border=8)
    learnt = np.flatnonzero(usage == 0)
    assert faces.pictures.shape == (len(learnt), 80, 80, 3)
    assert (faces.pictures[..., 0] == faces.pictures[..., 2]).all()
    assert (faces.person == NOBODY).all()
    wanted = vectors[[row.tolist().index(one) for one in learnt]]
    np.testing.assert_allclose(faces.vectors, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
