"""A file -> a `Picture`: upright, opaque, RGB, and not much larger than it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from pictograph.errors import BadImage
from pictograph.upload.colour import to_opaque_srgb
from pictograph.upload.limits import PictureLimits
from pictograph.upload.opening import OpenPicture, library_errors_as_bad_image, open_picture
from pictograph.upload.picture import Picture

MAX_SCAN_WORK: Final = 20
"""Scans x pixels of a progressive JPEG, as a multiple of `max_pixels`. Encoders write about 10 scans; 10,000 would
take minutes."""

_TURNS: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SCAN_MARKER: Final = b"\xff\xda"


def decode_picture(source: bytes, *, at_least_px: int | None, limits: PictureLimits) -> Picture:
    """The picture in a file; of an animation or a multi-page TIFF, the first frame or page.

    source: the whole file, in any accepted format.
    at_least_px: how long the shorter side must stay, 1 or more; larger pictures are shrunk by a whole factor while
    they are decoded, to less than twice that (a 4032 x 3024 JPEG for 512 comes as 1008 x 756). None: full size.
    The pixels are read-only, and the same for the same bytes on every call. `facts` tells the size of the file's own.
    Raises TooLarge, UnsupportedFormat, or BadImage if any part of the file is broken or missing. Thread-safe.
    """
    opened = open_picture(BytesIO(source), limits)
    _refuse_endless_scans(opened, source, limits)
    with library_errors_as_bad_image():
        upright = _turned(_decoded_rgb(opened, at_least_px), opened.orientation)
        pixels = np.asarray(upright)
    return Picture(pixels, opened.facts)


def _decoded_rgb(opened: OpenPicture, at_least_px: int | None) -> Image.Image:
    image = opened.image
    if at_least_px is not None and isinstance(image, JpegImageFile):
        image.draft(None, (at_least_px, at_least_px))
    whole = _with_gif_canvas(image) if isinstance(image, GifImageFile) else _loaded(image)
    return to_opaque_srgb(whole, shrink_by=_shrink_factor(whole.size, at_least_px))


def _loaded(image: ImageFile) -> ImageFile:
    promised = image.size
    image.load()
    if image.size != promised:
        promised_size, real_size = (f"{width} x {height}" for width, height in (promised, image.size))
        raise BadImage(f"The header of this file is broken: it says {promised_size}, but the picture is {real_size}.")
    return image


def _with_gif_canvas(image: GifImageFile) -> Image.Image:
    """The first frame on its canvas; what it leaves uncovered is transparent, as in every browser, and so white."""
    drawn = image.tile[0].extents
    image.load()
    if drawn is None or drawn == (0, 0, *image.size):
        return image
    frame = image.crop(drawn).convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(frame, drawn[:2], mask=frame)
    return canvas


def _shrink_factor(size: tuple[int, int], at_least_px: int | None) -> int:
    return 1 if at_least_px is None else max(1, min(size) // max(1, at_least_px))


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _refuse_endless_scans(opened: OpenPicture, source: bytes, limits: PictureLimits) -> None:
    if "progressive" not in opened.image.info:
        return
    scans = source.count(_SCAN_MARKER)
    pixels = opened.facts.width * opened.facts.height
    if scans * pixels > MAX_SCAN_WORK * limits.max_pixels:
        raise BadImage(f"This progressive JPEG has {scans:,} scans, far more than its size needs.")
