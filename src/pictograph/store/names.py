"""Which names people may give, and the one way each is written down: Unicode's NFC, whichever way it came."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from pictograph.errors import wrong_value

MAX_NAME: Final = 255
"""Characters in a dataset's name or a filename."""
MAX_FOLDER_PATH: Final = 1024
"""Characters in a folder path."""
NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def checked_dataset_name(name: str) -> str:
    """The name in NFC, if a URL path segment can hold it: no slash, nothing invisible, 1 to 255 characters."""
    return checked_segment(name, field="name", what="A dataset's name")


def checked_filename(filename: str) -> str:
    """The filename in NFC: no slash, nothing invisible, 1 to 255 characters; emoji and blanks inside are fine."""
    return checked_segment(filename, field="filename", what="A filename")


def canonical_folder(path: str) -> str:
    """`/`, or `/a/b`: one leading slash, none at the end, none doubled. `a/b/` and `/a//b` mean `/a/b`; in NFC."""
    path = one_spelling(path)
    if len(path) > MAX_FOLDER_PATH:
        raise wrong_value(
            "folder_path", f"A folder path has at most {MAX_FOLDER_PATH} characters; this one has {len(path)}."
        )
    segments = [segment for segment in path.split("/") if segment]
    for segment in segments:
        checked_segment(segment, field="folder_path", what="A folder's name")
    return "/" + "/".join(segments)


def one_spelling(name: str) -> str:
    """The name in NFC: what macOS writes as a letter and an accent, and Linux as one character, is one name."""
    return unicodedata.normalize("NFC", name)


def checked_text(text: str, *, field: str) -> str:
    """Free text as given, if PostgreSQL can hold it."""
    if not storable(text):
        raise wrong_value(field, f"{field} must not contain NUL characters or lone surrogates.")
    return text


def storable(text: str) -> bool:
    """False for what no row can hold, and so no row has: NUL, and what is not valid Unicode."""
    return not NOT_STORABLE.search(text)


def folder_and_ancestors(path: str) -> list[str]:
    """`/a/b` -> `["/", "/a", "/a/b"]`."""
    segments = [segment for segment in path.split("/") if segment]
    return ["/"] + ["/" + "/".join(segments[:depth]) for depth in range(1, len(segments) + 1)]


def checked_segment(segment: str, *, field: str, what: str) -> str:
    """The segment in NFC. Raises ValidationError that names the field."""
    segment = one_spelling(segment)
    if not segment.strip():
        raise wrong_value(field, f"{what} must not be empty.")
    if segment != segment.strip():
        raise wrong_value(field, f"{what} must not begin or end with a blank: {segment!r}.")
    if len(segment) > MAX_NAME:
        raise wrong_value(field, f"{what} has at most {MAX_NAME} characters; this one has {len(segment)}.")
    if "/" in segment or segment in (".", ".."):
        raise wrong_value(field, f"{what} must not be '.' or '..' or contain '/': {segment!r}.")
    for character in segment:
        # Cc: control, Cs: lone surrogates (not storable as UTF-8), Zl/Zp: line separators
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise wrong_value(field, f"{what} must not contain control characters: {segment!r}.")
    return segment
