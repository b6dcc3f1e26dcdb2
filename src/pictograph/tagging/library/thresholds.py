"""What another threshold would change, and changing it: from the scores that are kept, without reading a picture.

Only encodings whose score lies between the old threshold and the new one can change, so only these are looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all
from pictograph.store.datasets import datasets_of, resolve_dataset
from pictograph.store.locks import keep_datasets
from pictograph.tagging.assign import Assigner
from pictograph.tagging.labels import checked_threshold, find_label
from pictograph.tagging.library.changes import Changes
from pictograph.tagging.library.tables import Retagged, active_rules, lock_active_rules, write_tags
from pictograph.tagging.taxonomy import Label, Taxonomy
from pictograph.types import DatasetId, ImageId, OrganizationId, Sha256, SpaceId, TagCategory, Tags

CHUNK: Final = 2000
"""Encodings that are in memory at a time."""
SET_THRESHOLDS: Final = "UPDATE space SET thresholds = %s WHERE id = %s"
BAND: Final = """
FROM encoding e{images}
WHERE e.space_id = %(space)s AND e.tags IS NOT NULL
  AND (e.tag_scores ->> %(key)s)::float8 >= %(low)s AND (e.tag_scores ->> %(key)s)::float8 < %(high)s"""
IN_BAND: Final = "SELECT e.sha256, e.tags, e.tag_scores AS scores, 1 AS images" + BAND.format(images="")
SEEN: Final = "i.dataset_id = ANY(%(datasets)s) AND i.archived_at IS NULL AND i.state IN ('embedded', 'tagged')"
SEEN_IN_BAND: Final = (
    "SELECT e.sha256, e.tags, e.tag_scores AS scores, n.images"
    + BAND.format(
        images=f" CROSS JOIN LATERAL (SELECT count(*) AS images FROM image i WHERE i.sha256 = e.sha256 AND {SEEN}) n"
    )
    + " AND n.images > 0"
)
SHOWN: Final = f"""
SELECT DISTINCT ON (i.sha256) i.sha256, i.id, i.filename, f.path AS folder_path, i.dataset_id
FROM image i JOIN folder f ON f.id = i.folder_id
WHERE i.sha256 = ANY(%(sha256s)s) AND {SEEN} ORDER BY i.sha256, i.id"""


@dataclass(frozen=True, slots=True)
class Scored:
    """An encoding whose score lies between two thresholds."""

    sha256: Sha256
    tags: Tags
    scores: dict[str, float]
    images: int
    """Images with these bytes, of those that are looked at."""


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image as an example of others."""

    sha256: Sha256
    id: ImageId
    filename: str
    folder_path: str
    dataset_id: DatasetId


@dataclass(frozen=True, slots=True)
class Preview:
    """What a threshold would change, in the images that one organization sees."""

    label: Label
    before: float
    after: float
    changes: Changes
    gained: list[tuple[ShownImage, float]]
    """Some images that would get the tag, with their scores, the doubtful ones first."""
    lost: list[tuple[ShownImage, float]]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a new threshold changed."""

    label: Label
    before: float
    after: float
    images: int
    """Images of the caller's organization whose tags are others now."""


class Thresholds:
    """The thresholds of the active space's labels. They hold for the whole installation: encodings are shared."""

    def __init__(self, database: Database, taxonomy: Taxonomy) -> None:
        self._database = database
        self._taxonomy = taxonomy

    async def chosen(self) -> dict[str, float]:
        """`{"objects/dog": 0.31}`: those that differ from the taxonomy's own.

        Raises ConflictError if there is no library yet.
        """
        async with self._database.connection() as connection:
            return (await active_rules(connection)).thresholds

    async def preview(
        self,
        organization: OrganizationId,
        name: str,
        threshold: float | None,
        *,
        category: TagCategory | None = None,
        dataset: str | None = None,
    ) -> Preview:
        """Computes what `apply` would change. threshold: None is the taxonomy's own.

        Raises NotFoundError (no such label, no such dataset), ValidationError.
        """
        label, after = self._asked(name, threshold, category)
        async with self._database.transaction() as connection:
            rules = await active_rules(connection)
            datasets = await datasets_seen(connection, organization, dataset)
            before = rules.thresholds.get(label.key, label.threshold)
            changes = Changes(label, after)
            values = band(rules.id, label, before, after) | {"datasets": datasets}
            assigner = Assigner(self._taxonomy, rules.thresholds | {label.key: after})
            async for chunk in chunks(connection, SEEN_IN_BAND, values):
                for scored, tags in await asyncio.to_thread(reassigned, chunk, assigner):
                    changes.add(scored.sha256, scored.tags, tags, scored.scores[label.key], scored.images)
            examples = await shown(connection, changes, datasets)
        gained = [(examples[sha256], score) for sha256, score in changes.gained_examples() if sha256 in examples]
        lost = [(examples[sha256], score) for sha256, score in changes.lost_examples() if sha256 in examples]
        return Preview(label, before, after, changes, gained, lost)

    async def apply(
        self,
        organization: OrganizationId,
        name: str,
        threshold: float | None,
        *,
        category: TagCategory | None = None,
    ) -> Applied:
        """Sets the threshold, None for the taxonomy's own, and every tag that hangs on it, all or nothing.

        Results that are being written are waited for, and what is written later follows the new threshold, so no image
        is missed. Doing it twice changes nothing more. Raises NotFoundError, ValidationError.
        """
        label, after = self._asked(name, threshold, category)

        async def step(connection: Connection) -> Applied:
            rules = await lock_active_rules(connection)
            await keep_datasets(connection)
            datasets = await datasets_of(connection, organization)
            before = rules.thresholds.get(label.key, label.threshold)
            thresholds = without(rules.thresholds, label) | ({label.key: after} if after != label.threshold else {})
            await connection.execute(SET_THRESHOLDS, [Jsonb(thresholds), rules.id])
            assigner = Assigner(self._taxonomy, thresholds)
            images = 0
            async for chunk in chunks(connection, IN_BAND, band(rules.id, label, before, after)):
                decided = await asyncio.to_thread(reassigned, chunk, assigner)
                changed = [Retagged(old.sha256, tags, old.scores) for old, tags in decided if tags != old.tags]
                images += await write_tags(connection, rules.id, changed, datasets)
            return Applied(label, before, after, images)

        return await self._database.write(step, keep_plans=False)

    def _asked(self, name: str, threshold: float | None, category: TagCategory | None) -> tuple[Label, float]:
        label = find_label(self._taxonomy, name, category)
        return label, label.threshold if threshold is None else checked_threshold(label, threshold)


async def datasets_seen(connection: Connection, organization: OrganizationId, dataset: str | None) -> list[DatasetId]:
    if dataset is not None:
        return [await resolve_dataset(connection, organization, dataset)]
    return await datasets_of(connection, organization)


def band(space: SpaceId, label: Label, before: float, after: float) -> dict[str, Any]:
    """Which encodings can change: those that one of the two thresholds gives the label, and the other does not."""
    return {"space": space, "key": label.key, "low": min(before, after), "high": max(before, after)}


async def chunks(connection: Connection, statement: str, values: Mapping[str, Any]) -> AsyncIterator[list[Scored]]:
    """The rows, some thousand at a time, as they were when the first was read."""
    async with connection.cursor(name="band", row_factory=class_row(Scored)) as cursor:
        await cursor.execute(statement.encode(), values)
        while chunk := await cursor.fetchmany(CHUNK):
            yield chunk


def reassigned(chunk: Sequence[Scored], assigner: Assigner) -> list[tuple[Scored, Tags]]:
    """Returns each encoding with the tags that its scores deserve now."""
    return [(scored, assigner.tags(scored.scores)) for scored in chunk]


async def shown(connection: Connection, changes: Changes, datasets: Sequence[DatasetId]) -> dict[Sha256, ShownImage]:
    """Returns an image for each of the examples."""
    wanted = [sha256 for sha256, _ in changes.gained_examples() + changes.lost_examples()]
    rows = await fetch_all(connection, ShownImage, SHOWN, {"sha256s": wanted, "datasets": list(datasets)})
    return {row.sha256: row for row in rows}


def without(thresholds: Mapping[str, float], label: Label) -> dict[str, float]:
    return {key: value for key, value in thresholds.items() if key != label.key}
