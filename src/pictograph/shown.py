"""Text of others as people may see it: what is invisible, or turns the order of what follows, is shown escaped."""

from __future__ import annotations

import json
import re
from typing import Final

HIDDEN: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls: a terminal obeys them
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0"  # look like nothing
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"  # invisible, or the order of writing
    "\U000e0000-\U000e0fff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\ud800-\udfff"
    "]"
)
"""Joiners (U+200C, U+200D) and variation selectors are not among them: emoji and several scripts need those."""


def shown(text: str, *, keep: str = "", as_json: bool = False) -> str:
    """The text with each hidden character as `\\u202e`. keep: characters that stay as they are.

    as_json: escaped as JSON escapes them, for text that is JSON.
    """
    escape = json_escaped if as_json else escaped
    return HIDDEN.sub(lambda match: match[0] if match[0] in keep else escape(match[0]), text)


def json_escaped(character: str) -> str:
    """`\\u001b`, `\\ud83d\\ude00`."""
    return json.dumps(character)[1:-1]


def escaped(character: str) -> str:
    """`\\n`, `\\x1b`, `\\u202e`, `\\U000e0041`."""
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
