"""vidfer: facial-expression timelines from folders of videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Timeline", "__version__", "load_timeline", "process"]

if TYPE_CHECKING:
    from vidfer.api import Timeline as Timeline
    from vidfer.api import load_timeline as load_timeline
    from vidfer.api import process as process


def __getattr__(name: str) -> Any:
    """Import the API when it is first used, so that ``vidfer --help`` stays fast."""
    if name in ("process", "load_timeline", "Timeline"):
        from vidfer import api

        return getattr(api, name)
    raise AttributeError(f"module 'vidfer' has no attribute {name!r}")
