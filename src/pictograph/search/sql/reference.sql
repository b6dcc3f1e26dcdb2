-- The image that a question starts from, its vector in the active space, and its place as place.sql has it.
--
-- The vector comes from `encoding`, so that an archived image can still be a reference. folder NULL: its own folder.
SELECT i.id, i.dataset_id, asked.folder_path, i.state, i.reason, s.id AS space_id, s.stretch, e.vector,
       index_era() AS era,
       pg_current_snapshot()::text AS snapshot,
       (SELECT pruned FROM image_change_horizon) <= %(watermark)s::text::xid8
           AND %(watermark)s::text::xid8 <= pg_snapshot_xmax(pg_current_snapshot()) AS kept,
       (SELECT string_agg(uuid_send(image_id), '') FROM (
            SELECT DISTINCT image_id FROM image_change
            WHERE changed_in >= %(watermark)s::text::xid8 LIMIT %(most)s) changed) AS fresh,
       CASE WHEN asked.folder_path <> '/' THEN ARRAY(
            SELECT id FROM folder WHERE dataset_id = i.dataset_id
            AND (path = asked.folder_path OR starts_with(path, rtrim(asked.folder_path, '/') || '/'))) END AS folders
FROM image i JOIN folder f ON f.id = i.folder_id JOIN dataset d ON d.id = i.dataset_id
CROSS JOIN LATERAL (SELECT coalesce(%(folder)s, f.path) AS folder_path) asked
LEFT JOIN space s ON s.active LEFT JOIN encoding e ON e.sha256 = i.sha256 AND e.space_id = s.id
WHERE d.organization_id = %(organization)s AND i.id = %(image)s
