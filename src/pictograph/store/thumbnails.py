"""Small pictures of stored ones: made by the worker at ingest, and on demand for libraries from before; then kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pictograph.errors import BadImage, RateLimitError
from pictograph.shared import Shared
from pictograph.store.blobs import BlobStore
from pictograph.types import Sha256
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import Made, Wanted

SIDE_PX: Final = 320
WEBP: Final = "thumbnail-webp"
"""The kind of those that are WebP, which the first browser that takes it makes of the JPEG."""
KINDS: Final[Mapping[int, str]] = {SIDE_PX: "thumbnail"}
"""The longer side of each thumbnail that is kept, and the kind its bytes are kept as beside the blob."""
LONGEST_WAIT_S: Final = 20.0
"""For the pictures before it, well below a client's timeout."""
REMEMBERED_FAILURES: Final = 1_000


class Thumbnails:
    """JPEGs, and WebPs, of at most 320 px a side, kept under the hash of the original.

    What is missing is made by one process, one picture at a time, and once however many ask for it.
    """

    def __init__(self, blobs: BlobStore, readers: PictureReaders) -> None:
        self._blobs = blobs
        self._readers = readers
        self._making: dict[tuple[str, Sha256], Shared[bytes]] = {}
        self._failed: OrderedDict[Sha256, BadImage] = OrderedDict()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "thumbnail")

    def close(self) -> None:
        """Ends the process that makes them, also in the middle of one."""
        self._readers.close()
        self._thread.shutdown()

    async def of(self, sha256: Sha256, *, as_webp: bool = False) -> bytes:
        """The thumbnail of these bytes, a JPEG or a WebP.

        Raises BadImage if they cannot be decoded, RateLimitError if too many wait.
        """
        kind = WEBP if as_webp else KINDS[SIDE_PX]
        kept = await self._blobs.get_derived(kind, sha256)
        if kept is not None:
            return kept
        if failed := self._failed.get(sha256):
            raise type(failed)(failed.message, details=failed.details)
        try:
            making = self._making.setdefault((kind, sha256), Shared())
            return await making.of(lambda: self._made(kind, sha256), LONGEST_WAIT_S)
        except TimeoutError as error:
            raise RateLimitError(
                "This thumbnail is still being made, after others. Ask again in a moment.", retry_after_s=2
            ) from error

    async def _made(self, kind: str, sha256: Sha256) -> bytes:
        try:
            return await (self._make_webp(sha256) if kind == WEBP else self._make(sha256))
        finally:
            del self._making[kind, sha256]

    async def _make(self, sha256: Sha256) -> bytes:
        async with self._turn:
            made = await self._read(sha256, await self._blobs.get(sha256), Wanted(thumbnails_px=(SIDE_PX,)))
        return (await keep_thumbnails(self._blobs, sha256, made.thumbnails))[SIDE_PX]

    async def _make_webp(self, sha256: Sha256) -> bytes:
        jpeg = await self.of(sha256)
        async with self._turn:
            made = await self._read(sha256, jpeg, Wanted(thumbnails_px=(SIDE_PX,), as_webp=True))
        data = made.thumbnails[SIDE_PX]
        await self._blobs.put_derived(WEBP, sha256, data)
        return data

    async def _read(self, sha256: Sha256, source: bytes, wanted: Wanted) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._readers.read, source, wanted)
        except BadImage as error:
            self._remember(sha256, error)
            raise

    def _remember(self, sha256: Sha256, error: BadImage) -> None:
        self._failed[sha256] = error
        if len(self._failed) > REMEMBERED_FAILURES:
            self._failed.popitem(last=False)


async def missing_thumbnails(blobs: BlobStore, sha256: Sha256) -> Sequence[int]:
    """The sides of those that are not kept yet."""
    return [side_px for side_px, kind in KINDS.items() if not await blobs.has_derived(kind, sha256)]


async def keep_thumbnails(blobs: BlobStore, sha256: Sha256, thumbnails: Mapping[int, bytes]) -> dict[int, bytes]:
    """Keeps each beside the blob unless one is there already, and returns what is there.

    A worker and the server may make one at the same time, from the picture decoded at different sizes: the first stays,
    so that two requests get the same bytes.
    """
    there: dict[int, bytes] = {}
    for side_px, data in thumbnails.items():
        kept = await blobs.get_derived(KINDS[side_px], sha256)
        if kept is None:
            await blobs.put_derived(KINDS[side_px], sha256, data)
        there[side_px] = kept or data
    return there


async def delete_thumbnails(blobs: BlobStore, sha256: Sha256) -> None:
    """Removes all of a blob that goes; nothing happens if there are none."""
    for kind in (*KINDS.values(), WEBP):
        await blobs.delete_derived(kind, sha256)
