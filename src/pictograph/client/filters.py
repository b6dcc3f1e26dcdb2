"""The filters of searches. A new one is a line of `Filters`: every search takes it then, and its signature shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict, TypeVar

from pictograph.errors import wrong_value
from pictograph.naming import similar_names
from pictograph.types import TAG_CATEGORIES, TagMatch

Method = TypeVar("Method", bound=Callable[..., Any])


class Filters(TypedDict, total=False):
    """Which images a search looks at: keyword arguments of every search. What is None, or left out, does not filter."""

    objects: Sequence[str] | None
    """Tags: what is to be seen. Any of them, or with match="all" all of them; an empty list matches nothing."""
    scenes: Sequence[str] | None
    """Tags: where, and under which circumstances."""
    attributes: Sequence[str] | None
    """Tags: what kind of picture it is."""
    match: TagMatch
    """How the tags of one category combine; categories are AND'd."""
    folder_path: str | None
    """Only this folder, with everything below it."""
    uploaded_from: datetime | str | None
    """Only images uploaded then or later; a text is ISO 8601; UTC, if it names no zone."""
    uploaded_before: datetime | str | None
    """Only images uploaded before."""
    not_objects: Sequence[str] | None
    """Tags of which an image must carry none; images without tags yet are left out. Also the next two."""
    not_scenes: Sequence[str] | None
    not_attributes: Sequence[str] | None
    taken_from: datetime | str | None
    """Only images taken then or later, by their EXIF."""
    taken_before: datetime | str | None
    min_width: int | None
    """Pixels; this and all bounds that follow belong to what is found."""
    max_width: int | None
    min_height: int | None
    max_height: int | None
    min_file_size: int | None
    """Bytes."""
    max_file_size: int | None
    min_aspect: float | None
    """Width / height: 1 square, above 1 wider than high."""
    max_aspect: float | None
    min_sharpness: float | None
    """About 0 blurred to 1 crisp; may lie beyond."""
    max_sharpness: float | None
    min_brightness: float | None
    """Mean luminance, 0 black to 1 white."""
    max_brightness: float | None
    min_contrast: float | None
    """Standard deviation of the luminance, 0 to 0.5."""
    max_contrast: float | None
    formats: Sequence[str] | None
    """Any of jpeg, png, webp, gif, bmp, tiff, heif, avif."""
    states: Sequence[str] | None
    """Any of received, embedded, tagged, failed."""
    filename: str | None
    """A pattern that the whole name matches: `*` any characters, `?` one. A to Z match in either case."""
    collection: str | None
    """Name or UUID of a collection: only images that are in it."""
    camera: str | None
    """A pattern for make and model: `canon*`."""


class QueryFilters(Filters, total=False):
    """The same, and in which datasets: for searches that look into several."""

    dataset_names: Sequence[str] | None
    """Names or UUIDs of the datasets to search; None: all of your organization, or the reference image's own."""
    recursive: bool
    """Whether folders below `folder_path` are meant, too."""


class DatasetFilters(QueryFilters, total=False):
    """The same for searches without a reference image, which would say in which dataset to look."""

    dataset_name: str | None
    """Name or UUID of the only dataset; None: all that your organization has, or `dataset_names`."""


DEFAULTS: Final[Mapping[str, object]] = {"match": "any", "recursive": True}
"""Of the filters that are never None."""
SENT_AS: Final[Mapping[str, str]] = {"folder_path": "directory_path"}
"""Filters that the service calls otherwise."""
NOT_TAGS: Final = tuple(f"not_{category}" for category in TAG_CATEGORIES)
LISTS: Final = frozenset({*TAG_CATEGORIES, *NOT_TAGS, "formats", "states", "dataset_names"})
"""Filters that are lists of names."""


def filtered(kind: type[Filters]) -> Callable[[Method], Method]:
    """Makes the signature of a method with `**filters` show them one by one, as help() and notebooks need it."""

    def show(method: Method) -> Method:
        declared = inspect.signature(method)
        *others, _ = declared.parameters.values()
        shown = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS.get(name), annotation=annotation.__forward_arg__
            )
            for name, annotation in kind.__annotations__.items()
        ]
        method.__signature__ = declared.replace(parameters=[*others, *shown])  # type: ignore[attr-defined]
        return method

    return show


def filter_query(filters: Filters, kind: type[Filters]) -> list[tuple[str, str]]:
    """The filters as the service takes them. Raises TypeError for a name that is no filter of this search."""
    pairs: list[tuple[str, str]] = []
    for name, value in chosen(filters, kind):
        if name in LISTS:
            pairs += [(name, label) for label in checked_labels(name, value)] or [(name, "")]
        else:
            text = value.isoformat() if isinstance(value, datetime) else str(value)
            text = text.lower() if isinstance(value, bool) else text
            pairs.append((SENT_AS.get(name, name), text))
    return pairs


def filter_json(filters: Filters, kind: type[Filters]) -> dict[str, Any]:
    """The filters as JSON, by their own names. Raises TypeError as `filter_query` does."""
    values: dict[str, Any] = {}
    for name, value in chosen(filters, kind):
        if isinstance(value, datetime):
            values[name] = value.isoformat()
        else:
            values[name] = checked_labels(name, value) if name in LISTS else value
    return values


def chosen(filters: Filters, kind: type[Filters]) -> Iterator[tuple[str, Any]]:
    """Those that filter. Raises TypeError for a name that is no filter of this search."""
    for name, value in filters.items():
        if name not in kind.__annotations__:
            near = similar_names(name, [*kind.__annotations__], 1)
            raise TypeError(f"unexpected keyword argument {name!r}{f'; did you mean {near[0]!r}?' if near else ''}")
        if value is not None and value != DEFAULTS.get(name):
            yield name, value


def checked_labels(category: str, labels: Any) -> list[str]:
    """The tags. Raises ValidationError for a lone text, a sequence of letters to Python, and for what is no tag.

    None would become an empty value, which says that the whole list is empty.
    """
    if isinstance(labels, str | bytes):
        message = f"{category} must be a list, not the text {labels!r}: pass [{labels!r}]."
        raise wrong_value(category, message)
    listed_labels: list[str] = list(labels)
    for label in listed_labels:
        if not isinstance(label, str):
            raise wrong_value(category, f"{category} must hold names; {label!r} is not one.")
    return listed_labels
