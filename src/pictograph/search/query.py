"""The questions people may ask, checked when they are made."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from pictograph.errors import NotFoundError, wrong_value
from pictograph.search.filter import NO_CONDITIONS, Conditions, TagFilter
from pictograph.search.orders import NEWEST, ORDERS, RELEVANCE
from pictograph.search.pictures import Source
from pictograph.store.names import canonical_folder
from pictograph.store.pages import After
from pictograph.types import (
    AUTO,
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_EXAMPLES,
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT,
    MAX_TOP,
    MAX_WEIGHT,
    TAG_CATEGORIES,
    ImageId,
    TagCategory,
    TagMatch,
    Threshold,
)
from pictograph.upload.box import Box


@dataclass(frozen=True, slots=True)
class Example:
    """One thing that images should be like, or unlike: an indexed image, words, a vector, or a picture."""

    image_id: ImageId | None = None
    text: str | None = None
    vector: Sequence[float] | None = None
    """As wide as the encoder's vectors, or 1152; of any length but 0."""
    encoder: str | None = None
    """With a vector: the fingerprint of what made it, which must be this library's encoder."""
    picture: Source | None = None
    """Gives the bytes of a picture that is not stored."""
    box: Box | None = None
    """With an image or a picture: the part of it that counts."""
    weight: float = 1.0
    """Among positive examples, its share of the score; of a negative one, its force. Above 0."""
    negative: bool = False
    """Whether images should be unlike it."""

    def __post_init__(self) -> None:
        if sum(what is not None for what in (self.image_id, self.text, self.vector, self.picture)) != 1:
            raise wrong_value("examples", "An example is exactly one of image_id, text, vector, image: one for each.")
        if self.box is not None and self.image_id is None and self.picture is None:
            raise wrong_value("box", "A box is a part of a picture: words and vectors have none.")
        if not (math.isfinite(self.weight) and 0 < self.weight <= MAX_WEIGHT):
            raise wrong_value(
                "weight",
                f"weight must be above 0 and at most {MAX_WEIGHT}, not {self.weight}. What images should be unlike is "
                "negative.",
            )
        if self.text is not None:
            check_words(self.text)
        if (self.vector is None) != (self.encoder is None):
            raise wrong_value(
                "encoder",
                "A vector goes with the encoder that made it, and nothing else does: its fingerprint is in /health "
                "and in every file that `pictograph vectors export` writes.",
            )

    @property
    def step(self) -> str:
        """What getting its vector is called where steps are timed."""
        return "words" if self.text is not None else "picture" if self.picture is not None else "examples"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look."""

    datasets: Sequence[str] | None = None
    """Names or ids; None asks the whole organization."""
    folder_path: str | None = None
    """Only this folder of each dataset; None is all of it."""
    recursive: bool = True
    """With everything below it."""
    of_reference: bool = False
    """Look where the one example lies, an indexed image: in its dataset, and in its folder where none is named."""

    def __post_init__(self) -> None:
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))


EVERYWHERE: Final = Scope()


@dataclass(frozen=True, slots=True)
class Query:
    """Which images are meant, and in which order: what every search is a short form of."""

    examples: Sequence[Example] = ()
    scope: Scope = EVERYWHERE
    conditions: Conditions = NO_CONDITIONS
    """What the images must be besides."""
    order_by: str | None = None
    """A name of `ORDERS`, or `relevance`. None: by relevance with examples, the newest first without."""
    descending: bool = True
    """The best, newest, largest first. By relevance there is no other way."""
    threshold: Threshold | None = None
    """The least score of a row; None cuts nothing, `auto` what the scope, or the words, say (search/relevance.py)."""
    top: int | None = None
    """Only the best so many by relevance; None: all, or MAX_TOP where a fact orders what the threshold left."""
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    """`next_cursor` of the answer before."""
    exact: bool = False
    """Only an exact answer will do, whatever it takes."""
    count_only: bool = False
    """How many there are, and no rows."""
    percentiles: bool = False
    """Whether the answer places its scores among those of random pairs of the scope."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        if len(self.examples) > MAX_EXAMPLES:
            raise wrong_value(
                "examples", f"examples has at most {MAX_EXAMPLES} entries, not {len(self.examples)}. Take the best."
            )
        if self.order != RELEVANCE and self.order not in ORDERS:
            raise wrong_value(
                "order_by", f"order_by must be one of {', '.join((RELEVANCE, *ORDERS))}, not {self.order_by!r}."
            )
        if self.threshold != AUTO:
            if self.threshold is not None and not -1 <= self.threshold <= 1:
                raise wrong_value("threshold", f"threshold must be between -1 and 1, or 'auto', not {self.threshold}.")
        elif self.is_mixed:
            raise wrong_value(
                "threshold", "Scores of several examples with words among them have no scale: give a number."
            )
        if self.top is not None and not 1 <= self.top <= MAX_TOP:
            raise wrong_value("top", f"top must be between 1 and {MAX_TOP}, not {self.top}.")
        if self.examples:
            self._check_relevance()
        else:
            self._check_no_relevance()

    def _check_relevance(self) -> None:
        if all(example.negative for example in self.examples):
            raise wrong_value("examples", "All examples are negative. Give one that images should be like, too.")
        if self.order == RELEVANCE and not self.descending:
            raise wrong_value("descending", "By relevance the best come first: leave out descending.")
        if self.order != RELEVANCE and self.threshold is None and self.top is None:
            raise wrong_value(
                "order_by",
                f"With examples, {self.order} orders what relevance has cut first: give a threshold (the least score) "
                "or top (how many of the best).",
            )

    def _check_no_relevance(self) -> None:
        given = {
            "order_by": self.order == RELEVANCE,
            "threshold": self.threshold is not None,
            "percentiles": self.percentiles,
            "top": self.top is not None,
        }
        for name, is_given in given.items():
            if is_given:
                raise wrong_value(name, f"{name} needs examples: without any, nothing is more relevant than another.")

    @property
    def order(self) -> str:
        """What orders the rows."""
        return self.order_by or (RELEVANCE if self.examples else NEWEST)

    @property
    def is_mixed(self) -> bool:
        """Whether there are several examples, and words among them."""
        return len(self.examples) > 1 and any(example.text is not None for example in self.examples)

    @property
    def is_listing(self) -> bool:
        """Whether a fact orders the rows."""
        return self.order != RELEVANCE


@dataclass(frozen=True, slots=True)
class SimilarQuery:
    """Which images look like this one?"""

    image_id: ImageId
    threshold: Threshold = DEFAULT_THRESHOLD
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
    datasets: Sequence[str] | None = None
    """Where to look instead of the reference image's dataset and folder: names or ids."""
    recursive: bool = True
    """With the folders below it."""
    percentiles: bool = False
    """Whether the answer places its scores among those of random pairs of the scope."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        check_threshold(self.threshold)
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))

    @property
    def whole(self) -> Query:
        """What it is short for."""
        scope = Scope(self.datasets, self.folder_path, self.recursive, of_reference=self.datasets is None)
        return Query(
            (Example(self.image_id, box=self.box),), scope, self.conditions,
            threshold=self.threshold, limit=self.limit, cursor=self.cursor, exact=self.exact,
            percentiles=self.percentiles,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureQuery:
    """Which images look like this picture, which is not stored? Its bytes come beside the question."""

    box: Box | None = None
    """Only this part of the picture counts."""
    dataset: str | None = None
    """Name or id; None asks the whole organization."""
    folder_path: str | None = None
    """Only this folder of each dataset, with everything below it; None is all of it."""
    threshold: Threshold = DEFAULT_THRESHOLD
    limit: int = DEFAULT_LIMIT
    exact: bool = False
    """Only an exact answer will do, whatever it takes."""
    conditions: Conditions = NO_CONDITIONS
    """What the images must be besides."""
    cursor: str | None = None
    """`next_cursor` of the answer before."""
    datasets: Sequence[str] | None = None
    """Instead of one: only these, by names or ids."""
    recursive: bool = True
    """With the folders below it."""
    percentiles: bool = False
    """Whether the answer places its scores among those of random pairs of the scope."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        check_threshold(self.threshold)
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))

    def whole(self, picture: Source) -> Query:
        """What it is short for."""
        scope = scope_of(self.dataset, self.folder_path, self.datasets, recursive=self.recursive)
        return Query(
            (Example(picture=picture, box=self.box),), scope, self.conditions,
            threshold=self.threshold, limit=self.limit, cursor=self.cursor, exact=self.exact,
            percentiles=self.percentiles,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Which images show what these words say?"""

    text: str
    dataset: str | None = None
    """Name or id; None asks the whole organization."""
    folder_path: str | None = None
    """Only this folder of each dataset, with everything below it; None is all of it."""
    threshold: Threshold = DEFAULT_TEXT_THRESHOLD
    limit: int = DEFAULT_LIMIT
    exact: bool = False
    """Only an exact answer will do, whatever it takes."""
    conditions: Conditions = NO_CONDITIONS
    """What the images must be besides."""
    cursor: str | None = None
    """`next_cursor` of the answer before."""
    datasets: Sequence[str] | None = None
    """Instead of one: only these, by names or ids."""
    recursive: bool = True
    """With the folders below it."""
    percentiles: bool = False
    """Whether the answer places its scores among those of random pairs of the scope."""

    def __post_init__(self) -> None:
        check_limit(self.limit)
        check_threshold(self.threshold)
        check_words(self.text)
        if self.folder_path is not None:
            object.__setattr__(self, "folder_path", canonical_folder(self.folder_path))

    @property
    def whole(self) -> Query:
        """What it is short for."""
        scope = scope_of(self.dataset, self.folder_path, self.datasets, recursive=self.recursive)
        return Query(
            (Example(text=self.text),), scope, self.conditions,
            threshold=self.threshold, limit=self.limit, cursor=self.cursor, exact=self.exact,
            percentiles=self.percentiles,
        )  # fmt: skip


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
    datasets: Sequence[str] | None = None
    """Instead of one: only these, by names or ids."""
    recursive: bool = True
    """With the folders below it."""

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
    def whole(self) -> Query:
        """What it is short for, but for the offset."""
        scope = scope_of(self.dataset, self.folder_path, self.datasets, recursive=self.recursive)
        return Query((), scope, self.conditions, limit=self.limit, cursor=self.cursor)

    @property
    def filters(self) -> dict[TagCategory, list[str]]:
        """The categories that filter, their labels lower case and each once; `[]` matches nothing."""
        return filters_of(self.objects, self.scenes, self.attributes)


def scope_of(
    dataset: str | None, folder_path: str | None, datasets: Sequence[str] | None = None, *, recursive: bool = True
) -> Scope:
    """Where a short form looks. Raises ValidationError if it names both one dataset and some."""
    if dataset is not None and datasets is not None:
        raise wrong_value("dataset_names", "Name either dataset_name or dataset_names: both say where to look.")
    return Scope(datasets if dataset is None else [dataset], folder_path, recursive)


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


def check_threshold(threshold: Threshold) -> None:
    if threshold == AUTO:
        return
    if math.isnan(threshold) or not 0 <= threshold <= 1:
        raise wrong_value("threshold", f"threshold must be between 0 and 1, or 'auto', not {threshold!r}.")


def check_match(match: str) -> None:
    if match not in ("any", "all"):
        raise wrong_value("match", f"match must be 'any' or 'all', not {match!r}.")


def check_words(text: str) -> None:
    if not has_words(text):
        raise wrong_value("text", "text must not be empty: say what the images show.")
    if len(text) > MAX_TEXT:
        raise wrong_value("text", f"text has at most {MAX_TEXT} characters; this one has {len(text)}.")


def has_words(text: str) -> bool:
    """False for a text of blanks, control and invisible characters only: it says nothing."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise wrong_value("limit", f"limit must be between 1 and {MAX_LIMIT} (the most one answer holds), not {limit}.")
