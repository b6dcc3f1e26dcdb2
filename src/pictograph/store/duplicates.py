"""Near-duplicates that were found, and what people decided about them: the tables of migration 0027."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_column, fetch_one, fetch_tuple, fetch_value
from pictograph.errors import NotFoundError
from pictograph.store.pages import question_key
from pictograph.types import DatasetId, ImageId, OrganizationId, SpaceId

LEASE_S: Final = 60
COMPARED_AT_ONCE: Final = 10_000
"""Images of one row of `duplicate_compared`: 240 kB."""
FORGOTTEN_AFTER: Final = "30 days"
"""Findings that nobody asked for meanwhile go."""

COLUMNS: Final = """
id, dataset_id, folder_path, against_id, against_path, threshold, hash_distance, space_id, wanted_at, done, total,
found_at, took_s, images, not_hashed, not_embedded, coalesce(claimed_until > now(), false) AS is_running"""
ASK: Final = f"""
INSERT INTO duplicate_finding (id, organization_id, question, dataset_id, folder_path, against_id, against_path,
                               threshold, hash_distance, space_id)
VALUES (%(id)s, %(organization)s, %(question)s, %(dataset)s, %(folder)s, %(against)s, %(against_folder)s,
        %(threshold)s, %(hash_distance)s, %(space)s)
ON CONFLICT (question) DO UPDATE SET asked_at = now()
RETURNING {COLUMNS}"""
WANT: Final = "UPDATE duplicate_finding SET wanted_at = coalesce(wanted_at, now()) WHERE id = %s"
CLAIM: Final = f"""
UPDATE duplicate_finding SET claim = %(claim)s, claimed_until = now() + %(lease)s * interval '1 second'
WHERE id = (SELECT id FROM duplicate_finding
            WHERE (%(id)s::uuid IS NULL AND wanted_at IS NOT NULL OR id = %(id)s)
              AND (claimed_until IS NULL OR claimed_until < now())
            ORDER BY wanted_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}"""
IS_WANTED: Final = """
SELECT EXISTS (SELECT FROM duplicate_finding
               WHERE wanted_at IS NOT NULL AND (claimed_until IS NULL OR claimed_until < now()))"""
BEAT: Final = """
UPDATE duplicate_finding SET done = %(done)s, total = %(total)s,
    claimed_until = now() + %(lease)s * interval '1 second'
WHERE id = %(id)s AND claim = %(claim)s"""
LET_GO: Final = """
UPDATE duplicate_finding SET claim = NULL, claimed_until = NULL WHERE id = %(id)s AND claim = %(claim)s"""
FINISH: Final = """
UPDATE duplicate_finding SET claim = NULL, claimed_until = NULL, wanted_at = NULL, done = 0, total = 0,
    found_at = %(found_at)s, took_s = CASE WHEN %(changed)s THEN %(took_s)s ELSE took_s END, images = %(images)s,
    not_hashed = %(not_hashed)s, not_embedded = %(not_embedded)s
WHERE id = %(id)s AND claim = %(claim)s"""
FORGET: Final = f"DELETE FROM duplicate_finding WHERE asked_at < now() - interval '{FORGOTTEN_AFTER}'"
GET: Final = f"SELECT {COLUMNS} FROM duplicate_finding WHERE id = %s"

# stamp: changes with every decision about the image.
SCOPE: Final = """
SELECT i.id, i.sha256, b.has_bytes, i.perceptual_hash, i.sharpness, i.width::bigint * i.height AS pixels,
       (extract(epoch FROM i.created_at) * 1000000)::bigint AS created,
       EXISTS (SELECT FROM image_embedding e WHERE e.space_id = %(space)s AND e.image_id = i.id) AS has_vector,
       k.image_id IS NOT NULL AS is_kept,
       coalesce((extract(epoch FROM greatest(k.decided_at, d.decided_at)) * 1000000)::bigint, 0) AS stamp
FROM image i JOIN blob b ON b.sha256 = i.sha256
LEFT JOIN duplicate_keep k ON k.image_id = i.id
LEFT JOIN (SELECT id, max(decided_at) AS decided_at
           FROM (SELECT one AS id, decided_at FROM duplicate_told_apart
                 UNION ALL SELECT other, decided_at FROM duplicate_told_apart) told GROUP BY id) d ON d.id = i.id
WHERE i.dataset_id = %(dataset)s AND i.archived_at IS NULL
  AND (%(folder)s = '/' OR i.folder_id IN (
       SELECT id FROM folder WHERE dataset_id = %(dataset)s AND (path = %(folder)s OR starts_with(path, %(below)s))))"""
COUNT_SCOPE: Final = """
SELECT count(*) FROM (
    SELECT FROM image i WHERE i.dataset_id = %(dataset)s AND i.archived_at IS NULL
      AND (%(folder)s = '/' OR i.folder_id IN (
           SELECT id FROM folder
           WHERE dataset_id = %(dataset)s AND (path = %(folder)s OR starts_with(path, %(below)s))))
    LIMIT %(limit)s) counted"""
TOLD_APART: Final = """
SELECT t.one, t.other FROM duplicate_told_apart t JOIN image i ON i.id = t.one
WHERE i.dataset_id = ANY(%(datasets)s)"""
MOMENT: Final = "SELECT now(), stretch FROM space WHERE id = %s"
VECTORS: Final = """
SELECT string_agg(uuid_send(image_id) || halfvec_send(vector), '')
FROM image_embedding WHERE space_id = %s AND image_id = ANY(%s)"""
COMPARED: Final = "SELECT images FROM duplicate_compared WHERE finding_id = %s ORDER BY part"
FORGET_COMPARED: Final = "DELETE FROM duplicate_compared WHERE finding_id = %s"
ADD_COMPARED: Final = "INSERT INTO duplicate_compared (finding_id, part, images) VALUES (%s, %s, %b)"
LINKS: Final = "SELECT image_id, leader_id FROM duplicate_link WHERE finding_id = %s"
FORGET_LINKS: Final = "DELETE FROM duplicate_link WHERE finding_id = %s AND leader_id = ANY(%s)"
FORGET_IMAGES: Final = "DELETE FROM duplicate_link WHERE finding_id = %s AND image_id = ANY(%s)"
# Of images that were deleted meanwhile, nothing is written.
ADD_LINKS: Final = """
INSERT INTO duplicate_link
    (finding_id, image_id, leader_id, representative, reason, same_bytes, bits, mirrored, cosine)
SELECT %(finding)s, i.id, l.leader, l.representative, l.reason, l.same_bytes, l.bits, l.mirrored, l.cosine
FROM unnest(%(images)s::uuid[], %(leaders)s::uuid[], %(representatives)s::boolean[], %(reasons)s::text[],
            %(same_bytes)s::boolean[], %(bits)s::smallint[], %(mirrored)s::boolean[], %(cosines)s::real[])
    AS l (image, leader, representative, reason, same_bytes, bits, mirrored, cosine)
JOIN image i ON i.id = l.image ORDER BY i.id FOR KEY SHARE OF i"""

# A group lives as long as its representative and another image do.
LIVE: Final = """
FROM duplicate_link l JOIN image i ON i.id = l.image_id AND i.archived_at IS NULL
WHERE l.finding_id = %(finding)s"""
PAGE: Final = f"""
SELECT l.leader_id, count(*) AS size {LIVE} AND (%(after)s::uuid IS NULL OR l.leader_id > %(after)s)
GROUP BY l.leader_id HAVING count(*) >= 2 AND bool_or(l.representative) ORDER BY l.leader_id LIMIT %(limit)s"""
COUNT: Final = f"""
SELECT count(*) AS groups, coalesce(sum(size - 1), 0)::bigint AS duplicates
FROM (SELECT count(*) AS size {LIVE}
      GROUP BY l.leader_id HAVING count(*) >= 2 AND bool_or(l.representative)) live"""
MEMBERS: Final = """
SELECT page.leader_id, l.representative, l.reason, l.same_bytes, l.bits, l.mirrored, l.cosine, l.image_id AS id,
       i.dataset_id, f.path AS folder_path, i.filename, i.width, i.height, i.file_size, i.content_type, i.sharpness,
       i.created_at, EXISTS (SELECT FROM duplicate_keep k WHERE k.image_id = i.id) AS is_kept
FROM unnest(%(leaders)s::uuid[]) AS page (leader_id)
CROSS JOIN LATERAL (
    SELECT l.* FROM duplicate_link l JOIN image i ON i.id = l.image_id AND i.archived_at IS NULL
    WHERE l.finding_id = %(finding)s AND l.leader_id = page.leader_id
    ORDER BY NOT l.representative, l.image_id LIMIT %(members)s) l
JOIN image i ON i.id = l.image_id JOIN folder f ON f.id = i.folder_id
ORDER BY page.leader_id, NOT l.representative, l.image_id"""
OWN: Final = """
SELECT i.id FROM image i JOIN dataset d ON d.id = i.dataset_id
WHERE d.organization_id = %s AND i.id = ANY(%s)"""
TELL_APART: Final = """
INSERT INTO duplicate_told_apart (one, other, key_id)
SELECT least(a.id, b.id), greatest(a.id, b.id), author_of_write()
FROM unnest(%(images)s::uuid[]) AS a (id) JOIN unnest(%(images)s::uuid[]) AS b (id) ON a.id < b.id
ORDER BY 1, 2 ON CONFLICT (one, other) DO NOTHING"""
TAKE_BACK_APART: Final = "DELETE FROM duplicate_told_apart WHERE one = ANY(%(images)s) AND other = ANY(%(images)s)"
KEEP: Final = """
INSERT INTO duplicate_keep (image_id, key_id) SELECT unnest(%(images)s::uuid[]), author_of_write()
ON CONFLICT (image_id) DO NOTHING"""
TAKE_BACK_KEEP: Final = "DELETE FROM duplicate_keep WHERE image_id = ANY(%(images)s)"
# What was taken back leaves no stamp: the images are compared again because their groups are forgotten.
FORGET_GROUPS_OF: Final = """
DELETE FROM duplicate_compared c USING duplicate_finding f
WHERE f.id = c.finding_id AND f.organization_id = %(organization)s AND (f.dataset_id IN (
    SELECT dataset_id FROM image WHERE id = ANY(%(images)s)) OR f.against_id IN (
    SELECT dataset_id FROM image WHERE id = ANY(%(images)s)))"""


@dataclass(frozen=True, slots=True)
class Question:
    """What near-duplicates are looked for."""

    organization: OrganizationId
    dataset: DatasetId
    folder_path: str
    against: DatasetId | None
    """Another place, whose images lead: only near-duplicates of those are found. None: inside the place itself."""
    against_path: str
    threshold: float
    hash_distance: int
    space: SpaceId


@dataclass(frozen=True, slots=True)
class Finding:
    """A question, and how far its answer is."""

    id: UUID
    dataset_id: DatasetId
    folder_path: str
    against_id: DatasetId | None
    against_path: str
    threshold: float
    hash_distance: int
    space_id: SpaceId
    wanted_at: datetime | None
    done: int
    total: int
    found_at: datetime | None
    """The moment whose images the groups are of; None before the first."""
    took_s: float
    images: int
    not_hashed: int
    not_embedded: int
    is_running: bool


@dataclass(frozen=True, slots=True)
class Row:
    """An image as a finding compares it."""

    id: UUID
    sha256: bytes
    has_bytes: bool
    perceptual_hash: int | None
    sharpness: float | None
    pixels: int
    created: int
    has_vector: bool
    is_kept: bool
    stamp: int


@dataclass(frozen=True, slots=True)
class GroupSize:
    """A group, by its leader, and how many images it has now."""

    leader_id: UUID
    size: int


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a group, and what was measured of it and the representative."""

    leader_id: UUID
    representative: bool
    reason: str | None
    same_bytes: bool
    bits: int | None
    mirrored: bool
    cosine: float | None
    id: ImageId
    dataset_id: DatasetId
    folder_path: str
    filename: str
    width: int
    height: int
    file_size: int
    content_type: str
    sharpness: float | None
    created_at: datetime
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all pages."""

    groups: int
    duplicates: int
    """Images beside the representatives."""


async def ask(connection: Connection, question: Question) -> Finding:
    """The finding of a question, made if there is none."""
    values = {
        "id": uuid7(),
        "organization": question.organization,
        "question": question_key("duplicates", *(getattr(question, name) for name in question.__slots__)),
        "dataset": question.dataset,
        "folder": question.folder_path,
        "against": question.against,
        "against_folder": question.against_path,
        "threshold": question.threshold,
        "hash_distance": question.hash_distance,
        "space": question.space,
    }
    found = await fetch_one(connection, Finding, ASK, values)
    if found is None:
        raise AssertionError("ASK gives its row, always")
    return found


async def get(connection: Connection, finding: UUID) -> Finding:
    """As it is now. Raises NotFoundError if its dataset was deleted meanwhile."""
    found = await fetch_one(connection, Finding, GET, [finding])
    if found is None:
        raise NotFoundError("The dataset was deleted meanwhile.")
    return found


async def want(connection: Connection, finding: UUID) -> None:
    """Has it made, or made again, in the background."""
    await connection.execute(WANT, [finding])


async def is_wanted(connection: Connection) -> bool:
    """Whether one waits that nobody is at."""
    return bool(await fetch_value(connection, IS_WANTED))


async def take(connection: Connection, claim: UUID, finding: UUID | None = None) -> Finding | None:
    """Claims this finding, or the one that waits longest; None if there is none that nobody is at."""
    return await fetch_one(connection, Finding, CLAIM, {"claim": claim, "id": finding, "lease": LEASE_S})


async def beat(connection: Connection, finding: UUID, claim: UUID, done: int, total: int) -> bool:
    """Shows that somebody is at it, and how far; whether the claim still holds."""
    values = {"id": finding, "claim": claim, "done": done, "total": total, "lease": LEASE_S}
    return bool((await connection.execute(BEAT, values)).rowcount)


async def let_go(connection: Connection, finding: UUID, claim: UUID) -> None:
    """Gives the claim back, with nothing done."""
    await connection.execute(LET_GO, {"id": finding, "claim": claim})


async def finish(connection: Connection, finding: UUID, claim: UUID, facts: dict[str, Any]) -> bool:
    """Ends a claim with what was found; whether it still held."""
    return bool((await connection.execute(FINISH, {**facts, "id": finding, "claim": claim})).rowcount)


async def forget_old(connection: Connection) -> None:
    """Findings that nobody has asked for in a month go."""
    await connection.execute(FORGET)


async def read_scope(connection: Connection, space: SpaceId, dataset: DatasetId, folder: str) -> list[Row]:
    """The images of a place and everything below it, archived ones not."""
    return await fetch_all(connection, Row, SCOPE, {"space": space, **place_values(dataset, folder)})


async def count_scope(connection: Connection, dataset: DatasetId, folder: str, limit: int) -> int:
    """How many those are; `limit` if they are more."""
    return int(await fetch_value(connection, COUNT_SCOPE, {**place_values(dataset, folder), "limit": limit}))


def place_values(dataset: DatasetId, folder: str) -> dict[str, Any]:
    return {"dataset": dataset, "folder": folder, "below": folder.rstrip("/") + "/"}


async def moment_and_stretch(connection: Connection, space: SpaceId) -> tuple[datetime, float]:
    """The moment of the transaction, and how the space's cosines become similarities."""
    row = await fetch_tuple(connection, MOMENT, [space])
    if row is None:
        raise NotFoundError("The encoder of this finding was forgotten meanwhile. Ask again.")
    return row[0], row[1]


async def read_told_apart(connection: Connection, datasets: Sequence[DatasetId]) -> list[tuple[UUID, UUID]]:
    """Pairs that are no duplicates, by somebody's word."""
    cursor = await connection.execute(TOLD_APART, {"datasets": list(datasets)})
    return await cursor.fetchall()


async def read_vectors(connection: Connection, space: SpaceId, images: Sequence[UUID]) -> bytes:
    """For each image that has a vector 16 bytes of its id and the vector as halfvec_send has it."""
    return await fetch_value(connection, VECTORS, [space, list(images)]) or b""


async def read_compared(connection: Connection, finding: UUID) -> bytes:
    """24 bytes for each image that was compared."""
    return b"".join(bytes(part) for part in await fetch_column(connection, COMPARED, [finding]))


async def read_links(connection: Connection, finding: UUID) -> list[tuple[UUID, UUID]]:
    """Image and leader; leaders of groups stand there too, with themselves."""
    cursor = await connection.execute(LINKS, [finding])
    return await cursor.fetchall()


async def write_compared(connection: Connection, finding: UUID, compared: bytes) -> None:
    """In place of what was there."""
    await connection.execute(FORGET_COMPARED, [finding])
    size = 24 * COMPARED_AT_ONCE
    for part, start in enumerate(range(0, len(compared), size)):
        await connection.execute(ADD_COMPARED, [finding, part, compared[start : start + size]])


async def write_links(
    connection: Connection, finding: UUID, leaders: Sequence[UUID], rows: Sequence[dict[str, Any]]
) -> None:
    """The groups of these leaders, in place of what they had. rows: values of ADD_LINKS, each a part of them."""
    await connection.execute(FORGET_LINKS, [finding, list(leaders)])
    for row in rows:
        await connection.execute(FORGET_IMAGES, [finding, row["images"]])
    for row in rows:
        await connection.execute(ADD_LINKS, {"finding": finding, **row})


async def read_page(connection: Connection, finding: UUID, after: UUID | None, limit: int) -> list[GroupSize]:
    """Groups in the order of their leaders, from behind `after`."""
    return await fetch_all(connection, GroupSize, PAGE, {"finding": finding, "after": after, "limit": limit})


async def read_totals(connection: Connection, finding: UUID) -> Totals:
    """Of all groups."""
    return await fetch_one(connection, Totals, COUNT, {"finding": finding}) or Totals(0, 0)


async def read_members(
    connection: Connection, finding: UUID, leaders: Sequence[UUID], most_members: int
) -> list[Member]:
    """The first images of these groups, each group's representative first."""
    values = {"finding": finding, "leaders": list(leaders), "members": most_members}
    return await fetch_all(connection, Member, MEMBERS, values)


async def require_own(connection: Connection, organization: OrganizationId, images: Sequence[ImageId]) -> None:
    """Raises NotFoundError for images that the organization does not have."""
    own = set(await fetch_column(connection, OWN, [organization, list(images)]))
    missing = [image for image in images if image not in own]
    if missing:
        raise NotFoundError(f"There is no image {missing[0]}.")


async def decide(
    connection: Connection, organization: OrganizationId, images: Sequence[ImageId], decision: str, *, take_back: bool
) -> None:
    """Notes, or takes back, that no two of the images are duplicates, or that they are to be kept."""
    statements = {"not_duplicates": (TELL_APART, TAKE_BACK_APART), "keep": (KEEP, TAKE_BACK_KEEP)}
    await connection.execute(statements[decision][take_back], {"images": list(images)})
    if take_back:
        await connection.execute(FORGET_GROUPS_OF, {"images": list(images), "organization": organization})
