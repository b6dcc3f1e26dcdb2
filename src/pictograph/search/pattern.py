"""Patterns of names, `IMG_*.jpg`, as SQL and as a regular expression. A leaf.

`*` stands for any characters, or none; `?` for one; a backslash takes the next character as it is. The whole name must
match. The letters A to Z match in either case; all others, as they are written: so the database and the index agree,
whatever language the database speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from pictograph.errors import wrong_value
from pictograph.store.names import one_spelling, storable

MAX_PATTERN: Final = 255
MAX_STARS: Final = 10
"""Each may cost a database another look at the rest of a name."""
STAR: Final = ("*", False)
SMALL: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
SMALL_IN_SQL: Final = f"translate({{value}}, '{ascii_uppercase}', '{ascii_lowercase}')"


def checked_pattern(name: str, pattern: str) -> str:
    """The pattern in one spelling. name: of the condition. Raises ValidationError for one that makes no sense."""
    pattern = one_spelling(pattern)
    if not pattern:
        raise wrong_value(name, f"{name} must not be empty: * matches every name. Leave it out not to filter.")
    if len(pattern) > MAX_PATTERN:
        raise wrong_value(name, f"{name} has at most {MAX_PATTERN} characters; this one has {len(pattern)}.")
    parts = list(parts_of(pattern))
    if parts.count(STAR) > MAX_STARS:
        raise wrong_value(name, f"{name} has at most {MAX_STARS} stars (**, side by side, count as one).")
    if parts[-1] == ("", True):
        raise wrong_value(name, f"{name} ends in a backslash, which takes the next character as it is: write two.")
    return pattern


def parts_of(pattern: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether it stands for itself; stars side by side are one."""
    characters, before = iter(pattern), ("", True)
    for character in characters:
        part = (next(characters, ""), True) if character == "\\" else (character, character not in "*?")
        if not part == before == STAR:
            yield part
        before = part


def can_match(pattern: str) -> bool:
    """Whether any stored name can: none has half a character, or a NUL."""
    return storable(pattern)


def like_of(pattern: str) -> str:
    """As LIKE has it, over a value whose letters A to Z are small: `SMALL_IN_SQL`."""
    marks = {"*": "%", "?": "_"}
    return "".join(
        (f"\\{part}" if part in "%_\\" else part.translate(SMALL)) if literal else marks[part]
        for part, literal in parts_of(pattern)
    )


def regex_of(pattern: str) -> str:
    """As RE2 has it, over the whole value."""
    marks = {"*": ".*", "?": "."}
    return "(?s)^" + "".join(letter(part) if literal else marks[part] for part, literal in parts_of(pattern)) + r"\z"


def letter(character: str) -> str:
    """A to Z in either case; every other character as itself, for RE2 knows no name for most that Python escapes."""
    if character in ascii_lowercase + ascii_uppercase:
        return f"[{character.lower()}{character.upper()}]"
    return f"\\x{{{ord(character):x}}}"
