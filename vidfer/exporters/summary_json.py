"""summary.json: the clip in numbers, with how decoding went and where everything came from."""

from __future__ import annotations

import json

from vidfer.exporters import exporter
from vidfer.timeline.summary import summarise
from vidfer.types import ClipResult


@exporter("summary", filenames=("summary.json",), version=4)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return summary.json."""
    text = json.dumps(summarise(clip), indent=2, ensure_ascii=False, allow_nan=False)
    return {"summary.json": (text + "\n").encode("utf-8", errors="backslashreplace")}
