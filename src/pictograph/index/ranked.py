"""Nearest neighbours among the candidates of the codes and whatever changed since: the table decides, not the codes."""

from __future__ import annotations

from typing import Final

from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.index.candidates import Candidates, uuid_array
from pictograph.index.nearest import ERA, IN_FOLDER, SIMILARITY, Neighbour, Scope, search_values
from pictograph.index.tagged import TagFilter, condition

LEAST_ALIVE: Final = 0.5
# Every visible row is either below the watermark, and its code was asked, or changed since, and it is scanned here. A
# number that no transaction of this cluster can have came with a restore, before any code was made: code_rows.py.
# Tags are looked at from the best row down, until there are enough: hence the OFFSET 0.
BY_CODES: Final = f"""
WITH now AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot()) AS ahead),
in_scope AS NOT MATERIALIZED (
    SELECT image_id, changed, vector <=> %(vector)s AS distance
    FROM image_embedding
    WHERE space_id = %(space)s AND dataset_id = ANY(%(datasets)s) AND folder_id = ANY(ARRAY({IN_FOLDER}))
      AND image_id IS DISTINCT FROM %(left_out)s
), known AS MATERIALIZED (
    SELECT image_id, distance FROM in_scope
    WHERE image_id = ANY(%(candidates)s::text::uuid[])
      AND (changed < %(watermark)s::text::xid8 OR changed >= (SELECT ahead FROM now))
), fresh AS MATERIALIZED (
    SELECT image_id, distance FROM in_scope
    WHERE changed >= %(watermark)s::text::xid8 AND changed < (SELECT ahead FROM now)
), nearest AS MATERIALIZED (
    {{nearest}}
)
SELECT {ERA} = %(era)s AS same_era, (SELECT count(*) FROM known) AS alive,
       (SELECT min({SIMILARITY}) FROM known) AS reach,
       i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, nearest.similarity,
       nearest.distance
FROM now LEFT JOIN (nearest JOIN image i ON i.id = nearest.image_id JOIN folder f ON f.id = i.folder_id) ON true
ORDER BY nearest.distance, i.id"""
LIKELY: Final = f"""
    SELECT image_id, distance, {SIMILARITY} AS similarity
    FROM (TABLE known UNION ALL TABLE fresh) every
    WHERE {SIMILARITY} >= %(threshold)s
    ORDER BY distance, image_id"""
NEAREST_OF_ALL: Final = BY_CODES.format(nearest=f"{LIKELY} LIMIT %(limit)s")
NEAREST_CARRYING: Final = BY_CODES.format(
    nearest=f"""
    SELECT * FROM ({LIKELY} OFFSET 0) likely
    WHERE (SELECT {{carries}} FROM image i WHERE i.id = likely.image_id)
    LIMIT %(limit)s"""
)
UNFILTERED: Final = TagFilter()


async def nearest_by_codes(
    connection: Connection,
    scope: Scope,
    vector: HalfVector,
    candidates: Candidates,
    *,
    threshold: float,
    limit: int,
    tags: TagFilter = UNFILTERED,
) -> list[Neighbour] | None:
    """The nearest of the candidates, and of all rows that the codes have not seen, as an exact scan gives them.

    tags: what they must carry besides. None if the candidates are not good enough: the table was restored or rewritten
    since, or so many of them are gone that fewer than `limit`, or than half of them, are left while the scope has more,
    or they end before `limit` of them carry the tags. Then ask exactly, or for more. Rows of the table always decide,
    in one statement. Not inside a transaction that has read or written before.
    """
    values = search_values(scope, vector, threshold, limit) | {
        "candidates": uuid_array(candidates.packed_ids),
        "watermark": str(candidates.watermark),
        "era": candidates.era,
    }
    statement = NEAREST_OF_ALL
    if tags.labels:
        carries, documents = condition(tags)
        statement, values = NEAREST_CARRYING.format(carries=carries), values | documents
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    same_era, alive, reach = rows[0][:3]
    found = [Neighbour(*row[3:]) for row in rows if row[3] is not None]
    enough = candidates.exhausted or alive >= max(limit, len(candidates) * LEAST_ALIVE)
    if tags.labels and not candidates.exhausted:  # with more candidates, others might carry them
        enough = enough and (len(found) == limit or (reach is not None and reach < threshold))
    return found if same_era and enough else None
