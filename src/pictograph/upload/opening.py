"""A file -> a Pillow picture whose header is checked and whose pixels are not yet decoded."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import SEEK_END
from typing import BinaryIO, Final

from PIL import Image, ImageCms
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from pictograph.errors import BadImage
from pictograph.sniff import SNIFF_BYTES, PictureFormat, content_type_of, sniff_format
from pictograph.upload.colour_space import ColourSpace
from pictograph.upload.exif import read_exif
from pictograph.upload.headers.bmff import read_colour_codes, read_crop
from pictograph.upload.headers.directory import exif_orientation
from pictograph.upload.headers.header import Header
from pictograph.upload.headers.read import read_header
from pictograph.upload.headers.refusals import cut_short
from pictograph.upload.headers.tiff_layout import TiffLayout
from pictograph.upload.limits import PictureLimits, check_bytes, check_size
from pictograph.upload.picture import PictureFacts
from pictograph.upload.png_file import PngFile

# Pillow's own limit is one number for the process; ours come with each call, and are checked before Pillow decodes.
Image.MAX_IMAGE_PIXELS = None
# About metadata we never read: a picture with an odd EXIF block is a picture all the same.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_RLE_PIXELS: Final = 16_000_000
MAX_RLE_BYTES: Final = 8_000_000
_RLE_COMPRESSIONS: Final = (1, 2)
_CUT_SHORT_HINTS: Final = ("truncated", "not enough", "insufficient", "end of file", "buffer is not large enough")


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Nothing: nobody asks for dots per inch, and parsing EXIF for them costs more than the rest of the header."""


# These classes are called directly, never Image.open: no other decoder (EPS runs Ghostscript) can be reached.
_FILES: Final[dict[PictureFormat, type[ImageFile]]] = {
    "JPEG": _JpegFile,  # also for MPO, whose first picture is an ordinary JPEG
    "PNG": PngFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "HEIF": HeifImageFile,
    "AVIF": AvifImageFile,
}


@dataclass(frozen=True, slots=True)
class OpenPicture:
    """A file that has passed every check its header allows."""

    image: ImageFile | None
    """Not decoded; its pixels lie as stored. None for a TIFF that is read here and not by Pillow, and where only
    facts were asked for."""
    orientation: int
    """The EXIF turn still to be made after decoding, 1 to 8."""
    facts: PictureFacts
    header: Header
    colour: ColourSpace | None = None
    """What its colours mean, where that is said by code or by numbers and not (only) by a profile."""

    crop: tuple[int, int, int, int] | None = None
    """What is to be seen of the stored pixels, before any turn: left, top, right, bottom. Other decoders than AVIF's
    crop by themselves."""

    @property
    def is_hdr(self) -> bool:
        """True where a value means a brightness."""
        return self.colour is not None and self.colour.is_hdr

    @property
    def tiff(self) -> TiffLayout:
        """How to read a TIFF that Pillow does not open."""
        if self.header.tiff is None:
            raise ValueError("Pillow opens this picture")
        return self.header.tiff


def open_picture(file: BinaryIO, limits: PictureLimits, *, only_facts: bool = False) -> OpenPicture:
    """Open a seekable file that holds one picture; nothing is decoded, and `file` must outlive the result.

    only_facts: leave out what merely opening costs: WebP's decoder takes 8 bytes a pixel at once.
    Raises TooLarge, UnsupportedFormat or BadImage.
    """
    size_bytes = file.seek(0, SEEK_END)
    check_bytes(size_bytes, limits)
    file.seek(0)
    start = file.read(SNIFF_BYTES)
    picture_format = sniff_format(start)
    header = read_header(picture_format, file, limits)
    colour = header.colour if header else read_colour_codes(file) if picture_format in ("HEIF", "AVIF") else None
    content_type = content_type_of(picture_format, start)
    if header is not None and (header.tiff is not None or (only_facts and picture_format == "WEBP")):
        opened = _opened(None, header, header.orientation, picture_format, content_type)
        return _with_exif(opened, picture_format, file)
    with library_errors_as_bad_image():
        image = _open_image(picture_format, file, header.page if header else 0)
        orientation = _orientation(picture_format, image, header)
    check_size(*image.size, limits)
    _check_run_length(picture_format, image, size_bytes)
    _check_strips(picture_format, image, header)
    crop = read_crop(file, image.size) if picture_format == "AVIF" else None
    opened = _opened(image, header, orientation, picture_format, content_type, crop=crop)
    return _with_exif(replace(opened, colour=colour, crop=crop), picture_format, file)


def _with_exif(opened: OpenPicture, picture_format: PictureFormat, file: BinaryIO) -> OpenPicture:
    """With what its EXIF block says; a TIFF is such a block itself."""
    if picture_format == "TIFF":
        at = file.tell()
        said = read_exif(file)
        file.seek(at)  # where its decoder left it
    else:
        block = opened.header.exif or (opened.image.info.get("exif") if opened.image else None)
        said = read_exif(block if isinstance(block, bytes) else b"")
    return replace(opened, facts=replace(opened.facts, taken_at=said.taken_at, camera=said.camera))


def _opened(
    image: ImageFile | None,
    header: Header | None,
    orientation: int,
    picture_format: PictureFormat,
    content_type: str,
    *,
    crop: tuple[int, int, int, int] | None = None,
) -> OpenPicture:
    stored = (header.width, header.height) if header is not None else (0, 0)
    if crop is not None:
        stored = (crop[2] - crop[0], crop[3] - crop[1])
    elif image is not None:
        stored = image.size
    width, height = stored if orientation < 5 else stored[::-1]
    facts = PictureFacts(picture_format, content_type, width, height)
    return OpenPicture(image, orientation, facts, header or Header(*stored))


@contextmanager
def library_errors_as_bad_image() -> Iterator[None]:
    """Turns whatever Pillow and its codecs raise about broken bytes into BadImage with a short reason.

    The list: what they raised when fed damaged files, and what their Python parts raise on values nobody foresaw;
    `UserWarning` is for processes run with `-W error`. MemoryError passes: the picture may be fine,
    and the worker tries again.
    """
    try:
        yield
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        LookupError,
        ArithmeticError,
        EOFError,
        RuntimeError,
        BufferError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
        ImageCms.PyCMSError,
        UserWarning,
    ) as error:
        raise BadImage(f"This picture could not be decoded: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")[:200]
    if text == "unknown pixel mode":
        return "this layout of pixels is not supported"
    if any(hint in text.lower() for hint in _CUT_SHORT_HINTS):
        return f"it is cut short ({text})"
    return text if " " in text else "its header is broken"


def _open_image(picture_format: PictureFormat, file: BinaryIO, page: int) -> ImageFile:
    file.seek(0)
    image = _FILES[picture_format](file)
    if picture_format == "TIFF":
        # The decoder turns TIFFs itself; it must see the tag its size was read by, and not a second one in the XMP.
        if page:
            image.seek(page)
        image.info.pop("xmp", None)
    return image


def _orientation(picture_format: PictureFormat, image: ImageFile, header: Header | None) -> int:
    """The turn still to be made: HEIF and TIFF decoders turn by themselves, AVIF's writes its turn into the EXIF."""
    if picture_format == "AVIF":
        return exif_orientation(image.info.get("exif", b""))
    return header.orientation if header else 1


def _check_run_length(picture_format: PictureFormat, image: ImageFile, size_bytes: int) -> None:
    # Pillow undoes run lengths in Python, a pixel at a time.
    if picture_format != "BMP" or image.info.get("compression") not in _RLE_COMPRESSIONS:
        return
    if image.width * image.height > MAX_RLE_PIXELS or size_bytes > MAX_RLE_BYTES:
        raise BadImage("Run-length BMPs are read up to 16 megapixels and 8 MB; save it as PNG instead.")


def _check_strips(picture_format: PictureFormat, image: ImageFile, header: Header | None) -> None:
    # Pillow leaves black what no strip or tile covers, and says nothing.
    if picture_format != "TIFF" or header is None:
        return
    if max((tile.extents[3] for tile in image.tile if tile.extents), default=0) < header.height:
        raise cut_short("the strips of this TIFF do not reach its bottom")
