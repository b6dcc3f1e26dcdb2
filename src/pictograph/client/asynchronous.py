"""The same client for asyncio: every method sends the same call as its blocking twin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from os import PathLike
from types import TracebackType
from typing import TypeVar

import httpx

from pictograph import wire
from pictograph.client import calls
from pictograph.client.config import ClientConfig, resolve_config
from pictograph.client.connections import AsyncConnections
from pictograph.client.directory import (
    Progress,
    Verdicts,
    askable,
    batches,
    begun,
    one_of_each_place,
    place_of,
    settle,
    sort_out,
    tell,
)
from pictograph.client.local_service import LocalService
from pictograph.client.patience import LONGEST_BUSY_S, Patience, pause_after
from pictograph.client.results import ImportReport, ListPage, SearchResults, TaggedResults, UploadReport
from pictograph.client.synchronous import POLL_S, failure_of, read_file, unreachable
from pictograph.client.vectors import VectorSource, batches_of, note, open_sources
from pictograph.client.vectors import begun as begun_import
from pictograph.client.walk import LocalFile, given_path, local_files
from pictograph.errors import ConflictError, ConnectionFailed, NotFoundError, PictographError
from pictograph.types import (
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_LIMIT,
    ImageState,
    Role,
    TagCategory,
    TagMatch,
)
from pictograph.version import __version__

Result = TypeVar("Result")


class AsyncClient:
    """As `Client`, with methods to await.

    async with AsyncClient() as client:
        rows = await client.search.by_similarity(image_id)
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._transport = AsyncTransport(resolve_config(api_key, base_url, timeout, max_retries), http_client)
        self._service: LocalService | None = None
        self.search = AsyncSearch(self._transport)
        """Find images by likeness, by words or by tag."""
        self.tags = AsyncTags(self._transport)
        """The taxonomy, and the thresholds of its labels."""
        self.datasets = AsyncDatasets(self._transport)
        """Named sets of images."""
        self.images = AsyncImages(self._transport)
        """Upload, list, fetch, archive."""
        self.keys = AsyncKeys(self._transport)
        """API keys of your organization."""
        self.reindex = AsyncReindex(self._transport)
        """Move the library to another encoder while it is searched."""

    @classmethod
    async def embedded(cls, data_dir: str | PathLike[str], *, encoder: str | None = None) -> AsyncClient:
        """As `Client.embedded`."""
        service = await asyncio.to_thread(LocalService.join_or_start, given_path(data_dir), encoder=encoder)
        client = cls(service.api_key, base_url=service.base_url)
        client._service = service
        return client

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Address of the service."""
        return self._transport.config.base_url

    async def history(self, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Write]:
        """As `Client.history`."""
        return await self._transport.send(calls.history_of_installation(limit, cursor))

    async def ready(self) -> wire.Health:
        """As `Client.ready`."""
        return await self._transport.send(calls.ready())

    async def close(self) -> None:
        """As `Client.close`."""
        await self._transport.close()
        if self._service:
            await asyncio.to_thread(self._service.stop)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncTransport:
    """Sends calls, again where that is safe."""

    def __init__(self, config: ClientConfig, http_client: httpx.AsyncClient | None) -> None:
        self.config = config
        self._connections = AsyncConnections(config.base_url, http_client)
        self._headers = {"X-API-Key": config.api_key, "User-Agent": f"pictograph-python-async/{__version__}"}

    async def send(self, call: calls.Call[Result], *, patience: Patience | None = None) -> Result:
        """As `Transport.send`."""
        call = call.with_idempotency_key()
        attempt, started = 0, time.monotonic()
        while True:
            outcome = await self._attempt(call)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                if patience:
                    patience.answered()
                return call.read(outcome)
            waited_s = time.monotonic() - started
            pause_s = pause_after(outcome, attempt, self.config.max_retries, waited_s, patience)
            if pause_s is None:
                raise failure_of(outcome)
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _attempt(self, call: calls.Call[Result]) -> httpx.Response | ConnectionFailed:
        arguments = call.arguments()
        arguments["headers"] |= self._headers
        url = self.config.base_url + call.path
        http = await self._connections.current()
        try:
            return await http.request(call.method, url, timeout=self.config.timeout_s, **arguments)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise calls.cannot_be_sent(error) from error
        except httpx.RequestError as error:
            return unreachable(self.config.base_url, self._connections.route, error)

    async def close(self) -> None:
        await self._connections.close()

    def __reduce__(self) -> tuple[type[AsyncTransport], tuple[ClientConfig, None]]:
        calls.require_portable(self._connections.given)
        return type(self), (self.config, None)


class AsyncSearch:
    """As `Search`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def by_similarity(
        self,
        image_id: str,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        limit: int = DEFAULT_LIMIT,
        folder_path: str | None = None,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        match: TagMatch = "any",
        exact: bool = False,
        cursor: str | None = None,
    ) -> SearchResults[wire.SimilarImage]:
        """As `Search.by_similarity`."""
        tags = calls.Tags(objects, scenes, attributes, match)
        return await self._transport.send(
            calls.by_similarity(image_id, threshold, limit, folder_path, tags, exact, cursor)
        )

    async def by_text(
        self,
        text: str,
        *,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        threshold: float = DEFAULT_TEXT_THRESHOLD,
        limit: int = DEFAULT_LIMIT,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        match: TagMatch = "any",
        exact: bool = False,
        cursor: str | None = None,
    ) -> SearchResults[wire.SimilarImage]:
        """As `Search.by_text`."""
        tags = calls.Tags(objects, scenes, attributes, match)
        return await self._transport.send(
            calls.by_text(text, dataset_name, folder_path, threshold, limit, tags, exact, cursor)
        )

    async def iterate_by_similarity(
        self,
        image_id: str,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        folder_path: str | None = None,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        match: TagMatch = "any",
        exact: bool = False,
        page_size: int = MAX_LIMIT,
    ) -> AsyncIterator[wire.SimilarImage]:
        """As `Search.iterate_by_similarity`."""
        tags, cursor = calls.Tags(objects, scenes, attributes, match), None
        while True:
            page = await self._transport.send(
                calls.by_similarity(image_id, threshold, page_size, folder_path, tags, exact, cursor)
            )
            for row in page:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def iterate_by_text(
        self,
        text: str,
        *,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        threshold: float = DEFAULT_TEXT_THRESHOLD,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        match: TagMatch = "any",
        exact: bool = False,
        page_size: int = MAX_LIMIT,
    ) -> AsyncIterator[wire.SimilarImage]:
        """As `Search.iterate_by_text`."""
        tags, cursor = calls.Tags(objects, scenes, attributes, match), None
        while True:
            page = await self._transport.send(
                calls.by_text(text, dataset_name, folder_path, threshold, page_size, tags, exact, cursor)
            )
            for row in page:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def explain(
        self,
        *,
        image_id: str | None = None,
        text: str | None = None,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        threshold: float | None = None,
        limit: int = DEFAULT_LIMIT,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        match: TagMatch = "any",
        exact: bool = False,
    ) -> wire.SearchExplanation:
        """As `Search.explain`."""
        tags = calls.Tags(objects, scenes, attributes, match)
        return await self._transport.send(
            calls.explain_search(image_id, text, dataset_name, folder_path, threshold, limit, tags, exact)
        )

    async def by_tag(
        self,
        *,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        match: TagMatch = "any",
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> TaggedResults:
        """As `Search.by_tag`."""
        call = calls.by_tag(
            calls.Tags(objects, scenes, attributes, match), dataset_name, folder_path, limit, offset, cursor
        )
        return TaggedResults(await self._transport.send(call))

    async def by_tag_page(
        self,
        *,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        match: TagMatch = "any",
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> wire.TagAnswer:
        """As `Search.by_tag_page`."""
        return await self._transport.send(
            calls.by_tag(
                calls.Tags(objects, scenes, attributes, match), dataset_name, folder_path, limit, offset, cursor
            )
        )

    async def iterate_by_tag(
        self,
        *,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        match: TagMatch = "any",
        page_size: int = 500,
    ) -> AsyncIterator[wire.TaggedImage]:
        """As `Search.iterate_by_tag`."""
        cursor: str | None = None
        while True:
            call = calls.by_tag(
                calls.Tags(objects, scenes, attributes, match), dataset_name, folder_path, page_size, 0, cursor
            )
            page = await self._transport.send(call)
            for row in page.results:
                yield row
            cursor = page.pagination.next_cursor
            if cursor is None:
                return

    async def tags(
        self,
        *,
        objects: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        attributes: Sequence[str] | None = None,
        dataset_name: str | None = None,
        folder_path: str | None = None,
        match: TagMatch = "any",
    ) -> wire.TagCounts:
        """As `Search.tags`."""
        tags = calls.Tags(objects, scenes, attributes, match)
        return await self._transport.send(calls.count_tags(tags, dataset_name, folder_path))


class AsyncTags:
    """As `Tags`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def taxonomy(self) -> wire.Taxonomy:
        """As `Tags.taxonomy`."""
        return await self._transport.send(calls.get_taxonomy())

    async def preview(
        self,
        label: str,
        *,
        threshold: float | None = None,
        category: TagCategory | None = None,
        dataset_name: str | None = None,
    ) -> wire.ThresholdPreview:
        """As `Tags.preview`."""
        return await self._transport.send(calls.preview_threshold(label, threshold, category, dataset_name))

    async def apply(self, label: str, *, threshold: float, category: TagCategory | None = None) -> wire.ThresholdChange:
        """As `Tags.apply`."""
        return await self._transport.send(calls.apply_threshold(label, threshold, category))

    async def reset(self, label: str, *, category: TagCategory | None = None) -> wire.ThresholdChange:
        """As `Tags.reset`."""
        return await self._transport.send(calls.reset_threshold(label, category))

    async def update(self, *, progress: Callable[[wire.TagUpdate], None] | None = None) -> wire.TagUpdate:
        """As `Tags.update`."""
        updated, cursor = 0, None
        while True:
            step = await self._transport.send(calls.update_tags(cursor))
            updated, cursor = updated + step.updated, step.next_cursor
            so_far = step.model_copy(update={"updated": updated})
            if progress:
                progress(so_far)
            if cursor is None:
                return so_far


class AsyncDatasets:
    """As `Datasets`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create(self, name: str, *, description: str | None = None) -> wire.Dataset:
        """As `Datasets.create`."""
        return await self._transport.send(calls.create_dataset(name, description))

    async def list(self, *, limit: int = 100, offset: int = 0, cursor: str | None = None) -> ListPage[wire.Dataset]:
        """As `Datasets.list`."""
        return await self._transport.send(calls.list_datasets(limit, offset, cursor))

    async def iterate(self) -> AsyncIterator[wire.Dataset]:
        """As `Datasets.iterate`."""
        cursor: str | None = None
        while True:
            page = await self._transport.send(calls.list_datasets(1000, 0, cursor))
            for row in page:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def get(self, dataset: str) -> wire.Dataset:
        """As `Datasets.get`."""
        return await self._transport.send(calls.get_dataset(dataset))

    async def rename(self, dataset: str, new_name: str) -> wire.Dataset:
        """As `Datasets.rename`."""
        return await self._transport.send(calls.update_dataset(dataset, new_name, None))

    async def describe(self, dataset: str, description: str) -> wire.Dataset:
        """As `Datasets.describe`."""
        return await self._transport.send(calls.update_dataset(dataset, None, description))

    async def delete(self, dataset: str) -> wire.DeletedDataset:
        """As `Datasets.delete`."""
        return await self._transport.send(calls.delete_dataset(dataset))

    async def name_changes(self, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.NameChange]:
        """As `Datasets.name_changes`."""
        return await self._transport.send(calls.name_changes(limit, cursor))

    async def progress(self, dataset: str) -> wire.Progress:
        """As `Datasets.progress`."""
        return await self._transport.send(calls.dataset_progress(dataset))

    async def history(self, dataset: str, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Write]:
        """As `Datasets.history`."""
        return await self._transport.send(calls.history_of_dataset(dataset, limit, cursor))

    async def retry_failed(self, dataset: str) -> int:
        """As `Datasets.retry_failed`."""
        return await self._transport.send(calls.retry_failed_images(dataset))

    async def import_vectors(
        self,
        dataset: str,
        sources: VectorSource | Sequence[VectorSource],
        *,
        encoder: str | None = None,
        replace: bool = False,
        create_if_missing: bool = True,
        workers: int = 2,
        progress: Callable[[ImportReport], None] | None = None,
        report: ImportReport | None = None,
    ) -> ImportReport:
        """As `Datasets.import_vectors`."""
        files = await asyncio.to_thread(open_sources, sources, encoder)
        if create_if_missing:
            await ensure_dataset(self._transport, dataset)
        begun = begun_import(report, dataset, files)
        patience, reading = Patience(), asyncio.Lock()
        batches = chain.from_iterable(map(batches_of, files))

        async def send_the_rest() -> None:
            while True:
                async with reading:  # a generator gives one at a time
                    batch = await asyncio.to_thread(next, batches, None)
                if batch is None:
                    return
                call = calls.import_vectors(dataset, batch, replace)
                try:
                    outcome: wire.ImportedVectors | Exception = await self._transport.send(call, patience=patience)
                except PictographError as error:
                    outcome = error
                note(begun, batch, outcome, progress)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, workers)):
                    group.create_task(send_the_rest())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return begun

    async def wait_until_processed(
        self, dataset: str, *, timeout: float | None = None, progress: Callable[[wire.Progress], None] | None = None
    ) -> wire.Progress:
        """As `Datasets.wait_until_processed`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout if timeout is not None else float("inf")
        patience = Patience(LONGEST_BUSY_S if timeout is None else min(timeout, LONGEST_BUSY_S))
        while True:
            counts = await self._transport.send(calls.dataset_progress(dataset), patience=patience)
            if progress:
                progress(counts)
            if counts.done:
                return counts
            if loop.time() > deadline:
                raise TimeoutError(f"{counts.received} images of {dataset!r} still wait after {timeout} s.")
            await asyncio.sleep(POLL_S)


class AsyncImages:
    """As `Images`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def upload(
        self,
        dataset_name: str,
        file: str | PathLike[str] | bytes,
        *,
        folder_path: str = "/",
        filename: str | None = None,
        replace: bool = False,
    ) -> wire.Image:
        """As `Images.upload`."""
        data, name = await asyncio.to_thread(read_file, file, filename)
        return await self._transport.send(calls.upload_image(dataset_name, name, folder_path, data, replace))

    async def upload_from_directory(
        self,
        dataset_name: str,
        directory: str | PathLike[str],
        *,
        folder_path: str = "/",
        preserve_structure: bool = True,
        create_if_missing: bool = True,
        skip_existing: bool = True,
        replace: bool = False,
        workers: int = 8,
        progress: Progress | None = None,
        report: UploadReport | None = None,
    ) -> UploadReport:
        """As `Images.upload_from_directory`."""
        found = await asyncio.to_thread(
            local_files, given_path(directory), folder_path, preserve_structure=preserve_structure
        )
        if create_if_missing:
            await ensure_dataset(self._transport, dataset_name)
        report = begun(report, dataset_name, found)
        for batch in batches(one_of_each_place(found.files, report)):
            patience = Patience()
            to_do = Verdicts(list(batch))
            if skip_existing or replace:
                to_do = await self._sort_out(dataset_name, batch, report, replace=replace)
            tell(report, batch[-1], progress)
            for file, image in to_do.restore:
                outcome = await self._try(calls.restore_image(image.id), patience)
                settle(report, file, outcome, restored=True, progress=progress)
            taken: list[tuple[LocalFile, ConflictError]] = []
            waiting = iter(to_do.send)

            async def upload_the_rest(
                patience: Patience = patience,
                waiting: Iterator[LocalFile] = waiting,
                taken: list[tuple[LocalFile, ConflictError]] = taken,
            ) -> None:
                for file in waiting:
                    outcome = await self._try_upload(dataset_name, file, patience)
                    if isinstance(outcome, ConflictError) and skip_existing:
                        taken.append((file, outcome))
                    else:
                        settle(report, file, outcome, progress=progress)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(max(1, workers)):
                        group.create_task(upload_the_rest())
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
            left = (await self._sort_out(dataset_name, [file for file, _ in taken], report)).send if taken else []
            for file, conflict in taken:
                if file in left:
                    settle(report, file, conflict, progress=progress)
        return report

    async def _sort_out(
        self, dataset_name: str, files: Sequence[LocalFile], report: UploadReport, *, replace: bool = False
    ) -> Verdicts:
        asked = askable(files)
        question = calls.which_exist(dataset_name, [place_of(file) for file in asked])
        known = await self._transport.send(question, patience=Patience())
        return await asyncio.to_thread(sort_out, files, asked, known, report, replace=replace)

    async def _try(self, call: calls.Call[wire.Image], patience: Patience) -> wire.Image | Exception:
        try:
            return await self._transport.send(call, patience=patience)
        except PictographError as error:
            return error

    async def _try_upload(self, dataset_name: str, file: LocalFile, patience: Patience) -> wire.Image | Exception:
        try:
            data, name = await asyncio.to_thread(read_file, file.path, file.filename)
            call = calls.upload_image(dataset_name, name, file.folder_path, data, file.replaces)
            return await self._transport.send(call, patience=patience)
        except (PictographError, OSError) as error:
            return error

    async def list(
        self,
        dataset_name: str,
        *,
        folder_path: str | None = None,
        filename: str | None = None,
        state: ImageState | None = None,
        include_archived: bool = False,
        limit: int = 100,
        offset: int = 0,
        cursor: str | None = None,
    ) -> ListPage[wire.Image]:
        """As `Images.list`."""
        call = calls.list_images(dataset_name, folder_path, filename, state, include_archived, limit, offset, cursor)
        return await self._transport.send(call)

    async def which_exist(self, dataset_name: str, places: Sequence[tuple[str, str]]) -> Sequence[wire.KnownImage]:
        """As `Images.which_exist`."""
        return await self._transport.send(calls.which_exist(dataset_name, places))

    async def iterate(
        self,
        dataset_name: str,
        *,
        folder_path: str | None = None,
        state: ImageState | None = None,
        include_archived: bool = False,
    ) -> AsyncIterator[wire.Image]:
        """As `Images.iterate`."""
        cursor: str | None = None
        while True:
            call = calls.list_images(dataset_name, folder_path, None, state, include_archived, 1000, 0, cursor)
            page = await self._transport.send(call)
            for row in page:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def get(self, image_id: str) -> wire.Image:
        """As `Images.get`."""
        return await self._transport.send(calls.get_image(image_id))

    async def download(self, image_id: str) -> bytes:
        """As `Images.download`."""
        return await self._transport.send(calls.download_image(image_id))

    async def thumbnail(self, image_id: str) -> bytes:
        """As `Images.thumbnail`."""
        return await self._transport.send(calls.thumbnail_of_image(image_id))

    async def delete(self, image_id: str, *, permanent: bool = False) -> None:
        """As `Images.delete`."""
        await self._transport.send(calls.delete_image(image_id, permanent))

    async def history(self, image_id: str, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Write]:
        """As `Images.history`."""
        return await self._transport.send(calls.history_of_image(image_id, limit, cursor))

    async def restore(self, image_id: str) -> wire.Image:
        """As `Images.restore`."""
        return await self._transport.send(calls.restore_image(image_id))


async def ensure_dataset(transport: AsyncTransport, name: str) -> None:
    """As its twin."""
    try:
        await transport.send(calls.get_dataset(name))
    except NotFoundError:
        await transport.send(calls.create_dataset(name, None))


class AsyncKeys:
    """As `Keys`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, limit: int = 1000, cursor: str | None = None) -> ListPage[wire.ApiKey]:
        """As `Keys.list`."""
        return await self._transport.send(calls.list_keys(limit, cursor))

    async def iterate(self) -> AsyncIterator[wire.ApiKey]:
        """As `Keys.iterate`."""
        cursor: str | None = None
        while True:
            page = await self._transport.send(calls.list_keys(1000, cursor))
            for row in page:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def create(
        self, name: str, *, role: Role = "member", expires_at: datetime | None = None
    ) -> wire.CreatedApiKey:
        """As `Keys.create`."""
        return await self._transport.send(calls.create_key(name, role, expires_at))

    async def revoke(self, key_id: str) -> None:
        """As `Keys.revoke`."""
        await self._transport.send(calls.revoke_key(key_id))


class AsyncReindex:
    """As `Reindex`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def status(self) -> wire.Reindex:
        """As `Reindex.status`."""
        return await self._transport.send(calls.reindex_status())

    async def start(self, encoder: str, *, pace: float = 1.0) -> wire.Reindex:
        """As `Reindex.start`."""
        return await self._transport.send(calls.start_reindex(encoder, pace))

    async def accept_failures(self) -> wire.Reindex:
        """As `Reindex.accept_failures`."""
        return await self._transport.send(calls.accept_reindex_failures())

    async def cancel(self) -> wire.Reindex:
        """As `Reindex.cancel`."""
        return await self._transport.send(calls.cancel_reindex())

    async def forget_previous(self) -> int:
        """As `Reindex.forget_previous`."""
        return await self._transport.send(calls.forget_previous_spaces())
