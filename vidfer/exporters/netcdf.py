"""timeline.nc: the timeline as arrays with named axes, for xarray and whatever reads classic netCDF."""

from __future__ import annotations

import io

import numpy as np

from vidfer.exporters import exporter
from vidfer.labels import EMOTIONS
from vidfer.report.wording import display_name
from vidfer.types import ClipResult

_MAX_CELLS = 4_000_000  # faces times frames: 300 MB; of more faces those seen longest are kept, and it is said
_OF_FACE = {
    "quality": "chance that the label is that of the clean, frontal, large face",
    "confidence": "how sure the landmark network is of the face",
    "pitch": "degrees, up is positive",
    "yaw": "degrees, towards the image's right is positive",
    "roll": "degrees, clockwise in the image is positive",
}


@exporter("netcdf", filenames=("timeline.nc",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.nc: ``probability`` (face, time, emotion) and, by face and time, quality, confidence and pose.

    ``time`` is in seconds from the first frame, as ``timestamp`` elsewhere; NaN where a face is not seen.
    """
    from scipy.io import netcdf_file

    rows = np.flatnonzero(clip.timeline.track_id >= 0)
    faces, seen = np.unique(clip.timeline.track_id[rows], return_counts=True)
    most = max(1, _MAX_CELLS // max(1, len(clip.frames)))
    kept = np.sort(faces[np.argsort(-seen, kind="stable")[:most]])
    rows = rows[np.isin(clip.timeline.track_id[rows], kept)]
    at = np.searchsorted(kept, clip.timeline.track_id[rows]), clip.timeline.frame_row[rows]
    longest = max(map(len, EMOTIONS))
    buffer = io.BytesIO()
    file = netcdf_file(buffer, "w", version=2)
    file.Conventions, file.source = "CF-1.10", "vidfer"
    file.clip = display_name(clip.clip_id).encode()
    file.start_seconds, file.faces_left_out = float(clip.info.start_seconds), np.int32(len(faces) - len(kept))
    sizes = {"face": len(kept), "time": len(clip.frames), "emotion": len(EMOTIONS), "letter": longest}
    for name, size in sizes.items():
        file.createDimension(name, size)

    def variable(
        name: str, kind: str, axes: tuple[str, ...], values: np.ndarray, meaning: str, units: str = "1"
    ) -> None:
        made = file.createVariable(name, kind, axes)
        made.long_name, made.units = meaning, units
        made[:] = values

    variable("time", "d", ("time",), clip.frames.pts_seconds, "time from the first frame", "s")
    variable("face", "i", ("face",), kept.astype(np.int32), "number of the face, face_id in the tables")
    names = np.array([list(name.ljust(longest, "\0")) for name in EMOTIONS], dtype="S1")
    variable("emotion", "c", ("emotion", "letter"), names, "label of FER+")
    file.variables["emotion"]._Encoding = "utf-8"  # so that xarray reads text: sel(emotion="happiness")
    shape = (len(kept), len(clip.frames))
    probability = np.full((*shape, len(EMOTIONS)), np.nan, np.float32)
    probability[at] = clip.timeline.probabilities[rows]
    variable("probability", "f", ("face", "time", "emotion"), probability, "probability that people would call it so")
    pose, found = clip.faces.pose[rows], clip.faces
    columns = (found.quality[rows], found.landmark_score[rows], *pose.T)
    for (name, meaning), column in zip(_OF_FACE.items(), columns, strict=True):
        values = np.full(shape, np.nan, np.float32)
        values[at] = column
        variable(name, "f", ("face", "time"), values, meaning, "degree" if "degrees" in meaning else "1")
    file.flush()
    return {"timeline.nc": buffer.getvalue()}
