"""The faces at the peaks of a clip's episodes, read from its video: only where a user asks for them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from vidfer.config import OutputConfig
from vidfer.errors import VidferError
from vidfer.exporters import EXPORTERS, ChartExporter
from vidfer.people.by_person import by_person
from vidfer.report.chart_options import ApexFrame, ChartOptions, Portrait
from vidfer.store.fingerprint import fingerprint_file
from vidfer.types import ClipResult

logger = logging.getLogger(__name__)
MOVED = "No pictures: the video is no longer where it was."
CHANGED = "No pictures: another video lies where the clip's was."
UNREADABLE = "No pictures: the video can no longer be read."


def chart_options(clip: ClipResult, output: OutputConfig, exports: tuple[str, ...], *, checked: bool) -> ChartOptions:
    """Return how a clip's charts are to be drawn, with the pictures that they show if the settings ask for them.

    Parameters
    ----------
    clip
        The finished clip.
    output
        The settings.
    exports
        What is about to be written: without a chart in it no video is opened.
    checked
        The video's content was just found to be the clip's; else it is read once more, to be sure.
    """
    options = ChartOptions.of(output)
    if not (output.thumbnails and any(isinstance(EXPORTERS.get(name), ChartExporter) for name in exports)):
        return options
    path = Path(clip.info.path)
    if not path.is_file():
        return replace(options, note=MOVED)
    try:
        if not checked and fingerprint_file(path).sha256 != clip.info.fingerprint:
            return replace(options, note=CHANGED)
        apexes, portraits = read_pictures(clip)
        return replace(options, apexes=apexes, portraits=portraits)
    except (VidferError, OSError) as error:
        logger.warning("%s: no pictures of its apex frames: %s", clip.clip_id, error)
        return replace(options, note=UNREADABLE)


def read_pictures(clip: ClipResult) -> tuple[tuple[ApexFrame, ...], tuple[Portrait, ...]]:
    """Decode the frames at the peaks of episodes and those that show each person best; a damaged one is left out.

    Raises
    ------
    VidferError
        The video cannot be read.
    """
    import numpy as np

    from vidfer.report.apex import apex_episodes, best_views, cut_out, face_row_at
    from vidfer.video.probe import probe, turned
    from vidfer.video.reader import open_reader

    clip = by_person(clip)
    episodes, views = apex_episodes(clip), best_views(clip)
    rows = [*(face_row_at(clip, episode) for episode in episodes), *views.values()]
    if not rows:
        return (), ()
    frame_rows = np.unique(clip.timeline.frame_row[rows])
    # PyAV's reader passes over all packets between the wanted pictures.
    video = turned(probe(clip.info.path, stream=clip.info.stream), clip.info.turned_degrees)
    reader = open_reader(video, decoder="pyav")
    pictures: dict[int, np.ndarray] = {}
    for batch in reader.read(clip.frames.frame_index[frame_rows], batch_size=1):
        frame_row = int(np.searchsorted(clip.frames.frame_index, batch.frame_index[0]))
        for number, row in enumerate(rows):
            if clip.timeline.frame_row[row] == frame_row:
                pictures[number] = cut_out(batch.images[0], clip.faces.xyxy[row])
    apexes = tuple(
        ApexFrame(
            track_id=episode.track_id,
            emotion=episode.emotion,
            seconds=episode.peak_seconds,
            picture=pictures[number],
            probability=episode.peak_probability,
        )
        for number, episode in enumerate(episodes)
        if number in pictures
    )
    portraits = tuple(
        Portrait(
            label=clip.label(person),
            include=clip.roster is None or clip.roster.by_number[person].include,
            picture=pictures[number],
        )
        for number, person in enumerate(views, start=len(episodes))
        if number in pictures
    )
    return apexes, portraits
