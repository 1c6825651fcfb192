"""methods.md: what a methods section has to say, with the numbers of this study filled in."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vidfer
from vidfer.config import PipelineConfig
from vidfer.report.wording import count, display_name
from vidfer.study.recordings import processed_baseline
from vidfer.study.settings import StudySettings
from vidfer.weights import ComponentKind, assets_folder, digests

if TYPE_CHECKING:
    import pandas as pd

    from vidfer.study.analysis import Study

_NO_RESULT = frozenset({"run", "output", "resources"})  # sections that cannot change a number
_CARDS: dict[str, tuple[ComponentKind, str]] = {
    "backbone compact": ("backbone", "emotion_cnn"),
    "temporal gru": ("temporal", "temporal_gru"),
}
LIMITS = (
    "The figures say what people would call an expression, not what a participant felt.",
    "The networks learnt from still photographs with labels by raters; how often they are right on video like that of "
    "this study, and for its participants' age, sex and skin, was not measured. Coding a part of the clips by hand and "
    "`vidfer study agree` would show it.",
    "A probability is no intensity: 0.9 is no broader a smile than 0.6.",
    "The eight probabilities sum to 1: differences in one emotion are not independent of those in the others.",
    "Fear, disgust and contempt are recognised least well; see the networks' cards.",
    "Talking moves the mouth and the brows; conditions that differ in talking may differ in expression for that alone.",
)


def methods_text(study: Study, results: Path) -> bytes:
    """Return methods.md."""
    settings, left, notes = study.settings, study.left, study.notes
    summaries = list({recording.part.clip: recording.summary for recording in study.recordings}.values())
    paragraphs = [
        _material(study, has_people=(results / "people.csv").is_file()),
        _processing(results, summaries),
        _measures(settings, summaries),
        _tests(settings, study.tables["comparisons"], compared_courses=study.compared_courses),
    ]
    text = ["# Methods", *paragraphs]
    if left:
        shown = "\n".join(f"- {one.what} {display_name(one.name)}: {one.reason}" for one in left[:20])
        more = f"\n- and {len(left) - 20} more" if len(left) > 20 else ""
        text += ["## Left out", f"All of them are in left_out.csv.\n\n{shown}{more}"]
    if notes:
        text += ["## Notes", "\n".join(f"- {note}" for note in notes)]
    text += ["## Limits that a reviewer will ask for", "\n".join(f"- {limit}" for limit in LIMITS)]
    references = Path(__file__).with_name("references.bib").read_text("utf-8")
    software = (
        f"@software{{vidfer,\n  author = {{{{the vidfer authors}}}},\n  title = {{vidfer: facial-expression timelines "
        f"from folders of videos}},\n  version = {{{vidfer.__version__}}},\n  year = {{2026}}\n}}\n"
    )
    text += ["## References", f"```bibtex\n{software}{references}```"]
    return ("\n\n".join(text) + "\n").encode(errors="backslashreplace")


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _material(study: Study, *, has_people: bool) -> str:
    settings, recordings, conditions, left = study.settings, study.recordings, study.conditions, study.left
    people = {name: {c.part.participant for c in recordings if c.part.condition == name} for name in conditions}
    frames = sum(recording.num_frames for recording in recordings)
    seen = sum(recording.num_seen for recording in recordings)
    used = sum(recording.num_rows for recording in recordings)
    in_each = ", ".join(f"{len(found)} in {display_name(name)}" for name, found in people.items())
    clips = len({recording.part.clip for recording in recordings})
    out = Counter(one.what for one in left)
    missing = ", ".join(count(number, what) for what, number in sorted(out.items())) or "nothing"
    who = (
        "the person that people.csv counts, of several the one longest on screen"
        if has_people
        else "the face that is longest on screen (no people.csv)"
    )
    quality = settings.quality
    limit = f"of quality {quality.min_quality:g} or more" if quality.min_quality else "of any quality"
    return _filled(
        f"{count(clips, 'clip')} of {count(len(set().union(*people.values())), 'participant')} ({in_each}), together "
        f"{frames:,} sampled frames (once for each participant of a clip), were analysed. In each clip it was {who}, "
        f"where the study file does not name another. This face was found in {seen:,} frames; {frames - seen:,} "
        f"({(frames - seen) / max(frames, 1):.1%}) do not show it. Frames {limit} were used: {used:,}. A clip entered "
        f"if these were at least {quality.min_face_share:.0%} of its frames. Left out: {missing}."
    )


def _processing(results: Path, summaries: Sequence[Mapping[str, Any]]) -> str:
    provenance = [summary.get("provenance", {}) for summary in summaries]
    versions = sorted({str(one.get("vidfer", "unknown")) for one in provenance})
    rates = sorted({float(one.get("fps") or 0.0) for one in provenance})
    rate = ", ".join("every frame" if one == 0 else f"{one:g} frames a second" for one in rates)
    weights: dict[str, set[str]] = {}
    for one in provenance:
        for stage in one.get("stages", {}).values():
            for name, sums in stage.get("weights", {}).items():
                weights.setdefault(name, set()).update(sums)
    named = "; ".join(f"{name} {' '.join(s[:12] for s in sorted(sums))}" for name, sums in sorted(weights.items()))
    own = [name for name in weights if name in _CARDS and not _is_embedded(name, weights[name])]
    learnt = (
        "a convolutional network learnt from FER2013 with the labels of FER+ [@goodfellow2013; @barsoum2016]"
        if "backbone compact" in weights and "backbone compact" not in own
        else "a network that does not come with vidfer (DESCRIBE IT)"
    )
    over_time = [one.get("stages", {}).get("emotions", {}).get("settings", {}) for one in provenance]
    models = sorted({str(one.get("name")) for one in over_time})
    said = [
        f"Videos were processed with vidfer {', '.join(versions)} (Python package; sampled: {rate}): faces were found "
        f"and followed, {learnt} gave each face probabilities of eight expressions, and a sequence model "
        f"({', '.join(models)}) read them over time."
    ]
    automatic = (one.get("emotions", {}).get("baseline") == "auto" and not one.get("causal") for one in over_time)
    if "backbone compact" in weights and any(automatic):
        said.append(
            "Of those who were seen neutral in a third of a clip, three quarters of what was their own at rest were "
            "taken off (emotions.baseline = auto)."
        )
    said.append(f"Weights (first digits of their sha256): {named or 'not known'}.")
    said += [_calibration(name, weights[name]) for name in _CARDS if name in weights]
    said += sorted({_fused(one["fusion"]) for one in provenance if "fusion" in one})
    said.append(_differing(results))
    kinds = {json.dumps(_settings_of(one), sort_keys=True) for one in provenance}
    if len(kinds) > 1:
        said.append(f"WARNING: the clips were processed with {len(kinds)} different settings; process them anew.")
    return _filled(" ".join(said))


def _fused(fusion: Mapping[str, Any]) -> str:
    pool = {"log": "log-probabilities", "mean": "probabilities"}.get(str(fusion.get("pool")), "probabilities")
    weight = f"weight {fusion.get('weight')}, the face has the rest"
    return f"They were then joined with the scores of {fusion.get('scores')}: weighted means of {pool} ({weight})."


def _settings_of(provenance: Mapping[str, Any]) -> Any:
    stages = {name: stage.get("settings") for name, stage in provenance.get("stages", {}).items()}
    return [provenance.get("vidfer"), provenance.get("fps"), provenance.get("timeline"), stages]


def _is_embedded(name: str, used: set[str]) -> bool:
    return used == set(digests(_CARDS[name][0], name.partition(" ")[2]))


def _calibration(name: str, used: set[str]) -> str:
    """Return what the card of an embedded network says of its calibration, if it is the one that was used."""
    if not _is_embedded(name, used):
        return f"{name}: weights of your own, whose calibration vidfer does not know."
    column = None
    for line in (assets_folder() / f"{_CARDS[name][1]}.md").read_text("utf-8").splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if column is None:
            column = next((place for place, cell in enumerate(cells) if "calibration error" in cell), None)
        elif line.startswith("| **") and column < len(cells):
            plain = [re.sub(r"\*", "", cell) for cell in cells]
            return f"Calibration error of {name}: {plain[column]} ({plain[0]}, see its card)."
    return f"Calibration error of {name}: not in its card."


def _differing(results: Path) -> str:
    """Return the settings of the last run that are not as by default."""
    try:
        pipeline = json.loads((results / "run.json").read_text("utf-8"))["pipeline"]
    except (OSError, ValueError, KeyError):
        return "Settings that differ from the default: not known, as there is no run.json."
    default = PipelineConfig().model_dump(mode="json")
    changed = [
        f"{section}.{key} = {json.dumps(value)}"
        for section, keys in pipeline.items()
        if section not in _NO_RESULT and isinstance(keys, dict)
        for key, value in keys.items()
        if default.get(section, {}).get(key) != value
    ]
    return f"Settings that differ from the default: {', '.join(changed) or 'none'}."


def _measures(settings: StudySettings, summaries: Sequence[Mapping[str, Any]]) -> str:
    taken = sorted({processed_baseline(summary) for summary in summaries} - {""})
    kind = settings.baseline.kind
    baseline = {
        "none": "No baseline was taken off.",
        "before_event": "No baseline was taken off whole clips.",
        "stretch": "The mean over {:g} to {:g} s of each clip was taken off.".format(*settings.baseline.stretch),
        "median": "Each clip's median was taken off.",
    }[kind]
    if taken:
        twice = ", so that of the study file was not subtracted a second time" if kind in ("stretch", "median") else ""
        baseline = f"Processing had taken off a baseline (emotions.baseline = {', '.join(taken)}){twice}."
    events = settings.events
    windows = (
        f" Events were read on the clock of the {events.clock.replace('_', ' ')}, with windows of "
        f"{events.before_seconds:g} s before and {events.after_seconds:g} s after; figures and courses of events are "
        "changes from the mean of the time before."
        if events.files
        else ""
    )
    return _filled(
        "All clips of a participant in one condition were pooled, each frame weighed by the time that it stands for; "
        "an episode begins where an expression reaches timeline.enter_probability and ends below leave_probability, "
        f"and shares of time follow episodes. {baseline}{windows}"
    )


def _tests(settings: StudySettings, comparisons: pd.DataFrame, *, compared_courses: int) -> str:
    analysis = settings.analysis
    courses = (
        "Courses around events were compared by a cluster-based permutation test over time and emotions [@maris2007]."
        if compared_courses
        else ""
    )
    if analysis.design == "none" or comparisons.empty:
        return f"No conditions were compared. {courses}".strip() if courses else "Nothing was tested."
    effect = "Hedges' g_z of the differences" if analysis.design == "paired" else "Hedges' g"
    correction = {"holm": "by Holm's method", "fdr": "to the false discovery rate", "none": "for nothing"}
    pairs = "emotions and pairs of conditions" if len(comparisons["condition"].unique()) > 1 else "emotions"
    refused = sorted(set(comparisons["refused"]) - {""})
    without = f" No p-value is given where: {'; '.join(refused)}." if refused else ""
    return _filled(
        "The participant is the unit of analysis. Conditions were compared by two-sided permutation tests of Student's "
        f"t ({analysis.design}; {analysis.permutations:,} permutations, all where there are fewer) [@phipson2010], "
        f"corrected over {pairs} within each measure {correction[analysis.correction]}; intervals of "
        f"{1 - analysis.alpha:.0%} are percentiles of {analysis.bootstrap:,} bootstrap samples of participants; "
        f"effects are {effect} [@hedges1981]. {courses} The seed was {settings.study.seed}.{without}"
    )
