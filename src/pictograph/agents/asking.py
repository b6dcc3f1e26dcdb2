"""What a tool was asked, as the SDK takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pictograph.agents.handles import Handles
from pictograph.client.examples import Example
from pictograph.client.filters import QueryFilters
from pictograph.errors import wrong_value
from pictograph.naming import similar_names, unknown_name
from pictograph.types import TAG_CATEGORIES, TagMatch
from pictograph.wire import Taxonomy

NEAREST = 3
"""Tags that are named where one does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question of `search` or `contact_sheet`."""

    words: str = ""
    like: Sequence[str] = ()
    not_like: Sequence[str] = ()
    box: Mapping[str, Any] | None = None
    tags: Sequence[str] = ()
    not_tags: Sequence[str] = ()
    match: TagMatch = "all"
    datasets: Sequence[str] = ()
    folder: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)
    order_by: str = ""
    min_score: float | None = None
    cursor: str = ""

    def arguments(self, handles: Handles, taxonomy: Taxonomy | None) -> dict[str, Any]:
        """For `client.search.query`. taxonomy: where tags were given. Raises ValidationError."""
        given: dict[str, Any] = {**self.filters}
        if taxonomy is not None:
            given |= by_category(self.tags, taxonomy, "") | by_category(self.not_tags, taxonomy, "not_")
            given["match"] = self.match
        for name in given.keys() - QueryFilters.__annotations__.keys():
            raise wrong_value("filters", unknown_name("filter", name, sorted(QueryFilters.__annotations__), {}))
        given["examples"] = self.examples(handles)
        optional = {
            "dataset_names": list(self.datasets),
            "folder_path": self.folder,
            "order_by": self.order_by,
            "cursor": self.cursor,
        }
        given |= {name: value for name, value in optional.items() if value}
        return given if self.min_score is None else given | {"threshold": self.min_score}

    def examples(self, handles: Handles) -> list[Example]:
        """Words first, then images alike and unlike; the box is of the first image."""
        if self.box is not None and not self.like:
            raise wrong_value("box", "box marks a part of the first image of `like`: name that image.")
        boxed: dict[str, Any] = {} if self.box is None else {"box": dict(self.box)}
        wanted = [Example(text=self.words)] if self.words else []
        wanted += [
            Example(image_id=handles.image_of(image), **(boxed if number == 0 else {}))
            for number, image in enumerate(self.like)
        ]
        return [*wanted, *(Example(image_id=handles.image_of(image), negative=True) for image in self.not_like)]


def by_category(tags: Sequence[str], taxonomy: Taxonomy, prefix: str) -> dict[str, list[str]]:
    """`["car", "scenes/night"]` -> `{"objects": ["car"], "scenes": ["night"]}`, each name with the prefix.

    Raises ValidationError for a tag that does not exist, with the nearest ones, and for a name of several categories.
    """
    found: dict[str, list[str]] = {}
    for tag in tags:
        category, label = category_of(tag.strip().lower(), taxonomy)
        found.setdefault(prefix + category, []).append(label)
    return found


def category_of(tag: str, taxonomy: Taxonomy) -> tuple[str, str]:
    keys = [(label.category, label.name) for label in taxonomy.labels]
    wanted = [key for key in keys if tag in (key[1], "/".join(key))]
    if len(wanted) == 1:
        return wanted[0]
    if wanted:
        raise wrong_value("tags", f"{tag!r} is in several categories: say {' or '.join(map('/'.join, wanted))}.")
    name = tag.rpartition("/")[2]
    names = {label.name: "/".join((label.category, label.name)) for label in taxonomy.labels}
    near = similar_names(name, list(names), NEAREST) or [known for known in names if name in known][:NEAREST]
    nearest = f" Nearest: {', '.join(names[known] for known in near)}." if near else ""
    raise wrong_value(
        "tags",
        f"There is no tag {tag!r}: no image can carry it.{nearest} Nothing was searched. `facets` lists the tags that "
        f"images carry; categories are {', '.join(TAG_CATEGORIES)}. Say what has no tag in `words`.",
    )
