"""How a file whose header or end is broken is refused."""

from __future__ import annotations

from typing import BinaryIO

from pictograph.errors import BadImage


def cut_short(what: str) -> BadImage:
    """Returns the refusal of a file whose end is missing."""
    return BadImage(f"This file is cut short: {what}. Upload the complete file.")


def broken(what: str) -> BadImage:
    """Returns the refusal of a file whose header makes no sense."""
    return BadImage(f"The header of this file is broken: {what}.")


def exactly(file: BinaryIO, size_bytes: int) -> bytes:
    """Returns the next bytes of a header; raises BadImage if the file ends before."""
    data = file.read(size_bytes)
    if len(data) < size_bytes:
        raise cut_short("it ends inside its header")
    return data
