"""What the worker does with a batch: within its memory, thumbnails included, and a costly picture fails alone."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pillow

from pictograph.encode.noop import NoopEncoder
from pictograph.encode.protocol import FloatArray
from pictograph.encode.registry import load_encoder
from pictograph.errors import TooCostly, Unavailable
from pictograph.ingest import failures, pictures
from pictograph.ingest.judging import Model
from pictograph.jobs.queue import Queue
from pictograph.jobs.retry import delay_before_retry
from pictograph.pipeline import Processor
from pictograph.services import Services, open_services
from pictograph.settings import Settings
from pictograph.store.images import Image, Place
from pictograph.store.thumbnails import SIDE_PX, missing_thumbnails
from pictograph.types import OrganizationId, Sha256
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget, Made, Wanted
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import Picture
from pictograph.worker import SpaceWorker
from support.pictures import picture_bytes


class Readers(PictureReaders):
    """The real thing, and how many were at work at once with how much to each."""

    def __init__(self, budget: DecodeBudget) -> None:
        super().__init__(PictureLimits(), budget, processes=4)
        self.allowed: list[int | None] = []
        self.most_at_once = self._now = 0
        self._counting = threading.Lock()

    def read(
        self, source: bytes, wanted: Wanted, *, memory_bytes: int | None = None, seconds: float | None = None
    ) -> Made:
        with self._counting:
            self.allowed.append(memory_bytes)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            return super().read(source, wanted, memory_bytes=memory_bytes, seconds=seconds)
        finally:
            with self._counting:
                self._now -= 1


class Bench:
    """A library, and a worker's processor without the worker."""

    def __init__(self, services: Services, organization: OrganizationId, processor: Processor, queue: Queue) -> None:
        self.services = services
        self.processor = processor
        self._organization = organization
        self._queue = queue

    async def upload(self, name: str, data: bytes) -> Image:
        dataset = await self.services.datasets.id_of(self._organization, "street")
        return await self.services.intake.receive(self._organization, Place(dataset, "/", name), data)

    async def replace(self, name: str, data: bytes) -> Image:
        dataset = await self.services.datasets.id_of(self._organization, "street")
        return await self.services.intake.receive(self._organization, Place(dataset, "/", name), data, replace=True)

    async def work(self) -> None:
        """What is to be done, as a worker does it: a batch, then what was too heavy for it, one by one."""
        await self.work_batch()
        while (alone := await self._queue.claim_suspect()).jobs:
            await self.processor.process(alone)

    async def work_batch(self) -> None:
        await self.processor.process(await self._queue.claim(100))

    async def now(self, image: Image) -> Image:
        return await self.services.images.get(self._organization, image.id)

    async def missing(self, image: Image) -> list[int]:
        return list(await missing_thumbnails(self.services.blobs, image.sha256))


@asynccontextmanager
async def bench(
    database_url: str,
    folder: Path,
    readers: PictureReaders,
    *,
    memory_bytes: int = 1_000_000_000,
    encoder: NoopEncoder | None = None,
) -> AsyncIterator[Bench]:
    settings = Settings.load({"data_dir": folder, "encoder": "noop"}, {})
    async with open_services(settings, database_url) as services:
        organization = await services.keys.ensure_organization()
        await services.datasets.create(organization, "street")
        used = encoder or load_encoder("noop", 1)
        space = await services.spaces.join(used.spec, "noop")
        model = Model(used, None, services.taxonomy, space.id)
        processor = Processor(services.database, services.blobs, model, readers, threads=4, memory_bytes=memory_bytes)
        try:
            yield Bench(services, organization, processor, Queue(services.database, space.id))
        finally:
            processor.close()


def large_png() -> bytes:
    file = BytesIO()
    Pillow.new("RGB", (5000, 4000)).save(file, "PNG")
    return file.getvalue()


async def test_thumbnails_are_made_at_ingest_and_go_with_the_image(database_url: str, tmp_path: Path) -> None:
    async with bench(database_url, tmp_path, Readers(DecodeBudget())) as made:
        image = await made.upload("a.jpg", picture_bytes(1))
        assert await made.missing(image) == [SIDE_PX]
        await made.work()
        assert await made.missing(image) == []
        await made.services.intake.delete(image.id)
        await made.services.intake.sweep(timedelta(0))
        assert await made.missing(image) == [SIDE_PX]


async def test_a_picture_above_the_budget_fails_by_name_and_alone(database_url: str, tmp_path: Path) -> None:
    readers = Readers(DecodeBudget(memory_bytes=60_000_000))
    async with bench(database_url, tmp_path, readers) as made:
        bomb = await made.upload("bomb.png", large_png())
        others = [await made.upload(f"{seed}.jpg", picture_bytes(seed)) for seed in range(3)]
        await made.work()
        assert [(await made.now(image)).state for image in others] == ["embedded"] * 3
        failed = await made.now(bomb)
        assert failed.state == "failed"
        assert "decode_memory_bytes" in (failed.reason or "")


async def test_a_picture_that_takes_more_than_such_pictures_mostly_do_is_given_all_there_is(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "estimated_bytes", lambda *_: 10_000_000)
    readers = Readers(DecodeBudget())
    async with bench(database_url, tmp_path, readers) as made:
        image = await made.upload("large.png", large_png())
        await made.work()
        assert (await made.now(image)).state == "embedded"
        assert readers.allowed == [10_000_000, readers.budget.memory_bytes]


async def test_a_picture_too_heavy_for_a_batch_keeps_no_other_waiting(database_url: str, tmp_path: Path) -> None:
    readers = Readers(DecodeBudget())
    async with bench(database_url, tmp_path, readers, memory_bytes=300_000_000) as made:
        heavy = [await made.upload(f"{number}.png", large_png()) for number in range(3)]
        others = [await made.upload(f"{seed}.jpg", picture_bytes(seed)) for seed in range(3)]
        await made.work_batch()
        assert [(await made.now(image)).state for image in others] == ["embedded"] * 3
        assert [(await made.now(image)).state for image in heavy] == ["received"] * 3
        assert len(readers.allowed) == 3
        await made.work_batch()
        assert len(readers.allowed) == 3  # the same bytes under other names were set aside with them
        await made.work()
        assert [(await made.now(image)).state for image in heavy] == ["embedded"] * 3
        assert len(readers.allowed) == 4


async def test_a_picture_that_takes_long_is_decoded_after_others_with_all_its_time(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = DecodeBudget().seconds * pictures.QUICK_SHARE
    read = PictureReaders.read

    def slow_in_a_batch(self: PictureReaders, source: bytes, wanted: Wanted, **limits: float) -> Made:
        if limits["seconds"] <= quick and source == slow:
            raise TooCostly("It took too long.")
        return read(self, source, wanted, **limits)  # type: ignore[arg-type]

    slow = picture_bytes(9)
    monkeypatch.setattr(PictureReaders, "read", slow_in_a_batch)
    async with bench(database_url, tmp_path, Readers(DecodeBudget())) as made:
        images = [await made.upload("slow.jpg", slow), await made.upload("quick.jpg", picture_bytes(1))]
        await made.work_batch()
        assert [(await made.now(image)).state for image in images] == ["received", "embedded"]
        await made.work()
        assert [(await made.now(image)).state for image in images] == ["embedded", "embedded"]


async def test_a_picture_whose_decoding_process_is_always_killed_fails_in_the_end(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> Made:
        raise Unavailable("The process that decodes pictures was ended from outside.")

    monkeypatch.setattr(PictureReaders, "read", killed)
    monkeypatch.setattr(failures, "delay_before_retry", lambda *of: delay_before_retry(*of) and timedelta(0))
    async with bench(database_url, tmp_path, Readers(DecodeBudget())) as made:
        image = await made.upload("a.jpg", picture_bytes(1))
        await made.work()
        assert (await made.now(image)).state == "received"
        await made.work()
        failed = await made.now(image)
        assert failed.state == "failed"
        assert "decode_memory_bytes" in (failed.reason or "")


async def test_pictures_in_flight_stay_within_the_memory_of_the_worker(database_url: str, tmp_path: Path) -> None:
    readers = Readers(DecodeBudget())
    async with bench(database_url, tmp_path, readers, memory_bytes=60_000_000) as made:
        images = [await made.upload(f"{seed}.jpg", picture_bytes(seed)) for seed in range(12)]
        await made.work()
        assert readers.most_at_once == 1  # each is taken to need 48 MB and more
        assert [(await made.now(image)).state for image in images] == ["embedded"] * 12


class WaitingEncoder(NoopEncoder):
    """Stops in the middle of a picture until it is told to go on."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()

    def prepare(self, picture: Picture) -> FloatArray:
        self.started.set()
        self.go_on.wait(30)
        return super().prepare(picture)


async def test_no_thumbnail_is_left_of_an_image_deleted_while_it_is_processed(
    database_url: str, tmp_path: Path
) -> None:
    encoder = WaitingEncoder()
    async with bench(database_url, tmp_path, Readers(DecodeBudget()), encoder=encoder) as made:
        image = await made.upload("a.jpg", picture_bytes(1))
        working = asyncio.create_task(made.work())
        assert await asyncio.to_thread(encoder.started.wait, 30)
        await made.services.intake.delete(image.id)
        await made.services.intake.sweep(timedelta(0))
        encoder.go_on.set()
        await working
        assert await made.missing(image) == [SIDE_PX]


async def test_an_image_without_bytes_fails_at_once_with_the_reason(database_url: str, tmp_path: Path) -> None:
    async with bench(database_url, tmp_path, Readers(DecodeBudget())) as here:
        image = await here.upload("a.jpg", picture_bytes())
        async with here.services.database.connection() as connection:
            await connection.execute("UPDATE blob SET has_bytes = false")
        await here.work_batch()
        async with here.services.database.connection() as connection:
            row = await (
                await connection.execute("SELECT state, reason FROM image WHERE id = %s", [image.id])
            ).fetchone()
        assert row is not None
        assert (row[0], "imported as a vector" in row[1]) == ("failed", True)


async def test_an_image_gets_its_facts_with_its_vector_and_a_copy_gets_them_without_a_picture(
    database_url: str, tmp_path: Path
) -> None:
    camera = Pillow.Exif()
    camera[0x0110] = "EOS 5D"
    buffer = BytesIO()
    Pillow.new("RGB", (64, 64), (200, 16, 1)).save(buffer, "PNG", exif=camera)
    readers = Readers(DecodeBudget())
    async with bench(database_url, tmp_path, readers) as library:
        first = await library.upload("a.png", buffer.getvalue())
        assert (first.facts_known, first.camera) == (False, None)
        await library.work()
        decoded = len(readers.allowed)
        copy = await library.upload("b.png", buffer.getvalue())
        await library.work()
        assert len(readers.allowed) == decoded
        for image in (await library.now(first), await library.now(copy)):
            assert (image.facts_known, image.camera, image.taken_at) == (True, "EOS 5D", None)
            assert (image.average_color, image.contrast, image.perceptual_hash) == (0xC81001, 0.0, 0)
            assert image.brightness == pytest.approx((0.299 * 200 + 0.587 * 16 + 0.114) / 255, abs=1e-3)


async def test_with_other_bytes_an_image_forgets_its_facts_until_theirs_are_written(
    database_url: str, tmp_path: Path
) -> None:
    async with bench(database_url, tmp_path, Readers(DecodeBudget())) as library:
        image = await library.upload("a.png", picture_bytes(1))
        await library.work()
        old = await library.now(image)
        await library.replace("a.png", picture_bytes(2))
        assert await library.now(image) == old, "the old bytes answer until the new ones are ready"
        await library.work()
        new = await library.now(image)
        assert (old.facts_known, new.facts_known) == (True, True)
        assert None not in (old.average_color, new.average_color, old.perceptual_hash, new.perceptual_hash)
        assert (old.average_color, old.perceptual_hash) != (new.average_color, new.perceptual_hash)
        async with library.services.database.connection() as connection:
            await connection.execute("UPDATE image SET sha256 = %b", [old.sha256])
        assert not (await library.now(image)).facts_known


UNLOOK = """
UPDATE image SET facts_version = 0, camera = NULL, sharpness = NULL, brightness = NULL, contrast = NULL,
    average_color = NULL, perceptual_hash = NULL"""


async def test_images_from_before_get_their_facts_in_the_background(database_url: str, tmp_path: Path) -> None:
    """All that have a picture; one that cannot be read any more stays unknown, one whose file is away waits."""
    async with bench(database_url, tmp_path, Readers(DecodeBudget())) as library:
        names = ["a.png", "b.png", "copy of a.png", "broken.png", "missing.png", "vector.png"]
        images = [await library.upload(name, picture_bytes(names.index(name) % 2, format="PNG")) for name in names]
        await library.work()
        before = [await library.now(image) for image in images]
        waiting = await library.upload("waiting.png", picture_bytes(9))
        broken, missing = (Sha256(hashlib.sha256(name).digest()) for name in (b"broken", b"missing"))
        await library.services.blobs.put(broken, b"no picture")
        async with library.services.database.connection() as connection:
            await connection.execute(
                "INSERT INTO blob (sha256, size_bytes) VALUES (%b, 10), (%b, 1)", [broken, missing]
            )
            await connection.execute("INSERT INTO blob VALUES (sha256('v'), 0, now(), false)")
            for sha256, image in (
                (broken, images[3]),
                (missing, images[4]),
                (hashlib.sha256(b"v").digest(), images[5]),
            ):
                await connection.execute("UPDATE image SET sha256 = %b WHERE id = %s", [sha256, image.id])
            await connection.execute(UNLOOK.encode() + b" WHERE filename <> 'vector.png'")
        steps = 0
        while await library.processor.looking.step():
            steps += 1
            assert steps < 10
        now = [await library.now(image) for image in images]
        assert now[:3] == before[:3]
        assert [(image.facts_known, image.average_color) for image in now[3:]] == [
            (True, None),
            (False, None),
            (True, None),
        ]
        assert not (await library.now(waiting)).facts_known
        await library.work()
        assert (await library.now(waiting)).facts_known


async def test_a_worker_without_jobs_looks_and_one_with_jobs_does_not() -> None:
    class Looks:
        steps = 0

        async def step(self) -> bool:
            self.steps += 1
            await asyncio.sleep(0)
            return True

    class Busy:
        is_busy = True

    looks, ended = Looks(), asyncio.Event()
    worker = SpaceWorker(Busy(), None, None, looks)  # type: ignore[arg-type]
    looking = asyncio.create_task(worker._look(ended))
    await asyncio.sleep(0.05)
    assert looks.steps == 0
    ended.set()
    await looking
    ended.clear()
    Busy.is_busy = False
    looking = asyncio.create_task(worker._look(ended))
    await asyncio.sleep(0.05)
    ended.set()
    await looking
    assert looks.steps > 2
