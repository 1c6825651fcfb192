"""What report.js draws: curves, episodes, and the faces in each frame, packed to stay small."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTION_INDEX, EMOTIONS, UNSURE, UNSURE_COLOUR, UNSURE_LABEL
from vidfer.report.chart_options import INKS, ChartStyle
from vidfer.report.chart_panel import face_note, is_stacked
from vidfer.report.lanes import LANES, face_lanes
from vidfer.report.wording import display_name
from vidfer.timeline.series import FaceSeries, end_seconds, face_series, main_faces
from vidfer.timeline.states import episode_labels
from vidfer.types import ClipResult, StoredArray

MAX_OVERLAY_ROWS = 20_000  # about 4 MB of page; of longer clips every second, third, ... sampled frame is drawn
_ROWS_AT_ONCE = 512  # of landmarks: bounds memory
_MARGIN = 0.25  # how far landmarks may lie outside their box, in box sizes; report.js knows it too

MAX_SWITCHES = 64  # faces that the page can draw; those of the still chart are on at first


def report_data(
    clip: ClipResult, *, with_overlay: bool, style: ChartStyle = "auto", lanes: bool = True
) -> dict[str, Any]:
    """Return the page's data, JSON-ready.

    Parameters
    ----------
    clip
        The clip.
    with_overlay
        Whether the faces of each frame are needed, to be drawn over the video.
    style
        How the chart begins; the page has a switch.
    lanes
        Whether movements are shown at first, where they are measured; the page has a switch.
    """
    drawn, _ = main_faces(clip)
    known, _ = main_faces(clip, most=MAX_SWITCHES)
    measured = {"lanes": _lane_names(), "lanes_on": lanes} if clip.movements is not None else {}
    return {
        **measured,
        "start": round(clip.info.start_seconds, 6),
        "end": round(end_seconds(clip), 6),
        "emotions": list(EMOTIONS),
        "colours": [EMOTION_COLOURS[name] for name in EMOTIONS],
        "ink": [INKS[name] for name in EMOTIONS],
        "unsure": {"name": UNSURE, "colour": UNSURE_COLOUR},
        "stacked": is_stacked(style, end_seconds(clip)),
        "faces": [_face(clip, track) | {"drawn": track in drawn} for track in known],
        "overlay": overlay_data(clip) if with_overlay else None,
        "labels": {
            "clip": display_name(clip.clip_id),
            "video": display_name(PurePath(clip.info.path).name),
            "sha256": clip.info.fingerprint,
        },
    }


def script_json(value: Any) -> str:
    """Return JSON that cannot end the ``<script>`` element that it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _face(clip: ClipResult, track: int) -> dict[str, Any]:
    series = face_series(clip, track)
    segments = [segment for segment in clip.segments if segment.track_id == track]
    return {
        "id": track,
        "label": clip.label(track),
        "note": face_note(clip, track),
        "seconds": np.round(series.seconds, 4).tolist(),
        "probabilities": _columns(series.probabilities),
        "low": _band(series, series.low),
        "high": _band(series, series.high),
        "gaps": np.round(series.gaps, 4).tolist(),
        "unsure": np.round(series.unsure, 4).tolist(),
        "episodes": [
            {
                "start": round(segment.start_seconds, 4),
                "end": round(segment.end_seconds, 4),
                "peak": round(segment.peak_seconds, 4),
                "emotion": EMOTION_INDEX[segment.emotion],
            }
            for segment in segments
        ],
        **_lanes(clip, track),
    }


def _lane_names() -> list[dict[str, str]]:
    """Return what the lanes are called, and what is filled and drawn as a line in each."""

    def named(movements: Sequence[str]) -> str:
        return movements[0].removesuffix("_left").removesuffix("_inner").replace("_", " ") if movements else ""

    return [{"name": name, "filled": named(filled), "line": named(lines)} for name, filled, lines, _ in LANES]


def _lanes(clip: ClipResult, track: int) -> dict[str, Any]:
    lanes = face_lanes(clip, track)
    if lanes is None:
        return {}
    columns = {"filled": _columns(lanes.filled), "lines": _columns(lanes.lines)}
    times = {"seconds": np.round(lanes.seconds, 4).tolist(), "blinks": np.round(lanes.blinks, 4).tolist()}
    return {"lanes": {**times, **columns}}


def _band(series: FaceSeries, edge: np.ndarray) -> list[list[float | None] | None]:
    """Return an edge of each label's band, None for labels whose band is too narrow to be seen."""
    return [column if series.band_is_seen(label) else None for label, column in enumerate(_columns(edge))]


def _columns(values: np.ndarray) -> list[list[float | None]]:
    """Return (T, K) as K lists of rounded numbers, None for NaN."""
    rounded = np.round(values.astype(np.float64), 3).T.tolist()
    return [[None if value != value else value for value in column] for column in rounded]


def overlay_data(clip: ClipResult, *, max_rows: int = MAX_OVERLAY_ROWS) -> dict[str, Any]:
    """Return the faces of each frame as base64 of little-endian arrays.

    Returns
    -------
    ``width, height`` of the displayed picture in pixels; for T frames ``seconds`` float32 and ``first`` uint32 (T + 1,)
    into the rows of faces; for N faces ``face`` int32, ``box`` int16 (N, 4) left, top, width, height, ``emotion`` uint8
    of its episode (255 = unsure), ``percent`` uint8 of that emotion (of the largest), ``landmarks`` uint8 (N, 68, 2):
    0..255 over the box grown by a quarter of its size on each side.
    """
    rows = np.flatnonzero(clip.timeline.track_id >= 0)
    stride = max(1, -(-len(rows) // max_rows))
    rows = rows[clip.timeline.frame_row[rows] % stride == 0]
    frames = np.arange(0, len(clip.frames), stride)
    first = np.searchsorted(clip.timeline.frame_row[rows], np.append(frames, len(clip.frames)))  # (T + 1,)
    xyxy = clip.faces.xyxy[rows]
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 1.0)  # (N, 2)
    box = np.concatenate([xyxy[:, :2], size], axis=1)
    probabilities = clip.timeline.probabilities[rows]
    held = episode_labels(clip.timeline, clip.frames, clip.segments)[rows]
    label = np.where(held == UNSURE_LABEL, probabilities.argmax(axis=1), held)
    percent = np.take_along_axis(probabilities, label[:, None], axis=1)[:, 0] * 100
    arrays = {
        "seconds": clip.frames.pts_seconds[frames].astype("<f4"),
        "first": first.astype("<u4"),
        "face": clip.timeline.track_id[rows].astype("<i4"),
        "box": box.round().clip(-32768, 32767).astype("<i2"),
        "emotion": np.where(held == UNSURE_LABEL, 255, held).astype(np.uint8),
        "percent": percent.round().astype(np.uint8),
        "landmarks": _points_in_boxes(clip.faces.landmarks, rows, xyxy[:, :2], size),
    }
    packed = {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}
    return {"width": clip.info.width, "height": clip.info.height, **packed}


def _points_in_boxes(
    landmarks: np.ndarray | StoredArray, rows: np.ndarray, corner: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Return the landmarks (N, 68, 2) uint8 of some rows: 0..255 over the box grown by a quarter on each side."""
    points = np.empty((len(rows), *landmarks.shape[1:]), np.uint8)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        inside = (landmarks[rows[part]] - corner[part, None]) / size[part, None] + _MARGIN  # (n, 68, 2)
        points[part] = np.nan_to_num(inside / (1 + 2 * _MARGIN) * 255).round().clip(0, 255).astype(np.uint8)
    return points
