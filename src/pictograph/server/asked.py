"""What the search routes read from the query string: one model for each kind of question.

A new filter is a field of `Filters`: every route takes it then, and the OpenAPI document describes it.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from pictograph.errors import wrong_value
from pictograph.search.filter import Conditions
from pictograph.search.query import SimilarQuery, TagQuery, TextQuery, parse_image_id, tag_filter
from pictograph.server.inputs import MAX_ID_SENT
from pictograph.types import (
    AUTO,
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_CURSOR,
    MAX_FOLDER_SENT,
    MAX_LABEL,
    MAX_LIMIT,
    MAX_NAMED,
    MAX_OFFSET,
    MAX_TEXT,
    TagMatch,
)
from pictograph.wire.vectors import MAX_EXPORTED

Label = Annotated[str, Field(max_length=MAX_LABEL)]
Labels = Annotated[list[Label] | None, Field(max_length=200, description="Repeat the key for several tags.")]
ImageId = Annotated[str, Field(max_length=MAX_ID_SENT)]
Words = Annotated[str, Field(max_length=MAX_TEXT)]
DatasetName = Annotated[str, Field(max_length=MAX_NAMED)]
Folder = Annotated[str, Field(max_length=MAX_FOLDER_SENT)]
Percentiles = Annotated[
    bool, Field(description="Say of each score, and of the threshold, where it lies among random pairs of the scope.")
]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="The largest number of rows to return, at most 500.")]
Exact = Annotated[bool, Field(description="Compare every vector, however long that takes.")]


def written_as_iso(text: Any) -> Any:
    """Pydantic alone would take a number for seconds since 1970."""
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])", str(text)):
        raise ValueError("write a time as ISO 8601 has it: 2026-11-01 or 2026-11-01T12:00:00Z")
    return text


def number_or_auto(value: Any) -> Any:
    """As a union would take it, but with one place and one message for what is neither."""
    if value == AUTO:
        return AUTO
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError("give a number from 0 to 1, or auto")
    return number


Threshold = Annotated[
    float | Literal["auto"],
    PlainValidator(number_or_auto),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "const": AUTO}]}),
]


def in_utc_without_zone(moment: datetime) -> datetime:
    """The moment that is meant."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(written_as_iso), AfterValidator(in_utc_without_zone)]
Cursor = Annotated[str | None, Field(max_length=MAX_CURSOR, description="`next_cursor` of the page before.")]


class Filters(BaseModel):
    """Which images a search considers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    objects: Labels = None
    scenes: Labels = None
    attributes: Labels = None
    match: TagMatch = "any"
    """How tags inside one category combine."""
    directory_path: Folder | None = None
    """Only this folder and the folders below it."""
    uploaded_from: Moment | None = None
    """Only images uploaded then or later: ISO 8601; UTC, if it names no zone."""
    uploaded_before: Moment | None = None
    """Only images uploaded before."""

    @property
    def conditions(self) -> Conditions:
        """What the images must be: tags OR inside a category, AND across; what is absent does not filter."""
        tags = tag_filter(given(self.objects), given(self.scenes), given(self.attributes), self.match)
        return Conditions(tags, self.uploaded_from, self.uploaded_before)


class TagCountsAsked(Filters):
    """How often do tags occur?"""

    dataset_name: DatasetName | None = None
    """Name or UUID; absent: the whole organization."""


class SimilarAsked(Filters):
    """Which images look like this one?"""

    image_id: ImageId
    """UUID of the reference image."""
    threshold: Threshold = DEFAULT_THRESHOLD
    """The lowest cosine similarity of a row; 0.6 is about visually related. `auto` takes what the scope gives."""
    directory_path: Folder | None = None
    """The folder to search, with the folders below it. Absent: the reference's own; `/`: the dataset."""
    limit: Limit = DEFAULT_LIMIT
    exact: Exact = False
    cursor: Cursor = None
    percentiles: Percentiles = False

    def query(self) -> SimilarQuery:
        """The question, checked. Raises NotFoundError, ValidationError."""
        return SimilarQuery(
            parse_image_id(self.image_id),
            self.threshold,
            cursor=self.cursor,
            percentiles=self.percentiles,
            **scope_of(self),
        )


class TextAsked(TagCountsAsked):
    """Which images show what these words say?"""

    text: Words
    """Words that say what the images show."""
    threshold: Threshold = DEFAULT_TEXT_THRESHOLD
    """The lowest cosine of a row, on the encoder's own scale. `auto` takes what the words give: see `fits_from`."""
    limit: Limit = DEFAULT_LIMIT
    exact: Exact = False
    cursor: Cursor = None
    percentiles: Percentiles = False

    def query(self) -> TextQuery:
        """The question, checked. Raises ValidationError."""
        return TextQuery(
            self.text,
            self.dataset_name,
            threshold=self.threshold,
            cursor=self.cursor,
            percentiles=self.percentiles,
            **scope_of(self),
        )


class ExplainAsked(Filters):
    """How is a search by likeness or by words answered?"""

    image_id: ImageId | None = None
    """UUID of a reference image, or else `text`."""
    text: Words | None = None
    """Words, or else `image_id`."""
    dataset_name: DatasetName | None = None
    """With `text`: name or UUID."""
    directory_path: Folder | None = None
    """As in the search itself."""
    threshold: Threshold | None = None
    """Absent: the search's own default."""
    limit: Limit = DEFAULT_LIMIT
    exact: Exact = False

    def query(self) -> SimilarQuery | TextQuery:
        """The search that is explained, checked. Raises NotFoundError, and ValidationError unless it is exactly one."""
        if (self.image_id is None) == (self.text is None):
            raise wrong_value("image_id", "Pass exactly one of image_id and text.")
        if self.image_id is None:
            return TextAsked(**self.model_dump(exclude_unset=True)).query()
        if self.dataset_name is not None:
            raise wrong_value(
                "dataset_name", "dataset_name goes with text: a likeness search uses the image's own dataset."
            )
        return SimilarAsked(**self.model_dump(exclude_unset=True)).query()


class ByTagsAsked(TagCountsAsked):
    """Which images carry these tags?"""

    limit: Limit = DEFAULT_LIMIT
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
    cursor: Cursor = None

    def query(self) -> TagQuery:
        """The question, checked. Raises ValidationError."""
        return TagQuery(
            objects=given(self.objects),
            scenes=given(self.scenes),
            attributes=given(self.attributes),
            dataset=self.dataset_name,
            folder_path=self.directory_path,
            match=self.match,
            limit=self.limit,
            offset=self.offset,
            cursor=self.cursor,
            besides=self.conditions,
        )


class VectorsAsked(Filters):
    """Which images are exported with their vectors?"""

    limit: Annotated[int, Field(ge=1, le=MAX_EXPORTED, description="Most rows of one page.")] = MAX_EXPORTED
    cursor: Cursor = None


def scope_of(asked: SimilarAsked | TextAsked) -> dict[str, Any]:
    """What searches by likeness and by words have in common."""
    return {
        "limit": asked.limit,
        "folder_path": asked.directory_path,
        "exact": asked.exact,
        "conditions": asked.conditions,
    }


def given(labels: list[str] | None) -> list[str] | None:
    """`objects=` means an empty category; a blank among real tags is dropped."""
    return None if labels is None else [label for label in labels if label.strip()]
