"""Reads the rules that tags follow, and writes tags that were decided again, to encodings and to images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_one, fetch_value
from pictograph.errors import ConflictError
from pictograph.spaces.registry import SpaceRules
from pictograph.types import DatasetId, Sha256, SpaceId, Tags

RULES: Final = "SELECT id, active, thresholds FROM space WHERE active"
# The space that is being filled, too: its workers lock images while they write.
LOCK_RULES: Final = """
SELECT id, active, thresholds FROM space WHERE active OR building ORDER BY id FOR NO KEY UPDATE"""
# An image that still waits gets its tags from the encoding when its job ends, so only those that are through are
# written; and of these only the ones that change, since each change writes to the index of tags.
SHOW: Final = """
shown AS (
    UPDATE image SET image_auto_tags = encoded.tags, state = 'tagged', updated_at = now() FROM encoded
    WHERE image.sha256 = encoded.sha256 AND image.state IN ('embedded', 'tagged')
      AND (image.image_auto_tags IS DISTINCT FROM encoded.tags OR image.state = 'embedded')
    RETURNING image.dataset_id
)"""
NEW_TAGS: Final = f"""
WITH encoded AS (
    UPDATE encoding SET tags = new.tags::jsonb
    FROM unnest(%(sha256s)s::bytea[], %(tags)s::text[]) AS new (sha256, tags)
    WHERE encoding.space_id = %(space)s AND encoding.sha256 = new.sha256
    RETURNING encoding.sha256, encoding.tags
), {SHOW}
SELECT count(*) FROM shown WHERE dataset_id = ANY(%(datasets)s)"""
NEW_SCORES: Final = f"""
WITH encoded AS (
    UPDATE encoding SET tags = new.tags::jsonb, tag_scores = new.scores::jsonb, tagger = %(tagger)s
    FROM unnest(%(sha256s)s::bytea[], %(tags)s::text[], %(scores)s::text[]) AS new (sha256, tags, scores)
    WHERE encoding.space_id = %(space)s AND encoding.sha256 = new.sha256
      AND encoding.tagger IS DISTINCT FROM %(tagger)s
    RETURNING encoding.sha256, encoding.tags
), {SHOW}
SELECT count(*) FROM encoded"""


async def active_rules(connection: Connection) -> SpaceRules:
    """Reads the rules as they are now. Raises ConflictError before the first start."""
    rules = await fetch_one(connection, SpaceRules, RULES)
    if rules is None:
        raise ConflictError("There is no library here yet.")
    return rules


async def lock_active_rules(connection: Connection) -> SpaceRules:
    """Returns the rules, once no worker writes results any more; workers then wait until the transaction ends.

    A worker that finishes an image of known bytes copies the tags of their encoding: were it not kept away, it could
    copy the old ones while they change. Raises ConflictError if the library is just moving to another encoder.
    """
    for rules in await fetch_all(connection, SpaceRules, LOCK_RULES):
        if rules.active:
            return rules
    raise library_moved()


def library_moved() -> ConflictError:
    return ConflictError("The library has just moved to another encoder. Try again.")


@dataclass(frozen=True, slots=True)
class Retagged:
    """The tags that some bytes have from now on."""

    sha256: Sha256
    tags: Tags
    scores: dict[str, float]


async def write_tags(
    connection: Connection, space: SpaceId, changed: Sequence[Retagged], datasets: Sequence[DatasetId]
) -> int:
    """Gives encodings of the active space, and every image with their bytes, other tags; how many images of `datasets`
    changed."""
    return int(await fetch_value(connection, NEW_TAGS, new_values(space, changed) | {"datasets": list(datasets)}))


async def write_scores(connection: Connection, space: SpaceId, tagger: str, rescored: Sequence[Retagged]) -> int:
    """As `write_tags`, with the scores behind the tags and who gave them; how many encodings were of another tagger."""
    scores = [json.dumps(item.scores) for item in rescored]
    values = new_values(space, rescored) | {"scores": scores, "tagger": tagger}
    return int(await fetch_value(connection, NEW_SCORES, values))


def new_values(space: SpaceId, items: Sequence[Retagged]) -> dict[str, object]:
    return {
        "space": space,
        "sha256s": [item.sha256 for item in items],
        "tags": [json.dumps(item.tags) for item in items],
    }
