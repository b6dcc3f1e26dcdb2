"""`/metrics`: what it counts, and what it must not tell."""

from __future__ import annotations

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from pictograph import Client
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service

PREFIX = "/api/v1/developer"


def values(service: Service) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = httpx.get(f"{service.address}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def grown(before: dict[object, float], after: dict[object, float], name: str, **labels: str) -> float:
    key = (name, frozenset(labels.items()))
    return after.get(key, 0) - before.get(key, 0)


def test_requests_are_counted_by_route_and_status(service: Service, client: Client, raw: Raw) -> None:
    before = values(service)
    client.datasets.create("street")
    for _ in range(3):
        client.datasets.get("street")
    raw.api("GET", "/datasets/nowhere")
    httpx.get(f"{service.address}/no/such/place")
    httpx.get(f"{service.address}{PREFIX}/datasets/street")
    after = values(service)
    route, name = f"{PREFIX}/datasets/{{dataset}}", "pictograph_requests_total"
    assert grown(before, after, name, method="GET", route=route, status="200") == 3
    assert grown(before, after, name, method="GET", route=route, status="404") == 1
    assert grown(before, after, name, method="GET", route=route, status="401") == 1
    assert grown(before, after, name, method="other", route="none", status="404") == 1


def test_searches_images_queue_and_workers_are_there(service: Service, client: Client, street: Dataset) -> None:
    before = values(service)
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    client.search.by_similarity(image.id)
    after = values(service)
    assert grown(before, after, "pictograph_search_seconds_count", kind="image", plan="exact") == 1
    assert after["pictograph_workers", frozenset()] == 1
    assert after["pictograph_queue_jobs", frozenset({("is", "waiting")})] >= 0
    states = {dict(labels)["state"] for name, labels in after if name == "pictograph_images"}
    assert states == {"received", "embedded", "tagged", "failed"}


def test_it_tells_nothing_of_whose_images_there_are(service: Service, client: Client) -> None:
    client.datasets.create("a very secret name")
    client.datasets.get("a very secret name")
    text = httpx.get(f"{service.address}/metrics").text
    assert "secret" not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
