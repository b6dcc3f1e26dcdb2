"""A picture as an answer: whole or a part of it, or that it has not changed; and never a page that a browser runs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from pictograph.errors import RangeNotSatisfiable
from pictograph.services import Services
from pictograph.store.blobs import Parts
from pictograph.store.images import Image, require_bytes

SHOWN_INLINE: Final = frozenset(
    f"image/{kind}" for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "heif", "heic", "avif")
)
"""Types in which nothing can run; a browser saves any other (SVG, HTML) instead of opening it."""
WITH_KEY: Final = "private, no-cache"
SIGNED: Final = "private, max-age=600"
"""Ten minutes, in which what is deleted for good is gone from everywhere else, too."""
ONE_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)
BYTES: Final = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
DESCRIBED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": BYTES, "description": "The picture."},
    206: {"content": BYTES, "description": "The part of it that `Range` asks for."},
    304: {"description": "Not modified: the bytes of `If-None-Match` are still those of the image."},
}
"""For the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` on and before `end`, of `size`."""

    start: int
    end: int
    size: int

    @property
    def headers(self) -> dict[str, str]:
        """Of a 206."""
        return {"Content-Range": f"bytes {self.start}-{self.end - 1}/{self.size}"}


async def original(request: Request, services: Services, image: Image, cache: str = WITH_KEY) -> Response:
    """The file as it was uploaded; a large one is never in memory as a whole."""
    require_bytes(image)
    headers = headers_of(image.content_type, f'"{image.sha256.hex()}"', cache) | saved_as(image)
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    span = asked_span(request, image.file_size, headers["ETag"])
    if span is None:
        return handed_on(await services.blobs.parts(image.sha256), 200, headers)
    return handed_on(await services.blobs.parts(image.sha256, span.start, span.end), 206, headers | span.headers)


async def thumbnail(request: Request, services: Services, image: Image, cache: str = WITH_KEY) -> Response:
    """A picture of at most 320 px a side: WebP where `Accept` names it, else JPEG."""
    require_bytes(image)
    as_webp = takes_webp(request.headers.get("accept", ""))
    kind, mark = ("image/webp", "-webp") if as_webp else ("image/jpeg", "")
    headers = headers_of(kind, f'"{image.sha256.hex()}{mark}"', cache) | {"Vary": "Accept"}
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    data = await services.thumbnails.of(image.sha256, as_webp=as_webp)
    span = asked_span(request, len(data), headers["ETag"])
    if span is None:
        return Response(data, headers=headers)
    return Response(data[span.start : span.end], status_code=206, headers=headers | span.headers)


def handed_on(parts: Parts, status: int, headers: dict[str, str]) -> Response:
    """The parts, as they are read."""
    if parts.whole:
        return Response(parts.first, status_code=status, headers=headers)

    async def pieces() -> AsyncIterator[bytes]:
        yield parts.first
        async for piece in parts.rest:
            yield piece

    length = {"Content-Length": str(parts.size_bytes)}
    return StreamingResponse(pieces(), status_code=status, headers=headers | length)


def headers_of(content_type: str, tag: str, cache: str) -> dict[str, str]:
    """Clients may cache it, and ask by its tag whether its bytes were replaced; no browser runs it as a page."""
    return {
        "Content-Type": content_type,
        "Cache-Control": cache,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def saved_as(image: Image) -> dict[str, str]:
    """Under which name a browser saves the file, and whether it shows it or only saves it (RFC 6266, RFC 8187)."""
    disposition = "inline" if image.content_type in SHOWN_INLINE else "attachment"
    return {"Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(image.filename, safe='')}"}


def is_known(request: Request, tag: str) -> bool:
    """Whether who asks has these very bytes."""
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    return tag in known or known == ["*"]


def takes_webp(accept: str) -> bool:
    """Whether `Accept` names WebP, and not by a weight of 0 (RFC 9110, 12.4.2): `*/*` is also said by who has none."""
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name == "image/webp":
            return not any(re.fullmatch(r"q=0(\.0{0,3})?", parameter) for parameter in parameters)
    return False


def asked_span(request: Request, size: int, tag: str) -> Span | None:
    """The bytes that `Range` asks for; None for all of them: no range, several, or (`If-Range`) of other bytes.

    Raises RangeNotSatisfiable for one that begins behind the end.
    """
    match = ONE_RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or request.headers.get("if-range", tag) != tag:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if first and last and int(last) < int(first):
        return None  # not a range at all (RFC 9110, 14.1.1)
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= size:
        raise RangeNotSatisfiable(
            f"The range begins at byte {start}, but the file has {size} bytes.", details={"size": size}
        )
    return Span(start, end, size)
