"""Photographs -> vectors and tags, through the code that serves: decode, prepare, encode, tag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.folder import Photo
from pictograph.encode.batching import encode_isolating, joined
from pictograph.encode.protocol import Encoded, Encoder, FloatArray
from pictograph.errors import ConfigurationError, PictographError
from pictograph.ingest.pictures import WORKING_SIDE_PX
from pictograph.settings import available_cores
from pictograph.tagging.assign import Assigner, Tagged
from pictograph.tagging.measures import measure_picture
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import Picture

logger = logging.getLogger(__name__)

BATCH = 8
READ_AHEAD = 64
"""Pictures that are in memory at a time."""


@dataclass(frozen=True)
class Seen:
    """What became of the photographs; row i of everything belongs to photo i."""

    photos: Sequence[Photo]
    vectors: FloatArray
    """float32 (N, 1152), unit rows."""
    tagged: Sequence[Tagged] | None
    """None if the encoder brings no tagger."""
    tagger_version: str | None
    skipped: Sequence[tuple[Photo, str]]
    """Photographs that could not be read, and why."""

    @property
    def class_names(self) -> list[str]:
        """The class of each photograph."""
        return [photo.class_name for photo in self.photos]


@dataclass(frozen=True)
class _Ready:
    photo: Photo
    prepared: FloatArray
    measures: FloatArray


def see(encoder: Encoder, tagger: Tagger | None, photos: Sequence[Photo]) -> Seen:
    """Encodes and tags every photograph that can be read; the others are logged and counted.

    Raises ConfigurationError if none can.
    """
    kept: list[Photo] = []
    measures: list[FloatArray] = []
    encoded: list[Encoded] = []
    skipped: list[tuple[Photo, str]] = []
    for ready in _read(encoder, photos, skipped):
        results = encode_isolating(encoder, [item.prepared for item in ready], BATCH)
        for item, result in zip(ready, results, strict=True):
            if isinstance(result, Encoded):
                kept.append(item.photo)
                measures.append(item.measures)
                encoded.append(result)
            else:
                skipped.append((item.photo, str(result)))
    for photo, reason in skipped:
        logger.warning("%s is left out: %s", photo.path, reason)
    if not kept:
        raise ConfigurationError(f"None of the {len(photos)} photographs could be read. The first: {skipped[0][1]}")
    whole = joined(encoded)
    tagged = tag(tagger, whole, np.stack(measures)) if tagger else None
    version = tagger.version if tagger else None
    return Seen(kept, whole.vectors, tagged, version, skipped)


def tag(tagger: Tagger, encoded: Encoded, measures: FloatArray) -> list[Tagged]:
    """What the worker does with what the encoder saw."""
    return Assigner(load_taxonomy()).tagged(tagger.scores(encoded, measures))


def decoded(data: bytes, side_px: int) -> Picture:
    """A file as the worker decodes it for an encoder of this input."""
    return decode_picture(data, at_least_px=max(WORKING_SIDE_PX, side_px), limits=PictureLimits())


def changed_vectors(encoder: Encoder, photos: Sequence[Photo], change: Callable[[Picture], Picture]) -> FloatArray:
    """float32 (N, 1152): the vectors of changed copies of photographs that can be read."""
    parts = []
    for chunk in chunks(photos, BATCH):
        pictures = (decoded(photo.path.read_bytes(), encoder.spec.input_px) for photo in chunk)
        prepared = [encoder.prepare(change(picture)) for picture in pictures]
        parts.append(encoder.encode_prepared(np.stack(prepared)).vectors)
    return np.concatenate(parts)


def chunks(photos: Sequence[Photo], size: int) -> Iterator[Sequence[Photo]]:
    """Slices of at most `size`."""
    return (photos[start : start + size] for start in range(0, len(photos), size))


def _read(encoder: Encoder, photos: Sequence[Photo], skipped: list[tuple[Photo, str]]) -> Iterator[list[_Ready]]:
    def ready(photo: Photo) -> _Ready | tuple[Photo, str]:
        try:
            picture = decoded(photo.path.read_bytes(), encoder.spec.input_px)
        except (PictographError, OSError) as error:
            return photo, str(error)
        return _Ready(photo, encoder.prepare(picture), measure_picture(picture))

    with ThreadPoolExecutor(available_cores()) as threads:
        for chunk in chunks(photos, READ_AHEAD):
            outcomes = list(threads.map(ready, chunk))
            skipped += [outcome for outcome in outcomes if not isinstance(outcome, _Ready)]
            yield [outcome for outcome in outcomes if isinstance(outcome, _Ready)]
