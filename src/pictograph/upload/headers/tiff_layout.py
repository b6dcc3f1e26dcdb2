"""How the samples of a TIFF lie in its file, and whether they can be read here. TIFF 6.0; libtiff's numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Final

from pictograph.errors import BadImage
from pictograph.upload.headers.directory import Directory, read_bytes, read_numbers
from pictograph.upload.headers.refusals import broken, cut_short

MAX_PROFILE_BYTES: Final = 4_000_000
BYTE_COMPRESSIONS: Final = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""None, LZW, deflate (twice), PackBits, LZMA, Zstandard: they know nothing of what the bytes mean."""
PICTURE_COMPRESSIONS: Final = frozenset({2, 3, 4, 6, 7, 32771, 32809})
"""CCITT (thrice), JPEG (twice), words, ThunderScan."""

_COMPRESSION_NAMES: Final = {
    9: "JBIG", 10: "JBIG", 32766: "NeXT", 32767: "Sony ARW", 32769: "packed RAW", 32770: "Samsung SRW",
    34676: "SGI LogLuv", 34677: "SGI LogLuv", 34712: "JPEG 2000",
    33003: "JPEG 2000", 33005: "JPEG 2000", 33004: "JPEG 2000", 34661: "JBIG",
    34713: "Nikon NEF", 34887: "LERC", 34892: "lossy JPEG of DNG", 34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 34925: "LZMA", 65000: "Kodak DCR", 65535: "Pentax PEF",
    32908: "Pixar film",
    32909: "Pixar log", 32895: "IT8", 32896: "IT8", 32897: "IT8", 32898: "IT8",
}  # fmt: skip
_PHOTOMETRIC_NAMES: Final = {
    4: "a transparency mask", 9: "ICC Lab", 10: "ITU Lab", 32844: "LogL (HDR)", 32845: "LogLuv (HDR)", 51177: "depth",
}  # fmt: skip
CMYK: Final = 5
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR, _LAB = 0, 1, 2, 3, 6, 8
_COLOURS: Final = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, CMYK: 4, _YCBCR: 3, _LAB: 3}
_UNSIGNED, _SIGNED, _FLOAT, _VOID = 1, 2, 3, 4
_KINDS: Final = {_UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f", _VOID: "u"}
_ALPHA_PREMULTIPLIED, _ALPHA_STRAIGHT = 1, 2


@dataclass(frozen=True, slots=True)
class Blocks:
    """The strips or tiles of a TIFF."""

    width: int
    height: int
    tiled: bool
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    across: int
    """Side by side; 1 for strips."""
    down: int

    @property
    def in_a_plane(self) -> int:
        return self.across * self.down


@dataclass(frozen=True)
class TiffLayout:
    """The tags that say what the samples of the first page mean, defaults filled in."""

    order: str
    is_big_endian_big: bool
    """A BigTIFF written by a big-endian machine, whose tags Pillow cannot read."""
    width: int
    height: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    """SampleFormat: 1 unsigned, 2 signed, 3 float, 4 unknown."""
    compression: int
    photometric: int
    samples: int
    separate: bool
    """Each colour in a plane of its own."""
    extra: tuple[int, ...]
    """What the samples beyond the colours are: 0 not known, 1 premultiplied alpha, 2 alpha."""
    predictor: int
    fill_order: int
    ink_set: int
    orientation: int
    blocks: Blocks
    smallest: float | None
    largest: float | None
    """SMinSampleValue and SMaxSampleValue, where the file has both."""
    profile: bytes

    @cached_property
    def colours(self) -> int:
        """How many samples are colours."""
        return _COLOURS.get(self.photometric, 1)

    @cached_property
    def is_plain(self) -> bool:
        """True if Pillow gives the right values: chunky, unsigned, 8 bits, or a part of 8 in a grey or a palette."""
        whole = {1, 2, 4, 8} if self.samples == 1 else {8}
        deep = not set(self.bits) <= whole
        others = set(self.formats) - {_UNSIGNED, _VOID} or (self.separate and self.samples > 1)
        rare = self.samples > 4 or (self.white_is_zero and self.samples > 1) or self.is_big_endian_big
        return not (deep or others or rare)

    @cached_property
    def is_packed(self) -> bool:
        """True if values do not end where bytes do."""
        return self.bits[0] % 8 != 0

    @cached_property
    def dtype(self) -> str:
        """NumPy's name of one sample as stored."""
        return f"{self.order}{_KINDS[self.formats[0]]}{self.bits[0] // 8}"

    @cached_property
    def white_is_zero(self) -> bool:
        return self.photometric == _WHITE_IS_ZERO

    @cached_property
    def alpha(self) -> int | None:
        """The index of the alpha among the samples."""
        has_alpha = self.extra[:1] in ((_ALPHA_PREMULTIPLIED,), (_ALPHA_STRAIGHT,)) and self.colours in (1, 3)
        return self.colours if has_alpha and self.samples > self.colours else None

    @cached_property
    def is_premultiplied(self) -> bool:
        return self.extra[:1] == (_ALPHA_PREMULTIPLIED,)


def read_layout(file: BinaryIO, directory: Directory) -> TiffLayout:
    """Reads how the samples lie. Raises BadImage, by name, for what cannot be read here."""

    def numbers(number: int) -> tuple[float, ...]:
        return read_numbers(file, directory[number]) if number in directory else ()

    def one(number: int, default: int) -> int:
        found = numbers(number)
        return int(found[0]) if found else default

    samples = one(277, 1)
    if not 1 <= samples <= 1000:
        raise broken(f"it says a pixel has {samples} samples")
    width, height, separate = one(256, 0), one(257, 0), one(284, 1) == 2
    smallest, largest = numbers(340), numbers(341)
    profile = read_bytes(file, directory[34675], MAX_PROFILE_BYTES) if 34675 in directory else b""
    layout = TiffLayout(
        order=next(iter(directory.values())).order,
        is_big_endian_big=_start(file) == b"MM\0+",
        width=width,
        height=height,
        bits=_for_each(samples, numbers(258), 1),
        formats=_for_each(samples, numbers(339), _UNSIGNED),
        compression=one(259, 1),
        photometric=one(262, _BLACK_IS_ZERO if samples < 3 else _RGB),
        samples=samples,
        separate=separate,
        extra=tuple(int(value) for value in numbers(338)),
        predictor=one(317, 1),
        fill_order=one(266, 1),
        ink_set=one(332, 1),
        orientation=one(274, 1),
        blocks=_blocks(numbers, width, height),
        smallest=min(smallest) if smallest and largest else None,
        largest=max(largest) if smallest and largest else None,
        profile=profile,
    )
    _refuse_unreadable(layout)
    return layout


def _start(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(4)


def _for_each(samples: int, values: tuple[float, ...], default: int) -> tuple[int, ...]:
    """Returns a value for each sample: the tag may give one for all."""
    if not values:
        return (default,) * samples
    whole = tuple(int(value) for value in values[:samples])
    return whole + whole[-1:] * (samples - len(whole))


def _blocks(numbers: Callable[[int], tuple[float, ...]], width: int, height: int) -> Blocks:
    def whole(number: int) -> tuple[int, ...]:
        return tuple(int(value) for value in numbers(number))

    tiled = bool(numbers(322))
    sides = (*whole(322), *whole(323)) if tiled else (width, *(min(rows, height) for rows in whole(278) or (height,)))
    block_width, block_height = sides if len(sides) == 2 else (0, 0)
    if block_width < 1 or block_height < 1:
        raise broken("its strips or tiles have no size")
    return Blocks(
        width=block_width,
        height=block_height,
        tiled=tiled,
        offsets=whole(324) or whole(273) if tiled else whole(273),
        sizes=whole(325) or whole(279) if tiled else whole(279),
        across=-(-width // block_width),
        down=-(-height // block_height),
    )


def _refuse_unreadable(layout: TiffLayout) -> None:
    """Raises BadImage that names what it is."""
    reason = _unreadable(layout)
    if reason:
        raise BadImage(f"This TIFF cannot be read: {reason}.", details={"format": "TIFF", "reason": reason})


def _unreadable(layout: TiffLayout) -> str | None:
    if layout.compression not in BYTE_COMPRESSIONS | PICTURE_COMPRESSIONS:
        name = _COMPRESSION_NAMES.get(layout.compression, "unknown")
        return f"its compression is number {layout.compression} ({name}); save it with LZW, deflate or JPEG"
    if layout.photometric not in _COLOURS:
        name = _PHOTOMETRIC_NAMES.get(layout.photometric, "unknown")
        return f"its colour model is number {layout.photometric} ({name}); save it as RGB"
    if layout.photometric == CMYK and layout.ink_set != 1:
        return "its inks are not cyan, magenta, yellow and black; save it as RGB"
    if layout.samples < layout.colours and not (layout.photometric == _YCBCR and layout.samples == 1):
        return f"its colour model needs {layout.colours} samples a pixel, and it has {layout.samples}"
    unknown = layout.samples - layout.colours - (layout.alpha is not None)
    if layout.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and unknown > 1:
        return (
            f"it has {layout.samples} bands and does not say which are red, green and blue; "
            "export three of them as RGB (photometric 2)"
        )
    return None if layout.is_plain else _unreadable_deep(layout)


def _unreadable_deep(layout: TiffLayout) -> str | None:
    bits, formats = set(layout.bits), set(layout.formats)
    whole = {8, 16, 32, 64}
    allowed = {_FLOAT: {16, 32, 64}, _SIGNED: whole}.get(layout.formats[0], whole | set(range(1, 16)))
    if len(bits) > 1 or len(formats) > 1 or not formats <= _KINDS.keys() or not bits <= allowed:
        return f"its samples have {'/'.join(map(str, layout.bits))} bits of format {'/'.join(map(str, layout.formats))}"
    if layout.photometric in (_PALETTE, _YCBCR, _LAB):
        name = {_PALETTE: "a palette", _YCBCR: "YCbCr", _LAB: "Lab"}[layout.photometric]
        return f"it has {name} with samples of {layout.bits[0]} bits, or in separate planes; save it as RGB"
    if layout.compression not in BYTE_COMPRESSIONS:
        return f"its {layout.bits[0]}-bit samples or separate planes are compressed as a picture; save it with LZW"
    if layout.fill_order != 1:
        return "its bits are stored in reverse (FillOrder 2)"
    known = {1} if layout.is_packed else {1, 2, 3} if layout.formats[0] == _FLOAT else {1, 2}
    if layout.predictor not in known:
        return f"its predictor is number {layout.predictor}"
    return None


def require_whole(layout: TiffLayout, size_bytes: int) -> None:
    """Raises BadImage if the strips of a file of that size do not make the whole picture."""
    blocks = layout.blocks
    needed = blocks.in_a_plane * (layout.samples if layout.separate else 1)
    if min(len(blocks.offsets), len(blocks.sizes)) < needed:
        raise cut_short("the strips of this TIFF do not reach its bottom")
    ends = (at + size for at, size in zip(blocks.offsets[:needed], blocks.sizes[:needed], strict=True))
    if max(ends, default=0) > size_bytes:
        raise cut_short("the strips of this TIFF reach beyond its end")
