"""A first study file, proposed from how the clips are called and in which folders they lie."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from vidfer.errors import OutputError, VidferError
from vidfer.report.wording import count
from vidfer.store.atomic import write_bytes
from vidfer.store.layout import clip_ids
from vidfer.study.recordings import find_clips
from vidfer.study.settings import StudySettings
from vidfer.video.find import find_videos

# Whom and what the parts of a name can mean, likeliest first; the first that gives several conditions is taken.
_PATTERNS = (
    r"(?P<condition>[^/]+)/(?P<participant>[^/]+)",
    r"(?P<participant>[^/]+)/(?P<condition>[^/]+)",
    r"(?P<participant>[^/]+?)[_-](?P<condition>[^/_-]+)",
    r"(?P<condition>[^/_-]+)[_-](?P<participant>[^/]+)",
)
_ANYONE = r"(?P<participant>.+)"


def propose(folder: str | Path, *, out: str | Path | None = None) -> str:
    """Return a study file for a folder of videos, or of results, and write it if ``out`` is given.

    Raises
    ------
    OutputError
        ``out`` is there already: an edited file is not overwritten.
    VidferError
        There is no video.
    """
    if out is not None and Path(out).exists():
        raise OutputError(f"{out} exists: choose another --out, or remove it")
    try:
        clips = clip_ids(find_videos([folder]))
    except VidferError:
        clips = sorted(find_clips(Path(folder)))
    text = study_file(sorted(clips))
    if out is not None:
        write_bytes(Path(out), text.encode())
    return text


def study_file(clips: Sequence[str]) -> str:
    """Return a study file for clips of these names."""
    pattern = next((one for one in _PATTERNS if _fits(one, clips)), _ANYONE)
    whom = [match for clip in clips if (match := re.fullmatch(pattern, clip))]
    people = sorted({match["participant"] for match in whom})
    arms: dict[str, set[str]] = {}
    for match in whom:
        arms.setdefault(match.groupdict().get("condition") or "", set()).add(match["participant"])
    repeated = sum(map(len, arms.values())) - len(people)
    design = "none" if len(arms) < 2 else "paired" if repeated > len(people) / 2 else "unpaired"
    found = f"{count(len(clips), 'clip')}, {count(len(people), 'participant')}"
    conditions = ", ".join(f"{name} ({len(of)})" for name, of in sorted(arms.items())) if len(arms) > 1 else "none"
    lines = [
        "# A study over vidfer's results; every key: docs/guide.md. Proposed from the names of the clips: check it.",
        f"# Found: {found}; conditions: {conditions}.",
        *(f"# Does not fit, and is left out: {clip}" for clip in sorted(set(clips) - {m.string for m in whom})[:5]),
    ]
    chosen: dict[str, object] = {
        "clips.pattern": pattern,
        "analysis.design": design,
        "analysis.conditions": sorted(arms) if len(arms) > 1 else [],
    }
    return "\n".join(lines) + "\n" + _as_toml(chosen)


def _fits(pattern: str, clips: Sequence[str]) -> bool:
    """Whether nearly all clips fit, in a few conditions with several participants each."""
    matches = [match for clip in clips if (match := re.fullmatch(pattern, clip))]
    conditions = {match["condition"] for match in matches}
    participants = {match["participant"] for match in matches}
    return len(matches) >= 0.8 * len(clips) and 2 <= len(conditions) <= min(12, len(participants) + 1, len(clips) / 2)


def _as_toml(chosen: dict[str, object]) -> str:
    """Return all sections with their values, each key with what it means."""
    lines = []
    for section, info in StudySettings.model_fields.items():
        lines += ["", f"[{section}]"]
        kind = info.default.__class__
        for key, field in kind.model_fields.items():
            value = chosen.get(f"{section}.{key}", getattr(info.default, key))
            lines.append(f"{key} = {_toml(value)}  # {field.description}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _toml(value: object) -> str:
    as_text: Callable[[object], str] = json.dumps
    if isinstance(value, str):
        return f"'{value}'" if "\\" in value or "(" in value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return as_text(value)
