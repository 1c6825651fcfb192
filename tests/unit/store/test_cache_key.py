"""Cache keys: what changes them and what does not."""

from __future__ import annotations

from vidfer.store.cache_key import key_for


def test_everything_that_can_change_a_result_changes_the_key() -> None:
    base = {"version": 1, "config": {"a": 1.0, "b": 2}, "weights": ["w"], "inputs": ["i"], "reader": "pyav"}
    changes = [{"version": 2}, {"config": {"a": 1.5, "b": 2}}, {"weights": ["x"]}, {"inputs": []}, {"reader": None}]
    keys = {key_for("faces", **base), key_for("tracks", **base), *(key_for("faces", **base | c) for c in changes)}
    assert len(keys) == 7


def test_the_order_of_settings_does_not_matter() -> None:
    assert key_for("s", version=1, config={"a": 1, "b": 2}) == key_for("s", version=1, config={"b": 2, "a": 1})
