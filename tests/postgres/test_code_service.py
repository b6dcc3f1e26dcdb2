"""Codes, planner and engine together: large libraries are searched by codes, and the answers are those of the scan."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from pictograph.index.code_service import CodesWhenLarge
from pictograph.index.writer import remove_from_index
from pictograph.jobs.queue import Backlog
from pictograph.search.engine import SearchEngine
from pictograph.search.planner import Costs
from pictograph.search.query import SimilarQuery, TextQuery
from pictograph.search.words import WordReaders
from pictograph.services import code_search
from pictograph.spaces.registry import Spaces
from pictograph.store.images import archive_image, delete_image
from pictograph.types import DIMENSION, ImageId
from support.engines import ReadingEncoder
from support.planting import Garden, direction

pytest.importorskip("faiss")

SLOW_SCAN = Costs(exact_up_to=0, exact_row_us=1e6)
"""Everything that can go by codes does."""


@asynccontextmanager
async def codes_of(garden: Garden, *, max_bytes: int = 1 << 30) -> AsyncIterator[CodesWhenLarge]:
    """Codes of a library that counts as large from one image on."""
    codes = CodesWhenLarge(garden.database, max_bytes=max_bytes, worth_it_from=1)
    async with garden.database.connection() as connection:
        await connection.execute("ANALYZE image_embedding")
    keeping = asyncio.create_task(codes.keep_fresh())
    try:
        yield codes
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        await codes.close()


def engine_by_codes(garden: Garden, codes: CodesWhenLarge) -> SearchEngine:
    words = WordReaders(lambda _source: ReadingEncoder())
    return SearchEngine(
        garden.database, Backlog(garden.database), Spaces(garden.database), words, lambda _category, _label: True,
        codes=code_search(codes), costs=SLOW_SCAN,
    )  # fmt: skip


def random_direction(random: np.random.Generator) -> np.ndarray:
    vector = random.normal(size=DIMENSION).astype(np.float32) + 2 * direction(1.0) * np.sqrt(DIMENSION)
    return vector / np.linalg.norm(vector)


async def test_answers_by_codes_are_nearly_the_scans_and_never_behind_what_changed(garden: Garden) -> None:
    random = np.random.default_rng(0)
    street = await garden.dataset()
    images = [
        await garden.plant(street, f"{number}.jpg", random_direction(random), folder="/a" if number % 2 else "/b")
        for number in range(300)
    ]
    async with codes_of(garden) as codes:
        for _ in range(200):
            if codes.covers(garden.space, [street.id]):
                break
            await asyncio.sleep(0.05)
        assert codes.covers(garden.space, [street.id]) == 300
        engine, changed, gone = engine_by_codes(garden, codes), set[ImageId](), set[ImageId]()

        async def same(image: ImageId, folder: str | None, limit: int = 10) -> None:
            by_codes = await engine.by_similarity(garden.organization, SimilarQuery(image, 0.0, limit, folder))
            truth = await engine.by_similarity(garden.organization, SimilarQuery(image, 0.0, limit, folder, exact=True))
            assert truth.found.plan.name == "exact"
            found, true = [row.id for row in by_codes.rows], [row.id for row in truth.rows]
            assert len(found) == len(true)
            assert len({*found} & {*true}) >= 0.7 * limit  # pictures without any likeness: the hardest there are
            assert {*true} & changed <= {*found}
            assert gone.isdisjoint(found)
            similarities = [row.similarity for row in by_codes.rows]
            assert similarities == sorted(similarities, reverse=True)

        answer = await engine.by_similarity(garden.organization, SimilarQuery(images[0], 0.0, 10, "/"))
        assert answer.found.plan.name == "codes"
        for image in images[:8]:
            await same(image, "/")
            await same(image, "/a", limit=3)
        late = await garden.plant(street, "late.jpg", random_direction(random), folder="/a")
        async with garden.database.transaction() as connection:
            await archive_image(connection, images[1])
            await remove_from_index(connection, images[1])
            await delete_image(connection, images[3])
        changed.add(late)
        gone.update((images[1], images[3]))
        for image in (images[0], images[2], late, *images[4:20]):
            await same(image, "/")
        words = await engine.by_text(garden.organization, TextQuery("along 1.0", limit=5))
        assert len(words.rows) == 5


async def test_codes_that_may_take_no_memory_are_not_made(garden: Garden) -> None:
    await garden.plant(await garden.dataset(), "a.jpg")
    async with codes_of(garden, max_bytes=0) as codes:
        await asyncio.sleep(0.2)
        assert codes.covers(garden.space, []) is None
