"""The files of a whole batch: summary.csv, failures.csv, index.html, and what the pages of all clips share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from vidfer.config import PipelineConfig
from vidfer.engine.journal import ClipRecord
from vidfer.engine.outputs import write_if_changed
from vidfer.exporters import EXPORTERS
from vidfer.exporters.batch_tables import failures_csv, summary_csv
from vidfer.report.index import render_index

Align = Literal["start", "fraction"]
PICTURES = ("batch_share.png", "batch_average.png")


def write_batch_files(out: Path, records: Sequence[ClipRecord], *, exports: Iterable[str]) -> None:
    """Write what stands next to the clips' folders, leaving alone what has not changed.

    Parameters
    ----------
    out
        The results folder.
    records
        The clips that the files tell of, in order.
    exports
        Names of the exporters that were used: links and shared files depend on them.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    exporters = [EXPORTERS.get(name) for name in exports]
    done = [record.summary for record in records if record.status == "ok"]
    failures = [record.failure for record in records if record.status == "failed"]
    files = {
        "summary.csv": summary_csv(done),
        "failures.csv": failures_csv(failures),
        "index.html": render_index(
            done,
            failures,
            files=[name for exporter in exporters for name in exporter.filenames],
            pictures=[name for name in PICTURES if (out / name).is_file()],
        ),
    }
    for exporter in exporters:
        files |= exporter.shared_files()
    for name, data in files.items():
        write_if_changed(out / name, data)


def write_batch_pictures(out: Path, records: Sequence[ClipRecord], *, align: Align) -> None:
    """Draw the clips side by side and averaged; for fewer than two finished clips nothing is written.

    Parameters
    ----------
    out, records
        As for ``write_batch_files``.
    align
        How clips are laid over each other: ``report.batch_chart.average_chart``.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    from vidfer.report.batch_chart import average_chart, share_chart

    done = [record.summary for record in records if record.status == "ok"]
    courses = [summary["course"] for summary in done if "course" in summary]  # older journals hold none
    if len(courses) < 2:
        return
    write_if_changed(out / "batch_share.png", share_chart(done))
    write_if_changed(out / "batch_average.png", average_chart(courses, align=align))


def exported_files(config: PipelineConfig) -> list[str]:
    """Return the names of the files in each clip's folder; raises ConfigError for an exporter that does not exist."""
    return [name for export in config.output.exports for name in EXPORTERS.get(export).filenames]
