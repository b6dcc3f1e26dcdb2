"""Pictures are decoded in processes of their own: what they give, what they may cost, what is left when one ends."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pictograph.errors import BadImage, TooCostly, TooLarge, Unavailable, UnsupportedFormat
from pictograph.upload.bounded import reader as reader_module
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.reader import Reader, few_variables
from pictograph.upload.bounded.wanted import DecodeBudget, Wanted
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

from .pictures import jpeg_claiming, make_thumbnail, one_of_each, plain, png_claiming, saved, smooth

LIMITS = PictureLimits()
PIXELS = Wanted(short_side_px=16)


@pytest.fixture(scope="module")
def readers() -> Iterator[PictureReaders]:
    with PictureReaders(LIMITS, DecodeBudget(), processes=1) as readers:
        yield readers


def processes_of(readers: PictureReaders) -> list[int]:
    return [reader.process_id for reader, _ in readers._idle]


@pytest.mark.parametrize("name", one_of_each())
def test_what_comes_back_is_what_decoding_here_gives(readers: PictureReaders, name: str) -> None:
    source = one_of_each()[name]
    made = readers.read(source, Wanted(short_side_px=16, thumbnails_px=(24, 12)))
    here = decode_picture(source, at_least_px=24, limits=LIMITS)
    assert made.facts == here.facts
    assert made.picture is not None
    assert min(made.picture.pixels.shape[:2]) >= min(16, *here.pixels.shape[:2])
    assert not made.picture.pixels.flags.writeable
    assert sorted(made.thumbnails) == [12, 24]


def test_pixels_and_thumbnails_are_exact(readers: PictureReaders) -> None:
    source = saved(smooth(300, 200), "PNG")
    made = readers.read(source, Wanted(short_side_px=200, thumbnails_px=(64,)))
    assert made.picture is not None
    assert (made.picture.pixels == np.asarray(smooth(300, 200))).all()
    assert readers.read(source, Wanted(thumbnails_px=(64,))).thumbnails[64] == make_thumbnail(source, 64, LIMITS)


def test_no_pixels_come_unless_wanted(readers: PictureReaders) -> None:
    assert readers.read(saved(plain(), "PNG"), Wanted(thumbnails_px=(8,))).picture is None
    assert readers.read(saved(plain(), "PNG"), Wanted()).facts.width == 32


def test_refusals_come_back_as_they_are_and_the_process_stays(readers: PictureReaders) -> None:
    readers.read(saved(plain(), "PNG"), PIXELS)
    process = processes_of(readers)
    with pytest.raises(UnsupportedFormat, match="PDF"):
        readers.read(b"%PDF-1.7", PIXELS)
    with pytest.raises(TooLarge) as refusal:
        readers.read(jpeg_claiming(60_000, 60_000), PIXELS)
    assert refusal.value.details["setting"] == "max_pixels"
    with pytest.raises(BadImage):
        readers.read(png_claiming(3000, 3000), PIXELS)
    assert processes_of(readers) == process


def test_a_picture_that_needs_more_memory_fails_by_name_and_the_next_succeeds(readers: PictureReaders) -> None:
    large = saved(plain(size=(5000, 4000)), "PNG")
    with pytest.raises(TooCostly, match="decode_memory_bytes") as refusal:
        readers.read(large, PIXELS, memory_bytes=30_000_000)
    assert refusal.value.details["setting"] == "decode_memory_bytes"
    assert readers.read(large, PIXELS).picture is not None


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "HEIF", "AVIF"])
def test_no_codec_takes_more_than_it_may(readers: PictureReaders, picture_format: str) -> None:
    options = {"progressive": True} if picture_format == "JPEG" else {}
    source = saved(plain(size=(2000, 1500)), picture_format, **options)
    with pytest.raises(BadImage):
        readers.read(source, Wanted(short_side_px=1500), memory_bytes=len(source) + 5_000_000)
    assert readers.read(source, PIXELS).facts.width == 2000


def slow_picture() -> bytes:
    """A run-length BMP of as many runs as are taken, which are undone one by one: seconds of processor time."""
    width, height = 4000, 980
    rows = (b"\1\1" * width + b"\0\0") * height + b"\0\1"
    palette = bytes((0, 0, 255, 0, 0, 255, 0, 0))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 2, 0)
    start = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start) + info + palette + rows


def test_a_picture_that_takes_too_long_fails_by_name_and_the_next_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "WALL_FACTOR", 10_000)
    with PictureReaders(LIMITS, DecodeBudget(seconds=0.05), processes=1) as readers:
        with pytest.raises(TooCostly, match="of processor time") as refusal:
            readers.read(slow_picture(), Wanted(short_side_px=900))
        assert refusal.value.details["setting"] == "decode_seconds"
        readers.budget = DecodeBudget()
        assert readers.read(saved(plain(), "PNG"), PIXELS).picture is not None


def test_a_process_that_hangs_is_given_up_by_the_clock() -> None:
    reader = Reader()
    try:
        reader.read(saved(plain(), "PNG"), PIXELS, LIMITS, DecodeBudget())
        os.kill(reader.process_id, signal.SIGSTOP)
        with pytest.raises(TooCostly, match="on the clock"):
            reader.read(saved(plain(), "PNG"), PIXELS, LIMITS, DecodeBudget(seconds=0.05))
    finally:
        reader.close()


def test_a_process_that_others_end_is_no_fault_of_the_picture(readers: PictureReaders) -> None:
    readers.read(saved(plain(), "PNG"), PIXELS)
    (process,) = processes_of(readers)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(Unavailable) as failure:
        readers.read(saved(plain(), "PNG"), PIXELS)
    assert failure.value.retryable
    assert readers.read(saved(plain(), "PNG"), PIXELS).picture is not None


def test_a_crash_of_the_decoder_fails_the_picture(readers: PictureReaders) -> None:
    readers.read(saved(plain(), "PNG"), PIXELS)
    (process,) = processes_of(readers)
    os.kill(process, signal.SIGSEGV)
    with pytest.raises(TooCostly, match="SIGSEGV"):
        readers.read(saved(plain(), "PNG"), PIXELS)


def test_many_threads_share_a_few_processes() -> None:
    sources = [saved(plain((0, 0, value)), "PNG") for value in range(40)]
    with PictureReaders(LIMITS, DecodeBudget(), processes=2) as readers, ThreadPoolExecutor(8) as threads:
        made = threads.map(lambda source: readers.read(source, PIXELS), sources)
        assert [int(each.picture.pixels[0, 0, 2]) for each in made if each.picture] == list(range(40))
        assert len(processes_of(readers)) <= 2


def test_closing_ends_the_processes_also_those_at_work() -> None:
    readers = PictureReaders(LIMITS, DecodeBudget(), processes=1)
    readers.read(saved(plain(), "PNG"), PIXELS)
    (process,) = processes_of(readers)
    os.kill(process, signal.SIGSTOP)
    failures: list[Exception] = []

    def read() -> None:
        try:
            readers.read(saved(plain(), "PNG"), PIXELS)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    while processes_of(readers):
        time.sleep(0.01)
    readers.close()
    thread.join()
    assert [type(failure) for failure in failures] == [Unavailable]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(Unavailable):
        readers.read(saved(plain(), "PNG"), PIXELS)


def test_the_process_ends_with_who_started_it() -> None:
    reader = Reader()
    assert reader._process.stdin is not None
    reader._process.stdin.close()
    assert reader._process.wait(30) == 0
    reader.close()


def test_the_process_is_told_nothing_secret() -> None:
    given = {"PATH": "/bin", "PYTHONPATH": "src", "LANG": "C.UTF-8", "PICTOGRAPH_DATABASE_URL": "x", "AWS_SECRET": "x"}
    assert set(few_variables(given)) & set(given) == {"PATH", "PYTHONPATH", "LANG"}


def test_a_file_of_many_pixels_and_few_bytes_is_shrunk_as_it_is_read(readers: PictureReaders) -> None:
    made = readers.read(saved(Image.new("RGB", (9000, 9000)), "JPEG"), Wanted(384, (320,)))
    assert made.picture is not None
    assert made.picture.pixels.shape == (563, 563, 3)
