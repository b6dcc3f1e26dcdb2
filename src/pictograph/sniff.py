"""Which format bytes are in, told from their first bytes; a file's name is never asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pictograph.errors import BadImage, UnsupportedFormat

PictureFormat: TypeAlias = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]

SNIFF_BYTES: Final = 1024
"""How many first bytes of a file `sniff_format` wants; fewer if the file is shorter."""

ACCEPTED: Final = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC/HEIF and AVIF"

_BMP_HEADER_BYTES: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF_BRANDS: Final = _HEIC_BRANDS | {b"mif1", b"msf1", b"mif2"}
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})

_PICTURE_STARTS: Final[tuple[tuple[bytes, PictureFormat], ...]] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

_CONTENT_TYPES: Final[dict[PictureFormat, str]] = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "HEIF": "image/heif",
    "AVIF": "image/avif",
}

# (offset, bytes there, what a person calls it)
_OTHER_STARTS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (0, b"8BPS", "a Photoshop PSD"),
    (0, b"PK\x03\x04", "a zip archive (or an Office or NumPy .npz file)"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\x01\0", "a Windows icon"),
    (0, b"\0\0\x02\0", "a Windows cursor"),
    (0, b"qoif", "a QOI picture"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"gimp xcf", "a GIMP picture"),
    (0, b"BPG\xfb", "a BPG picture"),
    (0, b"FLIF", "a FLIF picture"),
    (0, b"\x01\xda\0", "an SGI picture"),
    (0, b"\x01\xda\x01", "an SGI picture"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\0\0\x01\xba", "an MPEG video"),
    (0, b"\0\0\x01\xb3", "an MPEG video"),
    (0, b"OggS", "an Ogg file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"FUJIFILMCCD-RAW", "a camera RAW file (Fujifilm RAF)"),
    (0, b"IIU\0", "a camera RAW file (Panasonic RW2)"),
    (0, b"IIRO", "a camera RAW file (Olympus ORF)"),
    (0, b"IIRS", "a camera RAW file (Olympus ORF)"),
    (0, b"MMOR", "a camera RAW file (Olympus ORF)"),
    (0, b"FOVb", "a camera RAW file (Sigma X3F)"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file it points to (run `git lfs pull`)"),
)

_OTHER_PICTURES: Final = (
    "JPEG XL", "JPEG 2000", "JPEG XR", "a camera RAW file", "a Photoshop PSD", "a Windows icon", "a Windows cursor",
    "a QOI picture", "an OpenEXR picture", "a Radiance HDR picture", "a DDS texture", "a FITS file", "a DICOM file",
    "an SVG drawing", "a Netpbm picture", "a GIMP picture", "a BPG picture", "a FLIF picture", "an SGI picture",
)  # fmt: skip
"""How the names of pictures begin that we do not read."""
_NETPBM: Final = re.compile(rb"P[1-6fF]\s+(#[^\n]*\s+)*\d+\s+\d+\s|P7\s+(#[^\n]*\s+)*WIDTH\s")

_TEXT_STARTS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page (a download that answered with an error page?)"),
    (b"<html", "an HTML page (a download that answered with an error page?)"),
)


def sniff_format(start: bytes) -> PictureFormat:
    """The format of a file, from its first `SNIFF_BYTES` bytes.

    Raises BadImage if there are none, UnsupportedFormat (saying what it looks like) if it is not one we read.
    """
    if not start:
        raise BadImage("This file is empty: 0 bytes arrived.")
    found = _by_first_bytes(start) or _by_container(start)
    if found is None:
        raise unsupported(looks_like(start))
    return found


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is, told from its first bytes."""

    name: str
    """A `PictureFormat`, or what a person calls it: "a PDF", "JPEG 2000"."""
    is_picture: bool
    readable: bool
    """True for a picture that we read."""


def kind_of(start: bytes) -> Kind:
    """What a file is; where `sniff_format` refuses, this says whether it is a picture all the same."""
    if not start:
        return Kind("an empty file", is_picture=False, readable=False)
    try:
        return Kind(sniff_format(start), is_picture=True, readable=True)
    except UnsupportedFormat as refused:
        name = str(refused.details["looks_like"])
        return Kind(name, is_picture=name.startswith(_OTHER_PICTURES), readable=False)


def content_type_of(picture_format: PictureFormat, start: bytes) -> str:
    """The MIME type of a file: `image/heic` for HEIF that holds HEVC, else one per format."""
    if picture_format == "HEIF" and _brands(start) & _HEIC_BRANDS:
        return "image/heic"
    return _CONTENT_TYPES[picture_format]


def unsupported(what: str) -> UnsupportedFormat:
    """The refusal of a file that is `what` ("a PDF") and so not a picture we read."""
    return UnsupportedFormat(
        f"This looks like {what}. Pictures are accepted as {ACCEPTED}, told by their content, whatever their name.",
        details={"looks_like": what},
    )


def looks_like(start: bytes) -> str:
    """What a person would call these bytes, which are no picture we read: "a PDF", "plain text"."""
    for offset, magic, name in _OTHER_STARTS:
        if start[offset : offset + len(magic)] == magic:
            return name
    if _NETPBM.match(start):
        return "a Netpbm picture (PPM, PGM, PBM or the like)"
    return _container_name(start) or _text_name(start) or _shapeless_name(start)


def _by_first_bytes(start: bytes) -> PictureFormat | None:
    if start[8:10] == b"CR" and start[:2] == b"II":
        raise unsupported("a camera RAW file (Canon CR2)")
    for magic, picture_format in _PICTURE_STARTS:
        if start.startswith(magic):
            return picture_format
    return None


def _by_container(start: bytes) -> PictureFormat | None:
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    # "BM" alone is the start of many a text; the size of the second header tells them apart.
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    return _by_brands(start)


def _by_brands(start: bytes) -> PictureFormat | None:
    # The major brand speaks first: an AVIF may also claim the general brand `mif1`, and so may a HEIC.
    brands = _brands(start)
    major = {start[8:12]} & brands
    if major & _AVIF_BRANDS or (brands & _AVIF_BRANDS and not major & _HEIC_BRANDS):
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def _brands(start: bytes) -> set[bytes]:
    """The major and compatible brands of an ISO media file (ISO/IEC 14496-12, `ftyp`); empty for any other."""
    if start[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(start[:4], "big"), len(start))
    return {start[8:12]} | {start[at : at + 4] for at in range(16, end - 3, 4)}


def _container_name(start: bytes) -> str | None:
    if start[4:8] == b"ftyp":
        return "a camera RAW file (Canon CR3)" if start[8:11] == b"crx" else "a video (MP4, MOV or the like)"
    if start[4:8] in (b"moov", b"mdat", b"wide"):
        return "a QuickTime video"
    if start[:4] == b"RIFF":
        return {b"AVI ": "an AVI video", b"WAVE": "a WAV sound"}.get(start[8:12], "a RIFF file that is not WebP")
    return None


def _text_name(start: bytes) -> str | None:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for opening, name in _TEXT_STARTS:
        if text.startswith(opening):
            return name
    if text.startswith(b"<?xml"):
        return "an SVG drawing" if b"<svg" in text else "an XML file"
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in start) or 0x7F in start:
        return None
    return "JSON" if text[:1] in (b"{", b"[") else "plain text"


def _shapeless_name(start: bytes) -> str:
    if not any(start):
        return "a block of zero bytes (a copy that was interrupted?)"
    return f"nothing we know (it starts with the bytes {start[:8].hex(' ')})"
