"""How much one picture may cost, and the refusals that say so."""

from __future__ import annotations

from dataclasses import dataclass

from pictograph.errors import TooLarge


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a file may cost before it is refused; all of it is known from the header, before anything is decoded."""

    max_bytes: int = 100_000_000
    """Of the file as uploaded."""
    max_pixels: int = 100_000_000
    """Width x height. Decoding needs about 4 bytes a pixel, so this also bounds memory: 400 MB."""
    max_side_px: int = 65_535
    """Of the longer side; JPEG cannot hold more, so neither could a thumbnail of it."""


def check_bytes(size_bytes: int, limits: PictureLimits) -> None:
    """Raises TooLarge for a file above `limits.max_bytes`."""
    if size_bytes > limits.max_bytes:
        raise TooLarge(
            f"This file has {size_bytes:,} bytes; the server takes at most {limits.max_bytes:,} (setting max_bytes). "
            "Upload a smaller or more strongly compressed file, or raise the setting.",
            details={"bytes": size_bytes, "limit": limits.max_bytes, "setting": "max_bytes"},
        )


def check_size(width: int, height: int, limits: PictureLimits) -> None:
    """Raises TooLarge for a picture with too many pixels, or with one side longer than any picture's."""
    if width * height > limits.max_pixels:
        raise TooLarge(
            f"This picture is {width} x {height}: {width * height:,} pixels; the server takes at most "
            f"{limits.max_pixels:,} (setting max_pixels). Upload it smaller, or raise the setting.",
            details={"width": width, "height": height, "limit": limits.max_pixels, "setting": "max_pixels"},
        )
    if max(width, height) > limits.max_side_px:
        raise TooLarge(
            f"This picture is {width} x {height}: a side may have at most {limits.max_side_px:,} px. Cut it up.",
            details={"width": width, "height": height, "limit": limits.max_side_px},
        )
