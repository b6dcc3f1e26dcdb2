"""From a picture to what a SigLIP network sees, as the checkpoint's own preprocessor file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pictograph.encode.protocol import FloatArray

CHANNELS = 3
RESCALE_FACTOR = 1 / 255
"""Used where the file has no `rescale_factor`; transformers' image processors do the same."""


@dataclass(frozen=True, slots=True)
class SquashRecipe:
    """How a picture becomes numbers: squashed to a square without a crop, then one straight line per channel."""

    side_px: int
    resample: Image.Resampling
    scale: tuple[float, float, float]
    """Per channel, what a pixel (0 to 255) is multiplied by: the rescale factor over the deviation."""
    shift: tuple[float, float, float]
    """Per channel, what is added then: minus the mean over the deviation."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> SquashRecipe:
        """settings: a `preprocessor_config.json` of transformers' SiglipImageProcessor.

        Raises ValueError or LookupError where they ask for something else than a squash to a square, or say too little:
        a guessed filter or mean would not fail, it would quietly make other vectors.
        """
        _require_squash(settings)
        height, width = int(settings["size"]["height"]), int(settings["size"]["width"])
        if height != width or height < 1:
            raise ValueError(f"its size is {width} x {height}, not a square")
        factor = float(settings.get("rescale_factor", RESCALE_FACTOR)) if settings.get("do_rescale", True) else 1.0
        mean, deviation = _normalisation(settings)
        return cls(
            side_px=height,
            resample=Image.Resampling(settings["resample"]),
            scale=_three(factor / deviation),
            shift=_three(-mean / deviation),
        )

    def apply(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """float32 (3, S, S), C-contiguous; thread-safe.

        pixels: uint8 (H, W, 3), RGB, any size from 1 x 1.
        Source: big_vision `pp/ops_image.py`, `resize` and `value_range`; transformers `SiglipImageProcessor`.
        """
        squashed = Image.fromarray(pixels).resize((self.side_px, self.side_px), self.resample)
        channels = np.asarray(squashed).transpose(2, 0, 1)
        prepared = np.empty(channels.shape, np.float32)
        for channel in range(CHANNELS):
            np.multiply(channels[channel], np.float32(self.scale[channel]), out=prepared[channel])
            prepared[channel] += np.float32(self.shift[channel])
        return prepared


def _require_squash(settings: Mapping[str, Any]) -> None:
    if not settings.get("do_resize", True):
        raise ValueError("it does not resize (do_resize is false)")
    if settings.get("do_center_crop", False):
        raise ValueError("it crops (do_center_crop is true), which no SigLIP checkpoint does")


def _normalisation(settings: Mapping[str, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and deviation per channel, after rescaling."""
    if not settings.get("do_normalize", True):
        return np.zeros(CHANNELS), np.ones(CHANNELS)
    mean, deviation = (np.array(settings[name], np.float64) for name in ("image_mean", "image_std"))
    if mean.shape != (CHANNELS,) or deviation.shape != (CHANNELS,) or not (deviation > 0).all():
        raise ValueError("image_mean and image_std must be three numbers each, the latter above 0")
    return mean, deviation


def _three(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
