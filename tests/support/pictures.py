"""Small real pictures, made on the spot; two with the same seed are the same bytes."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image


def picture_bytes(seed: int = 0, *, size: tuple[int, int] = (64, 48), format: str = "JPEG") -> bytes:
    """A smooth random pattern as a file."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(file, format)
    return file.getvalue()


def noise_bytes(seed: int, about_bytes: int) -> bytes:
    """A picture of noise as a PNG, which takes about so many bytes."""
    side = int((about_bytes / 3) ** 0.5)
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()
