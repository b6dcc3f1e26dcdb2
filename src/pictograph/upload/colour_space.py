"""Colour spaces that files name by code or by numbers, and not by a profile: `nclx`, PNG's `cICP`, `gAMA` and `cHRM`.

Each becomes an ICC profile, so that one way leads to sRGB. HDR (PQ and HLG) is brought down to what a screen shows by a
formula that docs/formats.md states.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pictograph.errors import BadImage

Curve: TypeAlias = Literal["sRGB", "gamma", "PQ", "HLG"]
Point: TypeAlias = tuple[float, float]
Floats: TypeAlias = npt.NDArray[np.float64]

WHITE_NITS: Final = 203.0
"""Brightness of a white sheet in HDR: ITU-R BT.2408."""
HLG_PEAK_NITS: Final = 1000.0
KNEE: Final = 0.5
"""Of white: what is brighter is compressed."""

_D65: Final[Point] = (0.3127, 0.3290)
_C: Final[Point] = (0.310, 0.316)
_SRGB: Final[tuple[Point, ...]] = (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES: Final[dict[int, tuple[Point, ...]]] = {
    4: (_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: (_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
"""White, red, green, blue by H.273's ColourPrimaries; all others count as those of sRGB."""
_GAMMAS: Final = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR: Final[dict[int, Curve]] = {16: "PQ", 18: "HLG"}
_UNREADABLE: Final = {9: "logarithmic", 10: "logarithmic", 17: "digital cinema (SMPTE ST 428)"}
_NEAR_SRGB_GAMMA: Final = (1 / 0.45455 * 0.95, 1 / 0.45455 * 1.05)
"""As in libpng: within 5 percent, a gamma means sRGB."""
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50: Final = np.array([0.9642, 1.0, 0.8249])


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """What the values of an RGB picture mean."""

    points: tuple[Point, ...] = _SRGB
    """CIE x, y of white, red, green and blue."""
    curve: Curve = "sRGB"
    gamma: float = 2.2
    """Used where the curve is `gamma`: light = value ** gamma."""

    @property
    def is_hdr(self) -> bool:
        """True where a value means a brightness, however dark the whole picture is."""
        return self.curve in ("PQ", "HLG")


def space_of_codes(primaries: int, transfer: int) -> ColourSpace | None:
    """Returns the space of H.273's codes; None if it is sRGB's or as good as. Raises BadImage for unknown curves.

    The curves of television (1, 6, 14, 15) count as sRGB's, as in browsers.
    """
    if transfer in _UNREADABLE:
        raise BadImage(
            f"The transfer function of this picture is number {transfer} ({_UNREADABLE[transfer]}), which is not "
            "supported. Save it in sRGB."
        )
    curve: Curve = _HDR.get(transfer, "gamma" if transfer in _GAMMAS else "sRGB")
    space = ColourSpace(_PRIMARIES.get(primaries, _SRGB), curve, _GAMMAS.get(transfer, 2.2))
    return None if space.points == _SRGB and curve == "sRGB" else space


def space_of_numbers(gamma: float | None, points: tuple[Point, ...] | None) -> ColourSpace | None:
    """The space of PNG's gAMA (light = value ** gamma) and cHRM; None if it is sRGB's or as good as, or absurd."""
    is_usable = gamma is not None and 0.25 <= gamma <= 4.0 and not _NEAR_SRGB_GAMMA[0] <= gamma <= _NEAR_SRGB_GAMMA[1]
    chosen = points if points and _is_usable(points) else _SRGB
    if not is_usable and np.abs(np.array(chosen) - np.array(_SRGB)).max() < 0.002:
        return None
    return ColourSpace(chosen, "gamma" if is_usable else "sRGB", gamma if is_usable and gamma else 2.2)


def _is_usable(points: tuple[Point, ...]) -> bool:
    inside = all(0 <= x <= 1 and 0.01 < y <= 1 for x, y in points)
    return inside and abs(np.linalg.det(_columns(points[1:]))) > 1e-3


@lru_cache(maxsize=32)
def profile_of(space: ColourSpace) -> bytes:
    """Returns an ICC profile (version 2, matrix and curves) of the space."""
    curve = _curve_tag(space)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"codes".ljust(5, b"\0") + bytes(79),
        b"wtpt": _xyz(_D50),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _colorants(space).T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", offset + len(body))
    header[8:24] = b"\x02\x40\0\0mntrRGB XYZ "
    header[36:40] = b"acsp"
    header[68:80] = _xyz(_D50)[8:]
    return bytes(header) + table + body


def light_of(space: ColourSpace, values: Floats) -> Floats:
    """Linear light, 0 to 1 (white), of values from 0 to 1, HDR brought down to it. Each channel by itself."""
    if space.curve == "PQ":
        return shown(_pq_nits(values) / WHITE_NITS)
    if space.curve == "HLG":
        return shown(HLG_PEAK_NITS * _hlg_scene(values) ** 1.2 / WHITE_NITS)
    if space.curve == "gamma":
        return values**space.gamma
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def shown(light: Floats) -> Floats:
    """Light in units of white -> 0 to 1: as it is up to KNEE, then bent to end at 1, however bright."""
    over = np.maximum(light - KNEE, 0) / (1 - KNEE)
    return np.where(light <= KNEE, light, KNEE + (1 - KNEE) * -np.expm1(-over))


def _pq_nits(values: Floats) -> Floats:
    """SMPTE ST 2084 (BT.2100, table 4): cd/m2."""
    power = values ** (1 / 78.84375)
    return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def _hlg_scene(values: Floats) -> Floats:
    """BT.2100, table 5: the light of the scene, 0 to 1."""
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def _curve_tag(space: ColourSpace) -> bytes:
    light = light_of(space, np.linspace(0, 1, 1024))
    table = np.rint(light.clip(0, 1) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + bytes(table.tobytes())


def _colorants(space: ColourSpace) -> Floats:
    """Returns the XYZ of red, green and blue as columns, adapted to D50 (Bradford)."""
    white = _columns(space.points[:1])[:, 0]
    columns = _columns(space.points[1:])
    scaled = columns * np.linalg.solve(columns, white)
    gains = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted: Floats = np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD @ scaled
    return adapted


def _columns(points: tuple[Point, ...]) -> Floats:
    """XYZ with Y = 1 of each chromaticity, as columns."""
    return np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in points]).T


def _xyz(values: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))
