"""report.html: the clip on one page that opens from disk."""

from __future__ import annotations

import os
from pathlib import Path

from vidfer.exporters import exporter
from vidfer.types import ClipResult


@exporter("report", filenames=("report.html",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return report.html; the video plays beside the chart from where it lay when the clip was processed."""
    from vidfer.report.html import render_report

    video = Path(os.path.abspath(clip.info.path)).as_uri()
    return {"report.html": render_report(clip, video_href=video)}
