"""What each method sends and what it makes of the answer: shared by the two clients, which add only the waiting."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

import httpx
import pydantic

from pictograph import wire
from pictograph.client.examples import Example, example_bodies
from pictograph.client.exporting.page import Page, of_rows, of_vectors
from pictograph.client.filters import DatasetFilters, Filters, QueryFilters, filter_json, filter_query
from pictograph.client.pictures import BoxLike, box_query
from pictograph.client.results import DuplicateGroups, ListPage, SearchResults, TaggedResults
from pictograph.client.retry import parse_retry_after
from pictograph.client.vectors import VectorBatch
from pictograph.errors import (
    ApiError,
    ConfigurationError,
    ConnectionFailed,
    NotFoundError,
    PictographError,
    ServerError,
    ValidationError,
    error_class_for,
    wrong_value,
)
from pictograph.network import Route
from pictograph.types import AUTO, ImageState, Role, TagCategory, Threshold
from pictograph.wire.vectors import ARROW_STREAM

Result_co = TypeVar("Result_co", covariant=True)
Row_co = TypeVar("Row_co", covariant=True)
Model = TypeVar("Model", bound=pydantic.BaseModel)
Query = Sequence[tuple[str, str]]
Pictured: TypeAlias = str | uuid.UUID | wire.SearchRow | wire.Image | wire.DuplicateImage
"""An image: its id, or a row of a list or a search."""
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


Json: TypeAlias = Mapping[str, Any]


class Sink(Protocol):
    """Takes the body of an answer as it comes."""

    def begin_again(self) -> None:
        """What came so far does not count."""

    def write(self, data: bytes) -> None:
        """The next piece."""


class Rows(Protocol[Row_co]):
    """Some rows, and where the next ones begin."""

    next_cursor: str | None

    def __iter__(self) -> Iterator[Row_co]: ...


@dataclass(frozen=True, slots=True)
class Call(Generic[Result_co]):
    """One request, and how to read its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], Result_co]
    query: Query = ()
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    file: tuple[str, bytes] | None = None
    """Filename and bytes of the picture in a form."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    """A body that is neither JSON nor a form; `headers` say what it is."""

    def with_idempotency_key(self) -> Call[Result_co]:
        """The same key on every retry, so that a write whose answer was lost is not done twice."""
        if self.method not in WRITING:
            return self
        headers = {**self.headers, "Idempotency-Key": uuid.uuid4().hex}
        return replace(self, headers=headers)

    def arguments(self) -> dict[str, Any]:
        """For httpx's `request`."""
        arguments: dict[str, Any] = {"headers": dict(self.headers)}
        if self.query:
            arguments["params"] = list(self.query)
        if self.json is not None:
            arguments["json"] = self.json
        if self.content is not None:
            arguments["content"] = self.content
        if self.file is not None:
            arguments |= {"data": dict(self.form or {}), "files": {"file": self.file}}
        return arguments


@dataclass(frozen=True, slots=True)
class Cut:
    """Which of the ordered images are wanted, and whether only an exact answer will do."""

    threshold: Threshold | None
    limit: int
    exact: bool
    cursor: str | None = None
    percentiles: bool = False
    """Whether every score is placed among those of random pairs."""

    @property
    def query(self) -> list[tuple[str, str]]:
        """As the service takes it."""
        least = self.threshold if self.threshold in (None, AUTO) else repr(float(self.threshold))
        whole, placed = ("true" if wanted else None for wanted in (self.exact, self.percentiles))
        part = ("threshold", least), ("limit", str(self.limit)), ("exact", whole), ("cursor", self.cursor)
        return given(*part, ("percentiles", placed))


def by_image(
    data: bytes, box: BoxLike | None, part: Cut, filters: DatasetFilters
) -> Call[SearchResults[wire.SimilarImage]]:
    query = [*box_query(box), *part.query, *filter_query(filters, DatasetFilters)]
    return Call(
        "POST",
        api("search", "by-image"),
        lambda r: results(parse(wire.PictureAnswer, r)),
        query,
        headers={"Content-Type": "application/octet-stream"},
        content=data,
    )


def by_similarity(
    image_id: str, box: BoxLike | None, part: Cut, filters: QueryFilters
) -> Call[SearchResults[wire.SimilarImage]]:
    query = [("image_id", str(image_id)), *box_query(box), *part.query, *filter_query(filters, QueryFilters)]
    return Call("GET", api("search", "similar"), lambda r: results(parse(wire.SimilarAnswer, r)), query)


def by_text(text: str, part: Cut, filters: DatasetFilters) -> Call[SearchResults[wire.SimilarImage]]:
    query = [("text", text), *part.query, *filter_query(filters, DatasetFilters)]
    return Call("GET", api("search", "by-text"), lambda r: results(parse(wire.TextAnswer, r)), query)


@dataclass(frozen=True, slots=True)
class Order:
    """How a query orders its rows, and which of them it wants."""

    order_by: str | None
    descending: bool
    threshold: Threshold | None
    top: int | None
    limit: int
    exact: bool = False
    count_only: bool = False
    percentiles: bool = False


def query_search(
    examples: Sequence[Mapping[str, Any]], order: Order, cursor: str | None, filters: QueryFilters
) -> Call[SearchResults[wire.QueryRow]]:
    body = {
        "examples": examples,
        "filter": filter_json(filters, QueryFilters),
        "cursor": cursor,
        **asdict(order),
    }
    return Call("POST", api("search", "query"), lambda r: query_results(parse(wire.QueryAnswer, r)), json=body)


def save_query(
    name: str, examples: Sequence[Example | str], order: Order, filters: QueryFilters
) -> Call[wire.SavedQuery]:
    body = {"examples": example_bodies(examples), "filter": filter_json(filters, QueryFilters), **asdict(order)}
    return Call("PUT", saved_query_path(name), one_saved_query, json=body)


def list_queries(limit: int, cursor: str | None) -> Call[ListPage[wire.SavedQuery]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", api("queries", ""), lambda r: listed(parse(wire.Page[wire.SavedQuery], r)), query)


def get_query(name: str) -> Call[wire.SavedQuery]:
    return Call("GET", saved_query_path(name), one_saved_query)


def delete_query(name: str) -> Call[wire.SavedQuery]:
    return Call("DELETE", saved_query_path(name), one_saved_query)


def run_query(name: str, limit: int | None, cursor: str | None) -> Call[SearchResults[wire.QueryRow]]:
    body = {"limit": limit, "cursor": cursor}
    path = saved_query_path(name, "run")
    return Call("POST", path, lambda r: query_results(parse(wire.QueryAnswer, r)), json=body)


def one_saved_query(response: httpx.Response) -> wire.SavedQuery:
    return parse(wire.Data[wire.SavedQuery], response).data


def saved_query_path(name: str, *rest: str) -> str:
    """Path of one saved query, by name or UUID. Raises NotFoundError for names that a path would lose."""
    if str(name) in ("", ".", ".."):
        raise NotFoundError(f"There is no saved query {name!r}.")
    return api("queries", str(name), *rest)


def explain_search(
    image_id: str | None, text: str | None, part: Cut, filters: DatasetFilters
) -> Call[wire.SearchExplanation]:
    query = given(("image_id", None if image_id is None else str(image_id)), ("text", text))
    query += part.query + filter_query(filters, DatasetFilters)
    return Call("GET", api("search", "explain"), lambda r: parse(wire.SearchExplanation, r), query)


def by_tag(filters: DatasetFilters, limit: int, offset: int = 0, cursor: str | None = None) -> Call[TaggedResults]:
    query = paging(limit, offset, cursor) + filter_query(filters, DatasetFilters)
    return Call("GET", api("search", "by-tags"), lambda r: TaggedResults(parse(wire.TagAnswer, r)), query)


def count_tags(filters: DatasetFilters) -> Call[wire.TagCounts]:
    query = filter_query(filters, DatasetFilters)
    return Call("GET", api("search", "tags"), lambda r: parse(wire.TagCounts, r), query)


def get_taxonomy() -> Call[wire.Taxonomy]:
    return Call("GET", api("tags"), lambda r: parse(wire.Taxonomy, r))


def preview_threshold(
    label: str, threshold: float | None, category: TagCategory | None, dataset_name: str | None
) -> Call[wire.ThresholdPreview]:
    asked = None if threshold is None else repr(float(threshold))
    optional = (("threshold", asked), ("category", category), ("dataset_name", dataset_name))
    query = [("label", label), *((name, value) for name, value in optional if value is not None)]
    return Call("GET", api("tags", "preview"), lambda r: parse(wire.ThresholdPreview, r), query)


def apply_threshold(label: str, threshold: float, category: TagCategory | None) -> Call[wire.ThresholdChange]:
    body = {"label": sendable("label", label), "threshold": finite(threshold), "category": category}
    return Call("POST", api("tags", "apply"), lambda r: parse(wire.ThresholdChange, r), json=body)


def finite(threshold: float) -> float:
    """The threshold as JSON can hold it."""
    if not math.isfinite(threshold):
        message = f"threshold must be a number between 0 and 1, not {threshold}."
        raise wrong_value("threshold", message)
    return float(threshold)


def reset_threshold(label: str, category: TagCategory | None) -> Call[wire.ThresholdChange]:
    body = {"label": sendable("label", label), "category": category}
    return Call("POST", api("tags", "reset"), lambda r: parse(wire.ThresholdChange, r), json=body)


def update_tags(cursor: str | None) -> Call[wire.TagUpdate]:
    query = [("cursor", cursor)] if cursor else []
    return Call("POST", api("tags", "update"), lambda r: parse(wire.TagUpdate, r), query)


def results(answer: wire.SimilarAnswer | wire.TextAnswer | wire.PictureAnswer) -> SearchResults[wire.SimilarImage]:
    return SearchResults(answer.results, answer)


def query_results(answer: wire.QueryAnswer) -> SearchResults[wire.QueryRow]:
    return SearchResults(answer.results, answer)


def given(*pairs: tuple[str, str | None]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in pairs if value is not None]


def list_datasets(limit: int, offset: int = 0, cursor: str | None = None) -> Call[ListPage[wire.Dataset]]:
    query = paging(limit, offset, cursor)
    return Call("GET", api("datasets", ""), lambda r: listed(parse(wire.Page[wire.Dataset], r)), query)


def create_dataset(name: str, description: str | None) -> Call[wire.Dataset]:
    body = {"name": name, "description": description}
    return Call("POST", api("datasets", ""), lambda r: parse(wire.Data[wire.Dataset], r).data, json=body)


def get_dataset(dataset: str) -> Call[wire.Dataset]:
    return Call("GET", dataset_path(dataset), lambda r: parse(wire.Data[wire.Dataset], r).data)


def update_dataset(dataset: str, new_name: str | None, description: str | None) -> Call[wire.Dataset]:
    body = {key: value for key, value in (("new_name", new_name), ("description", description)) if value is not None}
    return Call("PATCH", dataset_path(dataset), lambda r: parse(wire.Data[wire.Dataset], r).data, json=body)


def delete_dataset(dataset: str) -> Call[wire.DeletedDataset]:
    return Call("DELETE", dataset_path(dataset), lambda r: parse(wire.Data[wire.DeletedDataset], r).data)


def dataset_progress(dataset: str) -> Call[wire.Progress]:
    return Call("GET", dataset_path(dataset, "progress"), lambda r: parse(wire.Data[wire.Progress], r).data)


def retry_failed_images(dataset: str) -> Call[int]:
    return Call("POST", dataset_path(dataset, "retry-failed"), lambda r: parse(wire.Data[wire.Retried], r).data.images)


def import_vectors(dataset: str, batch: VectorBatch, replace: bool) -> Call[wire.ImportedVectors]:
    query = [("encoder", batch.encoder), *([("replace", "true")] if replace else [])]
    return Call(
        "POST",
        dataset_path(dataset, "vectors"),
        lambda r: parse(wire.Data[wire.ImportedVectors], r).data,
        query,
        headers={"Content-Type": ARROW_STREAM},
        content=batch.body,
    )


def export_vectors(dataset: str, filters: Filters, cursor: str | None) -> Call[Page]:
    query = filter_query(filters, Filters) + given(("cursor", cursor))
    return Call("GET", dataset_path(dataset, "vectors"), of_vectors, query)


def export_question(examples: Sequence[Example | str], order: Order, filters: QueryFilters) -> Json:
    """A query without its page, as JSON."""
    asked = {"filter": filter_json(filters, QueryFilters), **asdict(order)}
    given = {name: value for name, value in asked.items() if value is not None and name not in ("limit", "count_only")}
    return {"examples": example_bodies(examples), **given} if examples else given


ALWAYS_SAID: Final[Json] = {"filter": {}, "descending": True, "exact": False, "percentiles": False}
"""By a question without anything."""


def require_nothing_else(question: Json) -> None:
    """Raises ValidationError for a question that comes beside a saved one."""
    if question != ALWAYS_SAID:
        asked = ", ".join(name for name, value in question.items() if ALWAYS_SAID.get(name) != value)
        raise wrong_value("saved", f"A saved query is asked as it was saved: leave out {asked}, or leave out saved.")


def saved_question(saved: wire.SavedQuery) -> Json:
    """The query without its page."""
    pages = ("limit", "cursor", "count_only")
    return {name: value for name, value in saved.query.items() if name not in pages and value is not None}


def export_page(question: Json, limit: int, cursor: str | None, *, vectors: bool) -> Call[Page]:
    body = {"query": question, "limit": limit, "cursor": cursor, "vectors": vectors}
    path = api("search", "export")
    return Call("POST", path, of_vectors if vectors else lambda r: of_rows(parse(wire.ExportPage, r)), json=body)


def export_zip(question: Json, original_names: bool) -> Call[None]:
    body = {"query": question, "original_names": original_names}
    return Call("POST", api("search", "export", "zip"), lambda _: None, json=body)


def upload_image(dataset: str, filename: str, folder_path: str, data: bytes, replace: bool = False) -> Call[wire.Image]:
    form = {
        "dataset": sendable("dataset", dataset),
        "directory_path": sendable("folder_path", folder_path),
        "filename": sendable("filename", filename),
    }
    form |= {"replace": "true"} if replace else {}
    return Call(
        "POST", api("images", "upload"), lambda r: parse(wire.Data[wire.Image], r).data, form=form, file=("file", data)
    )


def sendable(field: str, text: str) -> str:
    """The text. Raises ValidationError for what no request can carry: the name of a file that is not UTF-8, say."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"{field} is not valid Unicode: {text!r}. Give it another name."
        raise wrong_value(field, message) from error
    return text


def list_images(
    dataset: str,
    folder_path: str | None,
    filename: str | None,
    state: ImageState | None,
    include_archived: bool,
    limit: int,
    offset: int = 0,
    cursor: str | None = None,
) -> Call[ListPage[wire.Image]]:
    query = [("dataset", dataset), *paging(limit, offset, cursor)]
    optional = (("directory_path", folder_path), ("filename", filename), ("state", state))
    query += [(name, str(value)) for name, value in optional if value is not None]
    query += [("include_archived", "true")] if include_archived else []
    return Call("GET", api("images", ""), lambda r: listed(parse(wire.Page[wire.Image], r)), query)


def which_exist(dataset: str, places: Sequence[tuple[str, str]]) -> Call[list[wire.KnownImage]]:
    files = [
        {"directory_path": sendable("folder_path", folder), "filename": sendable("filename", name)}
        for folder, name in places
    ]
    body = {"dataset": sendable("dataset", dataset), "files": files}
    path = api("images", "which-exist")
    return Call("POST", path, lambda r: parse(wire.Data[list[wire.KnownImage]], r).data, json=body)


def name_changes(limit: int, cursor: str | None) -> Call[ListPage[wire.NameChange]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", api("name-changes", ""), lambda r: listed(parse(wire.Page[wire.NameChange], r)), query)


def get_image(image_id: str) -> Call[wire.Image]:
    return Call("GET", image_path(image_id, "metadata"), lambda r: parse(wire.Data[wire.Image], r).data)


def download_image(image_id: str) -> Call[bytes]:
    return Call("GET", image_path(image_id), lambda r: r.content)


def thumbnail_of_image(image_id: str) -> Call[bytes]:
    return Call("GET", image_path(image_id, "thumbnail"), lambda r: r.content)


def delete_image(image_id: str, permanent: bool) -> Call[None]:
    query = [("permanent", "true")] if permanent else []
    return Call("DELETE", image_path(image_id), lambda _: None, query)


def restore_image(image_id: str) -> Call[wire.Image]:
    return Call("POST", image_path(image_id, "restore"), lambda r: parse(wire.Data[wire.Image], r).data)


def history_of_installation(limit: int, cursor: str | None) -> Call[ListPage[wire.Write]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", api("history", ""), lambda r: listed(parse(wire.Page[wire.Write], r)), query)


def history_of_image(image_id: str, limit: int, cursor: str | None) -> Call[ListPage[wire.Write]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", image_path(image_id, "history"), lambda r: listed(parse(wire.Page[wire.Write], r)), query)


def history_of_dataset(dataset: str, limit: int, cursor: str | None) -> Call[ListPage[wire.Write]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", dataset_path(dataset, "history"), lambda r: listed(parse(wire.Page[wire.Write], r)), query)


def near_duplicates(
    dataset: str, asked: DuplicatesAsked, limit: int, members: int, cursor: str | None
) -> Call[DuplicateGroups]:
    least = None if asked.threshold is None else repr(float(asked.threshold))
    query = given(
        ("directory_path", asked.folder_path),
        ("against", asked.against),
        ("against_folder", asked.against_folder),
        ("threshold", least),
        ("hash_distance", None if asked.hash_distance is None else str(asked.hash_distance)),
        ("limit", str(limit)),
        ("members", str(members)),
        ("cursor", cursor),
    )
    path = dataset_path(dataset, "near-duplicates")
    return Call("GET", path, lambda r: DuplicateGroups(parse(wire.DuplicatesAnswer, r)), query)


@dataclass(frozen=True, slots=True)
class DuplicatesAsked:
    """Which near-duplicates are meant; None: as the service has it."""

    folder_path: str | None = None
    against: str | None = None
    against_folder: str | None = None
    threshold: float | None = None
    hash_distance: int | None = None


def decide_duplicates(
    images: Pictured | Iterable[Pictured], decision: str, take_back: bool
) -> Call[wire.DuplicateDecided]:
    body = {"image_ids": ids_of(images), "decision": decision, "take_back": take_back}
    return Call(
        "POST", api("duplicates", "decisions"), lambda r: parse(wire.Data[wire.DuplicateDecided], r).data, json=body
    )


def list_collections(limit: int, cursor: str | None) -> Call[ListPage[wire.Collection]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", api("collections", ""), lambda r: listed(parse(wire.Page[wire.Collection], r)), query)


def create_collection(name: str) -> Call[wire.Collection]:
    return Call("POST", api("collections", ""), one_collection, json={"name": name})


def get_collection(collection: str) -> Call[wire.Collection]:
    return Call("GET", collection_path(collection), one_collection)


def rename_collection(collection: str, new_name: str) -> Call[wire.Collection]:
    return Call("PATCH", collection_path(collection), one_collection, json={"new_name": new_name})


def delete_collection(collection: str) -> Call[wire.Collection]:
    return Call("DELETE", collection_path(collection), one_collection)


def collection_images(collection: str, limit: int, cursor: str | None) -> Call[ListPage[wire.Image]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    path = collection_path(collection, "images")
    return Call("GET", path, lambda r: listed(parse(wire.Page[wire.Image], r)), query)


def add_to_collection(collection: str, image_ids: Sequence[str]) -> Call[wire.CollectionChange]:
    path = collection_path(collection, "images")
    return Call("POST", path, lambda r: parse(wire.CollectionChange, r), json={"image_ids": list(image_ids)})


def remove_from_collection(collection: str, image_ids: Sequence[str]) -> Call[wire.CollectionChange]:
    path = collection_path(collection, "images", "remove")
    return Call("POST", path, lambda r: parse(wire.CollectionChange, r), json={"image_ids": list(image_ids)})


def one_collection(response: httpx.Response) -> wire.Collection:
    return parse(wire.Data[wire.Collection], response).data


def collection_path(collection: str, *rest: str) -> str:
    """Path of one collection, by name or UUID. Raises NotFoundError for names that a path would lose."""
    if str(collection) in ("", ".", ".."):
        raise NotFoundError(f"There is no collection {collection!r}.")
    return api("collections", str(collection), *rest)


def ids_of(images: Pictured | Iterable[Pictured]) -> list[str]:
    """Ids of images given by id or by row, each once. Raises ValidationError for what cannot be one."""
    several = [images] if isinstance(images, Pictured) else images
    named = [
        image.image_id if isinstance(image, wire.SearchRow | wire.Image | wire.DuplicateImage) else image
        for image in several
    ]
    return list(dict.fromkeys(uuid_in("image_id", str(image)) for image in named))


def list_keys(limit: int, cursor: str | None) -> Call[ListPage[wire.ApiKey]]:
    query = [("limit", str(limit)), *given(("cursor", cursor))]
    return Call("GET", f"{wire.KEYS_PREFIX}/", lambda r: listed_keys(parse(wire.ApiKeys, r)), query)


def listed_keys(answer: wire.ApiKeys) -> ListPage[wire.ApiKey]:
    return ListPage(answer.api_keys, answer.pagination)


def listed(answer: wire.Page[Model]) -> ListPage[Model]:
    return ListPage(answer.data, answer.pagination)


def create_key(name: str, role: Role, expires_at: datetime | None) -> Call[wire.CreatedApiKey]:
    body = {"name": name, "role": role}
    if expires_at is not None:
        body["expires_at"] = with_time_zone("expires_at", expires_at).isoformat()
    return Call("POST", f"{wire.KEYS_PREFIX}/", lambda r: parse(wire.CreatedApiKey, r), json=body)


def with_time_zone(field: str, moment: datetime) -> datetime:
    """The moment. Raises ValidationError for one that means another moment on another machine."""
    if not isinstance(moment, datetime):
        raise wrong_value(field, f"{field} must be a datetime with a time zone, not {moment!r}.")
    if moment.tzinfo is None:
        message = f"{field} must have a time zone, as in {moment.isoformat()}+00:00."
        raise wrong_value(field, message)
    return moment


def end_signed_urls() -> Call[None]:
    return Call("POST", api("signed-urls", "end"), lambda _: None)


def revoke_key(key_id: str) -> Call[None]:
    return Call("DELETE", f"{wire.KEYS_PREFIX}/{uuid_in('key_id', key_id)}", lambda _: None)


def reindex_status() -> Call[wire.Reindex]:
    return Call("GET", api("reindex", ""), lambda r: parse(wire.Data[wire.Reindex], r).data)


def start_reindex(encoder: str, pace: float) -> Call[wire.Reindex]:
    body = {"encoder": encoder, "pace": pace}
    return Call("POST", api("reindex", ""), lambda r: parse(wire.Data[wire.Reindex], r).data, json=body)


def accept_reindex_failures() -> Call[wire.Reindex]:
    return Call("POST", api("reindex", "accept-failures"), lambda r: parse(wire.Data[wire.Reindex], r).data)


def cancel_reindex() -> Call[wire.Reindex]:
    return Call("DELETE", api("reindex", ""), lambda r: parse(wire.Data[wire.Reindex], r).data)


def forget_previous_spaces() -> Call[int]:
    return Call("DELETE", api("reindex", "previous"), lambda r: parse(wire.Data[wire.ForgottenSpaces], r).data.spaces)


def ready() -> Call[wire.Health]:
    return Call("GET", "/ready", lambda r: parse(wire.Health, r))


def api(*segments: str) -> str:
    """The path with every segment percent-encoded, `/` included: names may hold anything but a slash."""
    return "/".join([wire.API_PREFIX, *(quote(sendable("name", str(segment)), safe="") for segment in segments)])


def image_path(image_id: str, *rest: str) -> str:
    """Path of one image. Raises ValidationError for what cannot be an id, before anything is sent."""
    return api("images", uuid_in("image_id", image_id), *rest)


def uuid_in(field: str, value: str) -> str:
    """The id as the service writes it. Raises ValidationError that names the field."""
    try:
        return str(uuid.UUID(str(value)))
    except ValueError as error:
        raise wrong_value(field, f"{field} must be a UUID, as every row carries it, not {value!r}.") from error


def dataset_path(dataset: str, *rest: str) -> str:
    """Path of one dataset, by name or UUID. Raises NotFoundError for names that no dataset has and a path would lose.

    `/datasets/` and `/datasets/..` are other addresses: what one name means must never depend on that.
    """
    if not isinstance(dataset, str | uuid.UUID):
        raise wrong_value("dataset", f"dataset must be a name or a UUID, not {dataset!r}.")
    if str(dataset) in ("", ".", ".."):
        raise NotFoundError(f"There is no dataset {dataset!r}.")
    return api("datasets", str(dataset), *rest)


def cannot_be_sent(error: Exception) -> ValidationError:
    """For values that no request can carry, however they came into it."""
    return ValidationError(f"This cannot be sent: {error}. Ask for fewer or shorter values, in valid Unicode.")


def require_portable(http_client: object) -> None:
    """Raises ConfigurationError for a client that cannot be made again elsewhere from its settings."""
    if http_client is not None:
        raise ConfigurationError(
            "A client with an http_client of your own cannot be copied or sent to another process: make one there."
        )


def paging(limit: int, offset: int, cursor: str | None) -> list[tuple[str, str]]:
    return [("limit", str(limit)), ("offset", str(offset)), *given(("cursor", cursor))]


def parse(model: type[Model], response: httpx.Response) -> Model:
    """The answer as a model. Raises ServerError if it is not what the protocol promises."""
    try:
        return model.model_validate_json(response.content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = "it is not JSON" if first["type"] == "json_invalid" else f"{where}: {first['msg']}"
        raise not_the_protocol(response, why) from error


def not_the_protocol(response: httpx.Response, why: str) -> ServerError:
    return ServerError(
        f"The answer of {response.request.url} did not come from a Pictograph server: {why}. Check base_url.",
        status_code=response.status_code,
        request_id=response.headers.get("x-request-id"),
    )


def error_of(response: httpx.Response) -> ApiError:
    """The exception that an answer other than 2xx stands for."""
    error = error_part(response)
    code, message, details, request_id = (error.get(name) for name in ("code", "message", "details", "request_id"))
    error_class = error_class_for(response.status_code, code if isinstance(code, str) else None)
    return error_class(
        str(message) if message else f"HTTP {response.status_code} from {response.request.url}",
        status_code=response.status_code,
        details=details if isinstance(details, dict) else None,
        request_id=str(request_id) if request_id else response.headers.get("x-request-id"),
        retry_after_s=parse_retry_after(response.headers.get("retry-after")),
    )


def failure_of(outcome: httpx.Response | ConnectionFailed) -> PictographError:
    """What a call that ends with this outcome raises."""
    return error_of(outcome) if isinstance(outcome, httpx.Response) else outcome


def unreachable(base_url: str, route: Route, error: httpx.RequestError) -> ConnectionFailed:
    way = f" by way of the proxy {route.proxy}" if route.proxy else ""
    failed = ConnectionFailed(
        f"No answer from {base_url}{way}: {error or type(error).__name__}. Is the service running (`pictograph serve`)?"
    )
    failed.__cause__ = error
    return failed


def error_part(response: httpx.Response) -> dict[str, Any]:
    """What a Pictograph service says went wrong; empty for what others answer."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}
