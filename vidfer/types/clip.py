"""Everything that is known about one processed clip: what exporters and reports get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vidfer.types.emotions import EmotionSegment, EmotionTimeline
from vidfer.types.faces import FaceDetections, FaceEmbeddings, FacePeople, FaceTracks
from vidfer.types.movements import ClipMovements
from vidfer.types.roster import Roster
from vidfer.types.video import DecodeReport, SampledFrames, VideoInfo


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """One clip's tables, aligned by row, with its segments and provenance.

    Attributes
    ----------
    clip_id
        Path below --out, without suffix, in POSIX form: what tables and messages call the clip.
    info, decode
        What the file is, and how decoding went.
    frames, faces, tracks, embeddings, timeline
        See the types.
    segments
        Ordered by track, then time.
    provenance
        JSON-ready: vidfer version, stage keys, component names, weight digests, settings. Nothing that
        differs between two runs over the same input (no times of day, host names or durations).
    movements
        What eyes, mouth and brows do; None where it was not measured.
    people
        Which tracks are the same person's; None where nobody was compared (``people.link = false``).
    roster
        Who is who and who counts, by what was proposed and edited; None: each track is a person, and counts.
    tables
        Columns of the stages from outside the package, by stage and column; rows as in ``faces``.
    """

    clip_id: str
    info: VideoInfo
    decode: DecodeReport
    frames: SampledFrames
    faces: FaceDetections
    tracks: FaceTracks
    embeddings: FaceEmbeddings
    timeline: EmotionTimeline
    segments: tuple[EmotionSegment, ...]
    provenance: Mapping[str, Any]
    movements: ClipMovements | None = None
    people: FacePeople | None = None
    roster: Roster | None = None
    tables: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def label(self, track: int) -> str:
        """Return what a person (of the roster), or else a track, is called."""
        return self.roster.label(track) if self.roster else f"face {track}"
