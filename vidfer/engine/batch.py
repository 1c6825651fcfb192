"""The files of a whole batch: summary.csv, failures.csv, index.html, and what the pages of all clips share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vidfer.config import PipelineConfig
from vidfer.engine.journal import ClipRecord
from vidfer.engine.outputs import write_if_changed
from vidfer.exporters import EXPORTERS
from vidfer.exporters.batch_tables import failures_csv, summary_csv
from vidfer.report.index import render_index


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
            done, failures, files=[name for exporter in exporters for name in exporter.filenames]
        ),
    }
    for exporter in exporters:
        files |= exporter.shared_files()
    for name, data in files.items():
        write_if_changed(out / name, data)


def exported_files(config: PipelineConfig) -> list[str]:
    """Return the names of the files in each clip's folder; raises ConfigError for an exporter that does not exist."""
    return [name for export in config.output.exports for name in EXPORTERS.get(export).filenames]
