"""The way in for vectors: rows of one request -> images, in ONE transaction, under the rules of an upload.

A row whose place is free becomes an image. One whose place is taken is compared with what is there: the same is
skipped (or restored, if that image is archived), another is named in the answer, or replaces it if that was asked for
and the image has no bytes that would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np
from psycopg.types.json import Json

from pictograph.bulk.addresses import addresses
from pictograph.bulk.arrow import NOT_SAID, Rows, read_rows
from pictograph.bulk.images import BulkImages, Bytes, Integers, new_ids
from pictograph.bulk.load import bulk_load, digests_of, make_folders, name_blobs, replace_vectors
from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_value
from pictograph.errors import NotFoundError, WriteConflict
from pictograph.search.filter import TagFilter
from pictograph.spaces.registry import Space, Spaces, fingerprint_of, lock_rules, other_fingerprint
from pictograph.store.locks import lock_images, take_turn
from pictograph.types import DatasetId, ImageId, OrganizationId, Sha256, TagCategory

KEEP_DATASET: Final = "SELECT id FROM dataset WHERE id = %s FOR KEY SHARE"
# LIMIT keeps this a look-up for each place, however many images there are. JSON, because psycopg takes microseconds for
# each entry of an array.
TAKEN: Final = """
SELECT asked.position - 1 AS position, i.id, i.sha256, i.is_archived, i.has_bytes
FROM ROWS FROM (json_array_elements_text(%(folders)s), json_array_elements_text(%(filenames)s))
    WITH ORDINALITY AS asked (folder, filename, position)
CROSS JOIN LATERAL (
    SELECT image.id, image.sha256, image.archived_at IS NOT NULL AS is_archived,
           blob.has_bytes OR EXISTS (SELECT FROM replacement r WHERE r.image_id = image.id AND r.sha256 IS NOT NULL)
               AS has_bytes
    FROM image JOIN blob ON blob.sha256 = image.sha256
    WHERE image.folder_id = asked.folder::bigint AND image.filename = asked.filename LIMIT 1
) i
ORDER BY asked.position"""
NOW_US: Final = "SELECT (extract(epoch FROM now()) * 1000000)::bigint"
IDS_IN_USE: Final = """
SELECT image.id FROM json_array_elements_text(%s) AS wanted (id) CROSS JOIN LATERAL (
    SELECT id FROM image WHERE image.id = wanted.id::uuid LIMIT 1) image"""
LOCKED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """The image that has the place of a row."""

    position: int
    id: ImageId
    sha256: Sha256
    is_archived: bool
    has_bytes: bool
    """Or gets some: new ones wait for a worker."""


@dataclass(frozen=True, slots=True)
class Differs:
    """A row of which nothing was stored."""

    row: int
    image: ImageId
    reason: str


@dataclass(slots=True)
class Verdicts:
    """What is to be done with each row."""

    images: dict[int, ImageId] = field(default_factory=dict)
    """Of each row whose place is taken, the image that has it."""
    new: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    restored: dict[int, ImageId] = field(default_factory=dict)
    replaced: dict[int, ImageId] = field(default_factory=dict)
    different: list[Differs] = field(default_factory=list)
    repeats: list[tuple[int, int]] = field(default_factory=list)
    """Rows of a place that another row of the request has too, and that row."""

    @property
    def changed(self) -> dict[int, ImageId]:
        """Images that are there already and get something."""
        return self.restored | self.replaced


class VectorDoor:
    """Takes vectors that were made elsewhere by the encoder of the library. When it returns, nothing can be lost."""

    def __init__(self, database: Database, spaces: Spaces, is_label: Callable[[TagCategory, str], bool]) -> None:
        self._database = database
        self._spaces = spaces
        self._is_label = is_label

    def unknown_tags(self, tags: TagFilter) -> list[str]:
        """Those that the taxonomy does not have."""
        return [
            label for category, labels in tags.labels.items() for label in labels if not self._is_label(category, label)
        ]

    async def read(self, body: bytes, encoder: str) -> tuple[Space, Rows]:
        """The rows of an Arrow stream, checked. encoder: fingerprint of what made the vectors.

        Raises ValidationError: another encoder than the library's, or a wrong row, which is named with its column.
        """
        space = await self._spaces.active()
        if space is None or fingerprint_of(space) != encoder:
            raise other_fingerprint(encoder, space)
        return space, await asyncio.to_thread(read_rows, body, space.dimension, self._is_label)

    async def store(
        self, organization: OrganizationId, dataset: DatasetId, space: Space, rows: Rows, *, replace: bool = False
    ) -> Verdicts:
        """Makes images of the rows, all in one transaction; what became of each. replace: see above.

        Raises NotFoundError if the dataset is gone, ValidationError if the library has another encoder by now.
        """
        facts = (rows.widths, rows.heights, rows.sizes)
        marks = await asyncio.to_thread(addresses, organization, rows.vectors, rows.tags, facts, rows.content_types)

        overtaken = False

        async def step(connection: Connection) -> Verdicts:
            nonlocal overtaken
            alone, overtaken = overtaken, True
            await take_turn(connection, dataset, alone=alone)
            if not (await lock_rules(connection, space.id)).active:
                raise other_fingerprint(fingerprint_of(space), await self._spaces.active())
            if not await fetch_column(connection, KEEP_DATASET, [dataset]):
                raise NotFoundError("The dataset was deleted meanwhile: nothing of this request was stored.")
            folder_ids = await make_folders(connection, dataset, rows.folder_paths)
            verdicts = await decide(connection, folder_ids.tolist(), rows, marks, replace=replace)
            ids = await ids_for(connection, rows, verdicts)
            await asyncio.to_thread(settle_repeats, verdicts, ids, marks)
            images = BulkImages(
                ids=ids,
                folder_ids=folder_ids,
                filenames=rows.filenames,
                sha256s=marks,
                sizes_bytes=rows.sizes,
                widths_px=rows.widths,
                heights_px=rows.heights,
                created_us=await moments_of(connection, rows),
                vectors=rows.vectors,
                tags=rows.tags,
                content_types=rows.content_types,
            )
            await write(connection, space, dataset, images, verdicts)
            return verdicts

        return await self._database.write(step) if len(rows) else Verdicts()


async def write(
    connection: Connection, space: Space, dataset: DatasetId, images: BulkImages, verdicts: Verdicts
) -> None:
    """Stores the new images and changes those that are to be changed."""

    async def chosen(rows: Sequence[int]) -> BulkImages:
        return await asyncio.to_thread(images.rows, np.array(rows, np.intp))

    new, changed = sorted(verdicts.new), sorted(verdicts.changed)
    if new or changed:
        held = await name_blobs(connection, await chosen(sorted([*new, *changed])))
        if new:
            loaded = await chosen(new)
            await bulk_load(connection, space.id, dataset, loaded, held)
            held.update(await asyncio.to_thread(digests_of, loaded))  # changed images may share these vectors
        await replace_vectors(connection, space.id, await chosen(changed), held)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows are to go, each place once."""

    asked: list[int]
    """The first row of each place."""
    repeats: list[tuple[int, int]]
    """The other rows, and the first of their place."""
    values: dict[str, Json]
    """For TAKEN."""

    @classmethod
    def of(cls, folders: Sequence[int], filenames: Sequence[str]) -> Places:
        """folders: the folder of each row."""
        first: dict[tuple[int, str], int] = {}
        repeats = []
        for row, place in enumerate(zip(folders, filenames, strict=True)):
            before = first.setdefault(place, row)
            if before != row:
                repeats.append((row, before))
        asked = list(first.values())
        values = {
            "folders": Json([folders[row] for row in asked]),
            "filenames": Json([filenames[row] for row in asked]),
        }
        return cls(asked, repeats, values)


async def decide(
    connection: Connection, folders: Sequence[int], rows: Rows, marks: Bytes, *, replace: bool
) -> Verdicts:
    """What is to be done with each row. Images that are to be changed are locked, and were looked at behind that."""
    places = await asyncio.to_thread(Places.of, folders, rows.filenames)

    async def look() -> Verdicts:
        taken = await fetch_all(connection, Taken, TAKEN, places.values)
        return await asyncio.to_thread(judged, places.asked, taken, marks, replace=replace)

    verdicts = await look()
    if verdicts.changed:
        locked = await lock_in_parts(connection, list(verdicts.changed.values()))
        verdicts = await look()
        if not locked >= set(verdicts.changed.values()):
            raise WriteConflict("Another request changed these images at this moment.")
    verdicts.repeats = places.repeats
    return verdicts


async def lock_in_parts(connection: Connection, images: Sequence[ImageId]) -> set[ImageId]:
    """Those of the images that are there, locked by id as store/locks.py has it, and the event loop goes on."""
    ordered = await asyncio.to_thread(sorted, images, key=lambda image: image.bytes)
    locked = set[ImageId]()
    for start in range(0, len(ordered), LOCKED_AT_ONCE):
        locked.update(await lock_images(connection, ordered[start : start + LOCKED_AT_ONCE]))
    return locked


def judged(asked: Sequence[int], taken: Sequence[Taken], marks: Bytes, *, replace: bool) -> Verdicts:
    """asked: the row of each place that was looked up, each place once."""
    there = {asked[one.position]: one for one in taken}
    verdicts = Verdicts(images={row: one.id for row, one in there.items()})
    for row in asked:
        image = there.get(row)
        if image is None:
            verdicts.new.append(row)
        elif image.sha256 == marks[row].tobytes():
            if image.is_archived:
                verdicts.restored[row] = image.id
            else:
                verdicts.skipped.append(row)
        elif image.has_bytes:
            why = "an uploaded picture is there, which no import replaces"
            verdicts.different.append(Differs(row, image.id, why + archived(image)))
        elif replace:
            verdicts.replaced[row] = image.id
        else:
            verdicts.different.append(Differs(row, image.id, "another vector, tags or facts" + archived(image)))
    return verdicts


def archived(image: Taken) -> str:
    return " (it is archived)" if image.is_archived else ""


async def ids_for(connection: Connection, rows: Rows, verdicts: Verdicts) -> Bytes:
    """uint8 (N, 16): of images that stay, their own; of new ones that of the row if nobody has it, else a new one."""
    wanted = {row: one for row in verdicts.new if (one := rows.ids[row]) is not None}
    asked = await asyncio.to_thread(lambda: Json([str(one) for one in wanted.values()]))
    used = set(await fetch_column(connection, IDS_IN_USE, [asked])) if wanted else set[UUID]()
    return await asyncio.to_thread(chosen_ids, len(rows), verdicts.images, wanted, used)


def chosen_ids(count: int, kept: Mapping[int, UUID], wanted: Mapping[int, UUID], used: set[UUID]) -> Bytes:
    """kept: of images that are there, by row. wanted: of new ones. used: which of these some image has."""
    ids = new_ids(count).copy()
    given = dict(kept)
    for row, one in wanted.items():
        if one not in used:
            given[row] = one
            used.add(one)
    for row, one in given.items():
        ids[row] = np.frombuffer(one.bytes, np.uint8)
    return ids


def settle_repeats(verdicts: Verdicts, ids: Bytes, marks: Bytes) -> None:
    """Rows whose place an earlier row of the request has."""
    for row, first in verdicts.repeats:
        if np.array_equal(marks[row], marks[first]):
            verdicts.skipped.append(row)
        else:
            why = f"row {first} has the same folder and filename, and came first"
            verdicts.different.append(Differs(row, ImageId(UUID(bytes=ids[first].tobytes())), why))


async def moments_of(connection: Connection, rows: Rows) -> Integers:
    """int64 (N,): when each image was made; where the row does not say, now."""
    now = int(await fetch_value(connection, NOW_US))
    if rows.created_us is None:
        return np.full(len(rows), now, np.int64)
    return np.where(rows.created_us == NOT_SAID, now, rows.created_us)
