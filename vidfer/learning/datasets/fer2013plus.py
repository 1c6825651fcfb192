"""FER2013 with the votes of FER+ and facial landmarks, from ``fer2013plus.h5`` and ``fer2013plus_landmarks68.h5``.

FER2013: Goodfellow et al. 2013. FER+: Barsoum et al. 2016, ten annotators per picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, NUM_EMOTIONS
from vidfer.learning.datasets.encoded_images import EncodedImages, read_encoded_images
from vidfer.learning.datasets.hdf5 import opened
from vidfer.types.validation import Rows

FER2013_LABELS: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
VOTE_COLUMNS: Final = (*EMOTION_INDEX, "unknown", "not_a_face")
SPLITS: Final = ("Training", "PublicTest", "PrivateTest")
Split = Literal["Training", "PublicTest", "PrivateTest"]
SIDE: Final = 48  # px
# The 68 landmarks of the files count pixels from their centres (the first is at 0), ``faces.align`` from their corners
# (its centre is at 0.5). Seen by a network trained on mirrored and unmirrored pictures alike, which cannot learn a
# shift in x: its points lay 0.44 px right of the teachers' at every size of face, in photographs and in FER2013.
PIXEL_CENTRE: Final = 0.5
_VOTES, _LANDMARKS = (
    "FER2013 with FER+'s votes (--data names its folder)",
    "landmarks of FER2013 (beside fer2013plus.h5)",
)


@dataclass(frozen=True, kw_only=True)
class FerPictures(Rows):
    """Pictures of FER2013 with their labels, one row per picture.

    Attributes
    ----------
    images
        (N, 48, 48) uint8 gray.
    votes
        (N, 10) uint8, columns ``VOTE_COLUMNS``.
    fer2013_label
        (N,) int64 into ``labels.EMOTIONS``: the label of the original release.
    landmarks68, landmarks5
        (N, 68, 2) and (N, 5, 2) float32 px from the picture's corner, NaN where no face was found.
    row
        (N,) row of the file, for messages.
    """

    images: np.ndarray
    votes: np.ndarray
    fer2013_label: np.ndarray
    landmarks68: np.ndarray
    landmarks5: np.ndarray
    row: np.ndarray


def read_fer2013plus(folder: Path, split: Split) -> FerPictures:
    """Read one split of the two files in ``folder``.

    Raises
    ------
    DataError
        If a file is missing or damaged, a row's picture cannot be decoded, or columns are not the expected ones.
    """
    main_path = folder / "fer2013plus.h5"
    points_path = folder / "fer2013plus_landmarks68.h5"
    with opened(main_path, expected=_VOTES) as main, opened(points_path, expected=_LANDMARKS) as points:
        columns = tuple(main["votes"].attrs.get("columns", VOTE_COLUMNS))
        if columns != VOTE_COLUMNS:
            raise DataError(f"{main_path}: expected the columns {', '.join(VOTE_COLUMNS)}; got {', '.join(columns)}")
        rows = np.flatnonzero(main["usage"][:] == SPLITS.index(split))
        if len(points["landmarks68"]) != len(main["usage"]):
            raise DataError(
                f"{points.filename}: expected {len(main['usage'])} rows, as in {main.filename}, "
                f"got {len(points['landmarks68'])}"
            )
        codes = main["fer2013_label"][:][rows]
        bad = np.flatnonzero(codes >= len(FER2013_LABELS))
        if len(bad):
            raise DataError(f"{main.filename}: row {rows[bad[0]]}: unknown fer2013_label {codes[bad[0]]}")
        return FerPictures(
            images=_decode(read_encoded_images(main_path, dataset="webp", mode="gray"), rows),
            votes=main["votes"][:][rows],
            fer2013_label=np.array([EMOTION_INDEX[name] for name in FER2013_LABELS])[codes],
            landmarks68=points["landmarks68"][:][rows].astype(np.float32) + np.float32(PIXEL_CENTRE),
            landmarks5=main["landmarks5"][:][rows].astype(np.float32),
            row=rows,
        )


def majority_labels(votes: np.ndarray, *, strict: bool = True) -> np.ndarray:
    """Return FER+'s label of each picture from its votes (N, 10): (N,) int64 into ``EMOTIONS``, -1 = left out.

    Single votes are dropped first. With ``strict`` the winner needs more than half of the remaining votes, as in the
    code of Barsoum et al. (25,045 / 3,191 / 3,137 pictures in the three splits); without, the most votes are enough
    (28,385 / 3,555 / 3,545; of tied columns the first). A picture whose winner is ``unknown`` or ``not_a_face`` is
    left out.
    """
    kept = _without_single_votes(votes)
    winner = kept.argmax(1)  # (N,)
    valid = winner < NUM_EMOTIONS
    if strict:
        valid &= 2 * kept.max(1) > kept.sum(1)
    return np.where(valid, winner, -1)


def soft_labels(votes: np.ndarray) -> np.ndarray:
    """Return the share of each emotion among a picture's votes, single votes dropped: (N, 8) float32.

    A row without a vote for any emotion is all zeros.
    """
    kept = _without_single_votes(votes)[:, :NUM_EMOTIONS].astype(np.float32)
    return kept / np.maximum(kept.sum(1, keepdims=True), 1)


def _without_single_votes(votes: np.ndarray) -> np.ndarray:
    if votes.ndim != 2 or votes.shape[1] != len(VOTE_COLUMNS):
        raise ValueError(f"expected votes (N, {len(VOTE_COLUMNS)}), got {votes.shape}")
    return np.where(votes <= 1, 0, votes).astype(np.int64)


def _decode(images: EncodedImages, rows: np.ndarray) -> np.ndarray:
    pictures = np.empty((len(rows), SIDE, SIDE), np.uint8)
    for i, row in enumerate(rows):
        picture = images[int(row)]
        if picture.shape != (SIDE, SIDE):
            raise DataError(f"{images.source}: row {row}: expected a picture of 48x48 px, got {picture.shape}")
        pictures[i] = picture
    return pictures
