"""timeline.svg: the chart of timeline.png for print."""

from __future__ import annotations

from vidfer.exporters import exporter
from vidfer.types import ClipResult


@exporter("chart-svg", filenames=("timeline.svg",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.svg."""
    from vidfer.report.chart import timeline_svg

    return {"timeline.svg": timeline_svg(clip)}
