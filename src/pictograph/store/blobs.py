"""Bytes by their SHA-256: on local disk by default, on S3, GCS or Azure by URL."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from pictograph.errors import BlobMissing, ConfigurationError, StorageFull, Unavailable
from pictograph.network import without_credentials
from pictograph.types import Sha256

DERIVED_KINDS: Final = ("thumbnail", "thumbnail-webp")
"""What is kept beside a blob and goes with it (store/thumbnails.py)."""
MARK: Final = "pictograph-blob-store.json"
"""The object that says which store this is."""
NO_ROOM: Final = re.compile(
    r"No space left|[Qq]uota|StorageFull|InsufficientStorage|File too large|os error (28|122|27)\b|Errno (28|122|27)\b"
)
"""How a full disk, a quota and a limit of file sizes are called by the system and by stores."""
PART_BYTES: Final = 262_144
"""What is in memory at once of a blob that is handed on."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A blob that is handed on as it is read."""

    size_bytes: int
    """Of what is handed on, which may be a part of the blob."""
    first: bytes
    """Up to PART_BYTES: all of it, for most."""
    rest: AsyncIterator[bytes]
    """What comes after; raises Unavailable if it cannot be read any more."""

    @property
    def whole(self) -> bool:
        """Whether nothing comes after the first part."""
        return len(self.first) == self.size_bytes


@contextmanager
def blob_errors(name: str) -> Iterator[None]:
    """The store's exceptions become ours."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BlobMissing(f"The blob store has no object {name}.", retry_after_s=2) from error
    except (BaseError, OSError) as error:
        said = words_of(error)
        if NO_ROOM.search(said):
            raise StorageFull(
                f"The blob store has no room left: {said}. Make room there (or raise its quota), then send this again."
            ) from error
        raise Unavailable(f"The blob store failed on {name}: {said}", retry_after_s=2) from error


class BlobStore:
    """Content-addressed and write-once, so writing twice is harmless and nothing is ever half there.

    Objects are `ab/cd/abcd...` for originals and `derived/<kind>/ab/abcd...` for what can be made again from them.
    """

    def __init__(self, store: ObjectStore, root: Path | None = None) -> None:
        self._store = store
        self._root = root
        self.full_at: float | None = None
        """When a write last found no room, as `time.monotonic` tells it."""
        self._mark: UUID | None = None

    @classmethod
    def open(cls, location: str | Path) -> BlobStore:
        """A folder, or a URL: `s3://bucket/prefix`, `gs://...`, `az://...`; credentials come from the environment."""
        if isinstance(location, str) and "://" in location:
            try:
                return cls(from_url(location))
            except (BaseError, ValueError) as error:
                shown = without_credentials(location)
                why = words_of(error).replace(location, shown)
                raise ConfigurationError(f"The blob store {shown!r} cannot be opened: {why}") from error
        root = Path(location)
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(LocalStore(root, mkdir=True), root)

    @property
    def root(self) -> Path | None:
        """The folder, if it is one on this machine."""
        return self._root

    async def mark(self) -> UUID | None:
        """The id that `put_mark` gave this store; None if it has none. Raises Unavailable if it cannot be read."""
        try:
            data = await self._read(MARK)
        except BlobMissing:
            return None
        try:
            self._mark = UUID(json.loads(data)["blob_store"])
            return self._mark
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"The object {MARK} in the blob store is damaged; put it back.") from error

    @property
    def id(self) -> UUID | None:
        """What `mark` read, or `put_mark` wrote, last."""
        return self._mark

    async def put_mark(self, store: UUID) -> None:
        """Gives this store an id, by which its library knows it (store/library.py)."""
        with blob_errors(MARK):
            await self._write(MARK, json.dumps({"blob_store": str(store)}).encode())
        self._mark = store

    async def require_itself(self) -> None:
        """Raises Unavailable if this is not the store any more that was opened: a disk that is no longer mounted."""
        expected = self._mark
        if expected is not None and await self.mark() != expected:
            self._mark = expected
            raise lost_store()

    async def has(self, sha256: Sha256) -> bool:
        """Whether the bytes are there; nothing of them is read."""
        name = original_name(sha256)
        with blob_errors(name):
            return await self._size_of(name) is not None

    async def put(self, sha256: Sha256, data: bytes) -> None:
        """Stores the bytes; when this returns they survive a power cut. Does nothing if they are there already."""
        if self._mark is not None and self._root is not None and not (self._root / MARK).exists():
            raise lost_store()  # its folder may be that of another disk now, where nobody would find the bytes again
        name = original_name(sha256)
        with self._noting_full(), blob_errors(name):
            if await self._size_of(name) != len(data):
                await self._write(name, data)

    async def get(self, sha256: Sha256) -> bytes:
        """The bytes. Raises BlobMissing (retryable)."""
        return await self._read(original_name(sha256))

    async def parts(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Parts:
        """The bytes from `start` on, and before `end`, piece by piece. Raises BlobMissing (retryable)."""
        name = original_name(sha256)
        first_end = start + PART_BYTES if end is None else min(end, start + PART_BYTES)
        with blob_errors(name):
            opened = await obstore.get_async(self._store, name, options={"range": (start, first_end)})
            first = bytes(await opened.bytes_async())
        size = int(opened.meta["size"])
        end = size if end is None else min(end, size)
        return Parts(end - start, first, self._after(name, start + len(first), end))

    async def _after(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, PART_BYTES):
            with blob_errors(name):
                part = await obstore.get_range_async(self._store, name, start=at, end=min(at + PART_BYTES, end))
            yield bytes(part)

    def read_parts(self, sha256: Sha256) -> tuple[int, Iterator[bytes]]:
        """Their number, and the bytes piece by piece, for who is in a thread. Raises BlobMissing, Unavailable."""
        name = original_name(sha256)
        with blob_errors(name):
            opened = obstore.get(self._store, name)
            size = int(opened.meta["size"])
            pieces = iter(opened.stream(min_chunk_size=PART_BYTES))
        return size, self._each(name, pieces)

    def _each(self, name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with blob_errors(name):
                piece = next(pieces, None)
            if piece is None:
                return
            yield bytes(piece)

    async def delete(self, sha256: Sha256) -> None:
        """Removes the bytes and all that was made from them; nothing happens if they are gone already."""
        await self._delete(original_name(sha256))
        for kind in DERIVED_KINDS:
            await self.delete_derived(kind, sha256)

    async def delete_derived(self, kind: str, sha256: Sha256) -> None:
        """Removes what was kept by `put_derived`; nothing happens if there is none."""
        await self._delete(derived_name(kind, sha256))

    async def has_derived(self, kind: str, sha256: Sha256) -> bool:
        """Whether `get_derived` would give something."""
        name = derived_name(kind, sha256)
        with blob_errors(name):
            return await self._size_of(name) is not None

    async def get_derived(self, kind: str, sha256: Sha256) -> bytes | None:
        """What was kept by `put_derived`, or None."""
        try:
            return await self._read(derived_name(kind, sha256))
        except BlobMissing:
            return None

    async def put_derived(self, kind: str, sha256: Sha256, data: bytes) -> None:
        """Keeps something that can be made again from the original, a thumbnail for instance."""
        name = derived_name(kind, sha256)
        with blob_errors(name):
            await obstore.put_async(self._store, name, data)

    @contextmanager
    def _noting_full(self) -> Iterator[None]:
        try:
            yield
        except StorageFull:
            self.full_at = time.monotonic()
            raise

    async def _delete(self, name: str) -> None:
        try:
            with blob_errors(name):
                await obstore.delete_async(self._store, name)
        except BlobMissing:
            return

    async def _read(self, name: str) -> bytes:
        with blob_errors(name):
            answer = await obstore.get_async(self._store, name)
            return bytes(await answer.bytes_async())

    async def _size_of(self, name: str) -> int | None:
        try:
            return int((await obstore.head_async(self._store, name))["size"])
        except (NotFoundError, FileNotFoundError):
            return None

    async def _write(self, name: str, data: bytes) -> None:
        await obstore.put_async(self._store, name, data)
        if self._root is None:
            return
        try:
            await asyncio.to_thread(flush_to_disk, self._root / name, self._root)
        except OSError:  # it would look as if it were kept, and a power cut would take it
            await self._delete(name)
            raise


def words_of(error: Exception) -> str:
    """What a person can read of the store's error, without the dump of its insides that the library adds."""
    return str(error).partition("\n\nDebug source")[0].strip()


def lost_store() -> Unavailable:
    return Unavailable(
        f"The blob store is not the one that was opened: it has lost its object {MARK}. Is its disk mounted?",
        retry_after_s=10,
    )


def original_name(sha256: Sha256) -> str:
    name = sha256.hex()
    return f"{name[:2]}/{name[2:4]}/{name}"


def derived_name(kind: str, sha256: Sha256) -> str:
    name = sha256.hex()
    return f"derived/{kind}/{name[:2]}/{name}"


def flush_to_disk(file: Path, root: Path) -> None:
    """The store renames into place but does not flush; the folders on the way may be new too."""
    flush(file)
    folder = file.parent
    while folder != root.parent:
        flush(folder)
        folder = folder.parent


def flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
