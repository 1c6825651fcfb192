"""Write numbered pictures as a video without loss, for corpora that consist of picture sequences."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidfer.errors import DataError, OutputError


def write_picture_sequence(pictures: Sequence[Path], out: Path, *, fps: int) -> None:
    """Write pictures as FFV1 in Matroska, whole or not at all; gray when the first one is.

    Parameters
    ----------
    pictures
        Files of one size, in order.
    out
        The video, ``.mkv``; replaced if it is there.
    fps
        Pictures per second.

    Raises
    ------
    DataError
        If a picture cannot be decoded or has another size than the first; names it.
    OutputError
        If the video cannot be written.
    """
    import av

    temporary = out.with_name(f".{out.name}.part.mkv")
    first = _read_picture(pictures[0])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(temporary), "w", container_options={"fflags": "+bitexact"}) as container:  # no random ids
            stream = container.add_stream("ffv1", rate=fps)
            stream.time_base = Fraction(1, fps)
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt = "gray" if first.ndim == 2 else "bgr0"
            for number, path in enumerate(pictures):
                image = _read_picture(path, like=first)
                frame = av.VideoFrame.from_ndarray(image, format="gray" if first.ndim == 2 else "rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        temporary.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _read_picture(path: Path, *, like: np.ndarray | None = None) -> np.ndarray:
    """Return (H, W) or (H, W, 3) uint8, gray or RGB as ``like``; without it, gray if the file is."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            gray = image.mode in ("1", "L") if like is None else like.ndim == 2
            pixels = np.asarray(image.convert("L" if gray else "RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}: the picture cannot be decoded: {error}") from error
    if like is not None and pixels.shape != like.shape:
        expected, got = (f"{shape[1]} x {shape[0]} px" for shape in (like.shape, pixels.shape))
        raise DataError(f"{path}: expected {expected} as before it, got {got}")
    return pixels
