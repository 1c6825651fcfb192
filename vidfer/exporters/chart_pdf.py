"""timeline.pdf: the chart of timeline.png for print."""

from __future__ import annotations

from vidfer.exporters import chart_exporter
from vidfer.report.look import ChartLook
from vidfer.types import ClipResult


@chart_exporter("chart-pdf", filenames=("timeline.pdf",), version=2)
def draw(clip: ClipResult, look: ChartLook) -> dict[str, bytes]:
    """Return timeline.pdf."""
    from vidfer.report.chart import timeline_pdf

    return {"timeline.pdf": timeline_pdf(clip, look=look)}
