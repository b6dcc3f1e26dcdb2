"""Patterns of names: what matches, and that the regular expression and the text for LIKE say the same."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pictograph.errors import ValidationError
from pictograph.search.memory.judging import matches
from pictograph.search.pattern import checked_pattern, like_of, regex_of

NAMES = ["IMG_1.jpg", "img-1.JPG", "a*b", "a\\b", "", "Ünder 100%.png", "ünder.png", "x\ny.png"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("img?1.jpg", ["IMG_1.jpg", "img-1.JPG"]),
        ("img_1.jpg", ["IMG_1.jpg"]),
        ("a\\*b", ["a*b"]),
        ("a?b", ["a*b", "a\\b"]),
        ("a\\\\b", ["a\\b"]),
        ("*", NAMES),
        ("?*", [name for name in NAMES if name]),
        ("ü*", ["ünder.png"]),
        ("u\u0308*", ["ünder.png"]),
        ("*.PNG", ["Ünder 100%.png", "ünder.png", "x\ny.png"]),
        ("*%*", ["Ünder 100%.png"]),
        ("\ud800*", []),
        (".*", []),
    ],
)
def test_what_a_pattern_matches(pattern: str, found: list[str]) -> None:
    mask = matches(pa.array(NAMES, pa.large_string()), checked_pattern("filename", pattern))
    assert [name for name, is_found in zip(NAMES, mask, strict=True) if is_found] == found


def test_marks_of_like_and_of_expressions_stand_for_themselves() -> None:
    assert like_of("A%_\\*\\\\?*.**") == "a\\%\\_*\\\\_%.%"
    assert regex_of("a.\\**") == "(?s)^[aA]\\x{2e}\\x{2a}.*\\z"


@pytest.mark.parametrize("wrong", ["", "a\\", "x" * 256, "*a" * 11])
def test_what_makes_no_sense_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="filename"):
        checked_pattern("filename", wrong)
    assert checked_pattern("filename", "*" * 20 + "a") == "*" * 20 + "a"
