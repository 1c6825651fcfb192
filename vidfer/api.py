"""Use from Python: what ``import vidfer`` offers besides ``Pipeline``, which lies in ``pipeline``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidfer.config import PipelineConfig, load_pipeline, with_settings
from vidfer.engine.events import EventCallback, ignore
from vidfer.engine.runner import RunOptions, RunReport, run
from vidfer.exporters import EXPORTERS
from vidfer.report.chart_options import ChartOptions, ChartSize, ChartStyle
from vidfer.report.wording import count
from vidfer.store.outputs import write_if_changed, write_outputs
from vidfer.timeline.saved import clip_of_tables, read_clips, read_episodes, read_summary, read_table
from vidfer.video.find import find_videos

if TYPE_CHECKING:
    import pandas as pd

    from vidfer.pipeline.clip import Clip
    from vidfer.pipeline.pipeline import Pipeline

NOTEBOOK_WIDTH_PX = 900


def process(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    pipeline: str | PipelineConfig | Pipeline = "default",
    settings: Sequence[str] = (),
    options: RunOptions | None = None,
    on_event: EventCallback = ignore,
) -> RunReport:
    """Process videos as ``vidfer process`` does.

    Work is done in processes of its own, fresh interpreters that never import the caller's script.

    Parameters
    ----------
    paths
        A file, a folder (searched recursively), a glob, or several of them.
    out
        The results folder; made if missing. What is already there and still valid is not computed again.
    pipeline
        Name of a pipeline that comes with vidfer, path of a .toml file, a PipelineConfig, or a Pipeline without
        components of its own.
    settings
        ``section.key=value`` strings that override the pipeline, e.g. ``["video.fps=5"]``.
    options
        What to force or retry.
    on_event
        Called with each event of ``vidfer.engine.events`` as it happens.

    Returns
    -------
    RunReport
        What became of each clip. A clip that failed does not raise: see ``failed``.

    Raises
    ------
    VidferError
        Nothing can be done at all: no videos, a wrong setting, an ``out`` that cannot be written.
    """
    config = load_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    if not isinstance(config, PipelineConfig):
        config = config.config_for_workers()
    config = with_settings(config, settings) if settings else config
    videos = find_videos([paths] if isinstance(paths, str | Path) else list(paths))
    return run(videos, Path(out), config, options=options, on_event=on_event)


def write(clip: Clip, folder: str | Path, *, exports: Sequence[str] = ("csv", "segments", "summary", "chart")) -> None:
    """Write a clip of ``Pipeline.video`` or ``Pipeline.frames`` as files, each whole or not at all.

    Parameters
    ----------
    clip
        What to write.
    folder
        Where; made if missing. Files are called as in a clip's folder of ``vidfer process``.
    exports
        Formats by name, as ``--export`` takes them.

    Raises
    ------
    ConfigError
        There is no such format.
    OutputError
        A file cannot be written.
    BadVideo
        The format needs the clip's video, and there is none.
    """
    for name in exports:
        exporter = EXPORTERS.get(name)
        for shared, data in exporter.shared_files().items():
            write_if_changed(Path(folder) / shared, data)
    write_outputs(clip.result, Path(folder), tuple(exports), options=replace(clip.chart_options, alone=True))


def load_timeline(folder: str | Path) -> pd.DataFrame:
    """Return a clip's timeline as a tidy table: one row per sampled frame and face, columns as in timeline.csv.

    Parameters
    ----------
    folder
        The clip's results folder, or its ``timeline.parquet`` or ``timeline.csv``.

    Raises
    ------
    OutputError
        There is no timeline.
    """
    return read_table(Path(folder))


def load_summary(results: str | Path) -> pd.DataFrame:
    """Return all clips of a results folder as a table: one row per clip, columns as in summary.csv.

    Names are those on disk: text, also where clips are called 001, NA or None, and without the apostrophe that
    summary.csv puts before ``=``, ``+``, ``-`` and ``@``. What a clip without a face has no number for is NaN.

    Parameters
    ----------
    results
        The folder that ``vidfer process`` wrote, or its ``summary.csv``.

    Raises
    ------
    OutputError
        There is no summary.csv, or vidfer did not write it.
    """
    return read_clips(Path(results))


class Timeline:
    """One clip's results, read from its folder alone; shows itself as a chart in a notebook.

    Parameters
    ----------
    folder
        The clip's results folder. Neither the video nor ``.vidfer`` is needed, so a copied folder does.

    Raises
    ------
    OutputError
        There is no timeline, or vidfer did not write it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.table = read_table(self.folder)

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """One row per episode, columns as in segments.csv; raises OutputError where the file is missing."""
        return read_episodes(self.folder)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What summary.json says; empty where there is none."""
        return read_summary(self.folder)

    def chart(self, style: ChartStyle = "auto", *, size: ChartSize = "screen") -> bytes:
        """Return the clip's chart as a PNG: ``lines``, stacked ``areas``, or as the clip's length asks for.

        ``size="paper"`` is for a column of 85 mm, at 300 dpi.

        Tables do not hold what each frame alone says, so lines have no band here; timeline.png has it.

        Raises
        ------
        OutputError
            segments.csv is missing, or a column is.
        """
        from vidfer.report.chart import timeline_chart

        clip = clip_of_tables(self.table, self.episodes, self.summary, clip_id=self.folder.resolve().name)
        return timeline_chart(clip, options=ChartOptions(style=style, size=size)).png

    def __repr__(self) -> str:
        seen = self.table[self.table["success"] == 1]
        faces, frames = count(seen["face_id"].nunique(), "face"), count(self.table["frame"].nunique(), "sampled frame")
        return f"Timeline({str(self.folder)!r}): {frames}, {faces}"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return what a notebook shows: the chart, finer than it is shown."""
        return self.chart(), {"width": NOTEBOOK_WIDTH_PX}
