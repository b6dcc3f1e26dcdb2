"""A file -> a `Picture`: upright, opaque, RGB, and not much larger than it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from pictograph.errors import BadImage
from pictograph.upload.box import Box
from pictograph.upload.colour import to_opaque_srgb
from pictograph.upload.limits import PictureLimits
from pictograph.upload.opening import OpenPicture, library_errors_as_bad_image, open_picture
from pictograph.upload.picture import Picture
from pictograph.upload.png_file import PngFile, deep_png_picture, require_every_row, scale_key_value
from pictograph.upload.tiff_samples import read_tiff_picture

_TURNS: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_picture(source: bytes, *, at_least_px: int | None, limits: PictureLimits) -> Picture:
    """Decodes the picture in a file; of an animation or a multi-page TIFF, the first frame or page.

    source: the whole file, in any accepted format.
    at_least_px: how long the shorter side must stay, 1 or more; larger pictures are shrunk by a whole factor while
    they are decoded, to less than twice that (a 4032 x 3024 JPEG for 512 comes as 1008 x 756). None: full size.
    The pixels are read-only, and the same for the same bytes on every call. `facts` tells the size of the file's own.
    Raises TooLarge, UnsupportedFormat, or BadImage if any part of the file is broken or missing. Thread-safe.
    """
    return decode_opened(open_picture(BytesIO(source), limits), source, at_least_px)


def decode_opened(opened: OpenPicture, source: bytes, at_least_px: int | None) -> Picture:
    """As `decode_picture`, of a file that is open already; it can be decoded once."""
    with library_errors_as_bad_image():
        upright = _turned(_decoded_rgb(opened, source, at_least_px), opened.orientation)
        pixels = np.asarray(upright)
    return Picture(pixels, opened.facts)


def cut_out(opened: OpenPicture, source: bytes, box: Box, at_least_px: int | None) -> Picture:
    """The part of a picture that a box means, as if it alone were the file: cut first, shrunk afterwards.

    The file is decoded at full size. Raises ValidationError if the box reaches out of the picture.
    """
    edges = box.edges(opened.facts.width, opened.facts.height)
    with library_errors_as_bad_image():
        part = _turned(_decoded_rgb(opened, source, None), opened.orientation).crop(edges)
        factor = _shrink_factor(part.size, at_least_px)
        pixels = np.asarray(part.reduce(factor) if factor > 1 else part)
    return Picture(pixels, opened.facts)


def _decoded_rgb(opened: OpenPicture, source: bytes, at_least_px: int | None) -> Image.Image:
    whole = _decoded(opened, source, at_least_px)
    return to_opaque_srgb(whole, shrink_by=_shrink_factor(whole.size, at_least_px), space=opened.colour)


def _decoded(opened: OpenPicture, source: bytes, at_least_px: int | None) -> Image.Image:
    """Returns the whole picture, in any mode, as stored."""
    image = opened.image
    if image is None:
        return read_tiff_picture(source, opened.tiff)
    if isinstance(image, GifImageFile):
        return _with_gif_canvas(image)
    if at_least_px is not None and isinstance(image, JpegImageFile):
        image.draft(None, (at_least_px, at_least_px))
    whole = _loaded(image)
    if isinstance(image, PngFile):
        return _png_picture(opened, source, whole)
    if isinstance(image, BmpImageFile):
        return _without_empty_alpha(whole)
    if isinstance(image, TiffImageFile):
        return _with_palette_of_bytes(whole)
    return whole if opened.crop is None else whole.crop(opened.crop)


def _png_picture(opened: OpenPicture, source: bytes, whole: Image.Image) -> Image.Image:
    bits, samples = opened.header.bits, opened.header.samples
    require_every_row(source, whole, bits * samples)
    if bits <= 8:
        scale_key_value(whole, bits)
    if bits == 16 and samples > 1:
        return deep_png_picture(source, whole, samples, absolute=opened.is_hdr) or whole
    return whole


def _without_empty_alpha(image: Image.Image) -> Image.Image:
    """Programs that do not know of alpha leave zeros there, and an invisible BMP is of no use."""
    return image.convert("RGB") if image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0) else image


def _with_palette_of_bytes(image: ImageFile) -> Image.Image:
    """Colours of a TIFF's palette have 16 bits; some programs write 8, which look black. As libtiff, we look which."""
    colours = image.tag_v2.get(320, ()) if isinstance(image, TiffImageFile) and image.mode == "P" else ()
    if colours and max(colours) < 256:
        image.putpalette(bytes(colours), "RGB;L")
    return image


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
