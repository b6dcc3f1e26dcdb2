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
    """The colours and the alpha, in the machine's byte order: (H, W, C)."""
    wanted = layout.colours + (layout.alpha is not None)
    if layout.separate:
        return np.concatenate([_plane(source, layout, index, 1) for index in range(wanted)], axis=-1)
    return _plane(source, layout, 0, layout.samples)[..., :wanted]


def _plane(source: bytes, layout: TiffLayout, index: int, samples: int) -> _Values:
    """One plane of `samples` values a pixel: (H, W, samples)."""
    blocks, item = layout.blocks, layout.bits[0] // 8
    width = blocks.across * blocks.width if blocks.tiled else layout.width
    height = blocks.down * blocks.height if blocks.tiled else layout.height
    raw = _bytes_of(source, layout, index, (width, height), samples * item)
    across = blocks.across if blocks.tiled else 1
    rows = raw.reshape(height, across, -1)  # a row of one block: (H, blocks across, bytes)
    if layout.predictor == _FLOATING:
        values = _undo_floating(rows, samples, item)
    elif layout.predictor == _HORIZONTAL:
        values = _undo_horizontal(rows, samples, layout)
    else:
        values = rows.view(layout.dtype)
    native = values.reshape(height, width, samples)[: layout.height, : layout.width]
    return native.astype(native.dtype.newbyteorder("="), copy=False)


def _undo_horizontal(rows: _Values, samples: int, layout: TiffLayout) -> _Values:
    """Each value was stored as its difference to the one a pixel before, wrapped around."""
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
    source: bytes, layout: TiffLayout, index: int, size: tuple[int, int], bytes_a_pixel: int
) -> npt.NDArray[np.uint8]:
    """The unpacked bytes of one plane: (H, W * bytes a pixel)."""
    grey = TiffImageFile(BytesIO(_as_grey_bytes(source, layout, index, size, bytes_a_pixel)))
    grey.load()
    if grey.size != (size[0] * bytes_a_pixel, size[1]) or grey.mode != "L":
        raise BadImage("This TIFF could not be decoded: its strips are not what its tags say.")
    return np.asarray(grey)


def _as_grey_bytes(source: bytes, layout: TiffLayout, index: int, size: tuple[int, int], bytes_a_pixel: int) -> bytes:
    """The same file with another directory at its end, which calls one plane an 8-bit grey picture."""
    blocks = layout.blocks
    count, first = blocks.in_a_plane, blocks.in_a_plane * index
    where, sizes = blocks.offsets[first : first + count], blocks.sizes[first : first + count]
    shape = (322, 323, 324, 325) if blocks.tiled else (None, 278, 273, 279)
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (_LONG, (size[0] * bytes_a_pixel,)),
        257: (_LONG, (size[1],)),
        258: (_SHORT, (8,)),
        259: (_SHORT, (layout.compression,)),
        262: (_SHORT, (1,)),
        277: (_SHORT, (1,)),
        shape[1]: (_LONG, (blocks.height,)),
        shape[2]: (_LONG, where),
        shape[3]: (_LONG, sizes),
    }
    if blocks.tiled:
        tags[322] = (_LONG, (blocks.width * bytes_a_pixel,))
    padded = len(source) + len(source) % 2
    mark = b"II*\0" if layout.order == "<" else b"MM\0*"
    directory = _directory(tags, layout.order, padded)
    start = mark + struct.pack(f"{layout.order}I", padded)
    return b"".join((start, memoryview(source)[8:], bytes(padded - len(source)), directory))


def _directory(tags: dict[int, tuple[int, tuple[int, ...]]], order: str, at: int) -> bytes:
    """A tag directory as it lies at this place of a file; long values follow it."""
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
