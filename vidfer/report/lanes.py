"""One face's movements as lanes under its emotions: eyes with blinks, mouth, brows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vidfer.report.chart_format import ChartFormat
from vidfer.report.drawing import keep_spines
from vidfer.types import ClipResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of each lane: its name, the movements whose mean is filled and those whose mean is a line, and what they are called.
LANES: Final = (
    ("eyes", ("eye_open_left", "eye_open_right"), (), "how far open; ticks: blinks"),
    ("mouth", ("smile_left", "smile_right"), ("mouth_open",), "smile filled, open as a line"),
    ("brows", ("brow_raise_inner", "brow_raise_outer"), ("brow_lower",), "raised filled, lowered as a line"),
)
FILL, LINE, TICK = "#9fb4c7", "#1f3a52", "#c0392b"
_TOP = 0.86  # of a lane's height that a full movement takes


@dataclass(frozen=True, kw_only=True)
class FaceLanes:
    """What the lanes of one face show.

    Attributes
    ----------
    seconds
        (T,) float64, ascending.
    filled, lines
        (T, 3) float32, 0..1, as ``LANES``; NaN where a lane has no line, nothing is known, or the face is not seen.
    blinks
        (B,) seconds at which the lids are lowest.
    """

    seconds: np.ndarray
    filled: np.ndarray
    lines: np.ndarray
    blinks: np.ndarray


def face_lanes(clip: ClipResult, track: int, *, max_points: int = 1200) -> FaceLanes | None:
    """Return the lanes of one face, None where movements were not measured.

    Where the clip has more than ``max_points`` frames points are means over time, and of openings the least: a blink
    is short.
    """
    if clip.movements is None:
        return None
    columns = clip.movements.columns
    of_frame = np.full((len(clip.frames), 2 * len(LANES)), np.nan, np.float32)
    rows = np.flatnonzero(clip.timeline.track_id == track)
    for lane, (_, filled, lines, _) in enumerate(LANES):
        for place, names in ((lane, filled), (lane + len(LANES), lines)):
            if names:
                mean = np.mean([columns[name][rows] for name in names], axis=0)
                of_frame[clip.timeline.frame_row[rows], place] = mean
    group = max(1, -(-len(of_frame) // max_points))
    starts = np.arange(0, len(of_frame), group)
    known = np.isfinite(of_frame)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(np.where(known, of_frame, 0), starts) / np.where(counts, counts, np.nan)
    least = np.minimum.reduceat(np.where(known[:, 0], of_frame[:, 0], np.inf), starts)
    means[:, 0] = np.where(np.isfinite(least), least, np.nan)
    blinks = [blink.closed_seconds for blink in clip.movements.blinks if blink.track_id == track]
    return FaceLanes(
        seconds=clip.frames.pts_seconds[starts],
        filled=means[:, : len(LANES)].astype(np.float32),
        lines=means[:, len(LANES) :].astype(np.float32),
        blinks=np.array(blinks, np.float64),
    )


def draw_lanes(axes: Axes, lanes: FaceLanes, form: ChartFormat) -> None:
    """Draw the lanes into axes that share the time axis, from the top in the order of ``LANES``."""
    count = len(LANES)
    axes.set_ylim(0, count)
    for lane, (name, _, _, meaning) in enumerate(LANES):
        bottom = count - 1 - lane
        filled = bottom + _TOP * lanes.filled[:, lane]
        axes.fill_between(lanes.seconds, bottom, filled, color=FILL, linewidth=0, zorder=2)
        axes.plot(lanes.seconds, bottom + _TOP * lanes.lines[:, lane], color=LINE, linewidth=form.faint_line, zorder=3)
        axes.axhline(bottom, color="#dddddd", linewidth=0.6, zorder=1)
        if form.titled:
            axes.annotate(
                f"{name}: {meaning}", (0, bottom + 0.93), xytext=(3, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="top", fontsize=0.8 * form.small, color="#444444", zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.6, "pad": 0.5},
            )  # fmt: skip
    axes.vlines(lanes.blinks, count - 0.28, count, color=TICK, linewidth=form.faint_line * 1.2, zorder=5)
    names = [name for name, *_ in reversed(LANES)]
    axes.set_yticks([row + 0.45 for row in range(count)], names, fontsize=0.9 * form.small)
    axes.tick_params(axis="both", length=0, colors="#666666", labelbottom=False)
    axes.set_facecolor("white")
    keep_spines(axes, "bottom")
