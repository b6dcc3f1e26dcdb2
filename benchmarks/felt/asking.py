"""Asking over a bare socket, as little as a client can do; and what the times say."""

from __future__ import annotations

import json
import multiprocessing
import re
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.felt.service import Service
from pictograph.wire import API_PREFIX

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
SETTLED_WITHIN = 1.5
"""Of the usual median: then a question counts as answered at full speed."""
IN_A_ROW = 5
LONGEST_S = 300.0
LARGE_FROM = 20_000
"""Images of a library that no version scans as a whole."""
SMALL_SETTLES_S = 10.0
PAUSE_S = 0.05


@dataclass(frozen=True)
class Asker:
    """One connection that stays open."""

    connection: socket.socket
    head: str

    def get(self, path: str) -> bytes:
        """The body of a 200."""
        self.connection.sendall(f"GET {path} {self.head}".encode())
        received = self.connection.recv(1 << 20)
        while b"\r\n\r\n" not in received:
            received += self.more()
        head, _, body = received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or not length:
            raise SystemExit(f"{path} was answered with {head.decode()} {body[:500].decode()}")
        while len(body) < int(length[1]):
            body += self.more()
        return body

    def more(self) -> bytes:
        part = self.connection.recv(1 << 20)
        if not part:
            raise ConnectionError("The service closed the connection.")
        return part

    def similar(self, query: dict[str, str | int]) -> tuple[float, dict[str, Any]]:
        """Seconds until the whole answer was here, and the answer."""
        started = time.perf_counter()
        body = self.get(f"{API_PREFIX}/search/similar?{urlencode(query)}")
        return time.perf_counter() - started, json.loads(body)


@contextmanager
def asking(address: str, key: str) -> Iterator[Asker]:
    """One connection to a service."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=120) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Asker(connection, f"HTTP/1.1\r\nHost: {parts.netloc}\r\nX-API-Key: {key}\r\n\r\n")


def times_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the longest."""
    ranks = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 99
    chosen = {"p50_ms": ranks[49], "p95_ms": ranks[94], "p99_ms": ranks[98], "max_ms": max(seconds)}
    return {name: round(value * 1000, 2) for name, value in chosen.items()}


def until_settled(service: Service, query: dict[str, str | int], size: int) -> None:
    """Asks until the plan is no longer `exact`, which means full speed; that of a small library stays so."""
    deadline = time.perf_counter() + (LONGEST_S if size >= LARGE_FROM else SMALL_SETTLES_S)
    with asking(service.address, service.key) as asker:
        while time.perf_counter() < deadline and asker.similar(query)[1].get("plan") == "exact":
            time.sleep(0.2)
        for _ in range(20):
            asker.similar(query)


def usual_s(service: Service, queries: Sequence[dict[str, str | int]]) -> float:
    """The median of a service that has settled."""
    with asking(service.address, service.key) as asker:
        return statistics.median(asker.similar(query)[0] for query in queries)


def full_speed_s(service: Service, queries: Sequence[dict[str, str | int]], usual: float) -> float | None:
    """Seconds from being ready until IN_A_ROW questions one after the other take the usual time; None if never."""
    started, since, in_a_row, number = time.perf_counter(), 0.0, 0, 0
    with asking(service.address, service.key) as asker:
        while time.perf_counter() < started + LONGEST_S:
            began = time.perf_counter()
            took, _ = asker.similar(queries[number % len(queries)])
            number += 1
            if took > SETTLED_WITHIN * usual:
                in_a_row = 0
                time.sleep(PAUSE_S)
                continue
            since = began if not in_a_row else since
            in_a_row += 1
            if in_a_row == IN_A_ROW:
                return since - started
    return None


@dataclass(frozen=True)
class Questions:
    """What each of many clients asks, and for how long."""

    address: str
    key: str
    queries: list[dict[str, str | int]]
    seconds: float


def many_clients(service: Service, clients: int, queries: list[dict[str, str | int]], seconds: float) -> dict[str, Any]:
    """So many processes ask as fast as they can."""
    context = multiprocessing.get_context("spawn")
    barrier: Barrier = context.Barrier(clients + 1)
    answers: multiprocessing.Queue[list[float]] = context.Queue()
    given = (Questions(service.address, service.key, queries, seconds), barrier, answers)
    processes = [context.Process(target=one_client, args=given) for _ in range(clients)]
    for process in processes:
        process.start()
    barrier.wait()
    took = [times for _ in processes for times in answers.get()]
    for process in processes:
        process.join()
    return times_ms(took) | {"per_s": round(len(took) / seconds, 1)}


def one_client(asked: Questions, barrier: Barrier, answers: multiprocessing.Queue[list[float]]) -> None:
    with asking(asked.address, asked.key) as asker:
        for query in asked.queries[:20]:
            asker.similar(query)
        barrier.wait()
        deadline, took = time.perf_counter() + asked.seconds, list[float]()
        while time.perf_counter() < deadline:
            took.append(asker.similar(asked.queries[len(took) % len(asked.queries)])[0])
    answers.put(took)
