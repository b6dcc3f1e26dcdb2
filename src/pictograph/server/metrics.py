"""What `GET /metrics` tells: how the service does, and nothing of whose images it holds."""

from __future__ import annotations

import os
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pictograph.search.found import Found, Likeness, PlanName
from pictograph.services import Services
from pictograph.types import ImageState

BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
COUNT_EVERY_S: Final = 15.0
"""Images by state are counted at most this often: that reads an entry for each."""


METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that makes several processes keep their numbers in files of one folder; read as Python imports."""


class Metrics:
    """The numbers of a service: of all its serving processes together, where there are several.

    Counts and histograms are added up, those of processes that have ended too; of a gauge the latest value holds.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "pictograph_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._searches = Histogram(
            "pictograph_search_seconds", "Searches by likeness or words, without HTTP.", ("kind", "plan"),
            buckets=BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._recall = Gauge(
            "pictograph_search_recall", "Recall, the share of the true rows, of the answer checked last.", ("plan",),
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._recalls = Histogram(
            "pictograph_search_recall_checks", "Recall, the share of the true rows, of all answers checked.", ("plan",),
            buckets=(0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0), registry=registry,
        )  # fmt: skip
        self._lag = Histogram(
            "pictograph_event_loop_lag_seconds", "How late the event loop runs what is due.",
            buckets=BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._queue = Gauge(
            "pictograph_queue_jobs", "Images that wait for a worker or are being processed.", ("is",),
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._workers = Gauge(
            "pictograph_workers", "Worker processes of this service.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._images = Gauge(
            "pictograph_images", "Images of all organizations.", ("state",),
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._index_rows = Gauge(
            "pictograph_index_images", "Images in the index; fewer than there are while it is built.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._index_segments = Gauge(
            "pictograph_index_segments", "Segments that the index consists of.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._index_left = Gauge(
            "pictograph_index_images_to_read", "Images to be read before the index is complete.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._count_again = 0.0

    def saw_request(self, method: str, route: str, status: int) -> None:
        """One request was answered. route: the template, never the path that was asked for."""
        self._requests.labels(method, route, str(status)).inc()

    def saw_search(self, ask: Likeness, found: Found) -> None:
        """One search was answered."""
        self._searches.labels(ask.kind, found.plan.name).observe(found.steps.total_ms / 1000)

    def saw_recall(self, plan: PlanName, share: float) -> None:
        """One answer was compared with the truth."""
        self._recall.labels(plan).set(share)
        self._recalls.labels(plan).observe(share)

    def saw_lag(self, seconds: float) -> None:
        """The event loop was so late."""
        self._lag.observe(seconds)

    async def text(self, services: Services, workers: int) -> bytes:
        """In Prometheus' text format. Raises Unavailable without the database."""
        waiting, claimed = await services.backlog.depth()
        self._queue.labels("waiting").set(waiting)
        self._queue.labels("claimed").set(claimed)
        self._workers.set(workers)
        index = services.index.status()
        self._index_rows.set(index.rows)
        self._index_segments.set(index.segments)
        self._index_left.set(index.total - index.done)
        if time.monotonic() >= self._count_again:
            counts = await services.datasets.count_states()
            for state in ImageState:
                self._images.labels(state.value).set(counts[state])
            self._count_again = time.monotonic() + COUNT_EVERY_S
        return generate_latest(self._of_all())

    def _of_all(self) -> CollectorRegistry:
        if METRICS_FOLDER not in os.environ:
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


class CountRequests:
    """Tells `Metrics` of every answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                method = scope["method"] if route != "none" else "other"  # anyone can make up methods
                self._metrics.saw_request(method, route, message["status"])
            await send(message)

        await self._app(scope, receive, send_counted)
