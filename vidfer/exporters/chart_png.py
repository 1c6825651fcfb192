"""timeline.png: probability over time per face."""

from __future__ import annotations

from vidfer.exporters import exporter
from vidfer.types import ClipResult


@exporter("chart", filenames=("timeline.png",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.png."""
    from vidfer.report.chart import timeline_chart

    return {"timeline.png": timeline_chart(clip).png}
