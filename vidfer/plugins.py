"""Components and stages of other packages, by their entry points."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any

from vidfer.errors import ConfigError

SWITCH = "VIDFER_PLUGINS"  # "0": other packages' entry points are not looked for


@cache
def _entry_points() -> Any:
    """Return those of all packages: reading them takes as long as for one group."""
    return metadata.entry_points()


@cache
def entry_points_of(group: str) -> dict[str, Callable[[], Any]]:
    """Return what loads each entry point of a group, by name; nothing is imported yet.

    Raises
    ------
    ConfigError
        When one is loaded that cannot be imported: names the package and how to go on without.
    """
    if os.environ.get(SWITCH) == "0":
        return {}
    return {point.name: _loader(point) for point in _entry_points().select(group=group)}


def version_of(group: str, name: str) -> str:
    """Return package and version of an entry point, for cache keys; empty for what is vidfer's own."""
    if name not in entry_points_of(group):
        return ""
    found = next(iter(_entry_points().select(group=group, name=name)))
    return f"{found.dist.name} {found.dist.version}" if found.dist else found.value


def _loader(point: metadata.EntryPoint) -> Callable[[], Any]:
    def load() -> Any:
        try:
            return point.load()
        except Exception as error:
            package = point.dist.name if point.dist else "a package"
            raise ConfigError(
                f"{point.group} {point.name!r} of {package} cannot be loaded from {point.value}: "
                f"{type(error).__name__}: {error}; mend or uninstall {package}, or set {SWITCH}=0 to go without"
            ) from error

    return load
