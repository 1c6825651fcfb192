"""emotions.eaf: episodes as annotations for ELAN, one tier per person, on the container's clock.

EAF 3.0, http://www.mpi.nl/tools/elan/EAFv3.0.xsd. The format demands a date of creation; it is fixed here, so that the
same clip gives the same bytes.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path

from vidfer.exporters import exporter
from vidfer.people.by_person import by_person
from vidfer.report.wording import display_name
from vidfer.types import ClipResult

_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
# The stereotypes that ELAN itself writes into every file, in its words.
_CONSTRAINTS = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, "
    "no time gaps allowed within this interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. "
    "Annotations refering to the same parent are ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}


@exporter("elan", filenames=("emotions.eaf",), version=3)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return emotions.eaf."""
    clip = by_person(clip)
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {"AUTHOR": "vidfer", "DATE": "1970-01-01T00:00:00+00:00", "FORMAT": "3.0", "VERSION": "3.0"},
    )
    root.set(_SCHEMA_INSTANCE, "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    _add_header(root, clip)
    slots = ET.SubElement(root, "TIME_ORDER")
    tiers: dict[int, ET.Element] = {}
    for number, segment in enumerate(clip.segments):
        if segment.track_id not in tiers:
            attributes = {"LINGUISTIC_TYPE_REF": "emotion", "TIER_ID": clip.label(segment.track_id)}
            tiers[segment.track_id] = ET.SubElement(root, "TIER", attributes)
        times = (clip.info.start_seconds + seconds for seconds in (segment.start_seconds, segment.end_seconds))
        names = [f"ts{2 * number + i + 1}" for i in range(2)]
        for name, seconds in zip(names, times, strict=True):
            ET.SubElement(slots, "TIME_SLOT", {"TIME_SLOT_ID": name, "TIME_VALUE": str(max(0, round(seconds * 1000)))})
        annotation = ET.SubElement(
            ET.SubElement(tiers[segment.track_id], "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            {"ANNOTATION_ID": f"a{number + 1}", "TIME_SLOT_REF1": names[0], "TIME_SLOT_REF2": names[1]},
        )
        ET.SubElement(annotation, "ANNOTATION_VALUE").text = segment.emotion
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true"},
    )
    for stereotype, description in _CONSTRAINTS.items():
        ET.SubElement(root, "CONSTRAINT", {"DESCRIPTION": description, "STEREOTYPE": stereotype})
    ET.indent(root)
    return {"emotions.eaf": ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"}


def _add_header(root: ET.Element, clip: ClipResult) -> None:
    header = ET.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    url = Path(os.path.abspath(clip.info.path)).as_uri()
    ET.SubElement(header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": url, "MIME_TYPE": "video/*"})
    last = ET.SubElement(header, "PROPERTY", {"NAME": "lastUsedAnnotationId"})
    last.text = str(len(clip.segments))
    ET.SubElement(header, "PROPERTY", {"NAME": "vidfer clip"}).text = display_name(clip.clip_id)
