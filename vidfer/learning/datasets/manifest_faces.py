"""Aligned faces of the rows of a manifest, from pictures or from frames of videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vidfer.errors import BadVideo, DataError
from vidfer.faces.align import warp_faces
from vidfer.learning.datasets.manifest import Manifest
from vidfer.video.pictures import is_picture, read_picture, with_border

if TYPE_CHECKING:
    from vidfer.pipeline.pictures import PictureFaces


@dataclass(frozen=True, kw_only=True)
class ManifestFaces:
    """One face for each picture, or each chosen frame, of a manifest's rows.

    Attributes
    ----------
    faces
        (N, 3, S, S) uint8, S with the border; the result of ``faces.align.warp_faces`` rounded to 8 bits.
    row
        (N,) int64 into the manifest, ascending.
    without_face
        Rows in none of whose pictures a face was found.
    """

    faces: Tensor
    row: np.ndarray
    without_face: tuple[int, ...]


def read_manifest_faces(
    manifest: Manifest,
    rows: Sequence[int] | np.ndarray,
    finder: PictureFaces,
    *,
    size: int,
    border: int = 0,
    frames_per_clip: int = 8,
) -> ManifestFaces:
    """Find and align the largest face of each picture; of a video, of frames spread evenly over the labelled stretch.

    Parameters
    ----------
    manifest, rows
        What to read.
    finder
        Finds the face.
    size, border
        The aligned face has ``size`` px, with ``border`` px of its surroundings on each side.
    frames_per_clip
        Of a video; a stretch with fewer gives all that it has.

    Raises
    ------
    DataError
        If a picture or video cannot be decoded, or a stretch holds no frame; names clip and row.
    """
    whole = size + 2 * border
    faces, kept, without = [], [], []
    for row in np.asarray(rows, np.int64).tolist():
        found_any = False
        for picture in _pictures(manifest, row, frames_per_clip):
            found = finder.find(picture)
            if found is None:
                continue
            found_any = True
            transform = with_border(found[None], size=size, border=border)
            face = warp_faces(torch.from_numpy(picture)[None], np.zeros(1, np.int64), transform, size=whole)
            faces.append((face * 255).round().to(torch.uint8))  # (1, 3, S, S)
            kept.append(row)
        if not found_any:
            without.append(row)
    return ManifestFaces(
        faces=torch.cat(faces) if faces else torch.zeros((0, 3, whole, whole), dtype=torch.uint8),
        row=np.array(kept, np.int64),
        without_face=tuple(without),
    )


def read_labelled_picture(manifest: Manifest, row: int) -> np.ndarray:
    """Return the picture (H, W, 3) uint8 RGB of a row; raises DataError naming the row."""
    try:
        return read_picture(manifest.path[row])
    except DataError as error:
        raise DataError(f"{_where(manifest, row)}: {error}") from error


def _pictures(manifest: Manifest, row: int, frames_per_clip: int) -> Iterator[np.ndarray]:
    if is_picture(manifest.path[row]):
        yield read_labelled_picture(manifest, row)
        return
    try:
        yield from _frames(manifest, row, frames_per_clip)
    except BadVideo as error:
        raise DataError(f"{_where(manifest, row)}: {error}") from error


def _frames(manifest: Manifest, row: int, count: int) -> Iterator[np.ndarray]:
    from vidfer.video.probe import frame_times_seconds, probe
    from vidfer.video.reader import open_reader

    video = probe(manifest.path[row])
    inside = rows_in_stretch(manifest, row, frame_times_seconds(video))
    places = ((np.arange(min(count, len(inside))) + 0.5) * len(inside) / min(count, len(inside))).astype(np.int64)
    for batch in open_reader(video, decoder="pyav").read(inside[places], batch_size=4):
        yield from batch.images


def rows_in_stretch(manifest: Manifest, row: int, pts_seconds: np.ndarray) -> np.ndarray:
    """Return which frames of a video (F,) lie in a row's stretch, [start, end): (M,) int64.

    Raises
    ------
    DataError
        If none does; names the row.
    """
    start, end = float(manifest.start_seconds[row]), float(manifest.end_seconds[row])
    inside = np.flatnonzero((np.isnan(start) | (pts_seconds >= start)) & (np.isnan(end) | (pts_seconds < end)))
    if not len(inside):
        last = f"whose last is at {pts_seconds[-1]:.2f} s" if len(pts_seconds) else "which has none"
        stretch = f"{np.nan_to_num(start):g} s to {'the end' if np.isnan(end) else f'{end:g} s'}"
        name = manifest.path[row].name
        raise DataError(f"{_where(manifest, row)}: expected a stretch with a frame of {name}, {last}, got {stretch}")
    return inside


def _where(manifest: Manifest, row: int) -> str:
    return f"row {row + 1} ({manifest.clip_id[row]})"
