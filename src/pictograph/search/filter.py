"""The one filter of every question: which images are meant. A leaf: it knows no way of answering.

It is compiled to two things, and to nothing else: a WHERE clause (where.py) and a mask of rows (memory/judging.py). A
new filter is a field of `Conditions`, a line in each of those, and a parameter of the routes, the SDK and the command.
Bounds of a fact are fields only: facts.py says to which fact they belong, and where it lies.

What is not known of an image meets no condition, as in SQL: neither `min_sharpness` nor `max_sharpness`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pictograph.errors import wrong_value
from pictograph.naming import similar_names
from pictograph.search.facts import FACTS
from pictograph.search.members import Members
from pictograph.search.pattern import checked_pattern
from pictograph.types import DatasetId, ImageState, TagCategory, TagMatch, Tags

FORMATS: Final[Mapping[str, Sequence[str]]] = {
    "jpeg": ("image/jpeg",),
    "png": ("image/png",),
    "webp": ("image/webp",),
    "gif": ("image/gif",),
    "bmp": ("image/bmp",),
    "tiff": ("image/tiff",),
    "heif": ("image/heic", "image/heif"),
    "avif": ("image/avif",),
}
"""Content types of each format."""
FARTHEST: Final = 1_000_000_000
"""No fact that is no whole number is so large."""
ALSO_CALLED: Final = {"jpg": "jpeg", "tif": "tiff", "heic": "heif"}


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Tags an image must carry: OR inside a category (AND with `match="all"`), AND across categories."""

    labels: Mapping[TagCategory, Sequence[str]] = field(default_factory=dict)
    """The categories that filter; one with no labels matches nothing."""
    match: TagMatch = "any"

    @property
    def matches_nothing(self) -> bool:
        """Whether no image can carry them: a category is given, and has no labels."""
        return any(not labels for labels in self.labels.values())

    def accepts(self, tags: Tags) -> bool:
        """Whether an image with these tags is meant."""
        wants = all if self.match == "all" else any
        return all(
            bool(labels) and wants(label in tags[category] for label in labels)
            for category, labels in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where images lie: the scope of a question."""

    datasets: Sequence[DatasetId]
    """Always named: an organization's question lists all of its datasets."""
    folder_path: str = "/"
    """This folder of each dataset."""
    recursive: bool = True
    """With everything below it."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What images must be, wherever they lie. What is not given does not restrict."""

    tags: TagFilter = field(default_factory=TagFilter)
    uploaded_from: datetime | None = None
    """Then or later."""
    uploaded_before: datetime | None = None
    without: TagFilter = field(default_factory=TagFilter)
    """Tags of which an image must carry none; of one without tags yet it is not known."""
    taken_from: datetime | None = None
    """By EXIF; then or later."""
    taken_before: datetime | None = None
    min_width: int | None = None
    """Pixels; this and all that follow include the bound itself."""
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    min_file_size: int | None = None
    """Bytes."""
    max_file_size: int | None = None
    min_aspect: float | None = None
    """Width / height: 1 square, above 1 wider than high."""
    max_aspect: float | None = None
    min_sharpness: float | None = None
    """This and what follows: store/facts.py."""
    max_sharpness: float | None = None
    min_brightness: float | None = None
    max_brightness: float | None = None
    min_contrast: float | None = None
    max_contrast: float | None = None
    formats: Sequence[str] | None = None
    """Names of `FORMATS`, any of them; empty matches nothing."""
    states: Sequence[ImageState] | None = None
    """Any of them; empty matches nothing."""
    filename: str | None = None
    """A pattern: pattern.py."""
    camera: str | None = None
    """A pattern."""

    collection: str | None = None
    """Name or id of a collection that an image must be in."""
    members: Members | None = None
    """The images of that collection: search/collections.py finds them before anything is compiled."""

    def __post_init__(self) -> None:
        for _, least, most in self.bounds():
            check_bounds(self, least, most)
        for name in ("filename", "camera"):
            if (pattern := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_pattern(name, pattern))
        if self.formats is not None:
            object.__setattr__(self, "formats", [checked_format(name) for name in self.formats])
        if self.states is not None:
            object.__setattr__(self, "states", [checked_state(name) for name in self.states])

    def bounds(self) -> Iterator[tuple[str, str, str]]:
        """(fact, condition at least, condition at most) of each fact that is bounded."""
        for name, fact in FACTS.items():
            if getattr(self, fact.at_least) is not None or getattr(self, fact.at_most) is not None:
                yield name, fact.at_least, fact.at_most

    @property
    def content_types(self) -> list[str] | None:
        """Of the formats."""
        return None if self.formats is None else [kind for name in self.formats for kind in FORMATS[name]]

    @property
    def may_be_undecided(self) -> bool:
        """Whether they ask for something that is not known of every image."""
        asks = any(not FACTS[name].is_sure for name, _, _ in self.bounds())
        return asks or self.camera is not None or any(self.without.labels.values())

    @property
    def match_nothing(self) -> bool:
        """Whether no image can meet them."""
        return self.tags.matches_nothing or self.formats == [] or self.states == []

    @property
    def are_none(self) -> bool:
        """Whether they hold for every image."""
        return self == NO_CONDITIONS


NO_CONDITIONS: Final = Conditions()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images of a place are meant. Archived images never are."""

    place: Place
    conditions: Conditions = NO_CONDITIONS

    @property
    def matches_nothing(self) -> bool:
        """Whether no image can be meant."""
        return not self.place.datasets or self.conditions.match_nothing


def check_bounds(conditions: Conditions, least: str, most: str) -> None:
    """Raises ValidationError where no value can lie between two bounds, or one is no number."""
    low, high = getattr(conditions, least), getattr(conditions, most)
    for name, bound in ((least, low), (most, high)):
        if isinstance(bound, float) and not -FARTHEST <= bound <= FARTHEST:
            raise wrong_value(name, f"{name} must be between -{FARTHEST} and {FARTHEST}, not {bound}.")
    if low is None or high is None:
        return
    if isinstance(low, datetime):
        if low >= high:
            raise wrong_value(
                least,
                f"{least} ({low.isoformat()}) must be before {most} ({high.isoformat()}): between them lies no time.",
            )
    elif low > high:
        raise wrong_value(least, f"{least} ({low}) must not be above {most} ({high}): no value lies between them.")


def checked_format(name: str) -> str:
    """The name in `FORMATS`. Raises ValidationError that names the nearest one."""
    known = name.strip().lower()
    known = ALSO_CALLED.get(known, known)
    if known not in FORMATS:
        raise wrong_value(
            "formats", f"formats must be among {', '.join(FORMATS)}, not {name!r}.{nearest(known, FORMATS)}"
        )
    return known


def checked_state(name: str) -> ImageState:
    """The state of that name. Raises ValidationError that names the nearest one."""
    try:
        return ImageState(name.strip().lower())
    except ValueError as error:
        message = f"states must be among {', '.join(ImageState)}, not {name!r}.{nearest(name, list(ImageState))}"
        raise wrong_value("states", message) from error


def nearest(name: str, known: Any) -> str:
    near = similar_names(name, [str(one) for one in known], 1)
    return f" Did you mean {near[0]!r}?" if near else ""
