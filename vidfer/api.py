"""Use from Python: ``from vidfer import process, load_timeline``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.config import PipelineConfig, load_pipeline
from vidfer.engine.events import EventCallback, ignore
from vidfer.engine.runner import RunOptions, RunReport, run
from vidfer.errors import OutputError
from vidfer.video.find import find_videos

if TYPE_CHECKING:
    import pandas as pd


def process(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    pipeline: str | PipelineConfig = "default",
    settings: Sequence[str] = (),
    options: RunOptions | None = None,
    on_event: EventCallback = ignore,
) -> RunReport:
    """Process videos as ``vidfer process`` does.

    Work is done in processes of its own, fresh interpreters that never import the caller's script.

    Parameters
    ----------
    paths
        A file, a folder (searched recursively), a glob, or several of them.
    out
        The results folder; made if missing. What is already there and still valid is not computed again.
    pipeline
        Name of a pipeline that comes with vidfer, path of a .toml file, or a PipelineConfig.
    settings
        ``section.key=value`` strings that override the pipeline, e.g. ``["video.fps=5"]``.
    options
        What to force or retry.
    on_event
        Called with each event of ``vidfer.engine.events`` as it happens.

    Returns
    -------
    RunReport
        What became of each clip. A clip that failed does not raise: see ``failed``.

    Raises
    ------
    VidferError
        Nothing can be done at all: no videos, a wrong setting, an ``out`` that cannot be written.
    """
    config = load_pipeline(pipeline, settings) if isinstance(pipeline, str) else pipeline
    videos = find_videos([paths] if isinstance(paths, str | Path) else list(paths))
    return run(videos, Path(out), config, options=options, on_event=on_event)


def load_timeline(folder: str | Path) -> pd.DataFrame:
    """Return a clip's timeline as a tidy table: one row per sampled frame and face, columns as in timeline.csv.

    Parameters
    ----------
    folder
        The clip's results folder, or its ``timeline.parquet`` or ``timeline.csv``.

    Raises
    ------
    OutputError
        There is no timeline.
    """
    import pandas as pd

    path = Path(folder)
    candidates = [path / "timeline.parquet", path / "timeline.csv"] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return pd.read_parquet(candidate) if candidate.suffix == ".parquet" else pd.read_csv(candidate)
    raise OutputError(f"{path}: no timeline.parquet or timeline.csv here: expected the results folder of one clip")
