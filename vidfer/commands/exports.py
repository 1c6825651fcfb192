"""What ``--export`` and ``--blur-faces`` ask for, in the commands that write results."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import PurePath

from vidfer.errors import ConfigError
from vidfer.exporters import EXPORTERS
from vidfer.registry import unknown_name


def named_exports(options: argparse.Namespace) -> list[str]:
    """Return the exporters that the command line names, none if it names none.

    Raises
    ------
    ConfigError
        A name that is no exporter's, ``--export`` without any, or ``--blur-faces`` without a video to blur.
    """
    names = [name for name in re.split(r"[,\s]+", options.export or "") if name]
    if options.export is not None and not names:
        raise ConfigError(
            f"--export: expected names, e.g. --export csv,segments; known: {', '.join(EXPORTERS.names())}"
        )
    check_exports(names)
    if not options.blur_faces:
        return names
    if not {"overlay", "highlights"} & set(names):
        raise ConfigError("--blur-faces: there is no video to blur faces in: add --export overlay or highlights")
    return [f"{name}-blurred" if name in ("overlay", "highlights") else name for name in names]


def check_exports(names: Iterable[str]) -> None:
    """Raise ConfigError for a name that is no exporter's; where it is that of a file, say which exporter writes it."""
    asked_for = [name for name in EXPORTERS.names() if not name.endswith("-blurred")]  # those are --blur-faces
    writers = {file: exporter for exporter in asked_for for file in EXPORTERS.get(exporter).filenames}
    for name in names:
        if name not in EXPORTERS.names():
            meant = [file for file in writers if name in (file, PurePath(file).suffix[1:])]
            hint = ", ".join(f"{file} is written by {writers[file]!r}" for file in meant)
            raise ConfigError(unknown_name("exporter", name, EXPORTERS.names(), hint=hint and f"{hint}."))
