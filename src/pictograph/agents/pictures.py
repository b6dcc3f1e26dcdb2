"""Pictures for models: a numbered contact sheet, and one image or a part of it; each small enough for every client.

A client that counts base64 as text takes up to 25,000 tokens, which is 75 kB of picture: none of these is larger than
70 kB (https://github.com/anthropics/claude-code/issues/9152, https://github.com/hangwin/mcp-chrome/issues/163).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from pictograph.upload.picture import Picture
from pictograph.upload.thumbnail import fitted

MAX_BYTES: Final = 70_000
LAYOUTS: Final[Mapping[int, tuple[int, int, int]]] = {12: (4, 3, 168), 24: (6, 4, 160), 30: (6, 5, 128)}
"""Cells -> columns, rows, pixels of a side: 672 x 504, 960 x 640 and 768 x 640 pixels."""
QUALITIES: Final = (52, 44, 36, 28, 20)
SMALLER: Final = 0.85
NUMBER_PX: Final = 18
GROUND: Final = (24, 24, 24)


def contact_sheet(thumbnails: Sequence[bytes | None], first_number: int, cells: int, max_bytes: int) -> bytes:
    """A WebP of a grid, each cell with its number; at most `max_bytes`.

    thumbnails: up to `cells` JPEGs of the service, None for an image without a picture. cells: a key of `LAYOUTS`.
    """
    columns, rows, side = LAYOUTS[cells]
    used = -(-len(thumbnails) // columns)
    sheet = Image.new("RGB", (columns * side, max(1, min(rows, used)) * side), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(NUMBER_PX)
    for place, thumbnail in enumerate(thumbnails):
        left, top = place % columns * side, place // columns * side
        if thumbnail is None:
            draw.text((left + side / 2, top + side / 2), "no picture", "white", font, anchor="mm")
        else:
            paste_into(sheet, thumbnail, left, top, side)
        number = str(first_number + place)
        plate = draw.textbbox((left + 4, top + 3), number, font)
        draw.rectangle((left, top, plate[2] + 4, plate[3] + 4), "black")
        draw.text((left + 4, top + 3), number, "white", font)
    return small_enough(sheet, max_bytes)


def paste_into(sheet: Image.Image, thumbnail: bytes, left: int, top: int, side: int) -> None:
    """Draws the whole picture in the middle of its cell, a pixel away from the next."""
    with Image.open(BytesIO(thumbnail)) as opened:
        picture = opened.convert("RGB")
    size = fitted(picture.size, side - 2)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    sheet.paste(picture, (left + (side - size[0]) // 2, top + (side - size[1]) // 2))


def single(picture: Picture, box: tuple[float, float, float, float] | None, max_px: int, max_bytes: int) -> bytes:
    """A WebP of a picture, or of a part of it, its longer side at most `max_px`, and at most `max_bytes`.

    box: left, top, right, bottom as fractions of the upright picture.
    """
    image = Image.fromarray(picture.pixels)
    if box is not None:
        width, height = image.size
        left, top = int(box[0] * width), int(box[1] * height)
        right, bottom = max(left + 1, round(box[2] * width)), max(top + 1, round(box[3] * height))
        image = image.crop((left, top, min(right, width), min(bottom, height)))
    size = fitted(image.size, max_px)
    return small_enough(image.resize(size, Image.Resampling.LANCZOS) if size != image.size else image, max_bytes)


def small_enough(image: Image.Image, max_bytes: int) -> bytes:
    """The image as WebP of at most so many bytes: of lower quality first, then smaller."""
    while True:
        for quality in QUALITIES:
            data = as_webp(image, quality)
            if len(data) <= max_bytes or image.size == (1, 1):
                return data
        image = image.resize(smaller(image.size), Image.Resampling.BILINEAR)


def as_webp(image: Image.Image, quality: int) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", quality=quality, method=4)
    return file.getvalue()


def smaller(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, int(size[0] * SMALLER)), max(1, int(size[1] * SMALLER))
