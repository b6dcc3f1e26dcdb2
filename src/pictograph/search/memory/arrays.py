"""Arrays of images, and the orders that searches have: the newest first, and the nearest first. Pure, numpy only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pictograph.store.pages import After, Beyond
from pictograph.types import DIMENSION

Array: TypeAlias = npt.NDArray[Any]
Bytes: TypeAlias = npt.NDArray[np.uint8]
FloatArray: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int64]
Distances: TypeAlias = npt.NDArray[np.float64]
"""Cosine distances, float64 (N,)."""

ID_BYTES: Final = 16
COARSE_BYTES: Final = DIMENSION // 8 + 8
"""Of a coarse code: one bit a dimension, and two correction factors."""
FINE_BYTES: Final = DIMENSION // 2
"""Of a fine code: four bits a dimension."""
NO_IDS: Final[Bytes] = np.zeros((0, ID_BYTES), np.uint8)
NO_ROWS: Final[Rows] = np.zeros(0, np.int64)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
BLOCK: Final = 2048
"""Vectors that are compared together, in double precision: 19 MB."""


def bytes_of(packed: bytes) -> Bytes:
    """16 bytes an id as uint8 (N, 16)."""
    return np.frombuffer(packed, np.uint8).reshape(-1, 16)


def as_void(ids: Bytes) -> Array:
    """uint8 (N, 16) as N comparable values: bytes strings, all of which end in a byte that is not zero."""
    wide = np.empty((len(ids), ID_BYTES + 1), np.uint8)
    wide[:, :ID_BYTES], wide[:, ID_BYTES] = ids, 1
    return wide.view(f"S{ID_BYTES + 1}").reshape(len(ids))


def halves(ids: Bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Ids, uint8 (N, 16), as two numbers that sort as they do."""
    words = np.ascontiguousarray(ids).view(">u8").reshape(len(ids), 2).astype(np.uint64)
    return words[:, 0].copy(), words[:, 1].copy()


def newest_order(ids: Bytes, created: Rows) -> Rows:
    """The newest first, ties by id."""
    high, low = halves(ids)
    return np.lexsort((low, high, -created))


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // MICROSECOND


def is_behind(ids: Bytes, created: Rows, after: After) -> Mask:
    """Which images come after this place, where the newest are first and ties go by id."""
    time = microseconds(after.created_at)
    behind: Mask = (created < time) | ((created == time) & (as_void(ids) > as_void(bytes_of(after.id.bytes))))
    return behind


def unit_of(vector: FloatArray) -> FloatArray:
    """The vector at length 1, float32 (1152,)."""
    unit: FloatArray = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
    return unit


def cosine_distances(vectors: npt.NDArray[np.float16], query: FloatArray) -> Distances:
    """Of float16 (N, 1152) from float32 (1152,): each the same to the last bit, whatever is beside it.

    In double precision, so that of the query itself it is 0, exactly. 1 of a vector of zeros.
    """
    distances = np.empty(len(vectors), np.float64)
    asked = query.astype(np.float64)
    own = float(np.einsum("j,j->", asked, asked))
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float64)
        lengths = np.sqrt(own * np.einsum("ij,ij->i", block, block))
        products = np.einsum("ij,j->i", block, asked)
        cosines = np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        distances[start : start + BLOCK] = 1 - cosines
    return distances


def nearest_first(ids: Bytes, distances: Distances, limit: int, beyond: Beyond | None) -> tuple[Bytes, Distances]:
    """The `limit` nearest, ties by id. beyond: only those behind this place."""
    if beyond is not None:
        behind = distances > beyond.distance
        same = np.flatnonzero(distances == beyond.distance)
        behind[same[as_void(ids[same]) > as_void(bytes_of(beyond.id.bytes))]] = True
        ids, distances = ids[behind], distances[behind]
    high, low = halves(ids)
    order = np.lexsort((low, high, distances))[:limit]
    return ids[order], distances[order]
