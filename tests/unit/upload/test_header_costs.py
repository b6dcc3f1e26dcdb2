"""What an upload's check costs the serving process: a header, whatever the file would unpack to."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .pictures import jpeg_with_empty_scans, plain, png_chunk, png_with, saved, tiff_laid_out, two_frames

ALLOWED_BYTES = 60_000_000
ALLOWED_S = 5
CHECK = """
import resource, sys
from io import BytesIO
from pathlib import Path
from pictograph.errors import PictographError
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits
warm, source = (Path(name).read_bytes() for name in sys.argv[1:3])
read_facts(warm, PictureLimits())
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + len(source) + int(sys.argv[3]), -1))
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]) + 2, -1))
try:
    print(read_facts(source, PictureLimits()))
except PictographError as error:
    print("refused:", error)
"""


def still_webp() -> bytes:
    return saved(Image.new("RGB", (9000, 9000)), "WEBP", lossless=True, quality=0, method=0)


def profile_bomb() -> bytes:
    packed = zlib.compress(bytes(100_000_000), 9)
    return png_with(png_chunk(b"iCCP", b"x\0\0" + packed) * 5, saved(plain(), "PNG"))


def text_bomb() -> bytes:
    packed = zlib.compress(bytes(60_000_000), 9)
    return png_with(png_chunk(b"zTXt", b"x\0\0" + packed) * 100, saved(plain(), "PNG"))


def endless_animation() -> bytes:
    """A GIF of 20,000 frames."""
    gif = saved(plain(), "GIF", **two_frames())
    frame = gif[gif.index(b"!\xf9") : -1]
    return gif[:-1] + frame * 10_000 + b";"


def many_strips() -> bytes:
    return tiff_laid_out(np.zeros((60_000, 1, 1), np.uint16), photometric=1, rows=1)


def webp_of_many_chunks() -> bytes:
    webp = saved(plain(), "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
    chunks = webp[12:] + (b"XXXX" + struct.pack("<I", 0)) * 90_000
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


BOMBS: dict[str, Callable[[], bytes]] = {
    "webp of 81 megapixels in 34 bytes": still_webp,
    "avif of 24 megapixels": lambda: saved(Image.new("RGB", (6000, 4000)), "AVIF", speed=10, quality=1),
    "png with profiles": profile_bomb,
    "png with texts": text_bomb,
    "png of 100 megapixels": lambda: saved(Image.new("1", (10_000, 10_000)), "PNG"),
    "gif of 20,000 frames": endless_animation,
    "tiff of 60,000 strips": many_strips,
    "tiff of 49 megapixels": lambda: saved(Image.new("1", (7000, 7000)), "TIFF", compression="group4"),
    "webp of 90,000 chunks": webp_of_many_chunks,
    "jpeg of 5,000 scans": lambda: jpeg_with_empty_scans(5_000, 9_999),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel keeps no limit of memory")
@pytest.mark.parametrize("name", BOMBS)
def test_a_check_takes_little_memory_and_time(name: str, tmp_path: Path) -> None:
    source = BOMBS[name]()
    kind = saved(plain(), "PNG")
    (tmp_path / "warm").write_bytes(kind)
    (tmp_path / "source").write_bytes(source)
    arguments = [str(tmp_path / "warm"), str(tmp_path / "source"), str(ALLOWED_BYTES), str(ALLOWED_S)]
    ended = subprocess.run([sys.executable, "-c", CHECK, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "could not be decoded" not in ended.stdout
