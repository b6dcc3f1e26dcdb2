"""A picture as a question, however it is at hand -> the bytes of a file that the service reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from os import PathLike
from typing import IO, Any, Final, Protocol, TypeAlias, runtime_checkable

import httpx

from pictograph.client.connections import LIMITS
from pictograph.client.walk import given_path
from pictograph.errors import ConnectionFailed, ValidationError, wrong_value
from pictograph.network import route_to

FETCH_S: Final = 30.0
"""Without a byte of a picture at a URL for so long, it is given up."""
MOST_FETCHED_BYTES: Final = 1_000_000_000
"""Of a picture at a URL; the service's own limit (`max_bytes`) is far below."""
MOST_REDIRECTS: Final = 5
COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels of an array -> PNG's number for grey, grey with alpha, RGB, RGB with alpha."""


@runtime_checkable
class PillowImage(Protocol):
    """What is used of a `PIL.Image.Image`."""

    mode: str

    def save(self, file: IO[bytes], format: str, **options: Any) -> None: ...
    def convert(self, mode: str) -> PillowImage: ...
    def getexif(self) -> Any: ...


@runtime_checkable
class ImageArray(Protocol):
    """What is used of a NumPy array."""

    shape: tuple[int, ...]
    dtype: Any

    def tobytes(self) -> bytes: ...


PictureLike: TypeAlias = str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | PillowImage | ImageArray
"""A path, a URL (`http://`, `https://`), the bytes of a file, an open file, a Pillow image, or a NumPy array: uint8,
(H, W) grey or (H, W, C), C = 1 grey, 2 grey with alpha, 3 RGB, 4 RGB with alpha."""
BoxLike: TypeAlias = Mapping[str, Any] | Sequence[float]
"""`{"x": .., "y": .., "width": .., "height": .., "unit": "px" | "fraction"}`, or four numbers in pixels."""


def picture_bytes(picture: PictureLike) -> bytes:
    """The file that a picture is, or one without loss that has its pixels.

    Raises ValidationError for what is no picture, OSError for a file that cannot be read, ConnectionFailed for a URL
    that does not answer with one.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str) and picture.lower().startswith(("http://", "https://")):
        return fetched(picture)
    if isinstance(picture, str | PathLike):
        return given_path(picture).read_bytes()
    if isinstance(picture, PillowImage):
        return pillow_png(picture)
    if isinstance(picture, ImageArray):
        return array_png(picture)
    read = getattr(picture, "read", None)
    data = read() if callable(read) else None
    if isinstance(data, bytes):
        return data
    raise wrong_picture(f"a {type(picture).__name__} is none of them")


def fetched(url: str) -> bytes:
    """What the address answers with, fetched by this machine and not by the service."""
    try:
        with httpx.Client(
            transport=route_to(url).transport(LIMITS), trust_env=False, timeout=FETCH_S,
            follow_redirects=True, max_redirects=MOST_REDIRECTS,
        ) as http, http.stream("GET", url) as answer:  # fmt: skip
            if not answer.is_success:
                raise ConnectionFailed(f"{url} answered {answer.status_code} {answer.reason_phrase}, not a picture.")
            parts, size_bytes = [], 0
            for part in answer.iter_bytes():
                size_bytes += len(part)
                if size_bytes > MOST_FETCHED_BYTES:
                    raise wrong_picture(f"{url} sends more than {MOST_FETCHED_BYTES:,} bytes")
                parts.append(part)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionFailed(f"{url} could not be fetched: {error or type(error).__name__}") from error
    return b"".join(parts)


def pillow_png(image: PillowImage) -> bytes:
    """A PNG of a Pillow image; an EXIF turn that is still to be made, and the colour profile, go with it."""
    file = BytesIO()
    exif = image.getexif()
    options = {"exif": exif.tobytes()} if exif else {}
    try:
        image.save(file, "PNG", compress_level=1, **options)
    except OSError:  # a mode that PNG does not have, CMYK for one
        file = BytesIO()
        image.convert("RGB").save(file, "PNG", compress_level=1, **options)
    return file.getvalue()


def array_png(array: ImageArray) -> bytes:
    """A PNG of an array, made here: the SDK needs no NumPy, and no Pillow."""
    shape = tuple(array.shape)
    channels = shape[2] if len(shape) == 3 else 1
    if str(array.dtype) != "uint8":
        raise wrong_picture(f"an array must be of uint8, 0 to 255, not of {array.dtype}: convert it")
    if len(shape) not in (2, 3) or channels not in COLOUR_TYPES or 0 in shape:
        raise wrong_picture(f"an array must be (H, W) or (H, W, C) with C from 1 to 4, not {shape}")
    height, width = shape[:2]
    pixels, row = memoryview(array.tobytes()), width * channels
    rows = b"".join(b"\0" + bytes(pixels[at : at + row]) for at in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    parts = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows, 1)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def box_query(box: BoxLike | None) -> list[tuple[str, str]]:
    """The box as the service takes it in an address. Raises ValidationError for what is none."""
    if box is None:
        return []
    *numbers, unit = box_body(box).values()
    return [("box", ",".join(repr(number) for number in numbers)), ("box_unit", str(unit))]


def box_body(box: BoxLike) -> dict[str, float | str]:
    """The box as the service takes it in JSON: x, y, width, height, unit. Raises ValidationError for what is none."""
    unit = "px"
    if isinstance(box, Mapping):
        names = {"x", "y", "width", "height"}
        if not names <= box.keys() <= names | {"unit"}:
            raise wrong_value("box", f"box must have x, y, width, height, and perhaps unit, not {sorted(box)}.")
        unit = str(box.get("unit", unit))
        box = [box[name] for name in ("x", "y", "width", "height")]
    try:
        x, y, width, height = (float(number) for number in box)
    except (TypeError, ValueError) as error:
        raise wrong_value("box", f"box must be four numbers (x, y, width, height), not {box!r}.") from error
    return {"x": x, "y": y, "width": width, "height": height, "unit": unit}


def wrong_picture(why: str) -> ValidationError:
    return wrong_value(
        "picture",
        f"A picture is a path, a URL, the bytes of a file, an open file, a Pillow image or a NumPy array; {why}.",
    )
