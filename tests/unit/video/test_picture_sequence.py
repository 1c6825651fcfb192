"""Pictures in, the same pictures out of a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidfer.errors import DataError, OutputError
from vidfer.video.picture_sequence import write_picture_sequence
from vidfer.video.probe import frame_times_seconds, probe
from vidfer.video.reader import open_reader


def save_pictures(folder: Path, pixels: np.ndarray) -> list[Path]:
    paths = []
    for number, picture in enumerate(pixels):
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(picture).save(paths[-1])
    return paths


def test_colour_pictures_come_back_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 49, 64, 3), np.uint8)
    write_picture_sequence(save_pictures(tmp_path, pixels), tmp_path / "new" / "out.mkv", fps=30)
    probed = probe(tmp_path / "new" / "out.mkv")
    np.testing.assert_allclose(frame_times_seconds(probed), np.arange(5) / 30, atol=0.001)
    (batch,) = open_reader(probed).read(np.arange(5), batch_size=8)
    np.testing.assert_array_equal(batch.images, pixels)


def test_a_bad_picture_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    paths = save_pictures(tmp_path, np.zeros((3, 20, 24), np.uint8))
    Image.new("L", (30, 20)).save(paths[1])
    with pytest.raises(DataError, match=r"001\.png: expected 24 x 20 px as before it, got 30 x 20"):
        write_picture_sequence(paths, tmp_path / "out.mkv", fps=30)
    paths[1].write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"001\.png: the picture cannot be decoded"):
        write_picture_sequence(paths, tmp_path / "out.mkv", fps=30)
    assert not list(tmp_path.glob("*out*")) + list(tmp_path.glob(".*"))
    with pytest.raises(OutputError, match="cannot be written"):
        write_picture_sequence(paths[:1], paths[0] / "out.mkv", fps=30)
