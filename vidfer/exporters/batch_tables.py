"""summary.csv and failures.csv: one row per clip of a batch, and why a clip failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vidfer.exporters.rows import records_csv
from vidfer.people.table import ACROSS_COLUMNS
from vidfer.timeline.summary import PERSON_COLUMNS, SUMMARY_COLUMNS, person_row, summary_row

FAILURE_COLUMNS = ("clip", "path", "stage", "reason", "message", "attempts")


def summary_csv(summaries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return summary.csv from what ``summarise`` returned for each finished clip."""
    return records_csv(SUMMARY_COLUMNS, [summary_row(summary) for summary in summaries])


def summary_people_csv(
    summaries: Iterable[Mapping[str, Any]], across: Mapping[int, Mapping[str, str]] | None = None
) -> bytes:
    """Return summary_people.csv, a row per clip and person, from what ``summarise`` returned for finished clips.

    Parameters
    ----------
    summaries
        Of the clips.
    across
        Further columns, ``ACROSS_COLUMNS``, by person of the one clip.
    """
    columns = PERSON_COLUMNS if across is None else (*PERSON_COLUMNS, *ACROSS_COLUMNS)
    more = across or {}
    people = ((summary["clip"], person) for summary in summaries for person in summary.get("people", ()))
    return records_csv(columns, ({**person_row(clip, who), **more.get(who["person"], {})} for clip, who in people))


def failures_csv(failures: Iterable[Mapping[str, Any]]) -> bytes:
    """Return failures.csv; each failure has the keys of ``FAILURE_COLUMNS``. Messages are put on one line."""
    records = [{**failure, "message": " ".join(str(failure.get("message", "")).split())} for failure in failures]
    return records_csv(FAILURE_COLUMNS, records)
