"""vidfer: facial-expression timelines from folders of videos."""

from __future__ import annotations

__version__ = "0.2.0"
__all__ = [
    *("Clip", "Face", "Faces", "Pipeline", "Timeline", "__version__"),
    *("load_summary", "load_timeline", "process", "write"),
]

TYPE_CHECKING = False  # as typing has it, which is not imported: `python -m vidfer` could take it from any folder
if TYPE_CHECKING:
    from typing import Any

    from vidfer.api import Timeline as Timeline
    from vidfer.api import load_summary as load_summary
    from vidfer.api import load_timeline as load_timeline
    from vidfer.api import process as process
    from vidfer.api import write as write
    from vidfer.pipeline.clip import Clip as Clip
    from vidfer.pipeline.clip import Face as Face
    from vidfer.pipeline.clip import Faces as Faces
    from vidfer.pipeline.pipeline import Pipeline as Pipeline

_WHERE = {
    "Pipeline": "vidfer.pipeline.pipeline",
    **dict.fromkeys(("Clip", "Face", "Faces"), "vidfer.pipeline.clip"),
    **dict.fromkeys(("Timeline", "load_summary", "load_timeline", "process", "write"), "vidfer.api"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first used, so that ``vidfer --help`` stays fast."""
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'vidfer' has no attribute {name!r}")
