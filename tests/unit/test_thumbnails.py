"""Thumbnails that are missing are made once, one at a time, in a process that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pictograph.errors import BadImage, BlobMissing
from pictograph.store import thumbnails as module
from pictograph.store.blobs import DERIVED_KINDS, BlobStore, derived_name
from pictograph.store.thumbnails import (
    KINDS,
    SIDE_PX,
    Thumbnails,
    delete_thumbnails,
    keep_thumbnails,
    missing_thumbnails,
)
from pictograph.types import Sha256
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget, Made, Wanted
from pictograph.upload.limits import PictureLimits
from support.pictures import picture_bytes

LIMITS = PictureLimits()
A, B = Sha256(b"a" * 32), Sha256(b"b" * 32)


class CountingReaders(PictureReaders):
    """The real thing, and how often it was asked."""

    asked = 0

    def read(self, source: bytes, wanted: Wanted, *, memory_bytes: int | None = None) -> Made:
        self.asked += 1
        return super().read(source, wanted, memory_bytes=memory_bytes)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs")


@pytest.fixture
def readers() -> CountingReaders:
    return CountingReaders(LIMITS, DecodeBudget(), processes=1)


@pytest.fixture
def thumbnails(blobs: BlobStore, readers: CountingReaders) -> Iterator[Thumbnails]:
    thumbnails = Thumbnails(blobs, readers)
    yield thumbnails
    thumbnails.close()


async def test_many_who_ask_at_once_wait_for_one(
    blobs: BlobStore, thumbnails: Thumbnails, readers: CountingReaders
) -> None:
    await blobs.put(A, picture_bytes(1))
    made = await asyncio.gather(*(thumbnails.of(A) for _ in range(20)))
    assert (len(set(made)), readers.asked) == (1, 1)
    assert await missing_thumbnails(blobs, A) == []
    assert await thumbnails.of(A) == made[0]
    assert readers.asked == 1


async def test_who_goes_away_does_not_end_it_for_the_others(blobs: BlobStore, thumbnails: Thumbnails) -> None:
    await blobs.put(A, picture_bytes(1))
    first, second = (asyncio.create_task(thumbnails.of(A)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).startswith(b"\xff\xd8")


async def test_what_cannot_be_decoded_is_not_tried_again_and_again(
    blobs: BlobStore, thumbnails: Thumbnails, readers: CountingReaders
) -> None:
    await blobs.put(A, picture_bytes(1)[:300])
    for _ in range(3):
        with pytest.raises(BadImage):
            await thumbnails.of(A)
    assert readers.asked == 1


async def test_a_blob_that_is_not_there_yet_is_asked_for_again(blobs: BlobStore, thumbnails: Thumbnails) -> None:
    with pytest.raises(BlobMissing):
        await thumbnails.of(B)
    await blobs.put(B, picture_bytes(2))
    assert await thumbnails.of(B)


async def test_who_waits_too_long_is_told_to_come_back(
    blobs: BlobStore, thumbnails: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.0)
    await blobs.put(A, picture_bytes(1))
    with pytest.raises(module.RateLimitError) as refusal:
        await thumbnails.of(A)
    assert refusal.value.retry_after_s
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 60.0)
    assert await thumbnails.of(A)


async def test_thumbnails_go_with_the_blob(blobs: BlobStore, thumbnails: Thumbnails) -> None:
    for sha256, delete in ((A, blobs.delete), (B, lambda sha256: delete_thumbnails(blobs, sha256))):
        await blobs.put(sha256, picture_bytes(1))
        await thumbnails.of(sha256)
        await delete(sha256)
        assert await missing_thumbnails(blobs, sha256) == [SIDE_PX]
        await delete(sha256)


def test_every_kind_of_thumbnail_is_one_that_goes_with_the_blob() -> None:
    assert set(KINDS.values()) <= set(DERIVED_KINDS)
    assert derived_name(KINDS[320], A).startswith("derived/thumbnail/61/6161")  # where libraries from before have it


async def test_of_two_that_are_made_at_once_the_first_stays(
    blobs: BlobStore, thumbnails: Thumbnails, readers: CountingReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker keeps its own while the server makes another: both give the worker's, then and later."""
    await blobs.put(A, picture_bytes(1))
    read = readers.read

    def slowly(source: bytes, wanted: Wanted, *, memory_bytes: int | None = None) -> Made:
        made = read(source, wanted, memory_bytes=memory_bytes)
        asyncio.run(keep_thumbnails(blobs, A, {SIDE_PX: b"the worker's"}))
        return made

    monkeypatch.setattr(readers, "read", slowly)
    assert await thumbnails.of(A) == b"the worker's"
    assert await thumbnails.of(A) == b"the worker's"
    assert await keep_thumbnails(blobs, A, {SIDE_PX: b"another"}) == {SIDE_PX: b"the worker's"}
