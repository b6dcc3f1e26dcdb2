"""The questions people may ask, checked when they are made."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pictograph.errors import NotFoundError, wrong_value
from pictograph.search.filter import NO_CONDITIONS, Conditions, TagFilter
from pictograph.store.names import canonical_folder
from pictograph.store.pages import After
from pictograph.types import (
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT,
    TAG_CATEGORIES,
    ImageId,
    TagCategory,
    TagMatch,
)
from pictograph.upload.box import Box


@dataclass(frozen=True, slots=True)
class SimilarQuery:
    """Which images look like this one?"""

    image_id: ImageId
    threshold: float = DEFAULT_THRESHOLD
    limit: int = DEFAULT_LIMIT
    folder_path: str | None = None
    """None inherits the reference image's folder; `/` is the whole dataset. Folders below are included."""
    exact: bool = False
    """Only an exact answer will do, whatever it takes."""
    conditions: Conditions = NO_CONDITIONS
    """What the images must be besides."""
    cursor: str | None = None
    """`next_cursor` of the answer before."""
    box: Box | None = None
    """Only this part of the reference image is what others must look like; it is read from the image's bytes."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        check_threshold(self.threshold)
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))


@dataclass(frozen=True, slots=True)
class PictureQuery:
    """Which images look like this picture, which is not stored? Its bytes come beside the question."""

    box: Box | None = None
    """Only this part of the picture counts."""
    dataset: str | None = None
    """Name or id; None asks the whole organization."""
    folder_path: str | None = None
    """Only this folder of each dataset, with everything below it; None is all of it."""
    threshold: float = DEFAULT_THRESHOLD
    limit: int = DEFAULT_LIMIT
    exact: bool = False
    """Only an exact answer will do, whatever it takes."""
    conditions: Conditions = NO_CONDITIONS
    """What the images must be besides."""
    cursor: str | None = None
    """`next_cursor` of the answer before."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        check_threshold(self.threshold)
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Which images show what these words say?"""

    text: str
    dataset: str | None = None
    """Name or id; None asks the whole organization."""
    folder_path: str | None = None
    """Only this folder of each dataset, with everything below it; None is all of it."""
    threshold: float = DEFAULT_TEXT_THRESHOLD
    limit: int = DEFAULT_LIMIT
    exact: bool = False
    """Only an exact answer will do, whatever it takes."""
    conditions: Conditions = NO_CONDITIONS
    """What the images must be besides."""
    cursor: str | None = None
    """`next_cursor` of the answer before."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        check_threshold(self.threshold)
        if not has_words(self.text):
            raise wrong_value("text", "text must not be empty: say what the images show.")
        if len(self.text) > MAX_TEXT:
            raise wrong_value("text", f"text has at most {MAX_TEXT} characters; this one has {len(self.text)}.")
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))


@dataclass(frozen=True, slots=True)
class TagQuery:
    """Which images carry these tags? OR inside a category (AND with `match="all"`), AND across categories."""

    objects: Sequence[str] | None = None
    scenes: Sequence[str] | None = None
    attributes: Sequence[str] | None = None
    dataset: str | None = None
    """Name or id; None asks the whole organization."""
    folder_path: str | None = None
    """Only this folder of each dataset, with everything below it; None is all of it."""
    match: TagMatch = "any"
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    """Rows to pass over, from the cursor if there is one; not stable while images come and go."""
    cursor: str | None = None
    """`next_cursor` of the answer before."""
    after: After | None = None
    """The same place, for who has the row itself."""
    besides: Conditions = NO_CONDITIONS
    """What the images must be besides; its tags are not read."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        if not 0 <= self.offset <= MAX_OFFSET:
            raise wrong_value(
                "offset", f"offset must be between 0 and {MAX_OFFSET}, not {self.offset}. Use the cursor."
            )
        check_match(self.match)
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))
        if not self.filters:
            raise wrong_value(
                "objects",
                "Pass at least one of objects, scenes, attributes: a search without any tag would find everything.",
            )

    @property
    def conditions(self) -> Conditions:
        """What the images must be, tags and all."""
        return replace(self.besides, tags=TagFilter(self.filters, self.match))

    @property
    def filters(self) -> dict[TagCategory, list[str]]:
        """The categories that filter, their labels lower case and each once; `[]` matches nothing."""
        return filters_of(self.objects, self.scenes, self.attributes)


def tag_filter(
    objects: Sequence[str] | None = None,
    scenes: Sequence[str] | None = None,
    attributes: Sequence[str] | None = None,
    match: TagMatch = "any",
) -> TagFilter:
    """Tags that a search by likeness or by words asks for besides. Raises ValidationError for another `match`."""
    check_match(match)
    return TagFilter(filters_of(objects, scenes, attributes), match)


def filters_of(
    objects: Sequence[str] | None, scenes: Sequence[str] | None, attributes: Sequence[str] | None
) -> dict[TagCategory, list[str]]:
    """The categories that were given, their labels lower case and each once."""
    given = zip(TAG_CATEGORIES, (objects, scenes, attributes), strict=True)
    return {category: normalized(labels) for category, labels in given if labels is not None}


def parse_image_id(text: str) -> ImageId:
    """The id. Raises NotFoundError for what is no UUID: no image can have it."""
    try:
        return ImageId(UUID(text))
    except ValueError as error:
        printable = text.encode("utf-8", "backslashreplace").decode()
        raise NotFoundError(f"There is no image {printable!r}: an image id is a UUID.") from error


def normalized(labels: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(label.strip().lower() for label in labels))


def check_threshold(threshold: float) -> None:
    if math.isnan(threshold) or not 0 <= threshold <= 1:
        raise wrong_value("threshold", f"threshold must be between 0 and 1, not {threshold}.")


def check_match(match: str) -> None:
    if match not in ("any", "all"):
        raise wrong_value("match", f"match must be 'any' or 'all', not {match!r}.")


def has_words(text: str) -> bool:
    """False for a text of blanks, control and invisible characters only: it says nothing."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise wrong_value("limit", f"limit must be between 1 and {MAX_LIMIT} (the most one answer holds), not {limit}.")
