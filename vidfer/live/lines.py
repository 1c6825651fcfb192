"""What ``vidfer live`` prints: a line of JSON for each frame that was looked at."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from vidfer.exporters.table import PERSON
from vidfer.exporters.timeline_csv import FORMATS
from vidfer.pipeline.clip import Face
from vidfer.pipeline.stream import LiveFace, LiveFrame


def json_line(frame: LiveFrame, *, latency_seconds: float) -> str:
    """Return ``{"frame", "timestamp", "latency_ms", "faces": [...]}``; a face's keys are timeline.csv's columns.

    ``latency_seconds`` is from when the frame had arrived to its answer.
    """
    document = {
        "frame": frame.frame_index + 1,
        "timestamp": round(frame.seconds, 6),
        "latency_ms": round(1000 * latency_seconds, 1),
        "faces": [face_values(face) | _others(face) for face in frame.faces],
    }
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def face_values(face: Face) -> dict[str, Any]:
    """Return what is said of one face, by timeline.csv's columns; a number that is none is None."""
    x, y, right, bottom = face.xyxy.tolist()
    pitch, yaw, roll = face.pose.tolist()
    numbers = {
        "confidence": face.confidence,
        **{"x": x, "y": y, "width": right - x, "height": bottom - y},
        **{"pitch": pitch, "yaw": yaw, "roll": roll, "quality": face.quality},
        "emotion_confidence": face.probabilities[face.emotion],
        **face.probabilities,
    }
    rounded = {name: _rounded(value, FORMATS[name]) for name, value in numbers.items()}
    return {"face_id": face.face_id, "emotion": face.emotion, **rounded}


def _others(face: LiveFace) -> dict[str, Any]:
    who = {} if face.person_id is None else {PERSON: face.person_id}
    return who | {name: _plain(value) for name, value in face.values.items()}


def _plain(value: Any) -> Any:
    """Return a number or array as JSON has it: to a millionth, None for a number that is none."""
    array = np.asarray(value)
    if array.ndim:
        return [_plain(part) for part in array]
    return _rounded(float(array), "%.6f") if array.dtype.kind == "f" else array.tolist()


def _rounded(value: float, number_format: str) -> float | None:
    return round(value, int(number_format[2:-1])) if np.isfinite(value) else None  # of "%.4f"
