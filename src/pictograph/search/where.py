"""A filter as conditions of SQL, over a row `r` of `image_embedding` or `image`, with bound values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pictograph.search.filter import Filter, TagFilter
from pictograph.search.sql import statement
from pictograph.store.names import storable
from pictograph.types import TagCategory, TagMatch

Table: TypeAlias = Literal["image", "image_embedding"]


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions, and the values that they name."""

    place: str
    """Datasets and folders."""
    facts: str
    """Everything else that the filter says."""
    values: dict[str, Any]

    def into(self, name: str) -> str:
        """The statement of that name with these conditions."""
        return statement(name).format(place=self.place, facts=self.facts)

    def in_order(self, name: str, value: str) -> str:
        """As `into`. value: the SQL of a fact, one of `orders.ORDERS`."""
        return statement(name).format(place=self.place, facts=self.facts, value=value)


def where(wanted: Filter, folders: Sequence[int] | None, table: Table) -> Where:
    """folders: the ids of the place's folders, None for all of them. table: what `r` is a row of."""
    place, values = "r.dataset_id = ANY(%(datasets)s)", dict[str, Any](datasets=list(wanted.place.datasets))
    if folders is not None:
        place += " AND r.folder_id = ANY(%(folders)s)"
        values["folders"] = list(folders)
    conditions, documents = tag_conditions(wanted.conditions.tags)
    for name, comparison in (("uploaded_from", ">="), ("uploaded_before", "<")):
        if (moment := getattr(wanted.conditions, name)) is not None:
            conditions.append(f"{{row}}.created_at {comparison} %({name})s")
            values[name] = moment
    facts = " AND ".join(conditions)
    if facts and table == "image_embedding":
        facts = f"EXISTS (SELECT FROM image i WHERE i.id = r.image_id AND {facts})"
    row = "i" if table == "image_embedding" else "r"
    return Where(place, facts.replace("{row}", row) or "true", values | documents)


def tag_conditions(tags: TagFilter) -> tuple[list[str], dict[str, str]]:
    """One OR of containments for each category. Not `@> ANY (array)`: a GIN index cannot answer that."""
    conditions: list[str] = []
    values: dict[str, str] = {}
    for category, labels in tags.labels.items():
        documents = containment(category, labels, tags.match)
        names = {f"{category}_{number}": document for number, document in enumerate(documents)}
        any_of = " OR ".join(f"{{row}}.image_auto_tags @> %({name})s::jsonb" for name in names)
        conditions.append(f"({any_of or 'false'})")
        values |= names
    return conditions, values


def containment(category: TagCategory, labels: Sequence[str], match: TagMatch) -> list[str]:
    """Documents of which an image must contain one: `{"objects": ["car"]}` each, or one document with all labels."""
    possible = [label for label in labels if storable(label)]
    if match == "all":
        return [json.dumps({category: possible})] if labels and len(possible) == len(labels) else []
    return [json.dumps({category: [label]}) for label in possible]
