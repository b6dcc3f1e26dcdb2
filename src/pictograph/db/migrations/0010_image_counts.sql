-- How many images each dataset has, and each of its folders, by state and archive: what lists, progress and metrics say
-- without counting. The rows are changes, and their sum is the count (as in 0005), so that no writer waits for another;
-- the service adds them up now and then (store/counts.py). Folder 0 is the whole dataset.
CREATE TABLE image_count (
    dataset_id uuid NOT NULL,
    folder_id  bigint NOT NULL,
    state      text NOT NULL,
    archived   boolean NOT NULL,
    images     bigint NOT NULL,
    bytes      bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX image_count_by_folder ON image_count (folder_id, dataset_id) INCLUDE (state, archived, images, bytes);

-- Once a statement, not once a row; triggers see the writes of every statement, cascades too.
CREATE FUNCTION count_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO image_count
        SELECT dataset_id, level.id, state, archived, sum(n), sum(size)
        FROM (SELECT dataset_id, folder_id, state, archived_at IS NOT NULL AS archived, count(*) AS n,
                     sum(file_size) AS size
              FROM added GROUP BY 1, 2, 3, 4) changed,
             LATERAL (VALUES (0::bigint), (folder_id)) AS level (id)
        GROUP BY 1, 2, 3, 4;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO image_count
        SELECT dataset_id, level.id, state, archived, -sum(n), -sum(size)
        FROM (SELECT dataset_id, folder_id, state, archived_at IS NOT NULL AS archived, count(*) AS n,
                     sum(file_size) AS size
              FROM removed GROUP BY 1, 2, 3, 4) changed,
             LATERAL (VALUES (0::bigint), (folder_id)) AS level (id)
        GROUP BY 1, 2, 3, 4;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO image_count
        SELECT dataset_id, level.id, state, archived, sum(n), sum(size)
        FROM (SELECT dataset_id, folder_id, state, archived, sum(n) AS n, sum(n * file_size) AS size
              FROM (SELECT dataset_id, folder_id, state, archived_at IS NOT NULL AS archived, file_size, 1 AS n FROM added
                    UNION ALL
                    SELECT dataset_id, folder_id, state, archived_at IS NOT NULL, file_size, -1 FROM removed) both_sides
              GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 OR sum(n * file_size) <> 0) changed,
             LATERAL (VALUES (0::bigint), (folder_id)) AS level (id)
        GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 OR sum(size) <> 0;
    ELSE
        DELETE FROM image_count;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER counts_of_added AFTER INSERT ON image REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER counts_of_removed AFTER DELETE ON image REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER counts_of_changed AFTER UPDATE ON image REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER counts_of_none AFTER TRUNCATE ON image FOR EACH STATEMENT EXECUTE FUNCTION count_images();

INSERT INTO image_count
SELECT dataset_id, level.id, state, archived, sum(n), sum(size)
FROM (SELECT dataset_id, folder_id, state, archived_at IS NOT NULL AS archived, count(*) AS n, sum(file_size) AS size
      FROM image GROUP BY 1, 2, 3, 4) present,
     LATERAL (VALUES (0::bigint), (folder_id)) AS level (id)
GROUP BY 1, 2, 3, 4;

-- A page of one folder, or of one state, is read in order from its own index, however deep it lies.
CREATE INDEX image_by_folder ON image (folder_id, created_at DESC, id);
DROP INDEX image_by_state;
CREATE INDEX image_by_state ON image (dataset_id, state, created_at DESC, id);
