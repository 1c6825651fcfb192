"""report.html: the clip on one page that opens from disk, with the plotting library beside it once per batch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from vidfer.errors import MissingDependency
from vidfer.exporters import chart_exporter
from vidfer.report.chart_options import ChartOptions
from vidfer.types import ClipResult

PLOTLY = "assets/plotly.min.js"  # below the results folder: 5 MB, too much to be in every page


def shared_files() -> dict[str, bytes]:
    """Return plotly.js as the Python package ships it, found without importing the package."""
    spec = importlib.util.find_spec("plotly")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingDependency("plotly", needed_for="report.html")
    return {PLOTLY: (Path(folders[0]) / "package_data" / "plotly.min.js").read_bytes()}


@chart_exporter("report", filenames=("report.html",), version=9, shared_files=shared_files)
def draw(clip: ClipResult, options: ChartOptions) -> dict[str, bytes]:
    """Return report.html; the video plays beside the chart from where it lay when the clip was processed.

    The page names it relative to its own folder: no path of the machine is in it, and a tree that is moved as a whole
    still plays.
    """
    from vidfer.report.html import render_report

    up = "" if options.alone else "../" * len(PurePosixPath(clip.clip_id).parts)
    return {
        "report.html": render_report(clip, video_href=_video_href(clip, options), up=up, plotly=PLOTLY, options=options)
    }


def _video_href(clip: ClipResult, options: ChartOptions) -> str | None:
    if not clip.info.path:
        return None
    path = clip.info.path
    relative = os.path.relpath(path, options.folder) if options.folder is not None else os.path.basename(path)
    return quote(Path(relative).as_posix(), safe="/", errors="surrogateescape")
