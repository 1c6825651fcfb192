from pathlib import Path

import numpy as np
import pytest
from fixtures.fer_files import fer_picture, write_fer_files
from PIL import Image

from vidfer.errors import DataError
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.fer2013 import read_fer_folder
from vidfer.learning.datasets.fer2013plus import majority_labels

VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def write_csv(folder: Path, rows: list[str], votes: list[str] | None = None) -> Path:
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    if votes is not None:
        (folder / "fer2013new.csv").write_text("\n".join([VOTES, *votes]) + "\n")
    return folder


def row(code: str = "3", *, usage: str = "Training", pixels: int = 2304) -> str:
    return f"{code},{' '.join(['7'] * pixels)},{usage}"


def test_csv_of_kaggle_with_votes_beside_it(tmp_path: Path) -> None:
    write_csv(
        tmp_path,
        [row("3"), row("6", usage="PublicTest"), row("0")],
        [
            "Training,a.png,0,10,0,0,0,0,0,0,0,0",
            "PublicTest,b.png,9,1,0,0,0,0,0,0,0,0",
            "Training,,0,0,0,0,0,0,0,0,0,10",
        ],
    )
    pictures = read_fer_folder(tmp_path, "Training")
    assert pictures.images.shape == (2, 48, 48)
    assert [EMOTIONS[i] for i in pictures.fer2013_label] == ["happiness", "anger"]
    assert list(majority_labels(pictures.votes)) == [EMOTIONS.index("happiness"), -1]
    assert list(pictures.row) == [0, 2]
    assert np.isnan(pictures.landmarks68).all()


def test_folders_of_kaggle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("angry", "happy", "neutral"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(fer_picture(1, rng)).save(tmp_path / "train" / name / "im0.png")
    pictures = read_fer_folder(tmp_path, "Training")
    assert [EMOTIONS[i] for i in pictures.fer2013_label] == ["anger", "happiness", "neutral"]


def test_file_with_votes_and_landmarks_is_preferred(tmp_path: Path) -> None:
    write_fer_files(tmp_path, per_class=1)
    write_csv(tmp_path, [row()])
    assert len(read_fer_folder(tmp_path, "Training")) == 8


@pytest.mark.parametrize(
    ("rows", "votes", "message"),
    [
        ([row(), row("7")], None, r"fer2013\.csv: row 2: unknown emotion '7'"),
        ([row(pixels=2000)], None, r"row 1: expected 2304 pixels of 0 to 255, got 2000"),
        ([row(usage="Trainig")], None, r"row 1: unknown Usage 'Trainig'"),
        ([row(usage="PublicTest")], None, r"no row of the split Training"),
        ([row()], [], r"fer2013new\.csv: expected 1 rows"),
        ([row()], ["Training,a,0,11,0,0,0,0,0,0,0,0"], r"row 1: expected 0 to 10 votes for happiness, got '11'"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, rows: list[str], votes: list[str] | None, message: str) -> None:
    write_csv(tmp_path, rows, votes)
    with pytest.raises(DataError, match=message):
        read_fer_folder(tmp_path, "Training")


def test_unknown_label_folder_and_broken_picture_are_named(tmp_path: Path) -> None:
    (tmp_path / "train" / "happy").mkdir(parents=True)
    (tmp_path / "train" / "happy" / "im0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"im0\.png: the picture cannot be decoded"):
        read_fer_folder(tmp_path, "Training")
    (tmp_path / "train" / "bored").mkdir()
    with pytest.raises(DataError, match="unknown label 'bored'"):
        read_fer_folder(tmp_path, "Training")


def test_empty_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected fer2013plus\.h5, fer2013\.csv or the folders"):
        read_fer_folder(tmp_path, "Training")
