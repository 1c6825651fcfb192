"""What a run shows while it works: tqdm bars on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from typing import Any

from vidfer.engine.events import ClipDone, Event, FramesDone
from vidfer.report.wording import display_name

LINE_EVERY_SECONDS = 15.0  # in a log file, at most one line this often while clips are in work
NAME_WIDTH = 28


class Progress:
    """Draws events; give ``quiet`` to draw nothing but failures.

    Use as a context manager, and ``on_event`` as the run's callback.
    """

    def __init__(self, num_clips: int, *, quiet: bool = False) -> None:
        self._num_clips = num_clips
        self._quiet = quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._clips: Any = None
        self._bars: dict[str, Any] = {}
        self._line_at = time.monotonic()
        self._cached = 0

    def __enter__(self) -> Progress:
        if self._terminal:
            from tqdm import tqdm

            self._clips = tqdm(total=self._num_clips, desc="clips", unit="clip", dynamic_ncols=True, position=0)
        return self

    def __exit__(self, *unused: object) -> None:
        for bar in (*self._bars.values(), self._clips):
            if bar is not None:
                bar.close()
        if self._cached and not self._quiet:
            what = "nothing left to do" if self._cached == self._num_clips else "done before, nothing left to do"
            print(f"{self._cached} of {self._num_clips} clips: {what}", file=sys.stderr)

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, FramesDone):
            self._frames(event)
        elif isinstance(event, ClipDone):
            self._clip(event)

    def _frames(self, event: FramesDone) -> None:
        if self._terminal:
            bar = self._bars.get(event.clip_id)
            if bar is None:
                from tqdm import tqdm

                bar = self._bars[event.clip_id] = tqdm(
                    total=event.total, desc=_short(event.clip_id), unit="frame", leave=False, dynamic_ncols=True
                )
                bar.initial = bar.n = event.done - max(event.computed.values(), default=0)
            bar.update(event.done - bar.n)
        elif not self._quiet and time.monotonic() - self._line_at > LINE_EVERY_SECONDS:
            self._line_at = time.monotonic()
            print(f"{display_name(event.clip_id)}: {event.done} of {event.total} frames", file=sys.stderr, flush=True)

    def _clip(self, event: ClipDone) -> None:
        bar = self._bars.pop(event.clip_id, None)
        if bar is not None:
            bar.close()
        if self._clips is not None:
            self._clips.update(1)
        if event.status == "cached":
            self._cached += 1
        elif event.status == "failed":
            self._say(f"[{event.done}/{event.total}] {display_name(event.clip_id)}: failed: {event.message}")
        elif not self._quiet and not self._terminal:
            self._say(f"[{event.done}/{event.total}] {display_name(event.clip_id)}: done")
        if event.status == "ok" and event.message:
            self._say(f"{display_name(event.clip_id)}: {event.message}")

    def _say(self, line: str) -> None:
        if self._terminal:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)


def _short(name: str) -> str:
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= NAME_WIDTH else f"…{name[-NAME_WIDTH + 1 :]}"
