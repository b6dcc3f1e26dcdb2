"""Pixel measures: what can be said of a picture by arithmetic alone, whichever encoder runs.

They must stay cheap beside the forward pass, so each works on as little as it needs: sharpness and noise on the
luminance of at most 512 px, by triples of rows; colours and light on at most 64 x 64 sampled pixels; colour names by
a table made once. NumPy's own percentile and multi-axis sum cost more than all of the arithmetic, hence the helpers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pictograph.encode.protocol import FloatArray
from pictograph.upload.picture import Picture, PictureFacts

Pixels: TypeAlias = npt.NDArray[np.uint8]

COLOURS: Final = (
    "red",
    "orange",
    "yellow",
    "green",
    "cyan",
    "blue",
    "purple",
    "pink",
    "brown",
    "white",
    "grey",
    "black",
)
"""Colour names, each with a measure `share_<name>`: its share of the sampled pixels; together they are 1."""

MEASURE_NAMES: Final[tuple[str, ...]] = (
    "short_side_px",  # of the picture as uploaded
    "megapixels",  # of the picture as uploaded
    "stretch",  # log2(width / height): 0 square, 1 twice as wide as high
    "luminance_p5",  # 0 black .. 1 white; so are the next four
    "luminance_p50",
    "luminance_p95",
    "luminance_mean",
    "luminance_spread",  # p95 - p5
    "contrast_rms",  # standard deviation of the luminance
    "clipped_white",  # share of pixels with every channel >= 250
    "clipped_black",  # share of pixels with every channel <= 5
    "sharpness",  # log10, see `_sharpness`; -3 blurred, -1 crisp
    "detail_px",  # short side of what sharpness was measured on
    "noise",  # standard deviation in grey levels of 255, see `_noise`
    "colourfulness",  # Hasler & Suesstrunk: 0 grey, 15 slight, 45 average, 80 strong
    "chroma",  # mean of (largest - smallest channel), 0..1
    "hue_focus",  # 1 if all colour is of one hue, 0 if the hues cancel out
    "warmth",  # mean of (red - blue), -1..1
    "border_white",  # share of the outermost pixels that are near white
    "border_black",  # share of the outermost pixels that are near black
    "border_flatness",  # share of the outermost pixels close to their median colour
    "centre_luminance",  # median luminance of the inner half
    *(f"share_{colour}" for colour in COLOURS),
)
"""The columns of `measure_picture`, in order."""

_DETAIL_PX: Final = 512
_GRID_PX: Final = 64
_TILES: Final = 8
_NOISE_TILES: Final = 16
LEAST_DETAIL_PX: Final = 3 * _NOISE_TILES
"""Below that, `sharpness` and `noise` are not measured, and 0."""
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601, as in Pillow's own conversion to grey."""


@dataclass(frozen=True, slots=True)
class _Samples:
    """Every n-th pixel of a picture, not averaged, so that shares and percentiles stay true."""

    rgb: FloatArray
    """float32 (3, h, w), 0..255, h and w <= 64."""
    highest: FloatArray
    """float32 (h, w): the largest channel."""
    lowest: FloatArray
    """float32 (h, w): the smallest channel."""


def measure_picture(picture: Picture) -> FloatArray:
    """Everything pixels say about one picture: float32 (len(MEASURE_NAMES),), all finite.

    Thread-safe. Any size from 1 x 1 up; about a millisecond for 500 x 375, more only by the cost of one resize.
    """
    samples = _sampled(picture.pixels)
    light = _light_measures(samples)
    measures = {
        **_size_measures(picture.facts),
        **light,
        **_detail_measures(picture.pixels, 255 * light["luminance_spread"]),
        **_colour_measures(samples),
        **_border_measures(samples),
    }
    return np.array([measures[name] for name in MEASURE_NAMES], dtype=np.float32)


def _size_measures(facts: PictureFacts) -> dict[str, float]:
    return {
        "short_side_px": min(facts.width, facts.height),
        "megapixels": facts.width * facts.height / 1e6,
        "stretch": math.log2(facts.width / facts.height),
    }


def _sampled(pixels: Pixels) -> _Samples:
    step_y = -(-pixels.shape[0] // _GRID_PX)
    step_x = -(-pixels.shape[1] // _GRID_PX)
    chosen = pixels[step_y // 2 :: step_y, step_x // 2 :: step_x]
    rgb = np.ascontiguousarray(chosen.transpose(2, 0, 1), dtype=np.float32)
    red, green, blue = rgb
    return _Samples(rgb, np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue))


def _percentiles(values: FloatArray, *percents: float) -> list[float]:
    """Returns the nearest values at these percents (0..100) of all the values, without interpolation."""
    ordered = np.sort(values, axis=None)
    return [float(ordered[round(percent / 100 * (ordered.size - 1))]) for percent in percents]


def _light_measures(samples: _Samples) -> dict[str, float]:
    luminance = np.tensordot(_LUMA, samples.rgb, axes=1) / np.float32(255)
    height, width = luminance.shape
    centre = luminance[height // 4 : height - height // 4, width // 4 : width - width // 4]
    p5, p50, p95 = _percentiles(luminance, 5, 50, 95)
    return {
        "luminance_p5": p5,
        "luminance_p50": p50,
        "luminance_p95": p95,
        "luminance_mean": float(luminance.mean()),
        "luminance_spread": p95 - p5,
        "contrast_rms": float(luminance.std()),
        "clipped_white": _share(samples.lowest >= 250),
        "clipped_black": _share(samples.highest <= 5),
        "centre_luminance": _percentiles(centre, 50)[0],
    }


def _share(mask: npt.NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(mask)) / mask.size


def _detail_measures(pixels: Pixels, spread: float) -> dict[str, float]:
    """spread: p95 - p5 of the luminance, in grey levels."""
    luminance = _luminance_at_detail_size(pixels)
    short_side = min(luminance.shape)
    if short_side < LEAST_DETAIL_PX:
        return {"sharpness": 0.0, "detail_px": float(short_side), "noise": 0.0}
    usable = luminance.shape[0] // 3 * 3
    above, middle, below = (luminance[row:usable:3].astype(np.float32) for row in range(3))
    left, centre, right = middle[:, :-2], middle[:, 1:-1], middle[:, 2:]
    down = above + below - 2 * middle
    noise = _noise(down)
    across_sharpness = _axis_sharpness(left + right - 2 * centre, right - left, noise, spread)
    down_sharpness = _axis_sharpness(down, below - above, noise, spread)
    return {
        "sharpness": min(across_sharpness, down_sharpness),
        "detail_px": float(short_side),
        "noise": noise,
    }


def _luminance_at_detail_size(pixels: Pixels) -> Pixels:
    """uint8 (h, w), the longer side at most 512; a smaller picture is not enlarged."""
    grey = Image.fromarray(pixels).convert("L")
    longest = max(grey.size)
    if longest > _DETAIL_PX:
        size = (max(1, grey.width * _DETAIL_PX // longest), max(1, grey.height * _DETAIL_PX // longest))
        grey = grey.resize(size, Image.Resampling.BOX)
    return np.asarray(grey)


def _tile_means(values: FloatArray, tiles: int) -> FloatArray:
    """float32 (tiles, tiles): the mean of each tile of (h, w) values; the remainder at the far edges is left out."""
    tile_h, tile_w = values.shape[0] // tiles, values.shape[1] // tiles
    bands = values[: tile_h * tiles, : tile_w * tiles].reshape(tiles, tile_h, -1).sum(axis=1)
    return np.asarray(bands.reshape(tiles, tiles, tile_w).sum(axis=2) / np.float32(tile_h * tile_w))


def _noise(down: FloatArray) -> float:
    """Standard deviation of the noise, in grey levels, from the calmest tiles.

    down: vertical second differences of the luminance. Immerkaer, "Fast noise variance estimation" (1996),
    doi:10.1006/cviu.1996.0060, here over the 2nd percentile of 256 tiles, because texture counts as noise to it.
    """
    response = down[:, :-2] + down[:, 2:] - 2 * down[:, 1:-1]
    (calm,) = _percentiles(_tile_means(np.abs(response), _NOISE_TILES), 2)
    return calm * math.sqrt(math.pi / 2) / 6


def _axis_sharpness(curvature: FloatArray, gradient: FloatArray, noise: float, spread: float) -> float:
    """log10 of how much fine detail there is along one axis, against the picture's contrast.

    curvature, gradient: second and (doubled) first differences of the luminance along the axis; noise, spread: in
    grey levels. Second differences are the parts of the Laplacian, whose variance is the usual measure of focus
    (Pertuz and others, doi:10.1016/j.patcog.2012.11.011). Changed, because that varies with much else:

    * divided by the squared contrast, since exposure scales both;
    * multiplied by curvature / gradient, which is high where an edge is narrow, so that a smooth thing before a plain
      wall is sharp if its few edges are;
    * the second best of 64 tiles, so that a sharp subject before a soft background is sharp;
    * less what noise of this strength brings by itself (its variance times 1 + 1 + 4, and times 1 + 1);
    * each axis by itself, for the caller to take the worse, since motion blurs one only.
    """
    fine = max(_second_best_tile(curvature) - 6 * noise**2, 0.25)
    coarse = max(_second_best_tile(gradient) - 2 * noise**2, 2.0)
    return math.log10(fine / max(spread, 8.0) ** 2) + math.log10(fine / coarse)


def _second_best_tile(differences: FloatArray) -> float:
    return float(np.partition(_tile_means(np.square(differences), _TILES), -2, axis=None)[-2])


def _colour_measures(samples: _Samples) -> dict[str, float]:
    red, green, blue = samples.rgb
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    return {
        "colourfulness": _colourfulness(red_green, yellow_blue),
        "chroma": float((samples.highest - samples.lowest).mean()) / 255,
        "hue_focus": _hue_focus(red_green, yellow_blue),
        "warmth": float((red - blue).mean()) / 255,
        **{f"share_{colour}": share for colour, share in zip(COLOURS, _colour_shares(samples.rgb), strict=True)},
    }


def _colourfulness(red_green: FloatArray, yellow_blue: FloatArray) -> float:
    """Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), doi:10.1117/12.477378, section 7."""
    deviation = math.hypot(float(red_green.std()), float(yellow_blue.std()))
    distance = math.hypot(float(red_green.mean()), float(yellow_blue.mean()))
    return deviation + 0.3 * distance


def _hue_focus(red_green: FloatArray, yellow_blue: FloatArray) -> float:
    strength = float(np.sqrt(red_green * red_green + yellow_blue * yellow_blue).mean())
    return math.hypot(float(red_green.mean()), float(yellow_blue.mean())) / strength if strength > 0.5 else 1.0


def _colour_shares(rgb: FloatArray) -> list[float]:
    """Returns the share of the pixels that bear each name of COLOURS."""
    red, green, blue = rgb.astype(np.uint8) >> 3
    cells = (red.astype(np.uint16) << 10) | (green.astype(np.uint16) << 5) | blue
    counts = np.bincount(_colour_table()[cells.ravel()], minlength=len(COLOURS))
    return [int(count) / cells.size for count in counts]


@cache
def _colour_table() -> npt.NDArray[np.uint8]:
    """uint8 (32768,): the index in COLOURS of each cell of an RGB cube of 32 x 32 x 32 cells."""
    levels = np.arange(32, dtype=np.float32) * 8 + 4
    red, green, blue = (axis.ravel() for axis in np.meshgrid(levels, levels, levels, indexing="ij"))
    return _named_colours(np.stack([red, green, blue]))


def _named_colours(rgb: FloatArray) -> npt.NDArray[np.uint8]:
    """Returns what people would call each colour, by rules over HSV (hue in degrees). rgb: float32 (3, n), 0..255."""
    value = rgb.max(axis=0)
    chroma = value - rgb.min(axis=0)
    hue = _hue_degrees(rgb, value, chroma)
    saturation = chroma / value
    neutral = (saturation < 0.16) | (chroma < 16)
    reddish, orangish = (hue >= 340) | (hue < 14), (hue >= 14) & (hue < 42)
    rules = {
        "black": value < 45,
        "white": neutral & (value > 215),
        "grey": neutral,
        "pink": ((hue >= 290) & (hue < 340)) | (reddish & (saturation < 0.5) & (value > 165)),
        "red": reddish,
        "brown": orangish & ((value < 165) | (saturation < 0.45)),
        "orange": orangish,
        "yellow": (hue < 66) & (value > 165) & (saturation > 0.35),
        "green": hue < 165,
        "cyan": hue < 195,
        "blue": hue < 255,
    }
    names = [COLOURS.index(colour) for colour in rules]
    return np.select(list(rules.values()), names, default=COLOURS.index("purple")).astype(np.uint8)


def _hue_degrees(rgb: FloatArray, value: FloatArray, chroma: FloatArray) -> FloatArray:
    """Hue of HSV, 0 up to 360: 0 red, 120 green, 240 blue; 0 where there is no colour."""
    red, green, blue = rgb
    safe = np.maximum(chroma, 1)
    sixth = np.where(
        value == red,
        (green - blue) / safe % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return np.asarray(sixth * 60, dtype=np.float32)


def _border_measures(samples: _Samples) -> dict[str, float]:
    rgb = _border(samples.rgb)
    middle = np.array([_percentiles(channel, 50) for channel in rgb], dtype=np.float32)
    return {
        "border_white": _share(_border(samples.lowest[np.newaxis]) >= 232),
        "border_black": _share(_border(samples.highest[np.newaxis]) <= 30),
        "border_flatness": _share(np.abs(rgb - middle).max(axis=0) <= 20),
    }


def _border(planes: FloatArray) -> FloatArray:
    """float32 (c, n): the outermost twenty-fourth, at least one pixel, of each side of (c, h, w) planes."""
    depth = max(1, min(planes.shape[1:]) // 24)
    sides = (planes[:, :depth], planes[:, -depth:], planes[:, :, :depth], planes[:, :, -depth:])
    return np.concatenate([side.reshape(len(planes), -1) for side in sides], axis=1)
