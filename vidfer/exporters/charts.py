"""timeline.png: probability over time per face; timeline.svg and timeline.pdf, the same for print."""

from __future__ import annotations

from vidfer.exporters import chart_exporter
from vidfer.report.chart_options import ChartOptions
from vidfer.types import ClipResult


@chart_exporter("chart", filenames=("timeline.png",), version=5)
def draw_png(clip: ClipResult, options: ChartOptions) -> dict[str, bytes]:
    """Return timeline.png."""
    from vidfer.report.chart import timeline_chart

    return {"timeline.png": timeline_chart(clip, options=options).png}


@chart_exporter("chart-svg", filenames=("timeline.svg",), version=5)
def draw_svg(clip: ClipResult, options: ChartOptions) -> dict[str, bytes]:
    """Return timeline.svg."""
    from vidfer.report.chart import timeline_svg

    return {"timeline.svg": timeline_svg(clip, options=options)}


@chart_exporter("chart-pdf", filenames=("timeline.pdf",), version=3)
def draw_pdf(clip: ClipResult, options: ChartOptions) -> dict[str, bytes]:
    """Return timeline.pdf."""
    from vidfer.report.chart import timeline_pdf

    return {"timeline.pdf": timeline_pdf(clip, options=options)}
