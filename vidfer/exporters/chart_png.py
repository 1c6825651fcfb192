"""timeline.png: probability over time per face."""

from __future__ import annotations

from vidfer.exporters import chart_exporter
from vidfer.report.look import ChartLook
from vidfer.types import ClipResult


@chart_exporter("chart", filenames=("timeline.png",), version=4)
def draw(clip: ClipResult, look: ChartLook) -> dict[str, bytes]:
    """Return timeline.png."""
    from vidfer.report.chart import timeline_chart

    return {"timeline.png": timeline_chart(clip, look=look).png}
