"""The images of a finding as arrays, with their vectors in a file that has no name and goes with the process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from pictograph.db.pool import Connection
from pictograph.search.memory.arrays import Bytes, FloatArray, Mask, Rows, as_void
from pictograph.store.duplicates import Row, read_vectors
from pictograph.types import DIMENSION, SpaceId

READ_AT_ONCE: Final = 2000
"""Vectors of one statement: 5 MB."""
VECTOR: Final = np.dtype([("id", "V16"), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", DIMENSION)])
MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
"""Spreads the bits of a number: the golden ratio of 64 bits."""


@dataclass(frozen=True)
class Scope:
    """N images in the order in which they came; row i of everything is image i."""

    ids: Bytes
    """uint8 (N, 16)."""
    sha256: npt.NDArray[Any]
    """S33, comparable."""
    has_bytes: Mask
    hashes: npt.NDArray[np.uint64]
    hashed: Mask
    sharpness: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.int64]
    created: npt.NDArray[np.int64]
    has_vector: Mask
    kept: Mask
    prints: npt.NDArray[np.uint64]
    """Changes with whatever is compared, and with every decision."""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Scope:
        """In the order of their coming, ties by id."""
        rows = sorted(rows, key=lambda row: (row.created, row.id))
        sha256s = np.frombuffer(b"".join(row.sha256 for row in rows), np.uint8).reshape(-1, 32)
        hashes = np.array([(row.perceptual_hash or 0) & (2**64 - 1) for row in rows], np.uint64)
        hashed = np.array([row.perceptual_hash is not None for row in rows], bool)
        has_vector = np.array([row.has_vector for row in rows], bool)
        stamps = np.array([row.stamp for row in rows], np.uint64)
        heads = sha256s[:, :8].copy().view(np.uint64).reshape(len(rows))
        states = hashed.astype(np.uint64) + 2 * has_vector.astype(np.uint64) + 4 * stamps
        return cls(
            ids=np.frombuffer(b"".join(row.id.bytes for row in rows), np.uint8).reshape(-1, 16),
            sha256=wide(sha256s),
            has_bytes=np.array([row.has_bytes for row in rows], bool),
            hashes=hashes,
            hashed=hashed,
            sharpness=np.array([np.nan if row.sharpness is None else row.sharpness for row in rows], np.float32),
            pixels=np.array([row.pixels for row in rows], np.int64),
            created=np.array([row.created for row in rows], np.int64),
            has_vector=has_vector,
            kept=np.array([row.is_kept for row in rows], bool),
            prints=(heads ^ hashes * MIX) + states * MIX,
        )

    def take(self, rows: Rows) -> Scope:
        """Those rows, by number."""
        return Scope(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: Sequence[Scope]) -> Scope:
        """All of them, in the order given."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    @property
    def compared(self) -> bytes:
        """What `duplicate_compared` keeps of them."""
        return np.concatenate([self.ids, self.prints.view(np.uint8).reshape(-1, 8)], axis=1).tobytes()


def ids_of(ids: Bytes) -> list[UUID]:
    """uint8 (N, 16) as ids."""
    packed = ids.tobytes()
    return [UUID(bytes=packed[start : start + 16]) for start in range(0, len(packed), 16)]


def packed(ids: Sequence[UUID]) -> Bytes:
    """Ids as uint8 (N, 16)."""
    return np.frombuffer(b"".join(one.bytes for one in ids), np.uint8).reshape(-1, 16)


def wide(values: Bytes) -> npt.NDArray[Any]:
    """uint8 (N, W) as N comparable values."""
    ended = np.concatenate([values, np.ones((len(values), 1), np.uint8)], axis=1)
    return np.ascontiguousarray(ended).view(f"S{ended.shape[1]}").reshape(len(values))


def places_among(ids: Bytes, asked: Bytes) -> Rows:
    """Where each of the asked ids is among `ids`; -1 where it is not."""
    if not len(ids) or not len(asked):
        return np.full(len(asked), -1, np.int64)
    ours, theirs = as_void(ids), as_void(asked)
    order = np.argsort(ours)
    at = np.minimum(np.searchsorted(ours, theirs, sorter=order), len(ours) - 1)
    places = order[at]
    return np.where(ours[places] == theirs, places, -1)


class StoredVectors:
    """The vectors of a scope, float16 in a mapped file: memory holds what is used of it, and can give it back."""

    def __init__(self, count: int, folder: Path | None) -> None:
        self.has: Mask = np.zeros(count, bool)
        self._file = tempfile.TemporaryFile(dir=folder, prefix="duplicates-")  # noqa: SIM115 - `close` does
        self._file.truncate(max(1, count) * DIMENSION * 2)
        self._rows = np.memmap(self._file, np.float16, "r+", shape=(max(1, count), DIMENSION))

    def take(self, rows: Rows) -> FloatArray:
        """float32 (N, 1152)."""
        vectors: FloatArray = self._rows[rows].astype(np.float32)
        return vectors

    async def read(self, connection: Connection, space: SpaceId, scope: Scope) -> None:
        """Fills itself."""
        wanted = np.flatnonzero(scope.has_vector)
        for start in range(0, len(wanted), READ_AT_ONCE):
            rows = wanted[start : start + READ_AT_ONCE]
            found = await read_vectors(connection, space, ids_of(scope.ids[rows]))
            await asyncio.to_thread(self._put, rows, scope.ids[rows], found)

    def _put(self, rows: Rows, ids: Bytes, found: bytes) -> None:
        table = np.frombuffer(found, VECTOR)
        places = places_among(ids, np.frombuffer(table["id"].tobytes(), np.uint8).reshape(-1, 16))
        self._rows[rows[places]] = table["vector"].astype(np.float16)
        self.has[rows[places]] = True

    def close(self) -> None:
        """Gives the disk back."""
        self._file.close()
