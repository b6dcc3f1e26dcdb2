"""The blocking client. Made by scripts/build_client.py: change asynchronous.py, then run that script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import chain
from os import PathLike
from types import TracebackType
from typing import Literal, TypeVar, Unpack

import httpx

from pictograph import wire
from pictograph.client import calls
from pictograph.client.calls import Cut
from pictograph.client.config import ClientConfig, resolve_config
from pictograph.client.connections import Connections
from pictograph.client.directory import (
    Progress,
    Verdicts,
    askable,
    batches,
    begun,
    one_of_each_place,
    place_of,
    read_file,
    settle,
    sort_out,
    tell,
)
from pictograph.client.examples import Example, example_bodies
from pictograph.client.exporting.job import ExportJob, ExportProgress
from pictograph.client.exporting.options import (
    SHARD_BYTES,
    SHARD_IMAGES,
    Asked,
    ExportFormat,
    ExportOptions,
    FileFormat,
    format_of,
)
from pictograph.client.exporting.output import Arrived, WantedFile
from pictograph.client.exporting.page import Page
from pictograph.client.exporting.zipped import ZipFile
from pictograph.client.filters import DatasetFilters, Filters, QueryFilters, filtered
from pictograph.client.local_service import LocalService
from pictograph.client.origin import remembered
from pictograph.client.patience import LONGEST_BUSY_S, LONGEST_FOR_FILE_S, POLL_S, Patience, pause_after
from pictograph.client.pictures import BoxLike, PictureLike, picture_bytes
from pictograph.client.progress import told
from pictograph.client.results import (
    DuplicateGroups,
    ExportReport,
    ImportReport,
    ListPage,
    SearchResults,
    TaggedResults,
    UploadReport,
)
from pictograph.client.threads import pause, run_blocking, side_by_side
from pictograph.client.vectors import VectorBatch, VectorSource, batches_of, note, open_sources
from pictograph.client.vectors import begun as begun_import
from pictograph.client.walk import LocalFile, given_path, local_files
from pictograph.errors import (
    ConflictError,
    ConnectionFailed,
    NotFoundError,
    PictographError,
    ValidationError,
    wrong_value,
)
from pictograph.types import (
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_LIMIT,
    ImageState,
    Role,
    TagCategory,
    Threshold,
)
from pictograph.version import __version__
from pictograph.wire.collections import MAX_MEMBERS_SENT

Result = TypeVar("Result")
Row = TypeVar("Row")


class Client:
    """A Pictograph service. Keeps connections open until `close`, so make one and share it.

    Threads, event loops, forked and spawned processes may share it: each process and each loop opens connections of its
    own, with the same settings.

        with Client() as client:
            for image in client.search.by_tag(objects=["car"], dataset_name="street"):
                print(image.image_id, image.filename)

    api_key, base_url, timeout (seconds, of one attempt), max_retries: else from PICTOGRAPH_API_KEY,
    PICTOGRAPH_BASE_URL, PICTOGRAPH_TIMEOUT, PICTOGRAPH_MAX_RETRIES; else address and key from
    `~/.pictograph/config.toml`, which `pictograph serve` writes. http_client: one of your own; you close it,
    and it serves only the process (and the event loop) that it was made in.
    Raises ConfigurationError if no key or no address is known.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        http_client: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(resolve_config(api_key, base_url, timeout, max_retries), http_client)
        self._service: LocalService | None = None
        self.search = Search(self._transport)
        """Find images by likeness, by words or by tag."""
        self.tags = Tags(self._transport)
        """The taxonomy, and the thresholds of its labels."""
        self.datasets = Datasets(self._transport)
        """Named sets of images."""
        self.images = Images(self._transport)
        """Upload, list, fetch, archive."""
        self.collections = Collections(self._transport)
        """Sets of images by name, across datasets."""
        self.queries = Queries(self._transport)
        """Saved queries, by name."""
        self.keys = Keys(self._transport)
        """API keys of your organization."""
        self.reindex = Reindex(self._transport)
        """Move the library to another encoder while it is searched."""

    @classmethod
    def embedded(cls, data_dir: str | PathLike[str], *, encoder: str | None = None) -> Client:
        """A client of a service of its own on this machine, for notebooks and scripts.

        Joins the service that runs on `data_dir`, or starts one, which then ends with this client or with this process.
        Needs the service's packages (the extra `server`). Raises ConfigurationError if the service does not start.
        """
        service = run_blocking(LocalService.join_or_start, given_path(data_dir), encoder=encoder)
        client = cls(service.api_key, base_url=service.base_url)
        client._service = service
        return client

    def __repr__(self) -> str:
        return f"Client(base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Address of the service."""
        return self._transport.config.base_url

    def history(self, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Write]:
        """Who changed thresholds and the encoder, which all organizations share, and when, newest first.

        limit: 1 to 1000. cursor: `next_cursor` of the page before. Needs role installation; images and datasets have
        histories of their own. Raises ForbiddenError.
        """
        return self._transport.send(calls.history_of_installation(limit, cursor))

    def ready(self) -> wire.Health:
        """Says which encoder runs and how many images wait. Raises ServerError (503) while the service is not ready."""
        return self._transport.send(calls.ready())

    def close(self) -> None:
        """Closes the connections, and ends the service that `embedded` started."""
        self._transport.close()
        if self._service:
            run_blocking(self._service.stop)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport:
    """Sends calls, again where that is safe."""

    def __init__(self, config: ClientConfig, http_client: httpx.Client | None) -> None:
        self.config = config
        self._connections = Connections(config.base_url, http_client)
        self._headers = {"X-API-Key": config.api_key, "User-Agent": f"pictograph-python/{__version__}"}

    def send(
        self, call: calls.Call[Result], *, patience: Patience | None = None, sink: calls.Sink | None = None
    ) -> Result:
        """The answer, read. Raises ApiError by its class, ConnectionFailed if there was none.

        patience: how long a service that is busy or starts again is asked, beyond the attempts that every call has.
        sink: what takes the body of a good answer piece by piece, which then is never in memory as a whole.
        """
        call = call.with_idempotency_key()
        attempt, started = 0, time.monotonic()
        while True:
            outcome = self._attempt(call, sink)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                if patience:
                    patience.answered()
                return remembered(call.read(outcome), self)
            waited_s = time.monotonic() - started
            pause_s = pause_after(outcome, attempt, self.config.max_retries, waited_s, patience)
            if pause_s is None or pause(pause_s, patience):
                raise calls.failure_of(outcome)
            attempt += 1

    def _attempt(self, call: calls.Call[Result], sink: calls.Sink | None) -> httpx.Response | ConnectionFailed:
        arguments = call.arguments()
        arguments["headers"] |= self._headers
        url = self.config.base_url + call.path
        http = self._connections.current()
        try:
            if sink is None:
                return http.request(call.method, url, timeout=self.config.timeout_s, **arguments)
            with http.stream(call.method, url, timeout=self.config.timeout_s, **arguments) as response:
                if response.is_success:
                    run_blocking(sink.begin_again)
                    for piece in response.iter_bytes():
                        run_blocking(sink.write, piece)
                else:
                    response.read()
                return response
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise calls.cannot_be_sent(error) from error
        except httpx.RequestError as error:
            return calls.unreachable(self.config.base_url, self._connections.route, error)

    def each(self, call_of: Callable[[str | None], calls.Call[calls.Rows[Row]]]) -> Iterator[Row]:
        """Every row, page by page. call_of: what asks for the page at a cursor."""
        cursor: str | None = None
        while True:
            page = self.send(call_of(cursor))
            yield from page
            cursor = page.next_cursor
            if cursor is None:
                return

    def close(self) -> None:
        self._connections.close()

    def __reduce__(self) -> tuple[type[Transport], tuple[ClientConfig, None]]:
        calls.require_portable(self._connections.given)
        return type(self), (self.config, None)


class Search:
    """Find images. Searching is free: everything was computed when the images were uploaded."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @filtered(QueryFilters)
    def query(
        self,
        *,
        examples: Sequence[Example | str] = (),
        order_by: str | None = None,
        descending: bool = True,
        threshold: Threshold | None = None,
        top: int | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        exact: bool = False,
        count_only: bool = False,
        percentiles: bool = False,
        **filters: Unpack[QueryFilters],
    ) -> SearchResults[wire.QueryRow]:
        """Finds images by examples, a filter and an order: every other search is a short form of this one.

        examples: what images should be like, or unlike; a plain text is the id of an image, a picture that is not
        stored goes as `Example(picture=...)`. Without any, a fact orders the images. order_by: None is "relevance" with
        examples and "created_at" without; "taken_at", "width", "height", "file_size", "aspect", "sharpness",
        "brightness", "contrast"; with examples a fact needs threshold or top, which cut first. descending: the best,
        newest, largest first; images of which the fact is not known come last either way. threshold: least score;
        None cuts nothing, "auto" takes what the scope, or one example of words, says. percentiles: place every
        similarity among those of random pairs of the scope. top: only the best so many by relevance. limit: 1 to 500.
        cursor: `next_cursor` of the page before, with the same question. exact: compare every vector, whatever it
        takes. count_only: no rows; `total` says how many there are, exactly. dataset_names: None searches the whole
        organization.
        Raises NotFoundError (no such image, dataset or folder), ValidationError, EmbeddingFailed; waits for an image
        not yet embedded, and raises EmbeddingPending if that takes too long.
        """
        order = calls.Order(order_by, descending, threshold, top, limit, exact, count_only, percentiles)
        bodies = run_blocking(example_bodies, examples)
        return self._transport.send(calls.query_search(bodies, order, cursor, filters))

    @filtered(QueryFilters)
    def iterate_query(
        self,
        *,
        examples: Sequence[Example | str] = (),
        order_by: str | None = None,
        descending: bool = True,
        threshold: Threshold | None = None,
        top: int | None = None,
        exact: bool = False,
        percentiles: bool = False,
        page_size: int = MAX_LIMIT,
        **filters: Unpack[QueryFilters],
    ) -> Iterator[wire.QueryRow]:
        """Yields every image that `query` finds, however many, page by page; none comes twice."""
        order = calls.Order(order_by, descending, threshold, top, page_size, exact, percentiles=percentiles)
        bodies = run_blocking(example_bodies, examples)
        yield from self._transport.each(lambda cursor: calls.query_search(bodies, order, cursor, filters))

    @filtered(QueryFilters)
    def by_similarity(
        self,
        image_id: str,
        *,
        box: BoxLike | None = None,
        threshold: Threshold = DEFAULT_THRESHOLD,
        limit: int = DEFAULT_LIMIT,
        exact: bool = False,
        cursor: str | None = None,
        percentiles: bool = False,
        **filters: Unpack[QueryFilters],
    ) -> SearchResults[wire.SimilarImage]:
        """Finds images that look like the one with this id, by falling similarity; leaves out the reference itself.

        box: only this part of the reference counts, as in `by_image`; its bytes are read, cut and encoded for that.
        threshold: least cosine similarity, 0 to 1; 0.6 is about "visually related"; "auto" takes what the scope gives.
        limit: 1 to 500. percentiles: place every score among those of random pairs of the scope.
        folder_path: the folder to search, with all below it; None inherits the reference's, "/" is its whole dataset.
        dataset_names: look there instead: from `train` into `test`, say. recursive=False: not the folders below.
        objects, scenes, attributes, match: only images with these tags, as in `by_tag`. exact: compare every vector,
        whatever it takes. cursor: `next_cursor` of the page before, with the same question. The rows are a list that
        also says how they were found and where the next page begins: see `SearchResults`.
        Raises NotFoundError (no such image), ValidationError, EmbeddingFailed, NoBytes (a box of an image that was
        imported as a vector); waits for an image not yet embedded, and
        raises EmbeddingPending if that takes too long.
        """
        return self._transport.send(
            calls.by_similarity(image_id, box, Cut(threshold, limit, exact, cursor, percentiles), filters)
        )

    @filtered(DatasetFilters)
    def by_text(
        self,
        text: str,
        *,
        threshold: Threshold = DEFAULT_TEXT_THRESHOLD,
        limit: int = DEFAULT_LIMIT,
        exact: bool = False,
        cursor: str | None = None,
        percentiles: bool = False,
        **filters: Unpack[DatasetFilters],
    ) -> SearchResults[wire.SimilarImage]:
        """Finds images that show what the words say, by falling similarity.

        dataset_name: None searches the whole organization. folder_path: only this folder, with everything below it.
        threshold: least cosine, 0 to 1, on a scale of the encoder's own, lower than between pictures; 0 cuts nothing,
        "auto" what does not show what the words say. percentiles: place every score among those of ordinary words with
        pictures of the scope. limit: 1 to 500. objects, scenes, attributes, match: only images with these tags, as in
        `by_tag`. exact: compare every vector, whatever it takes. cursor: `next_cursor` of the page before, with the
        same question. The rows are a list that also says how they were found, whether anything fits the words, and
        where the next page begins: see `SearchResults`.
        Raises NotFoundError (no such dataset), ValidationError (the encoder has no text side).
        """
        return self._transport.send(calls.by_text(text, Cut(threshold, limit, exact, cursor, percentiles), filters))

    @filtered(DatasetFilters)
    def by_image(
        self,
        picture: PictureLike,
        *,
        box: BoxLike | None = None,
        threshold: Threshold = DEFAULT_THRESHOLD,
        limit: int = DEFAULT_LIMIT,
        exact: bool = False,
        cursor: str | None = None,
        percentiles: bool = False,
        **filters: Unpack[DatasetFilters],
    ) -> SearchResults[wire.SimilarImage]:
        """Finds images that look like a picture that is not stored, by falling similarity.

        picture: a path, a URL (this machine fetches it), the bytes of a file, an open file, a Pillow image, or a NumPy
        array (uint8, RGB). It is decoded and encoded like an upload, and nothing of it is kept.
        box: only this part of it, `{"x": 10, "y": 20, "width": 300, "height": 200}`, or these four numbers: pixels from
        the top left of the upright picture; with `"unit": "fraction"`, each side of the picture is 1.
        dataset_name: None searches the whole organization. threshold, limit, exact, percentiles and the filters as in
        `by_similarity`. cursor: `next_cursor` of the page before, with the same picture, which is encoded again.
        Raises BadImage, UnsupportedFormat, TooLarge as an upload does, ValidationError (a box outside), RateLimitError
        (many others ask), NotFoundError (no such dataset), OSError, ConnectionFailed (the picture cannot be read).
        """
        data = run_blocking(picture_bytes, picture)
        return self._transport.send(
            calls.by_image(data, box, Cut(threshold, limit, exact, cursor, percentiles), filters)
        )

    @filtered(DatasetFilters)
    def iterate_by_image(
        self,
        picture: PictureLike,
        *,
        box: BoxLike | None = None,
        threshold: Threshold = DEFAULT_THRESHOLD,
        exact: bool = False,
        percentiles: bool = False,
        page_size: int = MAX_LIMIT,
        **filters: Unpack[DatasetFilters],
    ) -> Iterator[wire.SimilarImage]:
        """Yields every image that `by_image` finds, however many; the picture is sent and encoded for each page."""
        data = run_blocking(picture_bytes, picture)
        yield from self._transport.each(
            lambda cursor: calls.by_image(data, box, Cut(threshold, page_size, exact, cursor, percentiles), filters)
        )

    @filtered(QueryFilters)
    def iterate_by_similarity(
        self,
        image_id: str,
        *,
        box: BoxLike | None = None,
        threshold: Threshold = DEFAULT_THRESHOLD,
        exact: bool = False,
        percentiles: bool = False,
        page_size: int = MAX_LIMIT,
        **filters: Unpack[QueryFilters],
    ) -> Iterator[wire.SimilarImage]:
        """Yields every image that `by_similarity` finds, however many, page by page; none comes twice."""
        return self._transport.each(
            lambda cursor: calls.by_similarity(
                image_id, box, Cut(threshold, page_size, exact, cursor, percentiles), filters
            )
        )

    @filtered(DatasetFilters)
    def iterate_by_text(
        self,
        text: str,
        *,
        threshold: Threshold = DEFAULT_TEXT_THRESHOLD,
        exact: bool = False,
        percentiles: bool = False,
        page_size: int = MAX_LIMIT,
        **filters: Unpack[DatasetFilters],
    ) -> Iterator[wire.SimilarImage]:
        """Yields every image that `by_text` finds, however many, page by page; none comes twice."""
        return self._transport.each(
            lambda cursor: calls.by_text(text, Cut(threshold, page_size, exact, cursor, percentiles), filters)
        )

    @filtered(DatasetFilters)
    def explain(
        self,
        *,
        image_id: str | None = None,
        text: str | None = None,
        threshold: Threshold | None = None,
        limit: int = DEFAULT_LIMIT,
        exact: bool = False,
        **filters: Unpack[DatasetFilters],
    ) -> wire.SearchExplanation:
        """Shows how a search by likeness (image_id) or words (text) is answered, and what all other ways take and find.

        It answers the question in each of them, so it costs all together. threshold: None is the search's own default.
        Raises ValidationError unless exactly one of image_id and text is given, and what the search itself raises.
        """
        return self._transport.send(calls.explain_search(image_id, text, Cut(threshold, limit, exact), filters))

    @filtered(DatasetFilters)
    def by_tag(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
        **filters: Unpack[DatasetFilters],
    ) -> TaggedResults:
        """Finds images whose automatic tags match, newest first.

        Tags in one category are OR'd (AND'd with match="all"), categories are AND'd. At least one must be given; an
        empty list matches nothing. dataset_name: None searches the whole organization. folder_path: only this folder,
        with all below it. limit: 1 to 500. cursor: `next_cursor` of the page before, with the same question. The rows
        are a list that also says how many there are in all: see `TaggedResults`.
        Raises ValidationError (no category given), NotFoundError (no such dataset).
        """
        return self._transport.send(calls.by_tag(filters, limit, offset, cursor))

    @filtered(QueryFilters)
    def export(
        self,
        path: str | PathLike[str],
        *,
        format: ExportFormat | None = None,
        saved: str | None = None,
        examples: Sequence[Example | str] = (),
        order_by: str | None = None,
        descending: bool = True,
        threshold: Threshold | None = None,
        top: int | None = None,
        exact: bool = False,
        overwrite: bool = False,
        resume: bool = True,
        link: bool = True,
        blob_folder: str | PathLike[str] | None = None,
        original_names: bool = False,
        spreadsheet_safe: bool = True,
        shard_images: int = SHARD_IMAGES,
        shard_bytes: int = SHARD_BYTES,
        workers: int = 8,
        progress: ExportProgress | bool | None = None,
        report: ExportReport | None = None,
        **filters: Unpack[QueryFilters],
    ) -> ExportReport:
        """Writes everything that a query finds: `csv`, `jsonl`, `list` (paths), `parquet`, `arrow` (with vectors), and
        with the pictures `folder`, `coco`, `webdataset`, `zip`.

        path: a file, or the folder that is made. format: None goes by the path's name, `.csv` for instance, a folder
        that is there, or else Parquet. examples, order_by, descending, threshold, top, exact and filters: as `query`
        takes them; or saved: the name of a saved query. The images are those that searches find, as they are when their
        page is read; those that are uploaded after the export began are not in it. Run it again after an interruption:
        what is there is not fetched again (resume=False begins anew; Parquet and zip always do).
        overwrite: files of others at the export's paths are replaced, which else stay and are told. link: where the
        library's blob store is on this disk (blob_folder, else where this machine's service has it), files are clones
        or read-only hard links; link=False copies. original_names: as they were before they were brought to one
        spelling. spreadsheet_safe: an apostrophe before cells of CSV that a spreadsheet would run. shard_images,
        shard_bytes: where a shard of WebDataset ends. workers: files at a time. progress: called with how many images
        are done, and how many there are; True shows a bar. report: an empty one of yours, to read how far it came if it
        is interrupted.
        Raises NotFoundError, ValidationError, ConflictError (something else is at the path), ConfigurationError (no
        pyarrow), OSError (no room).
        """
        order = calls.Order(order_by, descending, threshold, top, MAX_LIMIT, exact)
        file, question = given_path(path), calls.export_question(examples, order, filters)
        if saved is not None:
            calls.require_nothing_else(question)
            question = calls.saved_question(self._transport.send(calls.get_query(saved)))
        chosen = format_of(file, format)
        options = ExportOptions(
            overwrite=overwrite,
            resume=resume,
            link=link,
            blob_folder=given_path(blob_folder) if blob_folder is not None else None,
            original_names=original_names,
            spreadsheet_safe=spreadsheet_safe,
            shard_images=shard_images,
            shard_bytes=shard_bytes,
        )
        report = report or ExportReport(file)
        report.path, report.format = file, chosen
        if chosen == "zip":
            return self._export_zip(question, options, report)
        labels = (self._transport.send(calls.get_taxonomy())).labels if chosen == "coco" else []
        categories = tuple((label.category, label.name) for label in labels)
        asked = Asked(self._transport.config.base_url, question, categories)
        job = run_blocking(ExportJob, chosen, asked, options, report)
        return export_all(
            self._transport,
            job,
            lambda cursor: calls.export_page(question, job.page_size, cursor, vectors=job.output.wants_vectors),
            workers=workers,
            tell_page=told(progress, "Exporting"),
        )

    def _export_zip(self, question: calls.Json, options: ExportOptions, report: ExportReport) -> ExportReport:
        file = run_blocking(ZipFile, options, report)
        try:
            call = calls.export_zip(question, options.original_names)
            self._transport.send(call, patience=Patience(), sink=file)
            run_blocking(file.finish)
        finally:
            run_blocking(file.give_up)
        return report

    @filtered(DatasetFilters)
    def by_tag_page(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
        **filters: Unpack[DatasetFilters],
    ) -> wire.TagAnswer:
        """As `by_tag`, with what the answer says beside its rows: unknown tags, and the cursor of the next page."""
        page = self._transport.send(calls.by_tag(filters, limit, offset, cursor))
        return page.answer

    @filtered(DatasetFilters)
    def iterate_by_tag(
        self,
        *,
        page_size: int = 500,
        **filters: Unpack[DatasetFilters],
    ) -> Iterator[wire.TaggedImage]:
        """Yields every matching image, page by page; none is skipped or repeated when images are added meanwhile."""
        return self._transport.each(lambda cursor: calls.by_tag(filters, page_size, 0, cursor))

    @filtered(DatasetFilters)
    def tags(
        self,
        **filters: Unpack[DatasetFilters],
    ) -> wire.TagCounts:
        """Counts the tags that images carry, the most frequent first; leaves out archived images.

        objects, scenes, attributes, match: only images that `by_tag` finds with these are counted. dataset_name: None
        counts the whole organization. folder_path: only this folder, with everything below it.
        Raises NotFoundError (no such dataset).
        """
        return self._transport.send(calls.count_tags(filters))


class Tags:
    """The taxonomy of automatic tags, and the thresholds that decide who gets them.

    A key with role installation may change these: they hold for every organization.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def taxonomy(self) -> wire.Taxonomy:
        """Returns every label with its threshold, and whether the running tagger can judge it."""
        return self._transport.send(calls.get_taxonomy())

    def preview(
        self,
        label: str,
        *,
        threshold: float | None = None,
        category: TagCategory | None = None,
        dataset_name: str | None = None,
    ) -> wire.ThresholdPreview:
        """Counts how many images would gain or lose the tag with another threshold; changes nothing.

        threshold: None is the taxonomy's own. category: needed if several have the label. dataset_name: None looks at
        the whole organization. Raises NotFoundError (no such label or dataset), ValidationError (a threshold below the
        scores that are kept; several categories).
        """
        return self._transport.send(calls.preview_threshold(label, threshold, category, dataset_name))

    def apply(self, label: str, *, threshold: float, category: TagCategory | None = None) -> wire.ThresholdChange:
        """Sets the label's threshold and changes every tag that depends on it, for the whole installation.

        All of it or nothing; doing it again changes nothing more.
        Raises NotFoundError, ValidationError, ForbiddenError.
        """
        return self._transport.send(calls.apply_threshold(label, threshold, category))

    def reset(self, label: str, *, category: TagCategory | None = None) -> wire.ThresholdChange:
        """As `apply`, with the taxonomy's own threshold."""
        return self._transport.send(calls.reset_threshold(label, category))

    def update(self, *, progress: Callable[[wire.TagUpdate], None] | bool | None = None) -> wire.TagUpdate:
        """Updates tags that another version gave, without reading a picture again.

        Goes on where it stopped if it is called again. progress: called after each step, with `updated` counted from
        the beginning; True shows a bar. Raises ConflictError (the encoder brings no tagger), ForbiddenError.
        """
        tell_step = told(progress, "Updating tags")
        updated, cursor = 0, None
        while True:
            step = self._transport.send(calls.update_tags(cursor))
            updated, cursor = updated + step.updated, step.next_cursor
            so_far = step.model_copy(update={"updated": updated})
            if tell_step:
                tell_step(so_far)
            if cursor is None:
                return so_far


class Datasets:
    """Named sets of images. Every method that takes a dataset takes its name or its UUID."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, *, description: str | None = None) -> wire.Dataset:
        """Makes an empty dataset. Raises ConflictError if the name is taken."""
        return self._transport.send(calls.create_dataset(name, description))

    def list(self, *, limit: int = 100, offset: int = 0, cursor: str | None = None) -> ListPage[wire.Dataset]:
        """Lists one page of your datasets, newest first, and says how many there are: see `ListPage`.

        limit: 1 to 1000. cursor: `next_cursor` of the page before. offset: not stable while datasets come and go.
        """
        return self._transport.send(calls.list_datasets(limit, offset, cursor))

    def iterate(self) -> Iterator[wire.Dataset]:
        """Yields every dataset, newest first, page by page; none is skipped or repeated, whatever changes meanwhile."""
        return self._transport.each(lambda cursor: calls.list_datasets(1000, 0, cursor))

    def get(self, dataset: str) -> wire.Dataset:
        """Returns one dataset. Raises NotFoundError."""
        return self._transport.send(calls.get_dataset(dataset))

    def rename(self, dataset: str, new_name: str) -> wire.Dataset:
        """Renames the dataset. Raises NotFoundError, ConflictError."""
        return self._transport.send(calls.update_dataset(dataset, new_name, None))

    def describe(self, dataset: str, description: str) -> wire.Dataset:
        """Changes the dataset's description. Raises NotFoundError."""
        return self._transport.send(calls.update_dataset(dataset, None, description))

    def delete(self, dataset: str) -> wire.DeletedDataset:
        """Removes the dataset with all its images, for good. Raises NotFoundError, ForbiddenError (below admin)."""
        return self._transport.send(calls.delete_dataset(dataset))

    def name_changes(self, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.NameChange]:
        """Names that an upgrade brought to one spelling (Unicode's NFC), and what they were, newest first.

        Of datasets, folders, images and keys; where two became one, the newer has ` (2)`. limit: 1 to 1000.
        """
        return self._transport.send(calls.name_changes(limit, cursor))

    def progress(self, dataset: str) -> wire.Progress:
        """Counts how many of its images wait, can be found, or failed. Raises NotFoundError."""
        return self._transport.send(calls.dataset_progress(dataset))

    def history(self, dataset: str, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Write]:
        """Lists who made, renamed and described the dataset, and when, newest first.

        limit: 1 to 1000. cursor: `next_cursor` of the page before. Raises NotFoundError.
        """
        return self._transport.send(calls.history_of_dataset(dataset, limit, cursor))

    def retry_failed(self, dataset: str) -> int:
        """Processes the failed images again; returns how many. Raises NotFoundError, ForbiddenError (below member)."""
        return self._transport.send(calls.retry_failed_images(dataset))

    def near_duplicates(
        self,
        dataset: str,
        *,
        folder_path: str | None = None,
        against: str | None = None,
        against_folder: str | None = None,
        threshold: float | None = None,
        hash_distance: int | None = None,
        limit: int = 50,
        members: int = 100,
        cursor: str | None = None,
        wait: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> DuplicateGroups:
        """Finds groups of near-duplicates: each image of a group is one of its representative, the one to keep.

        for group in client.datasets.near_duplicates("street"):
            print(group.representative.filename, group.because, [image.filename for image in group.others])

        against: another dataset (with `against_folder`, a folder of it); then only images that are near-duplicates of
        one there: what of `test` is in `train` too? threshold: the similarity of vectors that suffices alone, 0.5 to 1;
        None is 0.96. hash_distance: in how many of 64 bits perceptual hashes may differ, 0 to 16; None is 10. limit: 1
        to 200 groups; members: 2 to 1000 images listed of each. cursor: `next_cursor` of the page before.

        wait: large places are worked on in the background the first time; True waits for that, and calls `progress`
        with images done and to be done. Raises NotFoundError.
        """
        asked = calls.DuplicatesAsked(folder_path, against, against_folder, threshold, hash_distance)
        while True:
            found = self._transport.send(calls.near_duplicates(dataset, asked, limit, members, cursor))
            if progress:
                progress(found.answer.done, found.answer.total)
            if found.state != "running" or not wait:
                return found
            pause(POLL_S)

    def decide_duplicates(
        self,
        images: calls.Pictured | Iterable[calls.Pictured],
        decision: Literal["not_duplicates", "keep"],
        *,
        take_back: bool = False,
    ) -> wire.DuplicateDecided:
        """Remembers that no two of these images are near-duplicates, or that each is to be kept. By id or by row.

        take_back: takes that back. At most 100 images. Raises NotFoundError, ValidationError.
        """
        return self._transport.send(calls.decide_duplicates(images, decision, take_back))

    def import_vectors(
        self,
        dataset: str,
        sources: VectorSource | Sequence[VectorSource],
        *,
        encoder: str | None = None,
        replace: bool = False,
        create_if_missing: bool = True,
        workers: int = 2,
        progress: Callable[[ImportReport], None] | bool | None = None,
        report: ImportReport | None = None,
    ) -> ImportReport:
        """Stores vectors that the service's encoder made elsewhere; run it again to go on where it stopped.

        sources: a Parquet or Arrow file, a list of them, or a Table of pyarrow, with the columns `filename` and
        `folder_path` (or `path`, or `id`) and `vector`; those of an export may follow: `objects`, `scenes`,
        `attributes`, `width`, `height`, `file_size`, `content_type`, `created_at`. encoder: fingerprint of what made
        the vectors, as `ready().fingerprint` names it; None takes what the file says. Images that come so are found at
        once; they have no bytes. What is there already is skipped, what differs is in the report's `different`, unless
        replace=True: then images without bytes get the vectors, tags and facts of their rows. Rows go in requests of
        some thousands, each stored as a whole or not at all, `workers` at a time. progress: called after each; True
        shows a bar. A service that is busy or starts again is waited for, up to ten minutes. report: an empty one of
        yours, to read what has arrived when the call is interrupted. Needs pyarrow (the extra `vectors`).
        Raises ValidationError (another encoder, unknown tags, a wrong row, which it names with its column),
        ConfigurationError (no pyarrow), NotFoundError, ...
        """
        files = run_blocking(open_sources, sources, encoder)
        if create_if_missing:
            ensure_dataset(self._transport, dataset)
        report = begun_import(report, dataset, files)
        tell_batch, patience = told(progress, "Importing"), Patience()

        def send(batch: VectorBatch) -> wire.ImportedVectors:
            return self._transport.send(calls.import_vectors(dataset, batch, replace), patience=patience)

        parts = chain.from_iterable(map(batches_of, files))
        with closing(side_by_side(send, parts, workers, patience.stopped)) as outcomes:
            for batch, outcome in outcomes:
                note(report, batch, outcome, tell_batch)
        return report

    @filtered(Filters)
    def export_vectors(
        self,
        dataset: str,
        path: str | PathLike[str],
        *,
        file_format: FileFormat | None = None,
        progress: Callable[[int, int | None], None] | bool | None = None,
        **filters: Unpack[Filters],
    ) -> ExportReport:
        """Writes images with vectors, names, tags and facts into a file that `import_vectors` takes again.

        The newest come first. folder_path: only this folder, with everything below it. objects, scenes, attributes,
        match: only images with these tags, as in `by_tag`. file_format: None goes by the name, Arrow's file format for
        `.arrow`, else Parquet. progress: called after each page with how many rows are written, and how many there are;
        True shows a bar. The file gets its name when it is whole. Needs pyarrow (the extra `vectors`).
        Raises NotFoundError (no such dataset or folder), ValidationError (an unknown tag; a reindex in between),
        ConfigurationError (no pyarrow), OSError.
        """
        file = given_path(path)
        chosen = file_format or ("arrow" if file.suffix == ".arrow" else "parquet")
        if chosen not in ("parquet", "arrow"):
            raise wrong_value("file_format", f"A file of vectors is parquet or arrow, not {file_format!r}.")
        asked, report = Asked(self._transport.config.base_url, {}), ExportReport(file, format=chosen)
        job = run_blocking(ExportJob, chosen, asked, ExportOptions(overwrite=True), report)
        return export_all(
            self._transport,
            job,
            lambda cursor: calls.export_vectors(dataset, filters, cursor),
            tell_page=told(progress, "Exporting"),
        )

    def wait_until_processed(
        self,
        dataset: str,
        *,
        timeout: float | None = None,
        progress: Callable[[wire.Progress], None] | bool | None = None,
    ) -> wire.Progress:
        """Returns when no image of the dataset waits any more.

        timeout: seconds; None waits forever. progress: called with each count, four times a second; True shows a bar.
        A service that starts again meanwhile is waited for, up to ten minutes.
        Raises TimeoutError, NotFoundError.
        """
        tell_counts = told(progress, "Processing")
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        patience = Patience(LONGEST_BUSY_S if timeout is None else min(timeout, LONGEST_BUSY_S))
        while True:
            counts = self._transport.send(calls.dataset_progress(dataset), patience=patience)
            if tell_counts:
                tell_counts(counts)
            if counts.done:
                return counts
            if time.monotonic() > deadline:
                raise TimeoutError(f"{counts.received} images of {dataset!r} still wait after {timeout} s.")
            pause(POLL_S)


class Images:
    """Pictures in datasets."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        dataset_name: str,
        file: str | PathLike[str] | bytes,
        *,
        folder_path: str = "/",
        filename: str | None = None,
        replace: bool = False,
    ) -> wire.Image:
        """Stores one picture; when this returns, it cannot be lost, and is found once it is processed.

        file: a path, or the bytes (then `filename` is needed). The format is read from the bytes, not from the name.
        replace: an image of this folder and name keeps its id, labels and corrections, and gets these bytes; its old
        ones answer until the new ones are ready, and stay if those fail: see its `replacement`.
        Raises ConflictError (name taken in that folder), NotFoundError, UnsupportedFormat, BadImage, TooLarge.
        """
        data, name = run_blocking(read_file, file, filename)
        return self._transport.send(calls.upload_image(dataset_name, name, folder_path, data, replace))

    def upload_from_directory(
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
        progress: Progress | bool | None = None,
        report: UploadReport | None = None,
    ) -> UploadReport:
        """Uploads every picture below a directory; run it again to go on where it stopped.

        It recognizes pictures by their first bytes, whatever their names, and follows links to folders, each once.
        What is left aside (no picture, a kind that is not read, hidden, unreadable) is in the report's `left_aside`.
        preserve_structure: sub-directories become folders. skip_existing: of the files whose folder and name are
        taken, those with the same bytes are `skipped`, or `restored` if that image is archived; the others are
        `different`, and nothing is sent of them, unless replace=True: then those images keep their ids and get the
        files' bytes (`replaced`). workers: uploads at a time. progress: called after each file, in this thread, with
        how many are done, how many there are, and the name; True shows a bar. A file that is refused is in the report's
        `failures` and stops nothing else. A service that is busy or starts again (429, 502, 503, no connection) is
        waited for, up to ten minutes for a file. report: an empty one of yours, to read what has arrived when the call
        is interrupted.
        Raises ValidationError (no such directory, no pictures), AuthError, ConnectionFailed, ...
        """
        found = run_blocking(local_files, given_path(directory), folder_path, preserve_structure=preserve_structure)
        if create_if_missing:
            ensure_dataset(self._transport, dataset_name)
        report, tell_file = begun(report, dataset_name, found), told(progress, "Uploading")
        for batch in batches(one_of_each_place(found.files, report)):
            patience = Patience()
            to_do = Verdicts(list(batch))
            if skip_existing or replace:
                to_do = self._sort_out(dataset_name, batch, report, replace=replace)
            tell(report, batch[-1], tell_file)
            for file, image in to_do.restore:
                outcome = self._try(calls.restore_image(image.id), patience)
                settle(report, file, outcome, restored=True, progress=tell_file)
            taken: list[tuple[LocalFile, ConflictError]] = []
            work = partial(self._try_upload, dataset_name, patience=patience)
            with closing(side_by_side(work, to_do.send, workers, patience.stopped)) as outcomes:
                for file, outcome in outcomes:
                    if isinstance(outcome, ConflictError) and skip_existing:
                        taken.append((file, outcome))  # by another upload, since the server was asked
                    else:
                        settle(report, file, outcome, progress=tell_file)
            others = [file for file, _ in taken]
            still = self._sort_out(dataset_name, others, report) if taken else Verdicts()
            for file, conflict in taken:
                if file in still.send:
                    settle(report, file, conflict, progress=tell_file)
        return report

    def _sort_out(
        self, dataset_name: str, files: Sequence[LocalFile], report: UploadReport, *, replace: bool = False
    ) -> Verdicts:
        """Asks which places are taken, and by what: that beats sending bytes that come back as a conflict."""
        asked = askable(files)
        question = calls.which_exist(dataset_name, [place_of(file) for file in asked])
        known = self._transport.send(question, patience=Patience())
        return run_blocking(sort_out, files, asked, known, report, replace=replace)

    def _try(self, call: calls.Call[wire.Image], patience: Patience) -> wire.Image | Exception:
        try:
            return self._transport.send(call, patience=patience)
        except PictographError as error:
            return error

    def _try_upload(self, dataset_name: str, file: LocalFile, patience: Patience) -> wire.Image | Exception:
        try:
            data, name = run_blocking(read_file, file.path, file.filename)
            call = calls.upload_image(dataset_name, name, file.folder_path, data, file.replaces)
            return self._transport.send(call, patience=patience)
        except (PictographError, OSError) as error:
            return error

    def list(
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
        """Lists one page of a dataset's images, newest first, and says how many there are: see `ListPage`.

        folder_path: exactly this folder. state: "failed" tells what could not be processed; each says why in `reason`.
        limit: 1 to 1000. cursor: `next_cursor` of the page before, with the same filters. offset: not stable while
        images come and go. Raises NotFoundError.
        """
        call = calls.list_images(dataset_name, folder_path, filename, state, include_archived, limit, offset, cursor)
        return self._transport.send(call)

    def which_exist(self, dataset_name: str, places: Sequence[tuple[str, str]]) -> Sequence[wire.KnownImage]:
        """Looks up the images at these places (folder, filename), also archived ones; leaves out places without one.

        At most 1000 places; each answer says by `position` which it is of. Raises NotFoundError (no such dataset).
        """
        return self._transport.send(calls.which_exist(dataset_name, places))

    def iterate(
        self,
        dataset_name: str,
        *,
        folder_path: str | None = None,
        state: ImageState | None = None,
        include_archived: bool = False,
    ) -> Iterator[wire.Image]:
        """Every image of a dataset, newest first, page by page; none is skipped or repeated whatever comes or goes."""
        return self._transport.each(
            lambda cursor: calls.list_images(dataset_name, folder_path, None, state, include_archived, 1000, 0, cursor)
        )

    def get(self, image_id: str) -> wire.Image:
        """Returns everything about one image, including the scores of its tags. Raises NotFoundError."""
        return self._transport.send(calls.get_image(image_id))

    def download(self, image_id: str) -> bytes:
        """Returns the file, exactly as it was uploaded. Raises NotFoundError."""
        return self._transport.send(calls.download_image(image_id))

    def thumbnail(self, image_id: str) -> bytes:
        """Returns a small upright JPEG of it, 320 px on its longer side. Raises NotFoundError, BadImage."""
        return self._transport.send(calls.thumbnail_of_image(image_id))

    def delete(self, image_id: str, *, permanent: bool = False) -> None:
        """Archives the image: no search finds it, and `restore` brings it back. permanent=True removes it for good."""
        self._transport.send(calls.delete_image(image_id, permanent))

    def history(self, image_id: str, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Write]:
        """Lists who wrote the image, and when, newest first; the history is deleted with the image.

        limit: 1 to 1000. cursor: `next_cursor` of the page before. Raises NotFoundError.
        """
        return self._transport.send(calls.history_of_image(image_id, limit, cursor))

    def restore(self, image_id: str) -> wire.Image:
        """Brings an archived image back into every search. Raises NotFoundError."""
        return self._transport.send(calls.restore_image(image_id))


def export_all(
    transport: Transport,
    job: ExportJob,
    call_of: Callable[[str | None], calls.Call[Page]],
    *,
    workers: int = 1,
    tell_page: ExportProgress | None = None,
) -> ExportReport:
    """Walks through every page of an export. call_of: what asks for the page at a cursor."""
    cursor, report = job.output.cursor, job.report
    try:
        while True:
            try:
                page = transport.send(call_of(cursor), patience=Patience())
            except ValidationError:
                if cursor is None or cursor != job.output.cursor:
                    raise
                cursor = None  # that of an earlier run is too old
                run_blocking(job.begin_again)
                continue
            wanted, patience = run_blocking(job.begin, page), Patience(LONGEST_FOR_FILE_S)
            work = partial(fetch, transport, job, patience)
            with closing(side_by_side(work, wanted, workers, patience.stopped)) as outcomes:
                for file, outcome in outcomes:
                    run_blocking(job.settle, file, outcome)
                    if tell_page and report.done != report.total:
                        tell_page(report.done, report.total)
            run_blocking(job.end, page)
            if tell_page:
                tell_page(report.done, report.total)
            cursor = page.next_cursor
            if cursor is None:
                return run_blocking(job.finish)
    finally:
        run_blocking(job.give_up)


def fetch(transport: Transport, job: ExportJob, patience: Patience, wanted: WantedFile) -> Arrived:
    """The bytes of one image, from this machine or from the service."""
    here = run_blocking(job.receive_here, wanted)
    if here is not None:
        return here
    data = transport.send(calls.download_image(wanted.row.image_id), patience=patience)
    return run_blocking(job.receive, wanted, data)


def ensure_dataset(transport: Transport, name: str) -> None:
    """Makes the dataset if there is none of that name."""
    try:
        transport.send(calls.get_dataset(name))
    except NotFoundError:
        transport.send(calls.create_dataset(name, None))


class Queries:
    """Queries by name, to be asked again. Answers are not kept: a query that runs finds what there is then."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @filtered(QueryFilters)
    def save(
        self,
        name: str,
        *,
        examples: Sequence[Example | str] = (),
        order_by: str | None = None,
        descending: bool = True,
        threshold: Threshold | None = None,
        top: int | None = None,
        limit: int = DEFAULT_LIMIT,
        exact: bool = False,
        **filters: Unpack[QueryFilters],
    ) -> wire.SavedQuery:
        """Saves a query under a name, in place of what had it; everything else is as `search.query` takes it.

        client.queries.save("large cars", objects=["car"], order_by="width")
        rows = client.queries.run("large cars")
        """
        order = calls.Order(order_by, descending, threshold, top, limit, exact)
        return self._transport.send(calls.save_query(name, examples, order, filters))

    def list(self, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.SavedQuery]:
        """Lists your saved queries, newest first. limit: 1 to 1000. cursor: `next_cursor` of the page before."""
        return self._transport.send(calls.list_queries(limit, cursor))

    def iterate(self) -> Iterator[wire.SavedQuery]:
        """Yields every saved query, newest first, page by page."""
        return self._transport.each(lambda cursor: calls.list_queries(1000, cursor))

    def get(self, name: str) -> wire.SavedQuery:
        """Returns one, by name or id. Raises NotFoundError."""
        return self._transport.send(calls.get_query(name))

    def delete(self, name: str) -> wire.SavedQuery:
        """Forgets it, and returns what it was. Raises NotFoundError."""
        return self._transport.send(calls.delete_query(name))

    def run(self, name: str, *, limit: int | None = None, cursor: str | None = None) -> SearchResults[wire.QueryRow]:
        """Asks a saved query. limit: 1 to 500; None as it was saved. cursor: `next_cursor` of the page before.

        Raises NotFoundError, ConflictError (it cannot be asked any more), and whatever `search.query` raises.
        """
        return self._transport.send(calls.run_query(name, limit, cursor))

    def iterate_run(self, name: str, *, page_size: int = MAX_LIMIT) -> Iterator[wire.QueryRow]:
        """Yields every image that a saved query finds, page by page; none comes twice."""
        return self._transport.each(lambda cursor: calls.run_query(name, page_size, cursor))


class Collections:
    """Sets of images by name, across the datasets of your organization.

    An image is in a collection until it is taken out or deleted for good; an archived one is left out until restored.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str) -> wire.Collection:
        """Makes an empty collection. Raises ConflictError if the name is taken."""
        return self._transport.send(calls.create_collection(name))

    def list(self, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Collection]:
        """Lists your collections, newest first. limit: 1 to 1000. cursor: `next_cursor` of the page before."""
        return self._transport.send(calls.list_collections(limit, cursor))

    def iterate(self) -> Iterator[wire.Collection]:
        """Yields every collection, newest first, page by page."""
        return self._transport.each(lambda cursor: calls.list_collections(1000, cursor))

    def get(self, collection: str) -> wire.Collection:
        """Returns one, by name or id. Raises NotFoundError."""
        return self._transport.send(calls.get_collection(collection))

    def rename(self, collection: str, new_name: str) -> wire.Collection:
        """Gives it another name. Raises NotFoundError, ConflictError if the name is taken."""
        return self._transport.send(calls.rename_collection(collection, new_name))

    def delete(self, collection: str) -> wire.Collection:
        """Removes the collection, not its images, and returns what it was. Raises NotFoundError."""
        return self._transport.send(calls.delete_collection(collection))

    def add(self, collection: str, images: calls.Pictured | Iterable[calls.Pictured]) -> wire.CollectionChange:
        """Adds images by id or by row, of any dataset; those that are in it stay.

        found = client.search.by_text("a dog on a beach")
        client.collections.add("dogs", found)

        In requests of a thousand images. Raises NotFoundError if an image does not exist: none of its request is added.
        """
        return self._change(images, lambda ids: calls.add_to_collection(collection, ids))

    def remove(self, collection: str, images: calls.Pictured | Iterable[calls.Pictured]) -> wire.CollectionChange:
        """Takes images out, by id or by row; they stay in their datasets."""
        return self._change(images, lambda ids: calls.remove_from_collection(collection, ids))

    def images(self, collection: str, *, limit: int = 100, cursor: str | None = None) -> ListPage[wire.Image]:
        """Lists its images, the last added first. limit: 1 to 1000. cursor: `next_cursor` of the page before."""
        return self._transport.send(calls.collection_images(collection, limit, cursor))

    def iterate_images(self, collection: str) -> Iterator[wire.Image]:
        """Yields every image of it, the last added first, page by page."""
        return self._transport.each(lambda cursor: calls.collection_images(collection, 1000, cursor))

    def _change(
        self,
        images: calls.Pictured | Iterable[calls.Pictured],
        call_of: Callable[[Sequence[str]], calls.Call[wire.CollectionChange]],
    ) -> wire.CollectionChange:
        ids, changed, unchanged = calls.ids_of(images), 0, 0
        for start in range(0, len(ids), MAX_MEMBERS_SENT):
            done = self._transport.send(call_of(ids[start : start + MAX_MEMBERS_SENT]))
            changed, unchanged = changed + done.changed, unchanged + done.unchanged
        return wire.CollectionChange(changed=changed, unchanged=unchanged)


class Keys:
    """API keys of your organization. Needs an admin key."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int = 1000, cursor: str | None = None) -> ListPage[wire.ApiKey]:
        """Lists your keys, oldest first, including revoked ones, without their secrets.

        limit: 1 to 1000. cursor: `next_cursor` of the page before.
        """
        return self._transport.send(calls.list_keys(limit, cursor))

    def iterate(self) -> Iterator[wire.ApiKey]:
        """Yields every key, oldest first, page by page."""
        return self._transport.each(lambda cursor: calls.list_keys(1000, cursor))

    def create(self, name: str, *, role: Role = "member", expires_at: datetime | None = None) -> wire.CreatedApiKey:
        """Makes a key. Store its `api_key`: nothing can show it again.

        role: at most your own. expires_at: with a time zone; None never ends. Raises ForbiddenError, ValidationError.
        """
        return self._transport.send(calls.create_key(name, role, expires_at))

    def revoke(self, key_id: str) -> None:
        """Revokes the key: it stops working at once.

        Raises NotFoundError, ForbiddenError (its role is above yours), ConflictError (it is the key you ask with).
        """
        self._transport.send(calls.revoke_key(key_id))

    def end_signed_urls(self) -> None:
        """Ends every `thumbnail_url` and `image_url` that was given out, whoever has it; later answers carry new ones.

        Needs a key with role installation. Raises ForbiddenError.
        """
        self._transport.send(calls.end_signed_urls())


class Reindex:
    """Moves the library to another encoder while searches go on. Needs a key with role installation."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def status(self) -> wire.Reindex:
        """Shows how far the reindex is; without one, which encoder the library has."""
        return self._transport.send(calls.reindex_status())

    def start(self, encoder: str, *, pace: float = 1.0) -> wire.Reindex:
        """Starts a reindex, changes its pace, or tries again what failed.

        encoder: a name or a folder on the server, as for `pictograph serve --encoder`. pace: share of the time, above
        0 up to 1, that its workers work. To go back: `start(client.reindex.status().previous.source)`.
        Raises ValidationError if there is no such encoder, ConflictError if the library has it, or is on its way to
        another one.
        """
        return self._transport.send(calls.start_reindex(encoder, pace))

    def accept_failures(self) -> wire.Reindex:
        """Finishes it although searches will no longer find the images in `new_failures`. Raises ConflictError."""
        return self._transport.send(calls.accept_reindex_failures())

    def cancel(self) -> wire.Reindex:
        """Cancels it; the library stays as it is, and a later start goes on from there. Raises ConflictError."""
        return self._transport.send(calls.cancel_reindex())

    def forget_previous(self) -> int:
        """Deletes what encoders that are not in use have made; returns how many. There is no way back."""
        return self._transport.send(calls.forget_previous_spaces())
