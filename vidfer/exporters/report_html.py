"""report.html: the clip on one page that opens from disk, with the plotting library beside it once per batch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path, PurePosixPath

from vidfer.errors import MissingDependency
from vidfer.exporters import chart_exporter
from vidfer.report.look import ChartLook
from vidfer.types import ClipResult

PLOTLY = "assets/plotly.min.js"  # below the results folder: 5 MB, too much to be in every page


def shared_files() -> dict[str, bytes]:
    """Return plotly.js as the Python package ships it, found without importing the package."""
    spec = importlib.util.find_spec("plotly")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingDependency("plotly", needed_for="report.html")
    return {PLOTLY: (Path(folders[0]) / "package_data" / "plotly.min.js").read_bytes()}


@chart_exporter("report", filenames=("report.html",), version=4, shared_files=shared_files)
def draw(clip: ClipResult, look: ChartLook) -> dict[str, bytes]:
    """Return report.html; the video plays beside the chart from where it lay when the clip was processed."""
    from vidfer.report.html import render_report

    video = Path(os.path.abspath(clip.info.path)).as_uri()
    up = "../" * len(PurePosixPath(clip.clip_id).parts)
    return {"report.html": render_report(clip, video_href=video, plotly_href=up + PLOTLY, look=look)}
