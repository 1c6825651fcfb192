"""timeline.svg: the chart of timeline.png for print."""

from __future__ import annotations

from vidfer.exporters import chart_exporter
from vidfer.report.look import ChartLook
from vidfer.types import ClipResult


@chart_exporter("chart-svg", filenames=("timeline.svg",), version=4)
def draw(clip: ClipResult, look: ChartLook) -> dict[str, bytes]:
    """Return timeline.svg."""
    from vidfer.report.chart import timeline_svg

    return {"timeline.svg": timeline_svg(clip, look=look)}
