"""What people marked in ELAN (.eaf) and Praat (.TextGrid): stretches with a text, by tier."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidfer.errors import DataError

SUFFIXES = frozenset({".eaf", ".textgrid"})


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A stretch [start, end) that somebody marked; of a point both are the same.

    Attributes
    ----------
    tier
        Its name.
    start_seconds, end_seconds
        On the clock of the file: that of the container, as players show it.
    text
        What was written.
    annotator
        Who wrote it; empty where the file does not tell.
    where
        File, tier and number, for messages.
    """

    tier: str
    start_seconds: float
    end_seconds: float
    text: str
    annotator: str
    where: str


def read_annotations(path: Path) -> list[Annotation]:
    """Return the annotations of an ELAN or TextGrid file that have a text, tier by tier; raises DataError."""
    try:
        return _read_elan(path) if path.suffix.lower() == ".eaf" else _read_textgrid(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ET.ParseError, KeyError, ValueError, StopIteration) as error:
        kind = "an ELAN file" if path.suffix.lower() == ".eaf" else "a TextGrid"
        raise DataError(f"{path}: expected {kind}, got something else: {error}") from error


def elan_media(path: Path) -> Path | None:
    """Return the video that an ELAN file names and that is there: by its address, or beside the file."""
    for media in ET.parse(path).iter("MEDIA_DESCRIPTOR"):
        for address, base in ((media.get("RELATIVE_MEDIA_URL"), path.parent), (media.get("MEDIA_URL"), Path("/"))):
            found = base / unquote(urlsplit(address or "").path)
            for candidate in (found, path.parent / found.name):
                if address and candidate.is_file():
                    return candidate
    return None


def _read_elan(path: Path) -> list[Annotation]:
    root = ET.parse(path).getroot()
    header = root.find("HEADER")
    if root.tag != "ANNOTATION_DOCUMENT" or header is None:
        raise ValueError(f"<{root.tag}>")
    if header.get("TIME_UNITS", "milliseconds") != "milliseconds":
        raise ValueError(f"time units {header.get('TIME_UNITS')}")
    slots = {slot.attrib["TIME_SLOT_ID"]: slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    times: dict[str, tuple[float, float]] = {}  # of annotations that others refer to
    found = []
    for tier in root.iter("TIER"):
        name = tier.attrib["TIER_ID"]
        for number, one in enumerate(tier.findall("ANNOTATION/ALIGNABLE_ANNOTATION")):
            ends = [slots[one.attrib[key]] for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
            text = (one.findtext("ANNOTATION_VALUE") or "").strip()
            where = f"{path}: tier {name}, annotation {number + 1}"
            if text and (ends[0] is None or ends[1] is None):
                raise DataError(f"{where}: {text!r} has no time of its own: align it in ELAN")
            if text:
                start, end = (int(value or 0) / 1000 for value in ends)
                times[one.attrib["ANNOTATION_ID"]] = (start, end)
                found.append(_annotation(name, start, end, text, tier.get("ANNOTATOR") or "", where))
        for number, one in enumerate(tier.findall("ANNOTATION/REF_ANNOTATION")):
            text, parent = (one.findtext("ANNOTATION_VALUE") or "").strip(), times.get(one.attrib["ANNOTATION_REF"])
            if text and parent:
                where = f"{path}: tier {name}, annotation {number + 1}"
                found.append(_annotation(name, *parent, text, tier.get("ANNOTATOR") or "", where))
    return found


def _annotation(tier: str, start: float, end: float, text: str, annotator: str, where: str) -> Annotation:
    return Annotation(
        tier=tier, start_seconds=start, end_seconds=end, text=text, annotator=annotator.strip(), where=where
    )


def _read_textgrid(path: Path) -> list[Annotation]:
    """Read the long and the short form, which hold the same values in the same order."""
    data = path.read_bytes()
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    body = text.partition("\n")[2].partition("\n")[2]  # File type, Object class
    if "ooTextFile" not in text[:60] or "TextGrid" not in text[:100]:
        raise ValueError("no line that says ooTextFile and TextGrid")
    # Strings, flags and numbers that stand alone: what else the long form writes are names, which are passed over.
    values = re.findall(r'"(?:[^"]|"")*"|<\w+>|(?<![\w\[.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w\]])', body)
    take = iter(values[3:])  # xmin, xmax, <exists>
    found = []
    for _ in range(int(next(take))):
        kind, name = next(take).strip('"'), _unquoted(next(take))
        next(take), next(take)
        for number in range(int(next(take))):
            start = float(next(take))
            end = float(next(take)) if kind == "IntervalTier" else start
            label = _unquoted(next(take)).strip()
            if label:
                found.append(_annotation(name, start, end, label, "", f"{path}: tier {name}, interval {number + 1}"))
    return found


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"')
