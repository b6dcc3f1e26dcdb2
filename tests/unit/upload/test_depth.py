from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

from .pictures import png_of_16_bits, ramp, saved, tiff_of

RAMP = ramp()

FULL_RANGE = {
    "16-bit png": saved(Image.fromarray(RAMP), "PNG"),
    "16-bit tiff": saved(Image.fromarray(RAMP), "TIFF"),
    "16-bit tiff, lzw": saved(Image.fromarray(RAMP), "TIFF", compression="tiff_lzw"),
    "16-bit tiff, big-endian": saved(Image.fromarray(RAMP.astype(">u2")), "TIFF"),
    "14-bit data": saved(Image.fromarray(ramp(16383)), "TIFF"),
    "12-bit data": saved(Image.fromarray(ramp(4095)), "PNG"),
    "10-bit data": saved(Image.fromarray(ramp(1023)), "PNG"),
    "8-bit data": saved(Image.fromarray(ramp(255)), "PNG"),
    "signed 16-bit": tiff_of((RAMP.astype(np.int32) - 32768).astype(np.int16)),
    "signed 16-bit, few negatives": tiff_of((ramp(4000).astype(np.int32) - 1024).astype(np.int16)),
    "signed 32-bit": tiff_of(RAMP.astype(np.int32) - 30_000),
    "32-bit above 16 bits": tiff_of(RAMP.astype(np.int32) * 30_000),
    "float32 within 0 to 1": tiff_of((RAMP / 65535).astype(np.float32)),
    "float32": tiff_of((RAMP * 3.5 - 500).astype(np.float32)),
    "float64": tiff_of(RAMP / 65535),
    "float16": tiff_of((RAMP / 65535).astype(np.float16)),
    "unsigned 32-bit": tiff_of(RAMP.astype(np.uint32) * 65537),
    "signed 8-bit": tiff_of((RAMP // 257).astype(np.uint8).view(np.int8) ^ np.int8(-128)),
    "float32, huge": tiff_of((RAMP * 5e33).astype(np.float32)),
    "16-bit rgb png": png_of_16_bits(np.stack([RAMP] * 3, axis=-1)),
    "16-bit rgba png": png_of_16_bits(np.stack([RAMP] * 3 + [np.full_like(RAMP, 65535)], axis=-1)),
    "16-bit grey and alpha png": png_of_16_bits(np.stack([RAMP, np.full_like(RAMP, 65535)], axis=-1)),
    "16-bit rgb tiff": tiff_of(np.stack([RAMP] * 3, axis=-1)),
}


def decoded(source: bytes) -> npt.NDArray[np.uint8]:
    return decode_picture(source, at_least_px=None, limits=PictureLimits()).pixels


@pytest.mark.parametrize("name", FULL_RANGE)
def test_a_deep_ramp_stays_a_ramp_from_black_to_white(name: str) -> None:
    row = decoded(FULL_RANGE[name])[4, :, 1].astype(int)
    assert (np.diff(row) >= 0).all()
    assert len(np.unique(row)) >= 200
    assert (row[0], row[-1]) == (0, 255)


def test_a_dark_eight_bit_mask_in_a_deep_file_keeps_its_values() -> None:
    labels = np.arange(21, dtype=np.uint16)[None].repeat(3, axis=0)
    assert (decoded(saved(Image.fromarray(labels), "PNG"))[..., 0] == labels).all()


def test_floats_within_0_and_1_are_not_stretched() -> None:
    assert np.unique(decoded(tiff_of(np.full((4, 4), 0.5, np.float32)))).tolist() == [128]


def test_values_that_are_no_numbers_are_black_and_infinite_ones_the_ends() -> None:
    values = (RAMP / 65535).astype(np.float32)
    values[0, :3] = (np.nan, np.inf, -np.inf)
    assert decoded(tiff_of(values))[0, :3, 0].tolist() == [0, 255, 0]
    assert decoded(tiff_of(np.full((3, 3), np.nan, np.float32))).max() == 0
    signalling = np.array([[0x7F800001, 0, 0x40000000]], np.uint32).view(np.float32)
    assert decoded(tiff_of(signalling))[0, :, 0].tolist() == [0, 0, 255]


def test_a_picture_of_one_deep_value_is_black_if_it_has_no_white_of_its_own() -> None:
    for value in (np.float32(1234.5), np.int32(-7)):
        assert decoded(tiff_of(np.full((3, 3), value))).max() == 0


def test_the_key_value_of_a_16_bit_png_is_transparent() -> None:
    pixels = decoded(saved(Image.fromarray(RAMP), "PNG", transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 3].max() < 5


def test_deep_pictures_are_shrunk_too() -> None:
    source = saved(Image.fromarray(ramp(steps=400).repeat(40, axis=0)), "PNG")
    picture = decode_picture(source, at_least_px=100, limits=PictureLimits())
    assert picture.pixels.shape == (107, 134, 3)
