"""Write numbered pictures as a video without loss, for corpora that consist of picture sequences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

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
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    aside = out.with_name(f".{out.name}.part.mkv")
    size: tuple[int, int] | None = None
    mode = "L"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(aside), "w") as container:
            stream = container.add_stream("ffv1", rate=fps)
            stream.time_base = Fraction(1, fps)
            for number, path in enumerate(pictures):
                try:
                    with Image.open(path) as image:
                        if size is None:
                            size, mode = image.size, "L" if image.mode in ("1", "L", "I", "I;16") else "RGB"
                            stream.width, stream.height = size
                            stream.pix_fmt = "gray" if mode == "L" else "bgr0"
                        if image.size != size:
                            raise DataError(f"{path}: expected {size[0]} x {size[1]} px as before it, got {image.size}")
                        pixels = np.asarray(image.convert(mode))
                except (UnidentifiedImageError, OSError) as error:
                    raise DataError(f"{path}: the picture cannot be decoded: {error}") from error
                frame = av.VideoFrame.from_ndarray(pixels, format="gray" if mode == "L" else "rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        aside.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
