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
