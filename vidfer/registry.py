"""Components by name. A component is one file in its family's folder that registers itself, or an entry point.

Entry points of other packages are in the group that is called as the family's folder: ``vidfer.backbones`` and so on.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from vidfer.errors import ConfigError
from vidfer.plugins import entry_points_of

T = TypeVar("T")

MAX_NAMES = 20  # listed in one message: clips have names, too, and there may be thousands


class Registry(Generic[T]):
    """The components of one family, found by importing every module of the family's package.

    Parameters
    ----------
    kind
        What one component is called in messages, e.g. ``"detector"``.
    package
        Dotted name of the package whose modules register components. Its last word names the group of entry points.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._group = f"vidfer.{package.rpartition('.')[2]}"
        self._components: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a component under ``name``; a name is taken once only.

        A name that ends with a colon stands for many: ``get("timm:resnet18")`` is what is registered as ``timm:``, with
        ``resnet18`` as its first argument.
        """

        def decorate(component: T) -> T:
            if name in self._components and self._components[name] is not component:
                raise ValueError(f"two {self.kind}s are called {name!r}")
            self._components[name] = component
            return component

        return decorate

    def get(self, name: str) -> T:
        """Return the component called ``name``; raises ConfigError that lists what there is."""
        self._discover()
        if name not in self._components and name in (others := entry_points_of(self._group)):
            found = others[name]()
            if name not in self._components:  # importing it may have registered it
                self.register(name)(found)
        family, colon, member = name.partition(":")
        if member and family + colon in self._components:
            factory: Any = self._components[family + colon]
            return cast(T, functools.partial(factory, member))
        try:
            return self._components[name]
        except KeyError:
            raise ConfigError(unknown_name(self.kind, name, self.names())) from None

    def names(self) -> list[str]:
        """Return the sorted names of all components of this family."""
        self._discover()
        return sorted({*self._components, *entry_points_of(self._group)})

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True


def unknown_name(kind: str, name: str, known: list[str], *, hint: str = "") -> str:
    """Return the message for a name that nobody registered, with ``hint``, or the nearest match if there is one."""
    near = difflib.get_close_matches(name, known, n=1)
    if near and not hint:
        hint = f"did you mean {near[0]!r}?"
    what = f"unknown {kind} {name!r}" + (f"; {hint}" if hint else ".")
    more = f" and {len(known) - MAX_NAMES} more" if len(known) > MAX_NAMES else ""
    return f"{what} Known: {', '.join(known[:MAX_NAMES]) or 'none'}{more}."
