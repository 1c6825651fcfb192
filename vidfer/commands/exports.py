"""What ``--export`` and ``--blur-faces`` ask for, in the commands that write results."""

from __future__ import annotations

import argparse

from vidfer.errors import ConfigError


def named_exports(options: argparse.Namespace) -> list[str]:
    """Return the exporters that the command line names, none if it names none.

    Raises
    ------
    ConfigError
        ``--blur-faces`` without an overlay to blur.
    """
    names = [name.strip() for name in (options.export or "").split(",") if name.strip()]
    if not options.blur_faces:
        return names
    if "overlay" not in names:
        raise ConfigError("--blur-faces: there is no video to blur faces in: add --export overlay")
    return ["overlay-blurred" if name == "overlay" else name for name in names]
