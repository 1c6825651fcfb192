"""summary.csv and failures.csv: one row per clip of a batch, and why a clip failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vidfer.exporters.rows import records_csv
from vidfer.timeline.summary import SUMMARY_COLUMNS, summary_row

FAILURE_COLUMNS = ("clip", "path", "stage", "reason", "message", "attempts")


def summary_csv(summaries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return summary.csv from what ``summarise`` returned for each finished clip."""
    return records_csv(SUMMARY_COLUMNS, [summary_row(summary) for summary in summaries])


def failures_csv(failures: Iterable[Mapping[str, Any]]) -> bytes:
    """Return failures.csv; each failure has the keys of ``FAILURE_COLUMNS``. Messages are put on one line."""
    records = [{**failure, "message": " ".join(str(failure.get("message", "")).split())} for failure in failures]
    return records_csv(FAILURE_COLUMNS, records)
