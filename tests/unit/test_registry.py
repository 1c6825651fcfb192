"""Components by name."""

from __future__ import annotations

import pytest

from vidfer.errors import ConfigError
from vidfer.registry import unknown_name
from vidfer.temporal import TEMPORAL_MODELS


def test_components_are_found_by_their_file() -> None:
    assert {"gru", "lstm", "ema", "median", "none", "hmm", "tcn"} <= set(TEMPORAL_MODELS.names())


def test_an_unknown_name_shows_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"unknown temporal model 'gruu'; did you mean 'gru'\? Known: .*ema"):
        TEMPORAL_MODELS.get("gruu")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two temporal models are called 'ema'"):
        TEMPORAL_MODELS.register("ema")(lambda **_: None)  # type: ignore[arg-type,return-value]


def test_without_a_near_name_the_known_ones_are_a_sentence_of_their_own() -> None:
    assert unknown_name("temporal model", "crf", ["ema", "gru"]) == "unknown temporal model 'crf'. Known: ema, gru."


def test_of_thousands_of_names_a_few_are_listed() -> None:
    message = unknown_name("clip", "x", [f"clip {number}" for number in range(2000)])
    assert len(message) < 300
    assert message.endswith("clip 19 and 1980 more.")
