"""The same person in several clips of a results folder (``people.across``), from the vectors that were kept of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidfer.config import PipelineConfig
from vidfer.people.face_ids import parse_face_ids
from vidfer.people.table import ACROSS_CONFIDENCE, ACROSS_PERSON, ACROSS_UNSURE
from vidfer.report.wording import count
from vidfer.store.cache import StageCache
from vidfer.store.journal import ClipRecord
from vidfer.store.layout import PEOPLE_FILE, cache_folder

if TYPE_CHECKING:
    import numpy as np

VECTORS = "track_vectors"  # the stage that keeps them
MAX_PEOPLE = 4000  # the memory that comparing takes grows with the square of their number: 700 MB
_MAX_LISTED = 5  # of the people who may be the same as one
_NOT_COMPARED = "not compared: no face is good enough"

Cells = Mapping[int, Mapping[str, str]]  # of people.csv by person of a clip


@dataclass(frozen=True, kw_only=True)
class Across:
    """Who is the same in which clips.

    Attributes
    ----------
    cells
        By clip id and person: columns of people.csv and summary_people.csv.
    notes
        What users should know, one line each.
    """

    cells: Mapping[str, Cells] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _PersonOfClip:
    """A person of a clip, with the sum (D,) of their tracks' vectors; None where nothing is kept of the clip."""

    clip_id: str
    number: int
    name: str
    sums: np.ndarray | None


def people_across(out: Path, records: Iterable[ClipRecord], config: PipelineConfig) -> Across:
    """Compare the people of finished clips; what is in the cache of each is read, and no video.

    Two people of one clip are never the same. A name in people.csv outweighs any vector: the same name in several
    clips is one person, different names are different people.
    """
    cache = StageCache(cache_folder(out))
    people: list[_PersonOfClip] = []
    without = 0
    for record in records:
        if record.status == "ok":
            key = record.keys.get(VECTORS)
            table = cache.load(VECTORS, key) if key else None
            without += table is None
            people += _people_of(record, table.arrays["sums"] if table else None)
    notes = [] if not without else [_without_vectors(out, without)]
    if len(people) > MAX_PEOPLE:
        notes.append(
            f"{out / PEOPLE_FILE}: {len(people):,} people are too many to find each in other clips (people.across): "
            f"expected at most {MAX_PEOPLE:,}; process parts of them into folders of their own"
        )
        return Across(notes=tuple(notes))
    return Across(cells=_grouped(people, config.people.min_confidence), notes=tuple(notes))


def _without_vectors(out: Path, clips: int) -> str:
    return (
        f"{out / PEOPLE_FILE}: {count(clips, 'clip')} could not be compared with the others (people.across): their "
        "vectors are not in the cache; vidfer process --force identity looks at the videos again"
    )


def _people_of(record: ClipRecord, sums: np.ndarray | None) -> list[_PersonOfClip]:
    """Return the people of a clip; vectors of a track that a user has divided do not count for its parts."""
    known: list[Mapping[str, Any]] = record.summary.get("people", [])
    parts = {person["person"]: parse_face_ids(person["face_ids"]) for person in known}
    shares = Counter(part.face_id for of in parts.values() for part in of)
    found = []
    for person in known:
        tracks = [part.face_id for part in parts[person["person"]] if shares[part.face_id] == 1]
        mine = None if sums is None else sums[tracks].sum(0)
        found.append(_PersonOfClip(clip_id=record.clip_id, number=person["person"], name=person["name"], sums=mine))
    return found


def _grouped(people: list[_PersonOfClip], min_confidence: float) -> dict[str, dict[int, dict[str, str]]]:
    """Return the cells of all people, of whom each group is called by its name, or else numbered from 1."""
    import numpy as np

    from vidfer.faces.linking import link_clips

    units = _units([person for person in people if person.sums is not None])
    cells: dict[str, dict[int, dict[str, str]]] = {}
    for person in people:
        cells.setdefault(person.clip_id, {})[person.number] = {}
    if not units:
        return cells
    names = [unit[0].name for unit in units]
    place = {clip: number for number, clip in enumerate(cells)}
    is_in = np.zeros((len(units), len(cells)), np.float32)
    for number, unit in enumerate(units):
        is_in[number, [place[person.clip_id] for person in unit]] = 1
    is_named = np.array([bool(name) for name in names])
    apart = (is_in @ is_in.T > 0) | np.outer(is_named, is_named)
    np.fill_diagonal(apart, False)
    vectors = [[person.sums for person in unit if person.sums is not None] for unit in units]
    sums = np.stack([np.sum(of, axis=0, dtype=np.float64) for of in vectors])
    links = link_clips(sums, apart, min_confidence=min_confidence)
    labels = _labels(links.person.tolist(), names, [bool(own.any()) for own in sums])
    unsure: dict[int, list[tuple[float, str]]] = {}
    for pair, chance in zip(links.unsure.tolist(), links.unsure_confidence.tolist(), strict=True):
        for one, other in (pair, pair[::-1]):
            unsure.setdefault(one, []).append((-chance, labels[other]))
    for number, unit in enumerate(units):
        group, is_known = int(links.person[number]), bool(sums[number].any() or names[number])
        maybe = [f"{label} {-chance:.2f}" for chance, label in sorted(unsure.get(group, []))[:_MAX_LISTED]]
        for person in unit:
            cells[person.clip_id][person.number] = {
                ACROSS_PERSON: labels[group] if is_known else "",
                ACROSS_CONFIDENCE: f"{1.0 if names[number] else links.confidence[number]:.2f}" if is_known else "",
                ACROSS_UNSURE: ", ".join(maybe) if is_known else _NOT_COMPARED,
            }
    return cells


def _units(people: list[_PersonOfClip]) -> list[list[_PersonOfClip]]:
    """Return people who are surely one together: those of one name, but for a second one in a clip."""
    units: list[list[_PersonOfClip]] = []
    of_name: dict[str, list[_PersonOfClip]] = {}
    for person in people:
        unit = of_name.get(person.name) if person.name else None
        if unit is not None and all(other.clip_id != person.clip_id for other in unit):
            unit.append(person)
            continue
        unit = [person]
        units.append(unit)
        if person.name:
            of_name.setdefault(person.name, unit)
    return units


def _labels(groups: list[int], names: list[str], is_known: list[bool]) -> dict[int, str]:
    """Return what each group is called: by a name, or P1, P2, ... in order of first appearance, but for names."""
    labels: dict[int, str] = {}
    for group, name in zip(groups, names, strict=True):
        if name:
            labels.setdefault(group, name)
    taken, number = set(labels.values()), 0
    for group, known in zip(groups, is_known, strict=True):
        if known and group not in labels:
            number += 1
            while f"P{number}" in taken:
                number += 1
            labels[group] = f"P{number}"
    return labels
