"""Whether a clip was made by the settings of a pipeline, told without computing its cache keys again.

A clip's keys follow from its content, its reader, its id and the settings; the first three are in its record. So the
seal over its keys and the settings shows, at a hundredth of the cost, that computing them again would give the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from vidfer.config import PipelineConfig
from vidfer.engine.plan import EDITS, KeyPlan
from vidfer.store.journal import ClipRecord


class Seals:
    """Seals for the settings of one pipeline.

    Parameters
    ----------
    config
        The pipeline.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._plans: dict[str, KeyPlan] = {}  # by reader
        self._settings: dict[str, hashlib._Hash] = {}  # over the settings, by reader

    def of(self, keys: Mapping[str, str], reader: str) -> str:
        """Return the seal of a clip's keys."""
        return self._seal(" ".join(keys.values()).encode(), reader)

    def hold(self, state: bytes, edits: str = "") -> bool:
        """Return whether a clip is finished and sealed by these settings, from the journal's column of its state alone.

        ``edits`` is what people.csv says of it now.

        False if that is not so, or must be told from the rest of its record.
        """
        status, _, rest = state.partition(b" ")
        seal, _, rest = rest.partition(b" ")
        reader, _, keys = rest.partition(b" ")
        follows = keys.rpartition(b" ")[2] == edits.encode()
        return status == b"ok" and follows and seal == self._seal(keys, reader.decode()).encode()

    def _seal(self, keys: bytes, reader: str) -> str:
        if reader not in self._settings:
            nothing = self._plan(reader).keys("", "")  # everything that is not the clip's own
            self._settings[reader] = hashlib.sha256(" ".join((*nothing.values(), "")).encode())
        seal = self._settings[reader].copy()
        seal.update(keys)
        return seal.hexdigest()[:16]

    def keys_now(self, record: ClipRecord, edits: str | None = None) -> Mapping[str, str]:
        """Return the keys that a finished clip has by these settings, and these edits; None: those it was made with."""
        made_with = record.keys.get(EDITS, "")
        edits = made_with if edits is None else edits
        if edits == made_with and record.seal and record.seal == self.of(record.keys, record.reader):
            return record.keys
        return self._plan(record.reader).keys(record.fingerprint, record.clip_id, edits)

    def _plan(self, reader: str) -> KeyPlan:
        if reader not in self._plans:
            self._plans[reader] = KeyPlan(self._config, reader)
        return self._plans[reader]
