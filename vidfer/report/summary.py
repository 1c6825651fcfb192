"""One clip in numbers: what summary.json, summary.csv, the reports and the terminal show."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from vidfer.labels import EMOTIONS
from vidfer.types import ClipResult, EmotionSegment


def summarise(clip: ClipResult) -> dict[str, Any]:
    """Return the clip's numbers, JSON-ready; what has no value (no face was seen) is None.

    Shares and means weigh each row by how long its frame stands for, so they are right on variable-frame-rate video.
    A row counts for the label that is most likely in it (``emotion`` in timeline.csv); shares are of the time in which
    faces are seen, added over faces.
    """
    info, decode = clip.info, clip.decode
    kept = np.flatnonzero(clip.timeline.track_id >= 0)
    faces = list(_faces(clip))
    emotions = _emotions(clip, kept, clip.segments)
    return {
        "clip": clip.clip_id,
        "video": PurePath(info.path).name,
        "fingerprint": info.fingerprint,
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "rotation_degrees": info.rotation_degrees,
        "stream": info.stream,
        "start_seconds": _number(info.start_seconds),
        "average_fps": _number(info.average_fps, 4),
        "duration_seconds": _number(info.duration_seconds),
        "sampled_frames": len(clip.frames),
        "frames_with_face": len(np.unique(clip.timeline.frame_row[kept])),
        "num_faces": len(faces),
        "dominant_emotion": _dominant(emotions),
        "num_episodes": len(clip.segments),
        "mean_quality": _mean(clip.faces.quality[kept], _durations(clip, kept)),
        "emotions": emotions,
        "peaks": _peaks(clip),
        "faces": faces,
        "truncated": decode.truncated,
        "warnings": list(decode.warnings),
        "decode": {
            "reader": decode.reader,
            "expected_frames": decode.expected_frames,
            "decoded_frames": decode.decoded_frames,
            "bad_packets": decode.bad_packets,
            "corrupt_frames": decode.corrupt_frames,
        },
        "provenance": dict(clip.provenance),
    }


SUMMARY_COLUMNS: tuple[str, ...] = (
    *("clip", "video", "duration_seconds", "sampled_frames", "frames_with_face", "num_faces", "dominant_emotion"),
    *("num_episodes", "mean_quality"),
    *(f"{name}_share_of_time" for name in EMOTIONS),
    *(f"{name}_mean_probability" for name in EMOTIONS),
    *(f"{name}_episodes" for name in EMOTIONS),
    *(f"{name}_peak_seconds" for name in EMOTIONS),
    *("truncated", "warnings", "width", "height", "codec", "average_fps", "start_seconds", "fingerprint"),
)


def summary_row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat row of ``summary.csv`` (``SUMMARY_COLUMNS``) for what ``summarise`` returned."""
    row: dict[str, Any] = {name: summary.get(name) for name in SUMMARY_COLUMNS}
    for name, numbers in summary["emotions"].items():
        row[f"{name}_share_of_time"] = numbers["share_of_time"]
        row[f"{name}_mean_probability"] = numbers["mean_probability"]
        row[f"{name}_episodes"] = numbers["episodes"]
        row[f"{name}_peak_seconds"] = summary["peaks"].get(name, {}).get("seconds")
    row["truncated"] = int(bool(summary["truncated"]))
    row["warnings"] = " ".join(" ".join(summary["warnings"]).split())
    return row


def _durations(clip: ClipResult, rows: np.ndarray) -> np.ndarray:
    """Return how long the frame of each row stands for, (n,) seconds."""
    frame_row = clip.timeline.frame_row[rows]
    pts = clip.frames.pts_seconds
    following = np.minimum(frame_row + 1, len(pts) - 1)
    is_last = frame_row == len(pts) - 1
    durations: np.ndarray = np.where(is_last, clip.frames.durations_seconds[-1:].sum(), pts[following] - pts[frame_row])
    return durations


def _emotions(clip: ClipResult, rows: np.ndarray, segments: Sequence[EmotionSegment]) -> dict[str, dict[str, Any]]:
    """Return share of time, mean probability and number of episodes per label, over the given rows and episodes."""
    probabilities = clip.timeline.probabilities[rows]  # (n, K)
    durations = _durations(clip, rows)
    episodes = Counter(segment.emotion for segment in segments)
    likeliest = probabilities.argmax(axis=1)
    return {
        name: {
            "share_of_time": _mean(likeliest == label, durations),
            "mean_probability": _mean(probabilities[:, label], durations),
            "episodes": episodes[name],
        }
        for label, name in enumerate(EMOTIONS)
    }


def _dominant(emotions: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the label with the largest share of time; of equals, the one that is likelier on average."""
    shares = {name: (n["share_of_time"], n["mean_probability"]) for name, n in emotions.items()}
    return None if shares[EMOTIONS[0]][0] is None else max(EMOTIONS, key=lambda name: shares[name])


def _peaks(clip: ClipResult) -> dict[str, dict[str, Any]]:
    """Return, for each label that has an episode, its strongest moment."""
    peaks: dict[str, dict[str, Any]] = {}
    for name in EMOTIONS:
        of_label = [segment for segment in clip.segments if segment.emotion == name]
        if of_label:
            best = max(of_label, key=lambda segment: segment.peak_probability)
            peaks[name] = {
                "seconds": _number(best.peak_seconds),
                "probability": _number(best.peak_probability),
                "face_id": best.track_id,
            }
    return peaks


def _faces(clip: ClipResult) -> Iterator[dict[str, Any]]:
    """Yield each person's numbers, ordered by id; linear in rows however many faces there are."""
    order = np.argsort(clip.timeline.track_id, kind="stable")
    order = order[clip.timeline.track_id[order] >= 0]
    tracks, starts = np.unique(clip.timeline.track_id[order], return_index=True)
    segments: dict[int, list[EmotionSegment]] = defaultdict(list)
    for segment in clip.segments:
        segments[segment.track_id].append(segment)
    for track, rows in zip(tracks.tolist(), np.split(order, starts[1:]), strict=False):
        durations = _durations(clip, rows)
        pts = clip.frames.pts_seconds[clip.timeline.frame_row[rows]]
        emotions = _emotions(clip, rows, segments[track])
        yield {
            "face_id": track,
            "first_seconds": _number(float(pts[0])),
            "last_seconds": _number(float(pts[-1] + durations[-1])),
            "seconds_on_screen": _number(float(durations.sum())),
            "frames": len(rows),
            "dominant_emotion": _dominant(emotions),
            "mean_quality": _mean(clip.faces.quality[rows], durations),
            "emotions": emotions,
        }


def _mean(values: np.ndarray, weights: np.ndarray) -> float | None:
    """Return the weighted mean of the values that are numbers, None if there are none."""
    known = ~np.isnan(values)
    if not known.any():
        return None
    return _number(float(np.average(values[known].astype(np.float64), weights=weights[known])))


def _number(value: float, digits: int = 6) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
