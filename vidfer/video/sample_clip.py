"""A few seconds of video with two real faces, made from free photographs that matplotlib and scikit-image ship.

The portrait of the computer scientist Grace Hopper (US Navy, public domain), bent so that she smiles, is surprised and
is sad; a rocket on its launch pad, where no face is; a hard cut to the astronaut Eileen Collins (both NASA, public
domain).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidfer.errors import MissingDependency, OutputError

# px, width and height. A multiple of 64: other widths are padded in memory with bytes that are not set, which x264
# reads: the sample would differ each time.
SIZE = 384
FPS = 25

# Points of Hopper's portrait: on the left of the picture and on the right (x, y in px), then where they go when she
# smiles, is surprised, is sad: px away from the nose and px down.
_PAIRS = np.array(
    [
        [(214, 166), (322, 160), (0, 0), (0, -10), (0, -2)],  # brows, middle
        [(243, 166), (288, 162), (0, 0), (0, -10), (-4, -7)],  # inner ends
        [(182, 178), (346, 171), (0, 0), (0, -5), (0, 2)],  # rims of the glasses, outer ends
        [(213, 177), (318, 172), (0, 0), (0, -6), (0, 0)],  # middle
        [(244, 181), (285, 179), (0, 0), (0, -5), (0, -3)],  # inner ends
        [(222, 185), (304, 181), (0, 1), (0, -3), (0, 2)],  # upper lids
        [(222, 195), (304, 191), (0, -2), (0, 0), (0, 0)],  # lower lids
        [(205, 228), (333, 220), (2, -7), (0, 2), (0, 0)],  # cheeks
        [(244, 250), (293, 248), (3, -2), (0, 0), (0, 0)],  # wings of the nose
        [(227, 279), (310, 276), (11, -11), (-8, 7), (-1, 10)],  # corners of the mouth
        [(246, 277), (293, 275), (6, -3), (-3, -2), (0, 1)],  # lips between corner and middle: the upper one
        [(246, 279), (293, 277), (6, -3), (-3, 15), (0, 1)],  # the lower one
        [(248, 297), (292, 295), (4, -3), (-2, 18), (0, -1)],  # under the lower lip
        [(226, 322), (312, 320), (0, 0), (1, 10), (0, 0)],  # jaw
    ],
    dtype=float,
)
_MIDDLE = np.array(
    [
        [(269, 276), (0, 2), (0, -4), (0, -3)],  # the upper lip's edge
        [(269, 278), (0, 2), (0, 19), (0, -3)],  # the lower lip's
        [(270, 298), (0, 1), (0, 21), (0, -4)],  # under the lower lip
        [(268, 256), (0, 0), (0, 0), (0, 0)],  # under the nose
        [(267, 225), (0, 0), (0, 0), (0, 0)],  # its tip
        [(271, 336), (0, 0), (0, 16), (0, -1)],  # the chin
    ],
    dtype=float,
)
_CORNER, _UPPER, _LOWER = 9, 10, 11  # rows of _PAIRS that the mouth is drawn with
_FACE = (140, 110, 392, 404)  # px, left, top, right, bottom: nothing outside of it moves
_STEP = 6  # px between the points where the movement is worked out
_DARK = (52, 16, 16)  # the colour of an open mouth
_STORY = {  # seconds: amounts of smile, surprise, sadness; smooth between
    **{0.0: (0, 0, 0), 0.2: (0, 0, 0), 0.5: (1, 0, 0), 1.5: (1, 0, 0), 1.85: (0, 0, 0)},
    **{2.35: (0, 0, 0), 2.65: (0, 1, 0), 3.45: (0, 1, 0), 3.8: (0, 0, 0)},
    **{4.25: (0, 0, 0), 4.6: (0, 0, 1), 5.6: (0, 0, 1)},
}


def write_sample(path: Path) -> None:
    """Write the sample as H.264 in MP4, eight seconds; raises OutputError if ``path`` cannot be written."""
    import av

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part.mp4")
        with av.open(str(aside), "w") as container:
            # One thread: the bytes depend on how many there are, and that on the machine.
            options = {"crf": "20", "preset": "veryfast", "threads": "1"}
            stream = container.add_stream("libx264", rate=FPS, options=options)
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
    import matplotlib
    from PIL import Image

    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependency("scikit-image", needed_for="vidfer sample", detail=str(error)) from error
    hopper = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    with Image.open(hopper) as opened:
        portrait = np.asarray(opened.convert("RGB"))
    yield from _camera(portrait, start=(268, 235, 400), end=(262, 230, 360), seconds=5.6, expressive=True)
    yield from _camera(data.rocket(), start=(330, 200, 380), end=(330, 230, 300), seconds=1.0)
    yield from _camera(data.astronaut(), start=(215, 140, 260), end=(230, 140, 230), seconds=1.4)


def _camera(
    photograph: np.ndarray,
    *,
    start: tuple[int, int, int],
    end: tuple[int, int, int],
    seconds: float,
    expressive: bool = False,
) -> Iterator[np.ndarray]:
    """Yield SIZE x SIZE frames of a camera that moves and sways between two views (centre x, centre y, side, in px)."""
    from PIL import Image

    shown, seen = (0.0, 0.0, 0.0), photograph
    for time in np.arange(round(seconds * FPS)) / FPS:
        x, y, side = _between(np.array(start), np.array(end), time / seconds)
        tilt = 0.03 * np.sin(2.2 * time)
        view = side / SIZE * np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        corner = np.array([x, y]) + 0.5 - view.sum(1) * SIZE / 2  # where the frame's corner is in the photograph
        if expressive and shown != (amounts := _amounts(time)):  # an expression that is held is worked out once
            shown, seen = amounts, _with_expression(photograph, amounts)
        frame = Image.fromarray(seen).transform(
            (SIZE, SIZE),
            Image.Transform.AFFINE,
            tuple(np.column_stack([view, corner]).ravel().tolist()),
            Image.Resampling.BILINEAR,
        )
        yield np.asarray(frame)


def _between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    ease = share * share * (3 - 2 * share)
    return (1 - ease) * start + ease * end


def _amounts(time: float) -> tuple[float, float, float]:
    times = list(_STORY)
    i = min(int(np.searchsorted(times, time, side="right")), len(times) - 1)
    share = (time - times[i - 1]) / (times[i] - times[i - 1])
    smile, surprise, sadness = _between(np.array(_STORY[times[i - 1]]), np.array(_STORY[times[i]]), share).tolist()
    return smile, surprise, sadness


def _with_expression(photograph: np.ndarray, amounts: tuple[float, ...]) -> np.ndarray:
    """Return the portrait with this expression, (H, W, 3) uint8."""
    from scipy.ndimage import map_coordinates

    if not any(amounts):
        return photograph
    left, top, right, bottom = _FACE
    away, shade = _expression(amounts)
    at = np.mgrid[top : bottom + 1, left : right + 1] + away
    face = np.stack([map_coordinates(photograph[..., c].astype(np.float32), at, order=1) for c in range(3)], -1)
    bent = photograph.copy()
    bent[top : bottom + 1, left : right + 1] = np.round(face + shade[..., None] * (_DARK - face))
    return bent


def _expression(amounts: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each px of _FACE how far its colour is away, (2, H, W) px down and right, and how dark it is, (H, W).

    A thin-plate spline through the points that move, and the rim of _FACE that does not; dark is the open mouth, 0..1.
    """
    from scipy.interpolate import RBFInterpolator
    from scipy.ndimage import zoom

    left, top, right, bottom = _FACE
    x, y = np.meshgrid(np.arange(left, right + 1), np.arange(top, bottom + 1))
    rim = [(x, y) for x in np.linspace(left, right, 9) for y in (top, bottom)]
    rim += [(x, y) for x in (left, right) for y in np.linspace(top, bottom, 9)[1:-1]]
    pairs, middle = (np.tensordot(amounts, table, (0, 1)) for table in (_PAIRS[:, 2:], _MIDDLE[:, 1:]))
    moves = np.concatenate([pairs * (-1, 1), pairs, middle, np.zeros((len(rim), 2))])
    points = np.concatenate([_PAIRS[:, 0], _PAIRS[:, 1], _MIDDLE[:, 0], rim]) + moves
    nodes = np.stack([x[::_STEP, ::_STEP], y[::_STEP, ::_STEP]], -1)
    away = RBFInterpolator(points, -moves, smoothing=0.1)(nodes.reshape(-1, 2)).reshape(nodes.shape)
    away = np.stack([zoom(away[..., axis], np.divide(x.shape, nodes.shape[:2]), order=1) for axis in (1, 0)])

    n = len(_PAIRS)
    upper, lower = (
        points[[_CORNER, row, 2 * n + i, n + row, n + _CORNER]] for i, row in enumerate((_UPPER, _LOWER))
    )  # edges of the lips, from left to right
    above, below = (np.interp(x[0], lip[:, 0], lip[:, 1]) for lip in (upper, lower))
    opening = np.clip((below - above - 2) / 3, 0, 1)  # the lips of a closed mouth lie 2 px apart
    shade: np.ndarray = np.clip((y - above) / 2, 0, 1) * np.clip((below - y) / 2, 0, 1) * opening
    return away, shade
