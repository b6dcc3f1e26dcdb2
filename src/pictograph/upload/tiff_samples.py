"""The samples of a TIFF that Pillow reads wrongly or not at all: deep, signed, floating, or a plane for each colour.

Its strips or tiles are shown to Pillow as those of a grey picture of bytes, which every compression that knows nothing
of their meaning allows; what the bytes mean is then done here, by the file's own tags.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pictograph.errors import BadImage
from pictograph.upload.depth import Samples, to_picture
from pictograph.upload.headers.tiff_layout import CMYK, TiffLayout

_Values: TypeAlias = npt.NDArray[Any]

_SHORT, _LONG = 3, 4
_HORIZONTAL: Final = 2
_FLOATING: Final = 3


def read_tiff_picture(source: bytes, layout: TiffLayout) -> Image.Image:
    """The first page in 8 bits, not yet turned: grey, RGB (both perhaps with alpha) or CMYK. Raises BadImage."""
    values = _samples(source, layout)  # (H, W, C)
    colours = values[..., : layout.colours]
    picture = to_picture(
        Samples(
            colours,
            values[..., layout.colours] if layout.alpha is not None else None,
            premultiplied=layout.is_premultiplied,
            white_is_zero=layout.white_is_zero,
            ends=(layout.smallest, layout.largest)
            if layout.smallest is not None and layout.largest is not None
            else None,
        ),
        "CMYK" if layout.photometric == CMYK else None,
    )
    if layout.profile:
        picture.info["icc_profile"] = layout.profile
    return picture


def _samples(source: bytes, layout: TiffLayout) -> _Values:
    """Returns the colours and the alpha, in the machine's byte order: (H, W, C)."""
    wanted = layout.colours + (layout.alpha is not None)
    if layout.separate:
        return np.concatenate([_plane(source, layout, index, 1) for index in range(wanted)], axis=-1)
    return _plane(source, layout, 0, layout.samples)[..., :wanted]


def _plane(source: bytes, layout: TiffLayout, index: int, samples: int) -> _Values:
    """One plane of `samples` values a pixel: (H, W, samples)."""
    blocks, bits = layout.blocks, layout.bits[0] * samples
    width = blocks.across * blocks.width if blocks.tiled else layout.width
    height = blocks.down * blocks.height if blocks.tiled else layout.height
    across = blocks.across if blocks.tiled else 1
    raw = _bytes_of(source, layout, index, height, (across, -(-width // across * bits // 8)))
    rows = raw.reshape(height, across, -1)  # a row of one block: (H, blocks across, bytes)
    if layout.is_packed:
        values = _unpacked(rows, layout.bits[0], width // across * samples)
    elif layout.predictor == _FLOATING:
        values = _undo_floating(rows, samples, layout.bits[0] // 8)
    elif layout.predictor == _HORIZONTAL:
        values = _undo_horizontal(rows, samples, layout)
    else:
        values = rows.view(layout.dtype)
    native = values.reshape(height, width, samples)[: layout.height, : layout.width]
    return native.astype(native.dtype.newbyteorder("="), copy=False)


def _unpacked(rows: _Values, bits: int, count: int) -> _Values:
    """Values of 1 to 15 bits, `count` in a row: of 8 bits if they had less, else of the next even number of bits.

    rows: (H, blocks across, bytes); the bits after the last value of a row mean nothing.
    """
    values = np.empty((*rows.shape[:2], count), np.uint8 if bits < 8 else np.uint16)
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.uint16)
    for row, packed in zip(values, rows, strict=True):  # one at a time: bits take eight times the room
        single = np.unpackbits(packed, axis=-1)[:, : count * bits].reshape(-1, count, bits)
        whole = single @ weights
        row[:] = whole * 255 // ((1 << bits) - 1) if bits < 8 else whole << (bits % 2)
    return values


def _undo_horizontal(rows: _Values, samples: int, layout: TiffLayout) -> _Values:
    """Undoes the predictor: each value was stored as its difference to the one a pixel before, wrapped around."""
    item = layout.bits[0] // 8
    whole = rows.view(f"{layout.order}u{item}").astype(f"=u{item}")
    steps = whole.reshape(*rows.shape[:2], -1, samples)
    return np.cumsum(steps, axis=2, dtype=steps.dtype).view(f"={layout.dtype[1:]}")


def _undo_floating(rows: _Values, samples: int, item: int) -> _Values:
    """Adobe Photoshop TIFF technical note 3: the first bytes of all values, then the second ones, as differences."""
    steps = rows.reshape(*rows.shape[:2], -1, samples)
    planes = np.cumsum(steps, axis=2, dtype=np.uint8).reshape(*rows.shape[:2], item, -1)
    return np.ascontiguousarray(planes.swapaxes(2, 3)).view(f">f{item}")


def _bytes_of(
    source: bytes, layout: TiffLayout, index: int, height: int, row: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Returns the unpacked bytes of one plane: (H, bytes of a row). row: blocks across, and the bytes of each."""
    grey = TiffImageFile(BytesIO(_as_grey_bytes(source, layout, index, height, row)))
    grey.load()
    if grey.size != (row[0] * row[1], height) or grey.mode != "L":
        raise BadImage("This TIFF could not be decoded: its strips are not what its tags say.")
    return np.asarray(grey)


def _as_grey_bytes(source: bytes, layout: TiffLayout, index: int, height: int, row: tuple[int, int]) -> bytes:
    """Returns the same file with another directory at its end, which calls one plane an 8-bit grey picture."""
    blocks = layout.blocks
    count, first = blocks.in_a_plane, blocks.in_a_plane * index
    where, sizes = blocks.offsets[first : first + count], blocks.sizes[first : first + count]
    shape = (322, 323, 324, 325) if blocks.tiled else (None, 278, 273, 279)
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (_LONG, (row[0] * row[1],)),
        257: (_LONG, (height,)),
        258: (_SHORT, (8,)),
        259: (_SHORT, (layout.compression,)),
        262: (_SHORT, (1,)),
        277: (_SHORT, (1,)),
        shape[1]: (_LONG, (blocks.height,)),
        shape[2]: (_LONG, where),
        shape[3]: (_LONG, sizes),
    }
    if blocks.tiled:
        tags[322] = (_LONG, (row[1],))
    padded = len(source) + len(source) % 2
    mark = b"II*\0" if layout.order == "<" else b"MM\0*"
    directory = _directory(tags, layout.order, padded)
    start = mark + struct.pack(f"{layout.order}I", padded)
    return b"".join((start, memoryview(source)[8:], bytes(padded - len(source)), directory))


def _directory(tags: dict[int, tuple[int, tuple[int, ...]]], order: str, at: int) -> bytes:
    """Returns a tag directory as it lies at this place of a file; long values follow it."""
    rows, after = [struct.pack(f"{order}H", len(tags))], b""
    values_at = at + 2 + 12 * len(tags) + 4
    for number in sorted(tags):
        kind, values = tags[number]
        data = struct.pack(f"{order}{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        if len(data) > 4:
            place = struct.pack(f"{order}I", values_at + len(after))
            after += data
        else:
            place = data.ljust(4, b"\0")
        rows.append(struct.pack(f"{order}HHI", number, kind, len(values)) + place)
    return b"".join(rows) + bytes(4) + after
