"""What all models of the HTTP protocol share: addresses, kinds of text, how they read and show themselves, pages."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from pictograph.naming import aliases_of, two_values
from pictograph.types import MAX_FOLDER_SENT, MAX_NAMED

API_PREFIX = "/api/v1/developer"
KEYS_PREFIX = "/api/v1/api-keys"
UPLOADS_PREFIX = "/api/v1/uploads"
PICTURES_PREFIX = "/api/v1/pictures"

Item = TypeVar("Item")
TagObject = dict[Literal["objects", "scenes", "attributes"], list[str]]
NO_CONTROLS = {"pattern": r"^[^\u0000-\u001f\u007f]*$"}
NO_SLASHES = {"pattern": r"^[^/\u0000-\u001f\u007f]+$"}
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAMED, json_schema_extra=NO_SLASHES)]
DatasetReference = Annotated[str, Field(min_length=1, max_length=MAX_NAMED)]
FolderPath = Annotated[str, Field(max_length=MAX_FOLDER_SENT, json_schema_extra=NO_CONTROLS)]
WorkflowStatus = Literal["new", "annotate", "review", "complete"]


class Shown:
    """A value as it is shown: cut where it is long."""

    cut = reprlib.Repr()
    cut.maxstring, cut.maxother, cut.maxlist, cut.maxdict, cut.maxlevel = 80, 200, 3, 3, 3

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return str(self.cut.repr(self.value))


class Rest:
    """How many characters are left out."""

    def __repr__(self) -> str:
        return "..."


class Pictured:
    """Something with a picture, or a list of such: a notebook shows it, if the SDK is there to fetch thumbnails."""

    drawn: ClassVar[Callable[[Any], str | None] | None] = None
    """Makes the HTML; the SDK sets it, since nothing here speaks to a service."""

    def _repr_html_(self) -> str | None:
        """What a notebook shows; None if it is to show the text."""
        return Pictured.drawn(self) if Pictured.drawn is not None else None


class Wire(BaseModel):
    """Unknown keys are ignored, so that an older SDK reads a newer server. Shows itself in a line or two."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)
    brief: ClassVar[tuple[str, ...]] = ()
    """The fields that it shows itself by; none named: all that are not as usual."""

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        fields = type(self).model_fields
        shown = self.brief or [name for name, field in fields.items() if getattr(self, name) != field.default]
        yield from ((name, Shown(getattr(self, name))) for name in shown)
        if self.brief and len(shown) < len(fields):
            yield None, Rest()

    def __str__(self) -> str:
        return repr(self)


class Body(BaseModel):
    """What a request carries: unknown fields are refused, other names of known ones are taken (`naming.SYNONYMS`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    MEANINGLESS: ClassVar[tuple[str, ...]] = ()
    """Fields that published clients send and that mean nothing here: the answer's `Pictograph-Ignored` names them."""

    @model_validator(mode="before")
    @classmethod
    def by_declared_names(cls, given: Any) -> Any:
        """The same with one name for each thing."""
        if not isinstance(given, dict):
            return given
        aliases = aliases_of(cls.model_fields)
        values = {name: value for name, value in given.items() if name not in aliases}
        for name, value in given.items():
            declared = aliases.get(name)
            if declared and values.setdefault(declared, value) != value:
                raise PydanticCustomError("two_values", "{why}", {"why": two_values(declared, name)})
        return values


class Pagination(Wire):
    """Where a page lies."""

    limit: int
    """The largest number of rows that the page could have."""
    offset: int = 0
    """Rows that were skipped, from the cursor if there was one; not stable while the list changes."""
    total: int | None = None
    """How many there are in all, on whatever page. None where counting would cost more than the page: of a search by
    tag for some seconds after a start, until a large library's tags are in the server's memory."""
    total_is: Literal["exact", "estimate"] | None = None
    """Whether `total` is exact or an estimate; None where there is no total."""
    has_more: bool
    """Whether rows follow these."""
    next_cursor: str | None = None
    """Pass it as `cursor`, with the same question, for the next page, which neither skips nor repeats a row, whatever
    was added or removed meanwhile. None on the last page."""


class Data(Wire, Generic[Item]):
    """One thing."""

    model_config = ConfigDict(json_schema_extra={"description": "One thing, under `data`."})

    data: Item
    """The thing itself."""


class Page(Wire, Generic[Item]):
    """Some of many."""

    model_config = ConfigDict(json_schema_extra={"description": "Some of many, and where the others are."})

    data: list[Item]
    """The rows of this page."""
    pagination: Pagination
    """Where the page lies."""
