"""How times and names are shown to people."""

from __future__ import annotations

import unicodedata


def clock(seconds: float, *, decimals: int = 0) -> str:
    """Return a time as m:ss or h:mm:ss, with as many decimals of the second as asked."""
    scale = 10**decimals
    ticks = round(seconds * scale)
    sign, ticks = ("-", -ticks) if ticks < 0 else ("", ticks)
    minutes, rest = divmod(ticks, 60 * scale)
    whole, fraction = divmod(rest, scale)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"
    return f"{sign}{text}.{fraction:0{decimals}d}" if decimals else sign + text


def duration(seconds: float) -> str:
    """Return a duration, short ones in seconds (``0.12 s``, ``4.2 s``), long ones as a clock shows them (``12:05``)."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 59.95 else clock(seconds)


def display_name(name: str, *, longest: int = 0) -> str:
    """Return a file's or clip's name fit to be shown on one line.

    Line breaks and control characters become spaces, bytes that are no text are escaped, and a name of more than
    ``longest`` characters (0 = any) loses its middle.
    """
    text = name.encode("utf-8", errors="backslashreplace").decode()
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    if longest and len(text) > longest:
        tail = (longest - 1) // 2
        text = text[: longest - 1 - tail] + "…" + text[len(text) - tail :]
    return text


def people(number: int, kind: str = "") -> str:
    """Return ``1 person``, ``2 people``; with a kind ``1 further person``."""
    return f"{number:,} {kind} {'person' if number == 1 else 'people'}".replace("  ", " ")


def ends_early(decoded_frames: int, expected_frames: int) -> str:
    """Return what is said of a truncated video."""
    return f"The video is damaged or ends early: {decoded_frames:,} of {expected_frames:,} frames could be read."


def count(number: int, noun: str) -> str:
    """Return ``1 face``, ``2 faces``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
