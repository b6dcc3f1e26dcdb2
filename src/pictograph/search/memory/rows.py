"""Reads what the index is made of: images by the thousand as arrays, and the log of their changes.

Rows come as few large values, which the database puts together and NumPy takes apart: no Python runs for one vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json

from pictograph.db.blocking import BlockingConnection
from pictograph.search.memory.arrays import Bytes, FloatArray, Rows, as_void
from pictograph.search.memory.segment import STATES, UNKNOWN_TIME, Facts, Label, Numbers, Ragged
from pictograph.types import DIMENSION, SpaceId

TABLES: Final = ("image", "image_embedding", "image_change")
UNGUARDED: Final = "!"
"""Ends the name of tables of which a trigger is missing or off: the log of changes has gaps."""
SAMPLE: Final = 5000
"""Vectors that the middle, the spread and the range of the others are estimated from."""

# A quick look, many times a minute. `changed`: whether a transaction below the present watermark wrote something since
# the one that is asked about.
LOOK: Final = """
SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint, index_era(),
       (SELECT pruned::text::bigint FROM image_change_horizon),
       EXISTS (SELECT FROM image_change WHERE changed_in >= %(watermark)s::text::xid8
               AND changed_in < pg_snapshot_xmin(s)),
       ARRAY(SELECT id FROM space WHERE active OR building ORDER BY id),
       (SELECT token FROM index_follower WHERE id = %(follower)s),
       (SELECT token_before FROM index_follower WHERE id = %(follower)s)
FROM pg_current_snapshot() s"""
AT_LEAST: Final = "SELECT count(*) FROM (SELECT FROM image LIMIT %s) limited"
ORDER: Final = "ORDER BY dataset_id, folder_id, created_at, id"
ALL_IMAGES: Final = f"SELECT string_agg(uuid_send(id), '' {ORDER}) FROM image"
# Which images changed; those with a vector in a space that the index has no vectors of yet count as changed.
CHANGED: Final = """
SELECT string_agg(uuid_send(image_id) || boolsend(vector), '')
FROM (
    SELECT image_id, bool_or(vector) AS vector
    FROM (
        SELECT image_id, vector FROM image_change
        WHERE changed_in >= %(since)s::text::xid8 AND changed_in < %(until)s::text::xid8
        UNION ALL SELECT image_id, true FROM image_embedding WHERE space_id = ANY(%(spaces)s)
    ) notes
    GROUP BY image_id
) changed"""
IN_ORDER: Final = f"SELECT string_agg(uuid_send(id), '' {ORDER}) FROM image WHERE id = ANY(%s::text::uuid[])"
FACTS: Final = """
SELECT uuid_send(id) || uuid_send(dataset_id) || int8send(folder_id) || timestamptz_send(created_at) || int4send(width)
           || int4send(height) || int8send(file_size) || timestamptz_send(coalesce(taken_at, '-infinity'))
           || float4send(coalesce(sharpness, 'NaN')) || float4send(coalesce(brightness, 'NaN'))
           || float4send(coalesce(contrast, 'NaN')) || int4send(coalesce(average_color, -1))
           || int8send(coalesce(perceptual_hash, 0)) || boolsend(facts_version > 0),
       content_type, state, archived_at IS NOT NULL, filename, image_auto_tags::text, coalesce(camera, '')
FROM image WHERE id = ANY(%s::text::uuid[])"""
VECTORS: Final = """
SELECT string_agg(uuid_send(image_id) || halfvec_send(vector), '')
FROM image_embedding WHERE space_id = %s AND image_id = ANY(%s::text::uuid[])"""
COUNT: Final = "SELECT count(*) FROM image_embedding WHERE space_id = %s"
SAMPLED: Final = """
SELECT string_agg(uuid_send(image_id) || halfvec_send(vector), '')
FROM (SELECT image_id, vector FROM image_embedding TABLESAMPLE SYSTEM (%(share)s) REPEATABLE (7)
      WHERE space_id = %(space)s LIMIT %(at_most)s) sampled"""
FOLLOW: Final = """
INSERT INTO index_follower (id, watermark, token, token_before)
VALUES (%(id)s, %(watermark)s::text::xid8, %(token)s, %(before)s)
ON CONFLICT (id) DO UPDATE SET watermark = excluded.watermark, token = excluded.token,
    token_before = excluded.token_before, seen_at = now()"""
SEEN: Final = "UPDATE index_follower SET seen_at = now(), watermark = %s::text::xid8 WHERE id = %s"
UNFOLLOW: Final = "DELETE FROM index_follower WHERE id = %s"
FORGET_FOLLOWERS: Final = "DELETE FROM index_follower WHERE seen_at < now() - interval '1 day'"

FIXED: Final = np.dtype(
    [("id", "V16"), ("dataset", "V16"), ("folder", ">i8"), ("created", ">i8"), ("width", ">i4"), ("height", ">i4"),
     ("file_size", ">i8"), ("taken", ">i8"), ("sharpness", ">f4"), ("brightness", ">f4"), ("contrast", ">f4"),
     ("average_color", ">i4"), ("perceptual_hash", ">i8"), ("looked", "?")]
)  # fmt: skip
VECTOR: Final = np.dtype([("id", "V16"), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", DIMENSION)])
CHANGE: Final = np.dtype([("id", "V16"), ("vector", "?")])
POSTGRES_EPOCH: Final = 946_684_800_000_000
"""2000-01-01, in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Look:
    """The database at one moment."""

    watermark: int
    """Transactions below it have all ended."""
    ahead: int
    """No transaction that is visible has this number, or a higher one."""
    era: str
    pruned: int
    """The log has every change of this transaction and later ones."""
    changed: bool
    spaces: list[SpaceId]
    """The live ones."""
    token: UUID | None
    token_before: UUID | None

    @property
    def tables(self) -> str:
        """The part of the era that a restart of the server does not change."""
        return tables_of(self.era)

    @property
    def is_guarded(self) -> bool:
        """Whether every change is noted."""
        return not self.era.endswith(UNGUARDED)


def tables_of(era: str) -> str:
    """The part of an era that a restart of the server does not change."""
    return era.partition("/")[2]


def look(connection: BlockingConnection, watermark: int = 0, follower: UUID | None = None) -> Look:
    """The moment of a statement, or of a transaction's snapshot. watermark: changes since when are looked for."""
    row = connection.execute(LOOK, {"watermark": str(watermark), "follower": follower}).fetchone()
    if row is None:
        raise AssertionError("LOOK gives one row, always")
    return Look(*row)


def has_images(connection: BlockingConnection, at_least: int) -> bool:
    """Whether there are so many."""
    return int(value(connection, AT_LEAST, [at_least])) >= at_least


def all_images(connection: BlockingConnection) -> Bytes:
    """Ids of every image, uint8 (N, 16), in the order of a segment's rows."""
    return ids_in(value(connection, ALL_IMAGES))


def changes(
    connection: BlockingConnection, since: int, until: int, new_spaces: Sequence[SpaceId]
) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Images that changed between two watermarks, uint8 (N, 16), and whether a vector of them did."""
    values = {"since": str(since), "until": str(until), "spaces": list(new_spaces)}
    notes = np.frombuffer(value(connection, CHANGED, values) or b"", CHANGE)
    return as_bytes(notes["id"]), notes["vector"].copy()


def in_order(connection: BlockingConnection, ids: Bytes) -> Bytes:
    """Those of the images that are still there, in the order of a segment's rows."""
    return ids_in(value(connection, IN_ORDER, [uuid_array(ids)])) if len(ids) else ids


@dataclass(frozen=True, slots=True)
class Named:
    """What a block holds beside vectors."""

    facts: Facts
    formats: Sequence[str]
    cameras: Sequence[str]
    filenames: Ragged
    labels: Sequence[Label]
    tags: Ragged


def facts_of(connection: BlockingConnection, ids: Bytes) -> Named:
    """Facts, names and tags of images that are all there, in this order."""
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(FACTS, [uuid_array(ids)]).fetchall()
    fixed = np.frombuffer(b"".join(row[0] for row in rows), FIXED)
    order = places_among(as_bytes(fixed["id"]), ids)
    rows, fixed = [rows[place] for place in order], fixed[order]
    formats, cameras, labels = Numbers[str](), Numbers[str](), Numbers[Label]()
    facts = Facts(
        ids=as_bytes(fixed["id"]),
        dataset=as_bytes(fixed["dataset"]),
        folder=fixed["folder"].astype(np.int64),
        created=fixed["created"].astype(np.int64) + POSTGRES_EPOCH,
        width=fixed["width"].astype(np.int32),
        height=fixed["height"].astype(np.int32),
        file_size=fixed["file_size"].astype(np.int64),
        format=formats.of(row[1] for row in rows).astype(np.uint16),
        state=np.array([STATES.index(row[2]) for row in rows], np.uint8),
        archived=np.array([row[3] for row in rows], bool),
        taken=times_of(fixed["taken"].astype(np.int64)),
        camera=cameras.of(row[6] for row in rows).astype(np.uint32),
        sharpness=fixed["sharpness"].astype(np.float32),
        brightness=fixed["brightness"].astype(np.float32),
        contrast=fixed["contrast"].astype(np.float32),
        average_color=fixed["average_color"].astype(np.int32),
        perceptual_hash=fixed["perceptual_hash"].astype(np.int64),
        looked=fixed["looked"].copy(),
    )
    names = [row[4].encode() for row in rows]
    carried = [dict.fromkeys(labels_in(row[5])) for row in rows]
    tags = Ragged.of([len(one) for one in carried], labels.of(chain.from_iterable(carried)))
    return Named(
        facts,
        formats.names,
        cameras.names,
        Ragged.of([len(name) for name in names], np.frombuffer(b"".join(names), np.uint8)),
        labels.names,
        tags,
    )


def times_of(sent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Microseconds since 1970 of what PostgreSQL counts from 2000; its lowest number is ours too."""
    return np.where(sent == UNKNOWN_TIME, UNKNOWN_TIME, sent + POSTGRES_EPOCH)


def labels_in(document: str) -> list[Label]:
    """The tags of a document, as containment finds them: strings in lists under a name."""
    tags = from_json(document)
    if not isinstance(tags, dict):
        return []
    return [
        (category, name)
        for category, names in tags.items()
        if isinstance(names, list)
        for name in names
        if isinstance(name, str)
    ]


def vectors_of(connection: BlockingConnection, space: SpaceId, ids: Bytes) -> tuple[Rows, npt.NDArray[np.float16]]:
    """Which of the images have a vector in the space, by place, and the vectors, big-endian float16 (N, 1152)."""
    rows = np.frombuffer(value(connection, VECTORS, [space, uuid_array(ids)]) or b"", VECTOR)
    return places_among(ids, as_bytes(rows["id"])), rows["vector"]


def count_vectors(connection: BlockingConnection, space: SpaceId) -> int:
    """Images with a vector in the space."""
    return int(value(connection, COUNT, [space]))


def sample_of(connection: BlockingConnection, space: SpaceId, rows: int) -> FloatArray:
    """Some of the space's vectors, float32 (N, 1152), N about 5000 or all there are. rows: how many there are."""
    for share in (min(100.0, 100.0 * SAMPLE / max(rows, 1)), 100.0):  # of pages: it may miss a space that has few
        values = {"share": share, "space": space, "at_most": SAMPLE}
        found = np.frombuffer(value(connection, SAMPLED, values) or b"", VECTOR)
        if len(found):
            break
    return found["vector"].astype(np.float32)


def follow(connection: BlockingConnection, follower: UUID, watermark: int, token: UUID, before: UUID | None) -> None:
    """Notes how far an index has read, the token it is about to get, and the one that it has."""
    connection.execute(FOLLOW, {"id": follower, "watermark": str(watermark), "token": token, "before": before})


def unfollow(connection: BlockingConnection, follower: UUID) -> None:
    """Forgets an index."""
    connection.execute(UNFOLLOW, [follower])


def still_follow(connection: BlockingConnection, follower: UUID, watermark: int) -> None:
    """Notes that an index is alive, and that nobody needs older changes any more; forgets indexes that are gone."""
    connection.execute(SEEN, [str(watermark), follower])
    connection.execute(FORGET_FOLLOWERS)


def value(connection: BlockingConnection, statement: str, values: Any = None) -> Any:
    """The first column of the one row."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(statement.encode(), values).fetchone()
    return row[0] if row else None


def ids_in(packed: bytes | None) -> Bytes:
    """16 bytes each, as uint8 (N, 16)."""
    return np.frombuffer(packed or b"", np.uint8).reshape(-1, 16)


def as_bytes(ids: npt.NDArray[Any]) -> Bytes:
    """A column of 16 bytes each, as uint8 (N, 16)."""
    return np.frombuffer(ids.tobytes(), np.uint8).reshape(-1, 16)


def uuid_array(ids: Bytes) -> str:
    """Ids, uint8 (N, 16), as PostgreSQL's text for an array of uuid."""
    return "{" + (ids.tobytes().hex(",", 16) if len(ids) else "") + "}"


def places_among(ids: Bytes, asked: Bytes) -> Rows:
    """Where each of the asked ids is among `ids`; all must be there."""
    ours = as_void(ids)
    order = np.argsort(ours)
    places: Rows = order[np.searchsorted(ours, as_void(asked), sorter=order)]
    return places
