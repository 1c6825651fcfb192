"""One clip in numbers: what summary.json, summary.csv, the reports and the terminal show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from vidfer.labels import EMOTIONS, UNSURE, UNSURE_LABEL
from vidfer.people.by_person import by_person, people_of_segments
from vidfer.timeline.face_movements import mean, movements_of_face, rounded
from vidfer.timeline.movements import blinks_of
from vidfer.timeline.states import episode_labels
from vidfer.types import ClipResult, EmotionSegment
from vidfer.types.validation import rows_by_number


def summarise(clip: ClipResult) -> dict[str, Any]:
    """Return the clip's numbers, JSON-ready; what has no value (no face was seen) is None.

    Shares and means weigh each row by how long its frame stands for, so they are right on variable-frame-rate video.
    A row counts for the episode that it lies in, and is unsure where it lies in none; shares are of the time in which
    faces are seen, added over faces, so that those of the emotions and ``unsure_share_of_time`` sum to 1. Only people
    who count enter them; ``faces`` and ``people`` tell of all.
    """
    info, decode = clip.info, clip.decode
    held = episode_labels(clip.timeline, clip.frames, clip.segments)
    faces = list(_faces(clip, held))
    people = list(_people(clip, held))
    counts = by_person(clip)
    kept = np.flatnonzero(counts.timeline.track_id >= 0)
    emotions = _emotions(clip, kept, held, counts.segments)
    unsure = _unsure(clip, kept, held)
    return {
        "clip": clip.clip_id,
        "video": PurePath(info.path).name,
        "fingerprint": info.fingerprint,
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "rotation_degrees": info.rotation_degrees,
        "stream": info.stream,
        "start_seconds": rounded(info.start_seconds),
        "turned_degrees": info.turned_degrees,
        "average_fps": rounded(info.average_fps, 4),
        "duration_seconds": rounded(info.duration_seconds),
        "sampled_frames": len(clip.frames),
        "frames_with_face": len(np.unique(clip.timeline.frame_row[kept])),
        "num_faces": len(faces),
        "num_people": sum(person["include"] for person in people),
        "num_people_left_out": sum(not person["include"] for person in people),
        "dominant_emotion": _dominant(emotions, unsure),
        "num_episodes": len(counts.segments),
        "least_face_px": clip.provenance.get("least_face_px"),
        "own_neutral_of": clip.provenance.get("own_neutral_of", []),
        "mean_quality": mean(clip.faces.quality[kept], _durations(clip, kept)),
        "emotions": emotions,
        "unsure_share_of_time": unsure,
        "peaks": _peaks(clip),
        "faces": faces,
        "people": people,
        "unsure_links": _unsure_links(clip),
        "truncated": decode.truncated,
        "warnings": [*decode.warnings, *_all_left_out(people)],
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
    *(f"{name}_share_of_time" for name in (*EMOTIONS, UNSURE)),
    *(f"{name}_mean_probability" for name in EMOTIONS),
    *(f"{name}_episodes" for name in EMOTIONS),
    *(f"{name}_peak_seconds" for name in EMOTIONS),
    *("num_people", "num_people_left_out"),
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


PERSON_COLUMNS: tuple[str, ...] = (
    *("clip", "person", "name", "role", "include", "reason", "face_ids", "first_seconds", "last_seconds"),
    *("seconds_on_screen", "frames", "median_size_px", "mean_quality", "still_share", "dominant_emotion"),
    "num_episodes",
    *(f"{name}_share_of_time" for name in (*EMOTIONS, UNSURE)),
    *(f"{name}_mean_probability" for name in EMOTIONS),
    *(f"{name}_episodes" for name in EMOTIONS),
)


def person_row(clip_id: str, person: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat row of ``summary_people.csv`` (``PERSON_COLUMNS``) for one of a summary's ``people``."""
    row: dict[str, Any] = {name: person.get(name) for name in PERSON_COLUMNS} | {"clip": clip_id}
    row["include"] = "yes" if person["include"] else "no"
    row["num_episodes"] = sum(numbers["episodes"] for numbers in person["emotions"].values())
    for name, numbers in person["emotions"].items():
        for column in ("share_of_time", "mean_probability", "episodes"):
            row[f"{name}_{column}"] = numbers[column]
    return row


def _durations(clip: ClipResult, rows: np.ndarray) -> np.ndarray:
    """Return how long the frame of each row stands for, (n,) seconds."""
    frame_row = clip.timeline.frame_row[rows]
    pts = clip.frames.pts_seconds
    following = np.minimum(frame_row + 1, len(pts) - 1)
    is_last = frame_row == len(pts) - 1
    durations: np.ndarray = np.where(is_last, clip.frames.durations_seconds[-1:].sum(), pts[following] - pts[frame_row])
    return durations


def _emotions(
    clip: ClipResult, rows: np.ndarray, held: np.ndarray, segments: Sequence[EmotionSegment]
) -> dict[str, dict[str, Any]]:
    """Return share of time, mean probability and number of episodes per label, over the given rows and episodes."""
    probabilities = clip.timeline.probabilities[rows]  # (n, K)
    durations = _durations(clip, rows)
    episodes = Counter(segment.emotion for segment in segments)
    return {
        name: {
            "share_of_time": mean(held[rows] == label, durations),
            "mean_probability": mean(probabilities[:, label], durations),
            "episodes": episodes[name],
        }
        for label, name in enumerate(EMOTIONS)
    }


def _unsure(clip: ClipResult, rows: np.ndarray, held: np.ndarray) -> float | None:
    return mean(held[rows] == UNSURE_LABEL, _durations(clip, rows))


def _all_left_out(people: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a warning if everyone who is seen is left out: else the clip looks as if it had no face."""
    if not people or any(person["include"] for person in people):
        return ()
    why = "; ".join(dict.fromkeys(person["reason"] for person in people if person["reason"])) or "as people.csv says"
    seen = "1 person is" if len(people) == 1 else f"{len(people)} people are"
    return (f"nobody counts, though {seen} seen ({why}): people.csv decides",)


def _dominant(emotions: Mapping[str, Mapping[str, Any]], unsure: float | None) -> str | None:
    """Return what has the largest share of time, a label or unsure; of equal labels, the one likelier on average."""
    if unsure is None:
        return None
    shares = {name: (n["share_of_time"], n["mean_probability"]) for name, n in emotions.items()}
    largest = max(EMOTIONS, key=lambda name: shares[name])
    return UNSURE if unsure > shares[largest][0] else largest


def state_shares(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the share of time of each emotion and of unsure, from a clip's or a face's numbers."""
    shares = {name: numbers["share_of_time"] for name, numbers in summary["emotions"].items()}
    return {**shares, UNSURE: summary.get("unsure_share_of_time")}


def _peaks(clip: ClipResult) -> dict[str, dict[str, Any]]:
    """Return, for each label that has an episode, its strongest moment."""
    peaks: dict[str, dict[str, Any]] = {}
    included = {person.number for person in clip.roster.people if person.include} if clip.roster else None
    segments = [
        (segment, person)
        for segment, person in zip(clip.segments, people_of_segments(clip), strict=True)
        if included is None or person in included
    ]
    for name in EMOTIONS:
        of_label = [(segment, person) for segment, person in segments if segment.emotion == name]
        if of_label:
            best, person = max(of_label, key=lambda known: known[0].peak_probability)
            peaks[name] = {
                "seconds": rounded(best.peak_seconds),
                "probability": rounded(best.peak_probability),
                "face_id": best.track_id,
                "person": person,
            }
    return peaks


def _faces(clip: ClipResult, held: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield each track's numbers, and where people are linked how sure it is that the track is its person's."""
    ids = clip.timeline.track_id
    first = dict(zip(*np.unique(ids, return_index=True), strict=True))
    for numbers in _by_number(clip, ids, [of.track_id for of in clip.segments], held, name="face_id"):
        if clip.people is not None:
            sure = float(clip.people.confidence[first[numbers["face_id"]]])
            numbers["link_confidence"] = rounded(sure, 4)
        yield numbers


def _people(clip: ClipResult, held: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield each person's numbers, who counts and who does not; without a roster, each track is a person who counts."""
    roster = clip.roster
    ids = roster.person_id if roster else clip.timeline.track_id
    differ = not np.array_equal(ids, clip.timeline.track_id)
    if differ and clip.movements is not None and clip.movements.counts is not None:
        _, counts = blinks_of(clip.movements.columns, clip.frames.pts_seconds[clip.timeline.frame_row], ids)
        clip = replace(clip, movements=replace(clip.movements, counts=counts))
    for numbers in _by_number(clip, ids, people_of_segments(clip), held, name="person"):
        known = roster.by_number[numbers["person"]] if roster else None
        yield {
            "person": numbers["person"],
            "label": clip.label(numbers["person"]),
            "name": known.name if known else "",
            "role": known.role if known else "",
            "include": known.include if known else True,
            "reason": known.reason if known else "",
            "face_ids": known.face_ids if known else str(numbers["person"]),
            "median_size_px": rounded(known.median_size_px, 1) if known else None,
            "still_share": rounded(known.still_share, 3) if known else None,
            **numbers,
        }


def _by_number(
    clip: ClipResult, ids: np.ndarray, ids_of_segments: Sequence[int], held: np.ndarray, *, name: str
) -> Iterator[dict[str, Any]]:
    """Yield the numbers of each face or person, ordered by id; linear in rows however many there are."""
    segments: dict[int, list[EmotionSegment]] = defaultdict(list)
    for segment, track in zip(clip.segments, ids_of_segments, strict=True):
        segments[track].append(segment)
    for track, rows in rows_by_number(ids):
        durations = _durations(clip, rows)
        pts = clip.frames.pts_seconds[clip.timeline.frame_row[rows]]
        emotions, unsure = _emotions(clip, rows, held, segments[track]), _unsure(clip, rows, held)
        yield {
            name: track,
            "first_seconds": rounded(float(pts[0])),
            "last_seconds": rounded(float(pts[-1] + durations[-1])),
            "seconds_on_screen": rounded(float(durations.sum())),
            "frames": len(rows),
            "dominant_emotion": _dominant(emotions, unsure),
            "mean_quality": mean(clip.faces.quality[rows], durations),
            "emotions": emotions,
            "unsure_share_of_time": unsure,
            **({"movements": movements_of_face(clip.movements, track, rows, pts, durations)} if clip.movements else {}),
        }


def _unsure_links(clip: ClipResult) -> list[dict[str, Any]]:
    """Return who may be the same and was left apart, but for those whom a user has joined or taken apart since."""
    if clip.people is None:
        return []
    known = set(clip.people.person_id.tolist())
    return [
        {"people": pair, "confidence": rounded(value, 4)}
        for pair, value in zip(clip.people.unsure.tolist(), clip.people.unsure_confidence.tolist(), strict=True)
        if known.issuperset(pair)
    ]
