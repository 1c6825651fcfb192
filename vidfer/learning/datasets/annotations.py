"""What people marked in ELAN (.eaf) and Praat (.TextGrid): stretches with a text, by tier."""

from __future__ import annotations

import difflib
import glob
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTIONS, WRONG
from vidfer.learning.datasets.manifest import Manifest
from vidfer.video.find import VIDEO_SUFFIXES
from vidfer.video.probe import probe

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


def manifest_of_annotations(
    path: Path, *, video: Path | None = None, tiers: tuple[str, ...] = (), split: str = "test"
) -> Manifest:
    """Return the labels of an ELAN or TextGrid file as a manifest.

    Parameters
    ----------
    path
        The file. Its texts are labels as in `vidfer.labels.EMOTIONS`, or ``wrong``.
    video
        What was labelled; by default what an ELAN file names, or the video beside the file that is called as it is.
    tiers
        Those to read; none: all. Where ELAN does not tell the annotator the tier's name stands for it.
    split
        Of all rows.

    Raises
    ------
    DataError
        There is no video, no such tier, or a text is no label (named with tier and number).
    """
    video = video or (elan_media(path) if path.suffix.lower() == ".eaf" else None) or _beside(path)
    if video is None or not video.is_file():
        raise DataError(f"{path}: its video is not there: name it with --video")
    chosen = [one for one in read_annotations(path) if not tiers or one.tier in tiers]
    if not chosen:
        known = sorted({one.tier for one in read_annotations(path)})
        raise DataError(f"{path}: no labels in {', '.join(tiers) or 'it'}; tiers: {', '.join(known) or 'none'}")
    for one in chosen:
        if one.text.lower() not in (*EMOTIONS, WRONG):
            near = difflib.get_close_matches(one.text.lower(), EMOTIONS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join((*EMOTIONS, WRONG))}"
            raise DataError(f"{one.where}: unknown label {one.text!r}; {hint}")
    start = probe(video).info.start_seconds  # annotations are on the container's clock, manifests count from it
    return Manifest(
        clip_id=tuple(f"{path.stem} {one.tier} {number + 1}" for number, one in enumerate(chosen)),
        path=(video.absolute(),) * len(chosen),
        sha256=("",) * len(chosen),
        subject_id=("",) * len(chosen),
        split=(split,) * len(chosen),
        label=tuple(one.text.lower() for one in chosen),
        start_seconds=np.array([max(0.0, one.start_seconds - start) for one in chosen]),
        end_seconds=np.array([one.end_seconds - start for one in chosen]),
        further={"annotator": tuple(one.annotator or one.tier for one in chosen)},
    )


def _beside(path: Path) -> Path | None:
    found = [one for one in sorted(path.parent.glob(f"{glob.escape(path.stem)}.*")) if one.suffix in VIDEO_SUFFIXES]
    return found[0] if found else None
