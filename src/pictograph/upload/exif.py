"""What a camera wrote about a picture: when it was taken, and by what. Nothing else is read, least of all where.

EXIF 3.0 (CIPA DC-008), section 4.6: tags of the main directory and of the Exif directory that it points to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import BinaryIO, Final

from pictograph.errors import BadImage
from pictograph.upload.headers.directory import EXIF_START, Directory, read_bytes, read_directory, read_directory_at

MAKE: Final = 0x010F
MODEL: Final = 0x0110
EXIF_DIRECTORY: Final = 0x8769
TAKEN: Final = ((0x9003, 0x9011, 0x9291), (0x9004, 0x9012, 0x9292))
"""DateTimeOriginal, else DateTimeDigitized; beside each its offset from UTC and its fractions of a second. Never
DateTime: programs write there when they last saved the file."""
MAX_TEXT_BYTES: Final = 1000
MAX_CAMERA: Final = 100
"""Characters of a camera's name."""
TEXT: Final = 2
"""The type of a tag that holds text."""
MOMENT: Final = re.compile(r"([0-9]{4}):([0-9]{2}):([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})")
OFFSET: Final = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])")
MOST_HOURS: Final = 14
"""No zone is farther from UTC."""
FRACTION: Final = re.compile(r"[0-9]{0,6}")


@dataclass(frozen=True, slots=True)
class Exif:
    """What is read of an EXIF block; None where it does not say."""

    taken_at: datetime | None = None
    """The local time as it was written; taken for UTC where no offset stands beside it."""
    camera: str | None = None
    """Make and model: `Canon EOS 5D`, `Apple iPhone 15`."""


NOTHING: Final = Exif()


def read_exif(source: bytes | BinaryIO) -> Exif:
    """What the block says; a broken one says nothing. source: the block, or a TIFF file that is one itself."""
    file = BytesIO(source.removeprefix(EXIF_START)) if isinstance(source, bytes) else source
    try:
        file.seek(0)
        main = read_directory(file)
        camera = read_camera(file, main)
    except BadImage:
        return NOTHING
    try:
        return Exif(read_taken(file, main), camera)
    except BadImage:
        return Exif(camera=camera)


def read_taken(file: BinaryIO, main: Directory) -> datetime | None:
    """When the picture was taken; None if the Exif directory does not say, or says what is no time."""
    pointer = main.get(EXIF_DIRECTORY)
    if pointer is None or pointer.value is None:
        return None
    directory = read_directory_at(file, pointer.value)
    for moment, offset, fraction in TAKEN:
        if taken := moment_of(*(text_of(file, directory, tag) for tag in (moment, offset, fraction))):
            return taken
    return None


def moment_of(written: str, offset: str, fraction: str) -> datetime | None:
    """`2024:05:17 12:00:00` with `+02:00` and `250` milliseconds, as the moment that it is."""
    if (found := MOMENT.match(written)) is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    part = timedelta(seconds=float(f"0.{FRACTION.match(fraction)[0]}0"))  # type: ignore[index]
    try:
        return (datetime(year, month, day, hour, minute, second, tzinfo=zone_of(offset)) + part).astimezone(UTC)
    except (ValueError, OverflowError):  # `0000:00:00 00:00:00` is what cameras write that were never set
        return None


def zone_of(offset: str) -> timezone:
    """`+02:00`; UTC for what is no offset."""
    found = OFFSET.match(offset)
    if found is None or int(found[2]) > MOST_HOURS:
        return UTC
    beside = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-beside if found[1] == "-" else beside)


def read_camera(file: BinaryIO, main: Directory) -> str | None:
    """Make and model; the model alone, where that begins with the maker's name."""
    make, model = text_of(file, main, MAKE), text_of(file, main, MODEL)
    maker = make.partition(" ")[0].casefold()
    named = model if model.casefold().startswith(maker) else f"{make} {model}"
    return named.strip()[:MAX_CAMERA].strip() or None


def text_of(file: BinaryIO, directory: Directory, number: int) -> str:
    """The text of a tag in one line of visible characters; empty if there is none."""
    tag = directory.get(number)
    if tag is None or tag.type != TEXT:
        return ""
    written = read_bytes(file, tag, MAX_TEXT_BYTES).split(b"\0")[0]
    try:
        text = written.decode()
    except UnicodeDecodeError:
        text = written.decode("latin-1")
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
