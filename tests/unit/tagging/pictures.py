"""Synthetic pictures, so that each test knows what it shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pictograph.tagging.measures import MEASURE_NAMES, measure_picture
from pictograph.upload.picture import Picture, PictureFacts

Pixels = npt.NDArray[np.uint8]


def picture(pixels: Pixels) -> Picture:
    height, width = pixels.shape[:2]
    return Picture(np.ascontiguousarray(pixels), PictureFacts("PNG", "image/png", width, height))


def measured(pixels: Pixels) -> dict[str, float]:
    return dict(zip(MEASURE_NAMES, measure_picture(picture(pixels)).tolist(), strict=True))


def plain(red: int, green: int, blue: int, width: int = 400, height: int = 300) -> Pixels:
    return np.full((height, width, 3), (red, green, blue), dtype=np.uint8)


def patchwork(seed: int = 0, width: int = 400, height: int = 300) -> Pixels:
    """Sharp rectangles of many colours: in focus, colourful, of normal light."""
    random = np.random.default_rng(seed)
    pixels = plain(120, 120, 120, width, height)
    for _ in range(150):
        x, y = random.integers(0, width), random.integers(0, height)
        pixels[y : y + random.integers(8, 80), x : x + random.integers(8, 80)] = random.integers(20, 236, 3)
    return pixels


def finely_hatched() -> Pixels:
    """A patchwork with something finely patterned in the middle."""
    pixels = patchwork()
    fine = np.random.default_rng(3).integers(0, 2, (50, 100, 1)) * 200 + 20
    pixels[100:200, 100:300] = fine.repeat(2, axis=0).repeat(2, axis=1)
    return pixels


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def smeared(pixels: Pixels, length: int) -> Pixels:
    """Blurred along the rows only, as by a moving camera."""
    copies = [np.roll(pixels, shift, axis=1).astype(np.float32) for shift in range(length)]
    return np.mean(copies, axis=0).astype(np.uint8)


def exposed(pixels: Pixels, stops: float) -> Pixels:
    """As if with this many stops more light (gamma 2.2)."""
    light = np.clip((pixels / 255.0) ** 2.2 * 2.0**stops, 0, 1)
    return (light ** (1 / 2.2) * 255).astype(np.uint8)


def noised(pixels: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(1).normal(0, deviation, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def grey(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def on_background(level: int, width: int = 400, height: int = 300) -> Pixels:
    """Something colourful in the middle of a plain background."""
    pixels = plain(level, level, level, width, height)
    pixels[height // 3 : -height // 3, width // 3 : -width // 3] = patchwork(2, width, height)[
        height // 3 : -height // 3, width // 3 : -width // 3
    ]
    return pixels
