"""A few seconds of video with one real face, made from public-domain photographs that scikit-image ships.

A camera moves over the portrait of the astronaut Eileen Collins (NASA, public domain); then a hard cut to a rocket on
its launch pad, where no face is (NASA, public domain), and another back to the portrait.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidfer.errors import MissingDependency, OutputError

SIZE = 360  # px, width and height
FPS = 25


def write_sample(path: Path) -> None:
    """Write the sample as H.264 in MP4, about seven seconds; raises OutputError if ``path`` cannot be written."""
    import av

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part.mp4")
        with av.open(str(aside), "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
            stream.width = stream.height = SIZE
            stream.pix_fmt = "yuv420p"
            stream.time_base = Fraction(1, FPS)
            for image in _scenes():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        aside.replace(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(f"{path}: cannot be written: a part of this path is a file: choose another folder") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}: choose another folder") from error


def _scenes() -> Iterator[np.ndarray]:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependency("scikit-image", needed_for="vidfer sample", detail=str(error)) from error
    portrait, rocket = data.astronaut(), data.rocket()
    yield from _camera(portrait, start=(256, 230, 480), end=(230, 130, 260), seconds=3.0)
    yield from _camera(rocket, start=(330, 200, 380), end=(330, 230, 300), seconds=1.5)
    yield from _camera(portrait, start=(215, 130, 220), end=(235, 150, 330), seconds=2.5)


def _camera(
    photograph: np.ndarray, *, start: tuple[int, int, int], end: tuple[int, int, int], seconds: float
) -> Iterator[np.ndarray]:
    """Yield SIZE x SIZE frames of a camera that moves between two views (centre x, centre y, side, in px)."""
    from skimage.transform import AffineTransform, warp

    for progress in np.linspace(0, 1, round(seconds * FPS)):
        ease = progress * progress * (3 - 2 * progress)
        x, y, side = (1 - ease) * np.array(start) + ease * np.array(end)
        view = AffineTransform(scale=side / SIZE, translation=(x - side / 2, y - side / 2))
        frame = warp(photograph, view, output_shape=(SIZE, SIZE), mode="edge")
        yield (frame * 255).round().astype(np.uint8)
