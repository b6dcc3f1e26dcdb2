"""Pictures spoilt on purpose: what should bring `blurry`, `dark` or `noisy`, and what should not hide a copy."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pictograph.upload.picture import Picture, PictureFacts

Pixels: TypeAlias = npt.NDArray[np.uint8]
Change: TypeAlias = Callable[[Pixels], Pixels]


def changed(picture: Picture, change: Change) -> Picture:
    """The picture as if it had been uploaded changed."""
    pixels = np.ascontiguousarray(change(picture.pixels))
    return Picture(pixels, PictureFacts("PNG", "image/png", pixels.shape[1], pixels.shape[0]))


def gaussian(sigma: float) -> Change:
    return lambda pixels: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def motion(length: int, degrees: float = 0) -> Change:
    """Smeared along the rows of the picture turned by `degrees`."""

    def smear(pixels: Pixels) -> Pixels:
        turned = np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC)).astype(np.float32)
        padded = np.pad(turned, ((0, 0), (length // 2, length - 1 - length // 2), (0, 0)), "edge")
        sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0), (0, 0))), axis=1)
        return ((sums[:, length:] - sums[:, :-length]) / length).astype(np.uint8)

    return smear


def exposure(stops: float) -> Change:
    return lambda pixels: (np.clip((pixels / 255.0) ** 2.2 * 2.0**stops, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(
        np.uint8
    )


def contrast(factor: float) -> Change:
    return lambda pixels: np.clip((pixels - pixels.mean()) * factor + pixels.mean(), 0, 255).astype(np.uint8)


def noise(deviation: float) -> Change:
    random = np.random.default_rng(0)
    return lambda pixels: np.clip(pixels + random.normal(0, deviation, pixels.shape), 0, 255).astype(np.uint8)


def jpeg(quality: int) -> Change:
    def compress(pixels: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return compress


def saturation(factor: float) -> Change:
    def change(pixels: Pixels) -> Pixels:
        grey = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB")).astype(np.float32)
        return np.clip(grey + (pixels - grey) * factor, 0, 255).astype(np.uint8)

    return change


def toned(pixels: Pixels) -> Pixels:
    faded: Pixels = (saturation(0)(pixels) * np.array([1.0, 0.82, 0.6])).astype(np.uint8)
    return faded


def both(first: Change, second: Change) -> Change:
    return lambda pixels: second(first(pixels))


def mirrored(pixels: Pixels) -> Pixels:
    return pixels[:, ::-1]


def cut(part: float, across: float, down: float) -> Change:
    """A window of `part` of each side; `across` and `down`: 0 is at the left and the top, 1 at the other end."""

    def crop(pixels: Pixels) -> Pixels:
        height, width = int(pixels.shape[0] * part), int(pixels.shape[1] * part)
        top, left = int((pixels.shape[0] - height) * down), int((pixels.shape[1] - width) * across)
        return pixels[top : top + height, left : left + width]

    return crop


def brightness(factor: float) -> Change:
    return lambda pixels: np.clip(pixels * factor, 0, 255).astype(np.uint8)


def scaled(factor: float) -> Change:
    def scale(pixels: Pixels) -> Pixels:
        image = Image.fromarray(pixels)
        return np.asarray(image.resize((max(1, int(image.width * factor)), max(1, int(image.height * factor)))))

    return scale


def turned(degrees: float) -> Change:
    return lambda pixels: np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR))
