"""Times and names as people read them."""

from __future__ import annotations

import pytest

from vidfer.report.wording import clock, count, display_name, duration


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 0, "0:00"),
        (59.6, 0, "1:00"),
        (61, 0, "1:01"),
        (3599.99, 1, "1:00:00.0"),
        (3725.25, 2, "1:02:05.25"),
        (-1.5, 1, "-0:01.5"),
        (0.05, 2, "0:00.05"),
    ],
)
def test_clock(seconds: float, decimals: int, text: str) -> None:
    assert clock(seconds, decimals=decimals) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.04 s"), (4.24, "4.2 s"), (59.96, "1:00"), (725, "12:05"), (7200, "2:00:00")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_come_on_one_line_whatever_is_in_them() -> None:
    assert display_name("a\nb\tc\x00d\u2028e") == "a b c d e"
    assert display_name("caf\udce9").encode() == b"caf\\udce9"
    assert display_name("日本 $x_1$") == "日本 $x_1$"


def test_long_names_keep_both_ends() -> None:
    text = display_name("start" + "x" * 300 + "end", longest=50)
    assert len(text) == 50
    assert text.startswith("start")
    assert text.endswith("end")
    assert "…" in text


def test_counts_agree_with_their_noun() -> None:
    assert [count(n, "face") for n in (0, 1, 2, 1500)] == ["0 faces", "1 face", "2 faces", "1,500 faces"]
