"""emotions.emotionml: episodes as EmotionML 1.0, https://www.w3.org/TR/2014/REC-emotionml-20140522/.

A probability is no intensity: it is written as ``confidence``, never as ``value``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import PurePath
from urllib.parse import quote

from vidfer.exporters import exporter
from vidfer.labels import EMOTIONS
from vidfer.types import ClipResult

NAMESPACE = "http://www.w3.org/2009/10/emotionml"
VOCABULARY = "ferplus"


@exporter("emotionml", filenames=("emotions.emotionml",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return emotions.emotionml; each episode refers to its stretch of the video, on the container's clock."""
    root = ET.Element("emotionml", {"xmlns": NAMESPACE, "version": "1.0", "category-set": f"#{VOCABULARY}"})
    vocabulary = ET.SubElement(root, "vocabulary", {"type": "category", "id": VOCABULARY})
    for name in EMOTIONS:
        ET.SubElement(vocabulary, "item", {"name": name})
    video = quote(PurePath(clip.info.path).name.encode(errors="surrogateescape"))
    start = clip.info.start_seconds
    for number, segment in enumerate(clip.segments):
        lasts = max(0, round((segment.end_seconds - segment.start_seconds) * 1000))
        emotion = ET.SubElement(
            root,
            "emotion",
            {"id": f"face{segment.track_id}-{number + 1}", "duration": str(lasts), "expressed-through": "face"},
        )
        confidence = f"{min(1.0, max(0.0, segment.mean_probability)):.4f}"
        ET.SubElement(emotion, "category", {"name": segment.emotion, "confidence": confidence})
        low, high = (max(0.0, start + seconds) for seconds in (segment.start_seconds, segment.end_seconds))
        uri = f"{video}#t={low:.3f},{high:.3f}"
        ET.SubElement(emotion, "reference", {"uri": uri, "role": "expressedBy"})
    ET.indent(root)
    return {"emotions.emotionml": ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"}
