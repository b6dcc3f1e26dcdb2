from __future__ import annotations

import pytest

from pictograph.errors import BadImage, UnsupportedFormat
from pictograph.sniff import SNIFF_BYTES, content_type_of, sniff_format

from .pictures import one_of_each

FORMAT_OF = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
    "heic": "HEIF",
    "avif": "AVIF",
}


def brands(major: bytes, *compatible: bytes) -> bytes:
    box = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(box) + 4).to_bytes(4, "big") + box + b"\0\0\0\x08meta"


@pytest.mark.parametrize("name", one_of_each())
def test_every_accepted_format_is_told_by_its_first_bytes(name: str) -> None:
    assert sniff_format(one_of_each()[name][:SNIFF_BYTES]) == FORMAT_OF[name.split(maxsplit=1)[0]]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (brands(b"heic", b"mif1"), "HEIF"),
        (brands(b"mif1", b"heic"), "HEIF"),
        (brands(b"mif1"), "HEIF"),
        (brands(b"avif", b"mif1", b"miaf"), "AVIF"),
        (brands(b"mif1", b"avif", b"miaf"), "AVIF"),
        (brands(b"avis", b"msf1"), "AVIF"),
        (brands(b"heic", b"avif"), "HEIF"),
    ],
)
def test_the_major_brand_of_a_media_file_speaks_before_the_others(start: bytes, expected: str) -> None:
    assert sniff_format(start) == expected


def test_heif_that_holds_hevc_is_called_heic() -> None:
    assert content_type_of("HEIF", brands(b"mif1", b"heic")) == "image/heic"
    assert content_type_of("HEIF", brands(b"mif1")) == "image/heif"


@pytest.mark.parametrize(
    ("start", "looks_like"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"\xc5\xd0\xd3\xc6", "an EPS file"),
        (b"8BPS\0\1", "a Photoshop PSD"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"  <svg xmlns=", "an SVG drawing"),
        (b"<?xml version='1.0'?><svg>", "an SVG drawing"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "an HTML page"),
        (b"<?xml version='1.0'?><annotation>", "an XML file"),
        (b'{"images": []}', "JSON"),
        (b"class,x,y\n0,1,2\n", "plain text"),
        (b"BM is how this sentence begins", "plain text"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (brands(b"isom", b"mp42"), "a video"),
        (brands(b"crx ", b"isom"), "a camera RAW file (Canon CR3)"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a camera RAW file (Canon CR2)"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (bytes(600), "a block of zero bytes"),
        (b"\x0a\x05\x01\x08", "nothing we know (it starts with the bytes 0a 05 01 08)"),  # PCX
        (b"\x01", "nothing we know"),
    ],
)
def test_other_files_are_refused_by_the_name_a_person_would_give_them(start: bytes, looks_like: str) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC/HEIF and AVIF") as refusal:
        sniff_format(start)
    assert refusal.value.details["looks_like"].startswith(looks_like)


def test_an_empty_file_is_a_bad_image() -> None:
    with pytest.raises(BadImage, match="0 bytes"):
        sniff_format(b"")
