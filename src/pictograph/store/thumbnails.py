"""Small pictures of stored ones: made when first asked for, then kept."""

from __future__ import annotations

import asyncio
from typing import Final

from pictograph.store.blobs import BlobStore
from pictograph.types import Sha256
from pictograph.upload.limits import PictureLimits
from pictograph.upload.thumbnail import make_thumbnail

SIDE_PX: Final = 320
KIND: Final = "thumbnail"


class Thumbnails:
    """JPEGs of at most 320 px a side."""

    def __init__(self, blobs: BlobStore, limits: PictureLimits) -> None:
        self._blobs = blobs
        self._limits = limits
        self._making = asyncio.Semaphore(4)  # a decoded original may take 400 MB

    async def of(self, sha256: Sha256) -> bytes:
        """The thumbnail of these bytes. Raises BadImage if they cannot be decoded."""
        kept = await self._blobs.get_derived(KIND, sha256)
        if kept is not None:
            return kept
        async with self._making:
            original = await self._blobs.get(sha256)
            made = await asyncio.to_thread(make_thumbnail, original, SIDE_PX, self._limits)
        await self._blobs.put_derived(KIND, sha256, made)
        return made
