"""How good networks and models are on labelled data: figures, their pictures, and what a network looked at."""

from __future__ import annotations

import importlib
from typing import Any

from vidfer.errors import MissingDependency


def sklearn(module: str) -> Any:
    """Return a module of scikit-learn; raises MissingDependency where it is not installed."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingDependency("scikit-learn", needed_for="evaluation", extra="train") from error
