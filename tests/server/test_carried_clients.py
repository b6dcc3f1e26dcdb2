"""A client that is carried into forked and spawned processes and other event loops gets its own answers there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from pictograph import Client
from pictograph.types import OrganizationId
from support.pictures import picture_bytes
from support.services import Service

FORKED = """
import json, multiprocessing, sys, threading
from pictograph import Client

def work(arguments):
    number, names = arguments
    wrong = 0
    for turn in range(15):
        image_id, name = names[(7 * number + turn) % len(names)]
        wrong += client.images.get(image_id).filename != name
    return wrong

if __name__ == "__main__":
    how, address, key = sys.argv[1:]
    client = Client(key, base_url=address, max_retries=0)
    names = [(image.id, image.filename) for image in client.images.list("street")]
    background = threading.Thread(target=lambda: [client.datasets.list() for _ in range(30)])
    background.start()
    totals = []
    for _ in range(2):
        client.datasets.list()
        with multiprocessing.get_context(how).Pool(4) as pool:
            totals += pool.map(work, [(number, names) for number in range(4)])
    background.join()
    client.close()
    print(json.dumps(totals))
"""
SPAWNED = """
import json, multiprocessing, sys
from pictograph import Client

if __name__ == "__main__":
    address, key = sys.argv[1:]
    with Client(key, base_url=address, max_retries=0) as client:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(json.dumps([image.filename for image in pool.map(client.images.list, ["street"])[0]]))
"""
LOOPS = """
import asyncio, gc, json, logging, sys
from pictograph import AsyncClient

logging.getLogger("asyncio").setLevel(logging.ERROR)  # in development mode it warns of what a busy machine makes slow
address, key = sys.argv[1:]
client = AsyncClient(key, base_url=address, max_retries=0)
print(json.dumps([len(asyncio.run(client.datasets.list())) for _ in range(4)]))
del client
gc.collect()
"""


@pytest.fixture
def run(service: Service, organization: OrganizationId, client: Client, tmp_path: Any) -> Any:
    """Runs a script with address and key; what it printed. A warning, of an open socket too, fails it."""
    client.datasets.create("street")
    for seed in range(6):
        client.images.upload("street", picture_bytes(seed), filename=f"{seed}.jpg")

    def execute(script: str, *arguments: str) -> Any:
        (tmp_path / "script.py").write_text(script)
        command = [sys.executable, "-X", "dev", "-W", "error", tmp_path / "script.py", *arguments]
        ran = subprocess.run(
            [*command, service.address, service.key(organization)],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        return json.loads(ran.stdout)

    return execute


def test_forked_processes_get_the_answers_to_their_own_questions(run: Any) -> None:
    script = (
        FORKED
        if sys.version_info < (3, 12)
        else FORKED.replace("background.start()", "").replace("background.join()", "")
    )  # from 3.12 on Python itself warns of a fork beside threads
    assert run(script, "fork") == [0] * 8


def test_a_spawned_process_gets_a_client_that_was_sent_to_it(run: Any) -> None:
    assert sorted(run(SPAWNED)) == [f"{seed}.jpg" for seed in range(6)]


def test_one_async_client_serves_one_event_loop_after_another(run: Any) -> None:
    assert run(LOOPS) == [1] * 4
