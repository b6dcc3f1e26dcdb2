"""In which precision pictures are encoded here: 16 bits where the machine has them and they give the same vectors.

Imports torch, as `encode/towers.py` does. docs/decisions/0004-cpu-runtime.md tells what was measured.
"""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import torch

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.protocol import FloatArray
from pictograph.encode.towers import PictureTower
from pictograph.errors import ConfigurationError

logger = logging.getLogger(__name__)

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BFLOAT16_SINCE: Final = (8, 0)
"""Compute capability from which bfloat16 is native (Ampere); a T4 (7.5) would emulate it, and runs float16 instead."""
LEAST_COSINE: Final = 0.999
"""Between a picture's vectors in 16 and in 32 bits. Random weights give 0.9999 and more; a search moves by 0.001."""
PROBE_SIDES_PX: Final = (8, 64)
"""A coarse and a fine random pattern, squashed to the model's size. More would cost a start of so400m 14 s each."""


def open_picture_tower(checkpoint: Checkpoint, device: torch.device, dtype: str | None) -> PictureTower:
    """Opens the tower in `dtype`; None: in the fastest that gives the vectors of float32, checked on two patterns.

    The check takes a float32 tower for as long as it runs. Raises ConfigurationError for a dtype we do not know.
    """
    if dtype is not None:
        return PictureTower(checkpoint, device, known_dtype(dtype))
    fast = PictureTower(checkpoint, device, picture_dtype(device))
    if fast.dtype == torch.float32:
        return fast
    exact = PictureTower(checkpoint, device, torch.float32)
    cosine = least_cosine(fast, exact, probes(checkpoint))
    if cosine >= LEAST_COSINE:  # false for one that is not a number: 16 bits overflowed
        logger.info("Pictures are encoded in %s: cosine to float32 at least %.5f", fast.dtype, cosine)
        return fast
    logger.warning(
        "Pictures are encoded in float32, which is slower: in %s this model's vectors are wrong (cosine %.5f)",
        fast.dtype,
        cosine,
    )
    return exact


def known_dtype(name: str) -> torch.dtype:
    """Raises ConfigurationError if there is none of that name."""
    if name not in DTYPES:
        raise ConfigurationError(f"There is no dtype {name!r}. Choose one of: {', '.join(DTYPES)}.")
    return DTYPES[name]


def picture_dtype(device: torch.device) -> torch.dtype:
    """Returns the fastest this device has natively: one that it emulates is slower than float32."""
    if device.type == "cpu":
        return torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= BFLOAT16_SINCE else torch.float16


def cpu_has_bfloat16() -> bool:
    """True if the processor multiplies bfloat16 itself. A torch that cannot tell counts as no."""
    tell = getattr(torch.cpu, "get_capabilities", None)
    capabilities = tell() if tell else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def probes(checkpoint: Checkpoint) -> FloatArray:
    """float32 (N, 3, S, S): the same patterns every time, prepared as pictures are."""
    random = np.random.default_rng(0)
    patterns = [random.integers(0, 256, (side, side, 3), np.uint8) for side in PROBE_SIDES_PX]
    return np.stack([checkpoint.recipe.apply(pattern) for pattern in patterns])


def least_cosine(one: PictureTower, other: PictureTower, prepared: FloatArray) -> float:
    """Of the two vectors of each picture; not a number if one of them is not."""
    return float((one.vectors(prepared) * other.vectors(prepared)).sum(axis=1).min())
