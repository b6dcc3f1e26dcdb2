"""The index of a test's own database, built in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from pictograph.search.memory.builder import Builder
from pictograph.search.memory.index import MemoryIndex
from pictograph.search.memory.segment import UNKNOWN_TIME
from pictograph.search.memory.view import View

MOST_ROUNDS = 100
MANY = """
WITH added AS (
    INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, state)
    SELECT gen_random_uuid(), %(dataset)s, %(folder)s, gen_random_uuid()::text, sha256('x'), 'image/png', 1, 1, 1,
           'embedded'
    FROM generate_series(1, %(count)s)
    RETURNING id, dataset_id, folder_id
)
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT %(space)s, id, dataset_id, folder_id,
       (SELECT array_agg(random() - 0.5) FROM generate_series(1, 1152) WHERE id IS NOT NULL)::vector::halfvec
FROM added"""
"""Images with vectors: values `count`, `dataset`, `folder`, `space`; there must be a blob of the hash of 'x'."""


def nothing_known(count: int) -> dict[str, Any]:
    """The columns of `Facts` that tell of pictures, of images at which nobody has looked."""
    return {
        "taken": np.full(count, UNKNOWN_TIME, np.int64),
        "camera": np.zeros(count, np.uint32),
        **{name: np.full(count, np.nan, np.float32) for name in ("sharpness", "brightness", "contrast")},
        "average_color": np.full(count, -1, np.int32),
        "perceptual_hash": np.zeros(count, np.int64),
        "looked": np.zeros(count, bool),
    }


class TestIndex:
    """An index that a test renews when it wants to. `memory` is what the service asks."""

    __test__ = False

    def __init__(self, conninfo: str, folder: Path, **options: Any) -> None:
        """options: as `Builder` has them."""
        self.folder = folder
        self.builder = Builder(conninfo, folder, **({"worth_it_from": 0} | options))
        self.memory = MemoryIndex(folder)

    async def step(self) -> bool:
        """One round of the builder; the reader has what came of it."""
        more = await asyncio.to_thread(self.builder.step)
        await self.memory.refresh()
        return more

    async def up_to_date(self) -> View:
        """The index as of now, with nothing left to do."""
        await self.step()
        for _ in range(MOST_ROUNDS):
            if not await self.step():
                break
        else:
            raise AssertionError("the builder does not come to rest")
        view = self.memory.view()
        assert view is not None
        return view

    async def close(self) -> None:
        """Ends both."""
        await self.memory.close()
        self.builder.close()
