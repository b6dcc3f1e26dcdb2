-- Where a question looks, and what the index has not seen yet, all at one moment.
--
-- era: as `index_era()` has it. kept: whether the log of changes still has everything since the watermark. fresh: 16 bytes
-- for each image that has changed since, NULL without a watermark. folders: NULL for every folder of the datasets.
SELECT index_era() AS era,
       pg_current_snapshot()::text AS snapshot,
       (SELECT pruned FROM image_change_horizon) <= %(watermark)s::text::xid8
           AND %(watermark)s::text::xid8 <= pg_snapshot_xmax(pg_current_snapshot()) AS kept,
       (SELECT string_agg(uuid_send(image_id), '') FROM (
            SELECT DISTINCT image_id FROM image_change
            WHERE changed_in >= %(watermark)s::text::xid8 LIMIT %(most)s) changed) AS fresh,
       CASE WHEN %(folder)s <> '/' OR NOT %(recursive)s THEN ARRAY(
            SELECT id FROM folder
            WHERE dataset_id = ANY(%(datasets)s)
              AND (path = %(folder)s OR (%(recursive)s AND starts_with(path, %(below)s)))) END AS folders
