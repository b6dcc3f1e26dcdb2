"""How much of the bare encoder's speed is left once every image is also stored, tagged, indexed and searchable?

Bare: the same files, decoded and encoded in the same batches by the same threads, and nothing else. Whole: the worker's
real path, from rows in the queue to searchable images. Over HTTP: a client uploads files to a running service and waits
until the last one can be found; bytes travel, are hashed, flushed to disk and checked beside the encoding.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.common import Rate, distinct_photos, measured, median, report
from pictograph.client import Client
from pictograph.db.pool import Database
from pictograph.encode.process import keep_blas_quiet
from pictograph.encode.protocol import Encoder
from pictograph.encode.registry import load_encoder
from pictograph.ingest.pictures import WORKING_SIDE_PX
from pictograph.services import open_services, running_database
from pictograph.settings import Settings
from pictograph.store.images import Place
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from pictograph.worker import WORKER_LANES, open_worker

IMAGES = 600
ROUNDS = 3


def bare_rate(encoder: Encoder, files: Sequence[bytes], batch: int, threads: int) -> Rate:
    """Decode -> prepare -> forward pass, two batches in flight, as the worker has them."""
    side_px = max(WORKING_SIDE_PX, encoder.spec.input_px)

    def prepare(data: bytes) -> np.ndarray:
        return encoder.prepare(decode_picture(data, at_least_px=side_px, limits=PictureLimits()))

    async def run() -> None:
        decoders, forward = ThreadPoolExecutor(threads), ThreadPoolExecutor(1)
        loop = asyncio.get_running_loop()
        batches = iter([files[start : start + batch] for start in range(0, len(files), batch)])

        async def lane() -> None:
            for chosen in batches:
                ready = await asyncio.gather(*(loop.run_in_executor(decoders, prepare, data) for data in chosen))
                await loop.run_in_executor(forward, lambda: encoder.encode_prepared(np.stack(ready)))  # noqa: B023

        await asyncio.gather(*(lane() for _ in range(WORKER_LANES)))

    with measured(len(files)) as rate:
        asyncio.run(run())
    return rate


async def worker_rate(settings: Settings, conninfo: str, files: Sequence[bytes], name: str) -> Rate:
    """The worker alone, from a full queue to searchable rows."""
    async with open_services(settings, conninfo) as services:
        organization = await services.keys.ensure_organization()
        dataset = await services.datasets.create(organization, name)
        for number, data in enumerate(files):
            await services.intake.receive(organization, Place(dataset.id, "/", f"{number}.jpg"), data)
        async with open_worker(settings, conninfo) as worker:
            await worker.worker.work_once()
            stop = asyncio.Event()
            with measured(await waiting_images(services.database)) as rate:
                running = asyncio.create_task(worker.run(stop))
                while await waiting_images(services.database):  # noqa: ASYNC110 - the queue is in a database
                    await asyncio.sleep(0.1)
            stop.set()
            await running
    return rate


async def waiting_images(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM job")).fetchone()
    return int(row[0]) if row else 0


def http_rate(files: Sequence[bytes], folder: Path) -> Rate:
    """From the first upload to the last image found, 8 uploads at a time; the client's own work included."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, data in enumerate(files):
        (pictures / f"{number}-{hashlib.sha256(data).hexdigest()[:8]}.jpg").write_bytes(data)
    with Client.embedded(folder / "data") as client:
        while not client.ready().workers:
            time.sleep(0.1)
        time.sleep(3)  # the worker opens its networks; that is start-up time, measured elsewhere
        with measured(len(files)) as rate:
            client.images.upload_from_directory("http", pictures)
            client.datasets.wait_until_processed("http")
    return rate


def main() -> None:
    files = distinct_photos(IMAGES * (ROUNDS + 1))
    bare, worker = [], []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({"encoder": "offline", "data_dir": Path(folder) / "data", "workers": 0}, {})
        encoder = load_encoder(settings.encoder, settings.threads)
        keep_blas_quiet()
        with running_database(settings) as conninfo:
            for number in range(ROUNDS):
                chosen = files[number * IMAGES : (number + 1) * IMAGES]
                bare.append(bare_rate(encoder, chosen, settings.worker_batch, settings.threads))
                worker.append(asyncio.run(worker_rate(settings, conninfo, chosen, f"round {number}")))
        over_http = http_rate(files[ROUNDS * IMAGES :], Path(folder))
    report(
        "images/s end to end against the bare encoder",
        encoder=encoder.spec.name,
        images=IMAGES,
        rounds=ROUNDS,
        images_per_s={
            "bare": median([rate.images_per_s for rate in bare]),
            "worker": median([rate.images_per_s for rate in worker]),
            "http": median([over_http.images_per_s]),
        },
        cpu_ms_per_image={
            "bare": median([rate.cpu_ms for rate in bare]),
            "worker": median([rate.cpu_ms for rate in worker]),
            "http": median([over_http.cpu_ms]),
        },
        worker_share_of_bare=median(
            [whole.images_per_s / alone.images_per_s for whole, alone in zip(worker, bare, strict=True)]
        ),
        worker_share_of_bare_by_cpu=median(
            [alone.cpu_ms / whole.cpu_ms for whole, alone in zip(worker, bare, strict=True)]
        ),
    )


if __name__ == "__main__":
    main()
