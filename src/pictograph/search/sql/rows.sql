-- The rows of an answer by primary key, and whether any of them has changed since the question's first statement: then the
-- index, or a scan, may have been wrong about it, and the question is asked again.
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, i.created_at,
       (SELECT count(*) FROM image_change
        WHERE changed_in >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
          AND NOT pg_visible_in_snapshot(changed_in, %(snapshot)s::pg_snapshot)
          AND image_id = ANY(%(images)s::text::uuid[])) AS changed
FROM image i JOIN folder f ON f.id = i.folder_id
WHERE i.id = ANY(%(images)s::text::uuid[])
