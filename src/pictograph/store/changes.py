"""The log of changed images, which whoever keeps an index follows (db/migrations/0021): it is pruned here."""

from __future__ import annotations

from typing import Final

from pictograph.db.pool import Connection

# What every follower of the last hour has read goes, and with none, everything that has ended. One that was away longer
# sees by the horizon that it missed something, and is made anew. Numbers above the present came with a restore.
PRUNE: Final = """
WITH bound AS MATERIALIZED (
    SELECT least(pg_snapshot_xmin(s), (SELECT min(watermark) FROM index_follower
                                         WHERE seen_at > now() - interval '1 hour')) AS xid,
           pg_snapshot_xmax(s) AS next
    FROM pg_current_snapshot() s
), gone AS (
    DELETE FROM image_change USING bound WHERE changed_in < xid OR changed_in > next RETURNING changed_in
)
UPDATE image_change_horizon SET pruned = xid FROM bound
WHERE pruned > next OR (pruned < xid AND EXISTS (SELECT FROM gone))"""


async def prune_changes(connection: Connection) -> None:
    """Takes out of the log what every follower has read."""
    await connection.execute(PRUNE)
