"""Pictures that change their size or are turned in the middle of a video: one size for all, none bent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidfer.video.decode_pass import DecodedFrames
from vidfer.video.display import Display, square_width

_MIN_SECONDS = 2.0  # a size is one of the video's own where it is seen for so long,
_MIN_SHARE = 0.05  # or in so many of its frames


@dataclass(frozen=True, kw_only=True)
class PictureSizes:
    """What becomes of the pictures of a video that changes their size.

    Attributes
    ----------
    target
        The form of the pictures that are used as they are; all others are fitted into their shown size.
    displays
        How the pictures of each form are shown.
    warnings
        For people; none where all are shown alike after all.
    """

    target: int
    displays: tuple[Display, ...]
    warnings: tuple[str, ...]


def choose_size(frames: DecodedFrames, seconds: np.ndarray, *, container_aspect: float) -> PictureSizes:
    """Return the largest size that is seen for at least 2 s or in 5 % of the frames, and how the others are shown.

    Parameters
    ----------
    frames
        Of the whole video, at least one.
    seconds
        (F,) float64, how long each is displayed.
    container_aspect
        How wide a pixel is for its height where the codec does not tell.
    """
    displays, sizes = [], []
    for shape in frames.shapes:
        width, _ = square_width(shape.width, shape.height, shape.pixel_aspect or container_aspect)
        display = Display(square_width=width, quarter_turns=shape.quarter_turns, mirrored=shape.mirrored)
        displays.append(display)
        sizes.append(display.size(shape.height))
    counts = np.bincount(frames.shape, minlength=len(sizes))
    spans = np.bincount(frames.shape, weights=seconds, minlength=len(sizes))
    seen: dict[tuple[int, int], tuple[float, int]] = {}  # by shown size: seconds, frames
    for size, span, count in zip(sizes, spans.tolist(), counts.tolist(), strict=True):
        before = seen.get(size, (0.0, 0))
        seen[size] = (before[0] + span, before[1] + count)
    least = _MIN_SHARE * len(frames.shape)
    own = [size for size, (span, count) in seen.items() if span >= _MIN_SECONDS or count >= least] or list(seen)
    chosen = max(own, key=lambda size: (size[0] * size[1], seen[size]))
    target = max((place for place, size in enumerate(sizes) if size == chosen), key=lambda place: counts[place])
    listed = ", ".join(f"{width} x {height} ({count} frames)" for (width, height), (_, count) in seen.items())
    warning = (
        f"the picture changes its size or position: {listed}; all are fitted into {chosen[0]} x {chosen[1]}, whose "
        f"pixels boxes and landmarks are in"
    )
    return PictureSizes(target=target, displays=tuple(displays), warnings=(warning,) if len(seen) > 1 else ())


def placed(size: tuple[int, int], inside: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a picture of one (width, height) fitted into another, its aspect kept."""
    scale = min(inside[0] / size[0], inside[1] / size[1])
    width, height = (max(1, min(room, round(side * scale))) for side, room in zip(size, inside, strict=True))
    return (inside[0] - width) // 2, (inside[1] - height) // 2, width, height
