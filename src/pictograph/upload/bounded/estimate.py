"""About how much memory a picture takes while it is decoded, from what its row says."""

from __future__ import annotations

from typing import Final

LEAST_BYTES: Final = 48_000_000
"""For buffers that do not depend on the size."""
_COPIES_OF_THE_FILE: Final = 3
"""Here, on its way, and in the process that decodes it."""

_BYTES_A_PIXEL: Final = {
    "image/jpeg": 4,
    "image/png": 9,
    "image/gif": 6,
    "image/bmp": 5,
    "image/tiff": 13,
    "image/webp": 17,
    "image/heic": 9,
    "image/heif": 9,
    "image/avif": 10,
}
"""The most that was measured for an ordinary 12-megapixel file of each (a progressive JPEG, a PNG with alpha, a TIFF of
floats), rounded up. Stranger ones take more, and are then decoded again with all that one picture may have."""
_UNKNOWN: Final = max(_BYTES_A_PIXEL.values())


def estimated_bytes(content_type: str, size_bytes: int, pixels: int) -> int:
    """Returns what to allow for a picture at first; all processes that take part are counted."""
    return LEAST_BYTES + _COPIES_OF_THE_FILE * size_bytes + _BYTES_A_PIXEL.get(content_type, _UNKNOWN) * pixels
