"""A filter as conditions of SQL, over a row `r` of `image_embedding` or `image`, with bound values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pictograph.search.facts import FACTS
from pictograph.search.filter import Conditions, Filter, TagFilter
from pictograph.search.pattern import SMALL_IN_SQL, can_match, like_of
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
    judged: str
    """The same as a value: NULL where it cannot be told of an image."""
    values: dict[str, Any]

    def into(self, name: str) -> str:
        """The statement of that name with these conditions."""
        return statement(name).format(place=self.place, facts=self.facts, judged=self.judged)

    def in_order(self, name: str, value: str) -> str:
        """As `into`. value: the SQL of a fact, one of `orders.ORDERS`."""
        return statement(name).format(place=self.place, facts=self.facts, value=value)


def where(wanted: Filter, folders: Sequence[int] | None, table: Table) -> Where:
    """folders: the ids of the place's folders, None for all of them. table: what `r` is a row of."""
    place, values = "r.dataset_id = ANY(%(datasets)s)", dict[str, Any](datasets=list(wanted.place.datasets))
    if folders is not None:
        place += " AND r.folder_id = ANY(%(folders)s)"
        values["folders"] = list(folders)
    asked = wanted.conditions
    conditions, documents = tag_conditions(asked.tags)
    values |= documents
    for part, more in (without_tags(asked.without), bounded(asked), named(asked), collected(asked)):
        conditions += part
        values |= more
    facts = " AND ".join(conditions).replace("{row}", "i" if table == "image_embedding" else "r")
    if not facts:
        return Where(place, "true", "true", values)
    if table == "image":
        return Where(place, facts, f"({facts})", values)
    exists = f"EXISTS (SELECT FROM image i WHERE i.id = r.image_id AND {facts})"
    return Where(place, exists, f"(SELECT {facts} FROM image i WHERE i.id = r.image_id)", values)


def bounded(asked: Conditions) -> tuple[list[str], dict[str, Any]]:
    """The bounds of facts."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for fact, least, most in asked.bounds():
        for name, comparison in ((least, ">="), (most, "<" if FACTS[fact].is_time else "<=")):
            if (bound := getattr(asked, name)) is not None:
                conditions.append(f"{FACTS[fact].sql} {comparison} %({name})s::{FACTS[fact].sql_type}")
                values[name] = bound
    return conditions, values


def named(asked: Conditions) -> tuple[list[str], dict[str, Any]]:
    """Formats, states, and patterns of names."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for column, chosen in (("content_type", asked.content_types), ("state", asked.states)):
        if chosen is not None:
            conditions.append(f"{{row}}.{column} = ANY(%({column})s)")
            values[column] = [str(one) for one in chosen]
    for column in ("filename", "camera"):
        if (pattern := getattr(asked, column)) is None:
            continue
        if not can_match(pattern):
            conditions.append(f"CASE WHEN {{row}}.{column} IS NOT NULL THEN false END")
            continue
        conditions.append(f"{SMALL_IN_SQL.format(value=f'{{row}}.{column}')} LIKE %({column})s")
        values[column] = like_of(pattern)
    return conditions, values


def collected(asked: Conditions) -> tuple[list[str], dict[str, Any]]:
    """In the collection."""
    if asked.members is None:
        if asked.collection is not None:
            raise AssertionError("the collection was not looked for")
        return [], {}
    members = "SELECT FROM collection_image m WHERE m.collection_id = %(collection)s AND m.image_id = {row}.id"
    return [f"EXISTS ({members})"], {"collection": asked.members.collection}


def without_tags(tags: TagFilter) -> tuple[list[str], dict[str, str]]:
    """None of these; NULL of an image that has not been tagged."""
    wanted = {category: labels for category, labels in tags.labels.items() if labels}
    if not wanted:
        return [], {}
    conditions, values = tag_conditions(TagFilter(wanted), "not_")
    return [f"NULLIF({{row}}.state = 'tagged', false) AND NOT ({' OR '.join(conditions)})"], values


def tag_conditions(tags: TagFilter, prefix: str = "") -> tuple[list[str], dict[str, str]]:
    """One OR of containments for each category. Not `@> ANY (array)`: a GIN index cannot answer that."""
    conditions: list[str] = []
    values: dict[str, str] = {}
    for category, labels in tags.labels.items():
        documents = containment(category, labels, tags.match)
        names = {f"{prefix}{category}_{number}": document for number, document in enumerate(documents)}
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
