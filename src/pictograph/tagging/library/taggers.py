"""Makes the tagger of a space from its stored calibration, and computes and stores that first if it is missing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pictograph.db.pool import Database
from pictograph.encode.batching import encode_isolating
from pictograph.encode.protocol import Encoded, Encoder, FloatArray, PairEncoder
from pictograph.errors import ConfigurationError
from pictograph.spaces.registry import Space
from pictograph.tagging.background import background_files
from pictograph.tagging.calibration import LEAST_PICTURES, Calibration, label_vectors_of, prompts_of
from pictograph.tagging.library.calibration import calibration_lock, find_background, find_calibration, save_calibration
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.registry import tagger_for, tagger_named
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import SpaceId
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

logger = logging.getLogger(__name__)

PROMPT_BATCH: Final = 16
"""Prompts between two looks at the clock: a tenth of a second each for base models on two cores (docs/siglip.md)."""
PICTURE_BATCH: Final = 4
REPORT_EVERY_S: Final = 5.0


async def tagger_of(database: Database, space: SpaceId, encoder: Encoder, taxonomy: Taxonomy) -> Tagger | None:
    """Returns the tagger for this encoder's space; None if the encoder brings none.

    The first worker of a space whose encoder compares words with pictures makes its calibration and stores it, which
    takes minutes on a CPU (the log says how long); others wait for it, and later ones read them.
    """
    calibration = None
    if isinstance(encoder, PairEncoder):
        calibration = await calibration_of(database, space, encoder, taxonomy)
    return tagger_for(encoder.spec, taxonomy, calibration)


async def stored_tagger(database: Database, space: Space, taxonomy: Taxonomy) -> Tagger | None:
    """Returns the same tagger from what is stored, without opening a network; None if no worker has calibrated it."""
    async with database.connection() as connection:
        calibration = await find_calibration(connection, space.id, taxonomy)
    return tagger_named(space.encoder, taxonomy, calibration)


async def calibration_of(database: Database, space: SpaceId, encoder: PairEncoder, taxonomy: Taxonomy) -> Calibration:
    """Returns the stored calibration of this space and taxonomy, made first if there is none."""
    async with database.connection() as connection:
        if found := await find_calibration(connection, space, taxonomy):
            return found
        async with calibration_lock(connection, space):
            if found := await find_calibration(connection, space, taxonomy):
                return found
            background = await find_background(connection, space)
            made = await make_calibration(encoder, taxonomy, background)
            await save_calibration(connection, space, taxonomy, made)
            return made


async def make_calibration(
    encoder: PairEncoder, taxonomy: Taxonomy, background: FloatArray | None = None
) -> Calibration:
    """Looks at the background pictures, unless their vectors are known, and reads the taxonomy's prompts.

    Can be cancelled between two batches. Nothing else may use the encoder meanwhile.
    Raises ConfigurationError if too few pictures have a vector.
    """
    if background is None:
        background = await _background_vectors(encoder, background_files())
    prompts = await _prompt_vectors(encoder, prompts_of(taxonomy))
    labels = label_vectors_of(taxonomy, prompts)
    return Calibration(labels, background, encoder.logit_scale, encoder.logit_bias)


async def _background_vectors(encoder: Encoder, files: Sequence[Path]) -> FloatArray:
    """float32 (B, 1152), LEAST_PICTURES <= B <= len(files): a picture that overflows in 16 bits is left out."""
    progress = Progress("background pictures", len(files))
    vectors = []
    for start in range(0, len(files), PICTURE_BATCH):
        vectors += await asyncio.to_thread(_encode_files, encoder, files[start : start + PICTURE_BATCH])
        progress.reached(start + PICTURE_BATCH)
    if len(vectors) < LEAST_PICTURES:
        raise ConfigurationError(
            f"{encoder.spec.name} gives a usable vector for only {len(vectors)} of {len(files)} background pictures "
            "(the log says why). Check the model's files, or run it on a device with more memory or precision."
        )
    return np.stack(vectors)


def _encode_files(encoder: Encoder, files: Sequence[Path]) -> list[FloatArray]:
    pictures = [decode_picture(path.read_bytes(), at_least_px=None, limits=PictureLimits()) for path in files]
    outcomes = encode_isolating(encoder, [encoder.prepare(picture) for picture in pictures], len(files))
    for path, outcome in zip(files, outcomes, strict=True):
        if not isinstance(outcome, Encoded):
            logger.warning("%s is left out of the background: %s", path.name, outcome)
    return [outcome.vectors[0] for outcome in outcomes if isinstance(outcome, Encoded)]


async def _prompt_vectors(encoder: PairEncoder, prompts: Sequence[str]) -> FloatArray:
    progress = Progress("prompts of the taxonomy", len(prompts))
    vectors = []
    try:
        for start in range(0, len(prompts), PROMPT_BATCH):
            vectors.append(await asyncio.to_thread(encoder.encode_texts, prompts[start : start + PROMPT_BATCH]))
            progress.reached(start + PROMPT_BATCH)
    finally:
        encoder.forget_words()
    return np.concatenate(vectors)


class Progress:
    """Tells the log every few seconds how far a long piece of work is."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._started = self._told = time.monotonic()
        logger.info("The tagger of this space is made, once: %d %s to encode", total, what)

    def reached(self, done: int) -> None:
        """done: how many so far; more than the total means all."""
        now = time.monotonic()
        passed_s = now - self._started
        if done >= self._total:
            logger.info("%d %s encoded in %.1f s", self._total, self._what, passed_s)
        elif now - self._told >= REPORT_EVERY_S:
            self._told = now
            left_s = passed_s / done * (self._total - done)
            logger.info("%d of %d %s, about %.0f s to go", done, self._total, self._what, left_s)
