"""Kill -9 in the middle of a write: sent again with its Idempotency-Key, it is done, and done once."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from acceptance.processes import Place
from pictograph.wire import API_PREFIX, KEYS_PREFIX
from support.pictures import picture_bytes

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

KILLS = 2
WRITERS = 6


def write(place: Place, address: str, name: str) -> list[httpx.Response]:
    """An admin key, a dataset, and an image in it; the same each time it is called with the same name."""
    headers = {"X-API-Key": place.config["api_key"]}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as http:

        def post(path: str, key: str, **options: Any) -> httpx.Response:
            return http.post(path, headers={"Idempotency-Key": f"{name} {key}"}, **options)

        return [
            post(f"{KEYS_PREFIX}/", "key", json={"name": name, "role": "admin"}),
            post(f"{API_PREFIX}/datasets/", "dataset", json={"name": name}),
            post(f"{API_PREFIX}/images/upload", "image", data={"dataset": name}, files={"file": ("a.jpg", PICTURE)}),
        ]


PICTURE = picture_bytes(1)


def test_a_write_whose_server_was_killed_is_done_once_when_it_is_sent_again(place: Place) -> None:
    names, chance = list[str](), random.Random(7)
    for round_ in range(KILLS):
        service = place.serve_until_ready("--workers", "0")
        address = service.address or ""
        stop = threading.Event()

        def keep_writing(writer: int, round_: int = round_, address: str = address, stop: Any = stop) -> None:
            number = 0
            with contextlib.suppress(httpx.HTTPError):
                while not stop.is_set():
                    number += 1
                    names.append(name := f"{round_}-{writer}-{number}")
                    write(place, address, name)

        writers = [threading.Thread(target=keep_writing, args=(writer,)) for writer in range(WRITERS)]
        for thread in writers:
            thread.start()
        time.sleep(chance.uniform(0.2, 0.5))
        service.process.kill()
        stop.set()
        for thread in writers:
            thread.join()
        place.kill_everything()

    service = place.serve_until_ready("--workers", "0")
    with ThreadPoolExecutor(WRITERS) as pool:  # a claim of a killed server holds for 15 s: those wait together
        for answers in pool.map(lambda name: write(place, service.address or "", name), names):
            assert [answer.status_code for answer in answers] == [201, 201, 201], answers
    with place.client() as client:
        keys = [key.name for key in client.keys.iterate()]
        assert sorted(keys) == sorted([*names, "this machine"])
        datasets = list(client.datasets.iterate())
        assert sorted(row.name for row in datasets) == sorted(names)
        assert {row.image_count for row in datasets} == {1}
