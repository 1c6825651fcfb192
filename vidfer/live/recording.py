"""What a stream has said, kept as the results of a clip; whole up to the last second whatever ends the process.

While it goes on, each half second is one file of tables in ``DIR/.vidfer/live/NAME``, and the rows of ``timeline.csv``
are appended. In the end the other files are written, and the tables go.
"""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidfer.config import PipelineConfig, parse_section, pipeline_model
from vidfer.errors import OutputError
from vidfer.exporters import EXPORTERS
from vidfer.exporters.rows import format_rows
from vidfer.exporters.table import timeline_table
from vidfer.exporters.timeline_csv import formats_of
from vidfer.pipeline import stages_of
from vidfer.pipeline.clip import Clip
from vidfer.pipeline.people import with_first_faces
from vidfer.pipeline.provenance import provenance
from vidfer.pipeline.result import clip_result
from vidfer.pipeline.stream import LiveFrame
from vidfer.pipeline.tables import PeopleTable, Table, TracksTable, faces_in
from vidfer.store.atomic import output_error, write_bytes, write_text
from vidfer.store.layout import clip_folder, private_folder
from vidfer.store.outputs import write_if_changed, write_outputs
from vidfer.types import ClipResult, DecodeReport, FacePeople, VideoInfo
from vidfer.video.video_writer import VideoWriter

FLUSH_SECONDS = 0.5
READER = "live"  # instead of a reader's name
VIDEO = "recording.mkv"
_HEAD = "recording.json"


class Recording:
    """Results that grow while a stream goes on.

    Parameters
    ----------
    out, name
        The results folder, which the caller has locked, and what the clip is called.
    config
        The stream's pipeline.
    keep_video
        Also keep the pictures that were looked at, as ``recording.mkv``.
    """

    def __init__(self, out: Path, name: str, config: PipelineConfig, *, keep_video: bool = False) -> None:
        self._out, self._name, self._config, self._keep_video = out, name, config, keep_video
        self._folder = clip_folder(out, name)
        if self._folder.exists() and any(self._folder.iterdir()):
            raise OutputError(f"{self._folder}: there are results already: choose another --name")
        self._tables_folder = _tables_folder(out, name)
        self._parts: list[Mapping[str, Table]] = []
        self._num_files = 0
        self._flushed = time.monotonic()
        self._video: VideoWriter | None = None

    def add(self, frame: LiveFrame, picture: np.ndarray, *, codec: str = "") -> None:
        """Add a frame of the stream and its picture (H, W, 3) uint8 RGB.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        if not self._num_files and not self._parts:
            self._begin(frame, picture, codec)
        self._parts.append(frame.tables)
        if self._video is not None:
            self._video.add(picture, frame.seconds)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def finish(self) -> Path | None:
        """Write what is left and all other files; return the clip's folder, None if there was no frame."""
        if self._video is not None:
            self._video.close()
            self._video = None
        self._flush()
        return finish(self._out, self._name) if self._num_files else None

    def _begin(self, frame: LiveFrame, picture: np.ndarray, codec: str) -> None:
        self._info = VideoInfo(
            path=str(self._folder / VIDEO) if self._keep_video else "",
            width=picture.shape[1],
            height=picture.shape[0],
            duration_seconds=0.0,
            average_fps=0.0,
            codec=codec,
            rotation_degrees=0,
            num_frames=0,
            fingerprint="",
        )
        head = {"info": asdict(self._info), "config": self._config.model_dump(mode="json")}
        write_text(self._tables_folder / _HEAD, json.dumps(head))
        columns = timeline_table(_as_told(self._name, self._info, frame.tables, self._config)).columns
        write_text(self._folder / "timeline.csv", ",".join(columns) + "\n")
        if self._keep_video:
            self._video = VideoWriter(self._folder / VIDEO, height=picture.shape[0], width=picture.shape[1])

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if not self._parts:
            return
        tables = _stacked(self._parts)
        self._parts = []
        self._num_files += 1
        arrays = {f"{name} {column}": a for name, table in tables.items() for column, a in table.arrays().items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stubs take them for allow_pickle
        write_bytes(self._tables_folder / f"{self._num_files:08d}.npz", buffer.getbuffer())
        told = _as_told(self._name, self._info, tables, self._config)
        columns = timeline_table(told).columns
        try:
            with (self._folder / "timeline.csv").open("a") as file:
                file.writelines(line + "\n" for line in format_rows(columns, formats_of(told)))
        except OSError as error:
            raise output_error(self._folder / "timeline.csv", error) from error


def unfinished(out: Path) -> list[str]:
    """Return the names of recordings in a results folder that were cut off."""
    return sorted(path.parent.name for path in _tables_folder(out, "").glob(f"*/{_HEAD}"))


def finish(out: Path, name: str) -> Path:
    """Write all files of a recording from what was kept of it, and let go of that; return the clip's folder.

    Raises
    ------
    OutputError
        What was kept cannot be read, or a file cannot be written.
    """
    kept = _tables_folder(out, name)
    try:
        head = json.loads((kept / _HEAD).read_text())
        config = parse_section(pipeline_model(), head["config"])
        tables = _whole(_stacked([_loaded(path, config) for path in sorted(kept.glob("*.npz"))]))
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{kept}: the recording cannot be read ({error}): remove this folder to go on") from error
    clip = _clip(name, VideoInfo(**head["info"]), tables, config)
    folder = clip_folder(out, name)
    for export in config.output.exports:
        for shared, data in EXPORTERS.get(export).shared_files().items():
            write_if_changed(out / shared, data)
    write_outputs(clip.result, folder, config.output.exports, options=clip.chart_options)
    shutil.rmtree(kept)
    return folder


def _tables_folder(out: Path, name: str) -> Path:
    return private_folder(out) / "live" / name


def _stacked(parts: list[Any]) -> dict[str, Table]:
    if not parts:
        raise ValueError("it holds no frame")
    return {name: type(table).stack([part[name] for part in parts]) for name, table in parts[0].items()}


def _loaded(path: Path, config: PipelineConfig) -> dict[str, Table]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        name, _, column = key.partition(" ")
        found.setdefault(name, {})[column] = array
    return {
        stage.name: stage.table_type().from_arrays(found[stage.name])
        for stage in stages_of(config)
        if stage.name in found  # a stream hands on no vectors by which faces are compared
    }


def _whole(tables: dict[str, Table]) -> dict[str, Table]:
    """Return the tables of a stream that is over: who somebody was is known of their first faces, too."""
    people, tracks = tables.get("people"), tables["tracks"]
    if people is None:
        return tables
    assert isinstance(people, PeopleTable)
    assert isinstance(tracks, TracksTable)
    return {**tables, "people": with_first_faces(people, tracks.track_id)}


def _as_told(name: str, info: VideoInfo, tables: Mapping[str, Table], config: PipelineConfig) -> ClipResult:
    """Return a stretch of a stream that goes on: people as they were told, and nothing that needs the whole of it."""
    movements = config.movements.model_copy(update={"baseline": "none"})
    clip = _clip(name, info, _whole(dict(tables)), config.model_copy(update={"movements": movements})).result
    people = tables.get("people")
    return clip if people is None else replace(clip, people=FacePeople(**people.arrays()))


def _clip(name: str, info: VideoInfo, tables: Mapping[str, Table], config: PipelineConfig) -> Clip:
    frames = faces_in(tables).frames()
    duration = float(frames.pts_seconds[-1] + frames.durations_seconds[-1] - frames.pts_seconds[0])
    known = {**asdict(info), "duration_seconds": duration, "average_fps": len(frames) / duration}
    info = VideoInfo(**{**known, "num_frames": len(frames)})
    decode = DecodeReport(reader=READER, expected_frames=len(frames), decoded_frames=len(frames))
    made_by = provenance(config, reader=READER)
    return Clip(clip_result(name, info, decode, tables, config=config, provenance=made_by), config.output)
