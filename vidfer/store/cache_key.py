"""Cache keys: the digest of everything that can change a stage's result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from vidfer.store.cachefile import canonical_json

CACHE_SCHEMA = 1  # raised by hand when the meaning of keys or files changes: everything is then computed again


def key_for(stage_name: str, **made_by: Any) -> str:
    """Return the cache key of a stage's result: the digest of `key_text`, whose parameters these are."""
    return key_of_text(key_text(stage_name, **made_by))


def key_text(
    stage_name: str,
    *,
    version: int | str,
    config: Mapping[str, Any],
    weights: Sequence[str] = (),
    inputs: Sequence[str] = (),
    reader: str | None = None,
) -> str:
    """Return the text that a key is the digest of: everything that can change a stage's result.

    Parameters
    ----------
    stage_name, version
        Of the stage; the version is raised by hand when the stage's result changes.
    config
        The stage's settings as JSON values (``section.model_dump(mode="json")``).
    weights
        SHA-256 of each weight file that the stage uses, in the order of use.
    inputs
        Keys of the stages that it reads, or the content fingerprint of the video for the first.
    reader
        The video reader whose frames it saw, with the versions that decide them; None for stages that see no frames.
    """
    return canonical_json(
        {
            "schema": CACHE_SCHEMA,
            "stage": stage_name,
            "version": version,
            "config": dict(config),
            "weights": list(weights),
            "inputs": list(inputs),
            "reader": reader,
        }
    )


def key_of_text(text: str) -> str:
    """Return the key for what `key_text` gave: its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()
