"""What an upload is, told from its header alone: quick enough to answer while the uploader still waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pictograph.upload.limits import PictureLimits
from pictograph.upload.opening import open_picture
from pictograph.upload.picture import PictureFacts


def read_facts(source: bytes | BinaryIO | Path, limits: PictureLimits) -> PictureFacts:
    """Format and size of a picture; nothing is decoded, so a picture that passes may still fail to decode.

    source: the whole file. A file object must be seekable; it is read from its start and left at its start.
    Raises TooLarge above `limits`, UnsupportedFormat (naming what it looks like), BadImage if the file is empty, its
    header is broken, or its end is visibly missing.
    """
    with _opened(source) as file:
        return open_picture(file, limits, only_facts=True).facts


@contextmanager
def _opened(source: bytes | BinaryIO | Path) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        try:
            yield source
        finally:
            source.seek(0)
