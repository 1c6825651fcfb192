from pathlib import Path

import h5py
import numpy as np
import pytest
from fixtures.fer_files import write_fer_files

from vidfer.errors import DataError
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.fer2013plus import majority_labels, read_fer2013plus, soft_labels

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"


def votes(**counts: int) -> np.ndarray:
    columns = (*EMOTIONS, "unknown", "not_a_face")
    return np.array([[counts.get(name, 0) for name in columns]])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (votes(happiness=10), "happiness"),
        (votes(sadness=6, neutral=4), "sadness"),
        (votes(sadness=5, neutral=5), None),  # no majority
        (votes(sadness=4, neutral=3, anger=3), None),
        (votes(sadness=4, neutral=3, anger=1, fear=1, contempt=1), "sadness"),  # 4 of 7 once single votes are gone
        (votes(unknown=6, neutral=4), None),
        (votes(not_a_face=10), None),
    ],
)
def test_majority_of_votes(row: np.ndarray, expected: str | None) -> None:
    assert majority_labels(row)[0] == (-1 if expected is None else EMOTIONS.index(expected))


def test_most_votes_are_enough_where_no_majority_is_asked_for() -> None:
    assert majority_labels(votes(sadness=4, neutral=3, anger=3), strict=False)[0] == EMOTIONS.index("sadness")


def test_soft_labels_are_shares_of_the_emotions_without_single_votes() -> None:
    soft = soft_labels(votes(sadness=6, neutral=2, anger=1, unknown=1))
    assert soft.sum() == pytest.approx(1)
    assert soft[0, EMOTIONS.index("sadness")] == pytest.approx(0.75)


def test_reads_a_split(tmp_path: Path) -> None:
    pictures = read_fer2013plus(write_fer_files(tmp_path, per_class=2), "PublicTest")
    assert len(pictures) == 16
    assert pictures.images.shape == (16, 48, 48)
    assert list(pictures.row) == list(range(16, 32))
    label = majority_labels(pictures.votes)
    bar = pictures.images[:, :, 20].reshape(16, 48).astype(float)
    assert [int(np.convolve(row, np.ones(4), "valid").argmax() - 4 + 2) // 5 for row in bar] == list(label)
    named = [EMOTIONS[i] for i in pictures.fer2013_label[label < 7]]
    assert named == [EMOTIONS[i] for i in label[label < 7]]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fer2013plus.h5: expected FER2013 with FER\+'s votes"):
        read_fer2013plus(tmp_path, "Training")


def test_damaged_file_is_named(tmp_path: Path) -> None:
    write_fer_files(tmp_path, per_class=1)
    (tmp_path / "fer2013plus.h5").write_bytes(b"no HDF5 at all")
    with pytest.raises(DataError, match=r"fer2013plus.h5: expected FER2013 with FER\+'s votes"):
        read_fer2013plus(tmp_path, "Training")


def test_picture_that_cannot_be_decoded_is_named_by_row(tmp_path: Path) -> None:
    write_fer_files(tmp_path, per_class=1)
    with h5py.File(tmp_path / "fer2013plus.h5", "a") as file:
        start, end = file["offset"][5], file["offset"][6]
        file["webp"][start:end] = 0
    with pytest.raises(DataError, match=r"image 5 cannot be decoded"):
        read_fer2013plus(tmp_path, "Training")


def test_unknown_label_is_named_by_row(tmp_path: Path) -> None:
    write_fer_files(tmp_path, per_class=1)
    with h5py.File(tmp_path / "fer2013plus.h5", "a") as file:
        file["fer2013_label"][2] = 9
    with pytest.raises(DataError, match="row 2: unknown fer2013_label 9"):
        read_fer2013plus(tmp_path, "Training")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the training data in {SHARED}")
def test_protocol_leaves_as_many_pictures_as_the_paper() -> None:
    with h5py.File(SHARED / "fer2013plus.h5") as file:
        label, usage = majority_labels(file["votes"][:]), file["usage"][:]
    assert [int((label[usage == split] >= 0).sum()) for split in range(3)] == [25045, 3191, 3137]
