"""Pictures for models: their size in pixels and in bytes, whatever they show."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pictograph.agents.pictures import LAYOUTS, MAX_BYTES, contact_sheet, single
from pictograph.upload.picture import Picture, PictureFacts


def noise(width: int, height: int, seed: int = 0) -> Picture:
    """The picture that compresses worst."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(pixels, PictureFacts("PNG", "image/png", width, height))


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    file = BytesIO()
    Image.fromarray(noise(width, height, seed).pixels).save(file, "JPEG", quality=82)
    return file.getvalue()


@pytest.mark.parametrize(("cells", "size"), [(12, (672, 504)), (24, (960, 640)), (30, (768, 640))])
def test_a_sheet_has_its_size_and_stays_small_even_of_noise(cells: int, size: tuple[int, int]) -> None:
    thumbnail = jpeg(320, 240)
    sheet = contact_sheet([thumbnail] * cells, 1, cells, MAX_BYTES)
    assert len(sheet) <= MAX_BYTES
    columns, rows, side = LAYOUTS[cells]
    assert (columns * side, rows * side) == size
    flat = BytesIO()
    Image.new("RGB", (320, 240), "red").save(flat, "JPEG")
    opened = Image.open(BytesIO(contact_sheet([flat.getvalue()] * cells, 1, cells, MAX_BYTES)))
    assert (opened.format, opened.size) == ("WEBP", size)


def test_cells_show_whole_pictures_their_numbers_and_what_is_missing() -> None:
    flat = BytesIO()
    Image.new("RGB", (320, 160), "red").save(flat, "JPEG")
    sheet = Image.open(BytesIO(contact_sheet([flat.getvalue(), None], 1, 12, MAX_BYTES))).convert("RGB")
    assert sheet.size == (672, 168)
    red = sheet.getpixel((84, 84))
    assert red[0] > 200  # type: ignore[index]
    assert red[1] < 60  # type: ignore[index]
    above = sheet.getpixel((84, 20))
    assert max(above) < 60  # type: ignore[arg-type]
    corner = np.asarray(sheet)[:24, :24]
    assert corner.max() > 200  # the number
    missing = np.asarray(sheet)[:, 168:336]
    assert missing.max() > 150  # "no picture"


def test_a_sheet_obeys_a_smaller_bound() -> None:
    assert len(contact_sheet([jpeg(320, 240)] * 24, 1, 24, 20_000)) <= 20_000


def test_one_picture_is_bounded_in_pixels_and_bytes() -> None:
    shown = single(noise(1200, 900), None, 768, MAX_BYTES)
    assert len(shown) <= MAX_BYTES
    assert max(Image.open(BytesIO(shown)).size) <= 768
    flat = Picture(np.full((900, 1200, 3), 128, np.uint8), PictureFacts("PNG", "image/png", 1200, 900))
    assert Image.open(BytesIO(single(flat, None, 768, MAX_BYTES))).size == (768, 576)


def test_a_part_is_cut_out_before_it_is_shrunk() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[50:, 100:] = 255
    picture = Picture(pixels, PictureFacts("PNG", "image/png", 200, 100))
    part = Image.open(BytesIO(single(picture, (0.5, 0.5, 1.0, 1.0), 768, MAX_BYTES))).convert("RGB")
    assert part.size == (100, 50)
    assert min(np.asarray(part).ravel()) > 240
