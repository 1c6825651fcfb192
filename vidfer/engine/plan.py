"""Which cache key every stage of a clip has. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import vidfer
from vidfer.config import PipelineConfig
from vidfer.exporters import EXPORTERS, SnippetExporter
from vidfer.pipeline import last_stages, stages_of
from vidfer.pipeline.provenance import READER_PACKAGES, component_weights, frames_made_by, stage_settings
from vidfer.store.cache_key import key_for, key_of_text, key_text
from vidfer.store.cachefile import canonical_json
from vidfer.store.journal import ClipRecord

PROBE = "probe"  # not a stage that computes: what demuxing a file tells, and which reader its frames come from
PROBE_VERSION = 3
OUTPUTS = "outputs"  # nothing that is cached: the key of the files that users read
DECODE = "decode"  # of failures: reading the file, before any network has seen a frame
NUMBERS = "numbers"  # neither: that of what they say, however it is drawn and written
EDITS = "edits"  # nor this: the digest of a clip's rows in people.csv; empty without any


def _highlights(config: PipelineConfig) -> dict[str, Any]:
    """Return what decides how highlights are cut, where they are asked for."""
    wanted = any(isinstance(EXPORTERS.get(name), SnippetExporter) for name in config.exports)
    output = config.output
    return {"highlights": [output.highlight_margin_seconds, output.highlights_per_person]} if wanted else {}


def probe_key(fingerprint: str, config: PipelineConfig) -> str:
    """Return the key under which a video's probing is kept: its content, and how its reader is chosen."""
    return key_for(PROBE, **_probe(config), inputs=[fingerprint])


def stage_keys(
    fingerprint: str, reader: str, config: PipelineConfig, *, clip_id: str, edits: str = ""
) -> Mapping[str, str]:
    """Return the keys of all stages of a clip by name, with those of ``probe``, ``numbers``, ``outputs``, ``edits``.

    Parameters
    ----------
    fingerprint
        sha256 of the video's content.
    reader
        The reader that gives (or gave) its frames.
    config
        The pipeline.
    clip_id
        Part of the outputs' key only: titles and links show it.
    edits
        Digest of what people.csv says of the clip.
    """
    return KeyPlan(config, reader).keys(fingerprint, clip_id, edits)


class KeyPlan:
    """The keys of many clips by the same settings, a tenth of the work each: only what is the clip's own is filled in.

    Parameters
    ----------
    config
        The pipeline.
    reader
        The reader that gives the frames of these clips.

    Attributes
    ----------
    digest
        Of all that the keys follow from, but for what is a clip's own.
    """

    def __init__(self, config: PipelineConfig, reader: str) -> None:
        self._texts: dict[str, list[str]] = {}  # by stage: text, name of what follows it, text, ...
        self._add(PROBE, [_FINGERPRINT], _probe(config))
        stages = stages_of(config)
        for stage in stages:
            settings = stage_settings(stage, config)
            if stage.sees_frames:
                settings |= config.video.model_dump(mode="json", include={"fps", "stream", "rotation"})
            digests = [digest for _, _, digests in component_weights(stage, config) for digest in digests]
            seen_by = frames_made_by(reader, config) if stage.sees_frames else None
            made_by = {"version": stage.version, "config": settings, "weights": digests, "reader": seen_by}
            self._add(stage.name, list(stage.inputs) or [_FINGERPRINT], made_by)
        timeline, last = config.timeline.model_dump(mode="json"), list(last_stages(stages))
        decisive = {"timeline": timeline, "people": config.people.who_counts()}
        if config.movements.enabled:
            decisive["movements"] = config.movements.model_dump(mode="json", include={"baseline"})
        self._add(NUMBERS, [*last, EDITS], {"version": 4, "config": decisive})
        settings = {
            **decisive,
            **({"lanes": config.output.lanes} if config.movements.enabled else {}),
            "exports": [[name, EXPORTERS.get(name).version] for name in config.exports],
            "chart": [config.output.chart, config.output.chart_size, config.output.thumbnails],
            **_highlights(config),
            "strict": config.video.strict,
            "clip_id": _mark(_CLIP_ID),
        }
        self._add(OUTPUTS, [*last, EDITS], {"version": vidfer.__version__, "config": settings})
        self.digest = hashlib.sha256(" ".join(self.keys("", "").values()).encode()).hexdigest()[:16]

    def keys(self, fingerprint: str, clip_id: str, edits: str = "") -> Mapping[str, str]:
        """Return the keys of one clip by stage: see ``stage_keys``."""
        known = {_FINGERPRINT: fingerprint, _CLIP_ID: canonical_json(clip_id)[1:-1], EDITS: edits}
        for name, texts in self._texts.items():
            filled = [known[text] if number % 2 else text for number, text in enumerate(texts)]
            known[name] = key_of_text("".join(filled))
        return {name: known[name] for name in (*self._texts, EDITS)}

    def made_by(self, edits: str = "") -> str:
        """Return what the record says of a clip that was finished by these settings and these edits."""
        return self.digest + edits

    def _add(self, name: str, inputs: list[str], made_by: dict[str, Any]) -> None:
        self._texts[name] = key_text(name, **made_by, inputs=[_mark(of) for of in inputs]).split(_OF_THE_CLIP)


class KeyPlans:
    """The plans of one pipeline, by reader; tells without computing a clip's keys again that they are current.

    A clip's keys follow from its content, its reader, its id, the settings and its edits in people.csv. The first three
    are in its record, and ``ClipRecord.made_by`` stands for the others.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._plans: dict[str, KeyPlan] = {}

    def of(self, reader: str) -> KeyPlan:
        """Return the plan for clips whose frames come from a reader."""
        if reader not in self._plans:
            self._plans[reader] = KeyPlan(self._config, reader)
        return self._plans[reader]

    def digests(self) -> frozenset[str]:
        """Return what ``made_by`` says of unedited clips that these settings finished, whichever reader gave frames."""
        return frozenset(self.of(reader).digest for reader in READER_PACKAGES)

    def keys_now(self, record: ClipRecord, edits: str | None = None) -> Mapping[str, str]:
        """Return the keys that a finished clip has by these settings, and these edits; None: those it was made with."""
        plan, edits = self.of(record.reader), record.keys.get(EDITS, "") if edits is None else edits
        if record.made_by == plan.made_by(edits):
            return record.keys
        return plan.keys(record.fingerprint, record.clip_id, edits)


_FINGERPRINT, _CLIP_ID = "fingerprint", "clip"  # names that no stage has
_OF_THE_CLIP = "<clip's own>"


def _mark(name: str) -> str:
    return f"{_OF_THE_CLIP}{name}{_OF_THE_CLIP}"


def _probe(config: PipelineConfig) -> dict[str, Any]:
    """Return what decides a video's probing, with the networks that find which way up it is if no setting says so."""
    settings: dict[str, Any] = config.video.model_dump(mode="json", include={"stream", "rotation"})
    settings["decoder"] = config.video.reader
    weighed: list[str] = []
    if config.video.rotation == "auto":
        faces = stages_of(config)[0]
        settings["faces"] = [faces.version, stage_settings(faces, config)]
        weighed = [digest for _, _, digests in component_weights(faces, config) for digest in digests]
    return {"version": PROBE_VERSION, "config": settings, "weights": weighed}
