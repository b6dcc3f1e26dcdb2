"""What is invisible, or turns the order of what follows, is seen."""

from __future__ import annotations

import pytest

from pictograph.shown import shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"), ("a\u200bb", "a\\u200bb"), ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc", "a\\nb\\tc"), ("\ufeffx", "\\ufeffx"), ("a\U000e0041", "a\\U000e0041"), ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"), ("soft\u00adhyphen", "soft\\xadhyphen"), ("\u3164", "\\u3164"), ("\x85", "\\x85"),
    ],
)  # fmt: skip
def test_hidden_characters_are_escaped(text: str, seen: str) -> None:
    assert shown(text) == seen


@pytest.mark.parametrize(
    "text", ["Straße 東京", "👨‍👩‍👧", "❤️", "می‌خواهم", "한글", "e\u0301", "a b\u00a0c", "ไทย", "back\\slash"]
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


def test_a_caller_may_keep_some() -> None:
    assert shown("a\nb\x1b", keep="\n") == "a\nb\\x1b"
