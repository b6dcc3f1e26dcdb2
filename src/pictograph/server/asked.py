"""What the search routes read from the query string: one model for each kind of question.

A new filter is a field of `Filters`: every route takes it then, and the OpenAPI document describes it.
"""

from __future__ import annotations

import asyncio
import binascii
import math
import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from pictograph.errors import wrong_value
from pictograph.search import query as questions
from pictograph.search.filter import Conditions
from pictograph.search.orders import ORDERS, RELEVANCE
from pictograph.search.pictures import Source
from pictograph.search.query import PictureQuery, SimilarQuery, TagQuery, TextQuery, parse_image_id, tag_filter
from pictograph.types import (
    AUTO,
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_BOX,
    MAX_CURSOR,
    MAX_EXAMPLES,
    MAX_FOLDER_SENT,
    MAX_ID_SENT,
    MAX_LABEL,
    MAX_LIMIT,
    MAX_NAMED,
    MAX_OFFSET,
    MAX_TEXT,
    MAX_TOP,
    TagMatch,
)
from pictograph.upload.box import Box, BoxUnit
from pictograph.wire import Body, Example
from pictograph.wire.vectors import MAX_EXPORTED

DECODED_AT_ONCE: Final = 1 << 20
"""Characters of base64, a multiple of 4: a millisecond or four."""

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


Size = Annotated[int, Field(ge=0, le=2**53)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Names = Annotated[list[Label] | None, Field(max_length=20, description="Repeat the key for several.")]
Pattern = Annotated[str, Field(max_length=MAX_NAMED)]
MAX_PLACES = 1000
OTHER_CONDITIONS = [field.name for field in fields(Conditions) if field.name not in ("tags", "without", "members")]
"""They have the same names here."""


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
    not_objects: Labels = None
    """Only images that carry none of these; ones without tags yet are left out."""
    not_scenes: Labels = None
    """Only images that carry none of these."""
    not_attributes: Labels = None
    """Only images that carry none of these."""
    taken_from: Moment | None = None
    """Only images taken then or later, by their EXIF."""
    taken_before: Moment | None = None
    """Only images taken before."""
    min_width: Size | None = None
    """Pixels across, at least; images that have just so many are found too, as with all bounds that follow."""
    max_width: Size | None = None
    """Pixels across, at most."""
    min_height: Size | None = None
    """Pixels down, at least."""
    max_height: Size | None = None
    """Pixels down, at most."""
    min_file_size: Size | None = None
    """Bytes of the file, at least."""
    max_file_size: Size | None = None
    """Bytes of the file, at most."""
    min_aspect: Number | None = None
    """Width / height, at least: 1 square, above 1 wider than high."""
    max_aspect: Number | None = None
    """Width / height, at most."""
    min_sharpness: Number | None = None
    """Sharpness, at least: about 0 blurred to 1 crisp; may lie beyond."""
    max_sharpness: Number | None = None
    """Sharpness, at most."""
    min_brightness: Number | None = None
    """Mean luminance, at least: 0 black to 1 white."""
    max_brightness: Number | None = None
    """Mean luminance, at most."""
    min_contrast: Number | None = None
    """Standard deviation of the luminance, at least: 0 to 0.5."""
    max_contrast: Number | None = None
    """Standard deviation of the luminance, at most."""
    formats: Names = None
    """Any of jpeg, png, webp, gif, bmp, tiff, heif, avif."""
    states: Names = None
    """Any of received, embedded, tagged, failed."""
    filename: Pattern | None = None
    """A pattern that the whole name matches: `*` any characters, `?` one, a backslash before one that is meant itself.
    A to Z match in either case, other letters as written."""
    camera: Pattern | None = None
    """A pattern for make and model: `canon*`."""
    collection: Annotated[str, Field(min_length=1, max_length=MAX_NAMED)] | None = None
    """Name or UUID of a collection: only images that are in it."""

    @property
    def conditions(self) -> Conditions:
        """What the images must be: tags OR inside a category, AND across; what is absent does not filter."""
        tags = tag_filter(given(self.objects), given(self.scenes), given(self.attributes), self.match)
        without = tag_filter(given(self.not_objects), given(self.not_scenes), given(self.not_attributes))
        others = {name: getattr(self, name) for name in OTHER_CONDITIONS}
        named = {"formats": given(self.formats), "states": given(self.states)}
        return Conditions(tags, without=without, **others | named)


class PlaceAsked(Filters):
    """Where does a search look, and at which images?"""

    dataset_names: Annotated[list[DatasetName] | None, Field(min_length=1, max_length=MAX_PLACES)] = None
    """Names or UUIDs of the only datasets to search: repeat the key for several."""
    recursive: bool = True
    """Whether the folders below `directory_path` are meant, too."""


class TagCountsAsked(PlaceAsked):
    """How often do tags occur?"""

    dataset_name: DatasetName | None = None
    """Name or UUID; absent: the whole organization, or `dataset_names`."""


class BoxAsked(BaseModel):
    """Which part of a picture counts?"""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    box: Annotated[str | None, Field(max_length=MAX_BOX)] = None
    """Only this part of the picture: `x,y,width,height`, from the top left corner of the upright picture."""
    box_unit: BoxUnit = "px"
    """What the numbers of `box` count: pixels of the file, or `fraction`: each side of the picture is 1."""

    @property
    def part(self) -> Box | None:
        """The box. Raises ValidationError for what is none."""
        if self.box is None:
            return None
        try:
            x, y, width, height = (float(number) for number in self.box.split(","))
        except ValueError as error:
            message = f"box must be four numbers, x,y,width,height, such as 10,20,300,200, not {self.box!r}."
            raise wrong_value("box", message) from error
        return Box(x, y, width, height, self.box_unit)


class SimilarAsked(PlaceAsked, BoxAsked):
    """Which images look like this one?"""

    image_id: ImageId
    """UUID of the reference image."""
    threshold: Threshold = DEFAULT_THRESHOLD
    """The lowest cosine similarity of a row; 0.6 is about visually related. `auto` takes what the scope gives."""
    directory_path: Folder | None = None
    """The folder to search. Absent: the reference's own, or with `dataset_names` all of them; `/`: the dataset."""
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
            box=self.part,
        )


class PictureAsked(TagCountsAsked, BoxAsked):
    """Which images look like this picture? The picture is the body."""

    threshold: Threshold = DEFAULT_THRESHOLD
    """The lowest cosine similarity of a row; 0.6 is about visually related. `auto` takes what the scope gives."""
    limit: Limit = DEFAULT_LIMIT
    exact: Exact = False
    cursor: Cursor = None
    percentiles: Percentiles = False

    def query(self) -> PictureQuery:
        """The question, checked. Raises ValidationError."""
        return PictureQuery(
            self.part,
            self.dataset_name,
            threshold=self.threshold,
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


class ExplainAsked(PlaceAsked):
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
                "dataset_name",
                "dataset_name goes with text: a likeness search uses the image's own dataset, or dataset_names.",
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
            datasets=self.dataset_names,
            recursive=self.recursive,
        )


class QueryFilter(PlaceAsked, Body):
    """Which images a query considers; without `dataset_names`, those of the whole organization."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class QueryAsked(Body):
    """Which images, in which order?"""

    examples: Annotated[list[Example], Field(max_length=MAX_EXAMPLES)] = Field(default=[])
    """What images should be like, or unlike. Without any, a fact orders the images that the filter means."""
    filter: QueryFilter = QueryFilter()
    """Which images are considered."""
    order_by: Annotated[str, Field(json_schema_extra={"enum": [RELEVANCE, *ORDERS]})] | None = None
    """`relevance`, or a fact. Absent: relevance with examples, `created_at` without. A fact with examples orders what
    `threshold` or `top` has cut."""
    descending: bool = True
    """The best, newest, largest first. Images of which the fact is not known come last either way."""
    threshold: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | Literal["auto"] | None = None
    """The least score of a row. Absent: nothing is cut. `auto`: what the scope, or one example of words, says."""
    top: Annotated[int, Field(ge=1, le=MAX_TOP)] | None = None
    """Only the best so many by relevance."""
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None
    exact: Exact = False
    count_only: bool = False
    """Count the images, exactly, and return no rows."""
    percentiles: Percentiles = False

    def query(self) -> questions.Query:
        """The question, checked. Raises NotFoundError, ValidationError."""
        scope = questions.Scope(self.filter.dataset_names, self.filter.directory_path, self.filter.recursive)
        return questions.Query(
            tuple(example_of(example) for example in self.examples),
            scope,
            self.filter.conditions,
            self.order_by,
            self.descending,
            self.threshold,
            self.top,
            self.limit,
            self.cursor,
            self.exact,
            self.count_only,
            self.percentiles,
        )


def example_of(sent: Example) -> questions.Example:
    """The example, checked. Raises NotFoundError for an id that is none, ValidationError."""
    image = None if sent.image_id is None else parse_image_id(sent.image_id)
    picture = None if sent.image is None else source_of(sent.image)
    box = None if sent.box is None else Box(**sent.box.model_dump())
    return questions.Example(
        image, sent.text, sent.vector, sent.encoder, picture, box, weight=sent.weight, negative=sent.negative
    )


def source_of(text: str) -> Source:
    """Gives the bytes of a picture in base64, once they are needed; `data:image/...;base64,` may stand before it."""

    async def source() -> bytes:
        return await asyncio.to_thread(bytes_of, text)

    return source


def bytes_of(text: str) -> bytes:
    """Raises ValidationError for what is no base64. In parts: other requests go on between them."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    try:
        if "=" in text[:-2]:
            raise ValueError("data behind the padding")
        parts = (text[at : at + DECODED_AT_ONCE] for at in range(0, len(text), DECODED_AT_ONCE))
        return b"".join(binascii.a2b_base64(part, strict_mode=True) for part in parts)
    except ValueError as error:
        meant = " Did you mean 'image_id'?" if len(text) <= MAX_ID_SENT else ""
        message = f"image must be the bytes of a picture in base64 ({error}).{meant}"
        raise wrong_value("image", message) from error


class VectorsAsked(Filters):
    """Which images are exported with their vectors?"""

    limit: Annotated[int, Field(ge=1, le=MAX_EXPORTED, description="Most rows of one page.")] = MAX_EXPORTED
    cursor: Cursor = None


def scope_of(asked: SimilarAsked | TextAsked | PictureAsked) -> dict[str, Any]:
    """What searches by likeness, by words and by a picture have in common."""
    return {
        "limit": asked.limit,
        "folder_path": asked.directory_path,
        "exact": asked.exact,
        "conditions": asked.conditions,
        "datasets": asked.dataset_names,
        "recursive": asked.recursive,
    }


def given(labels: list[str] | None) -> list[str] | None:
    """`objects=` means an empty category; a blank among real tags is dropped."""
    return None if labels is None else [label for label in labels if label.strip()]
