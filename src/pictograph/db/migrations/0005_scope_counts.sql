-- How many images each folder, with everything below it, has in each space: what a search weighs before it scans.
-- The rows are changes, and their sum is the count: nobody ever waits for anybody, however many workers finish images of
-- one folder at the same time. The service adds them up now and then (index/scopes.py). No foreign keys, whose checks
-- would lock; what is left of deleted folders sums to nothing, and goes when the rest is added up.
CREATE TABLE scope_count (
    space_id   integer NOT NULL,
    dataset_id uuid NOT NULL,
    folder_id  bigint NOT NULL,
    images     bigint NOT NULL
);
CREATE INDEX scope_count_by_folder ON scope_count (folder_id, space_id) INCLUDE (images);

CREATE FUNCTION folder_and_ancestors(folder bigint) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT above.id
    FROM folder own
    CROSS JOIN LATERAL string_to_array(ltrim(own.path, '/'), '/') AS parts
    CROSS JOIN LATERAL generate_series(0, cardinality(parts)) AS depth
    JOIN folder above
      ON above.dataset_id = own.dataset_id AND above.path = '/' || array_to_string(parts[1:depth], '/')
    WHERE own.id = folder
$$;

-- Once a statement, not once a row; triggers see the writes of every statement, cascades too.
CREATE FUNCTION count_scopes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO scope_count
        SELECT space_id, dataset_id, above, sum(n)
        FROM (SELECT space_id, dataset_id, folder_id, count(*) AS n FROM added GROUP BY 1, 2, 3) changed,
             folder_and_ancestors(folder_id) AS above
        GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO scope_count
        SELECT space_id, dataset_id, above, -sum(n)
        FROM (SELECT space_id, dataset_id, folder_id, count(*) AS n FROM removed GROUP BY 1, 2, 3) changed,
             folder_and_ancestors(folder_id) AS above
        GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO scope_count
        SELECT space_id, dataset_id, above, sum(n)
        FROM (SELECT space_id, dataset_id, folder_id, sum(n) AS n
              FROM (SELECT space_id, dataset_id, folder_id, 1 AS n FROM added
                    UNION ALL SELECT space_id, dataset_id, folder_id, -1 FROM removed) both_sides
              GROUP BY 1, 2, 3 HAVING sum(n) <> 0) changed,
             folder_and_ancestors(folder_id) AS above
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
    ELSE
        DELETE FROM scope_count;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER scopes_of_added AFTER INSERT ON image_embedding REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_scopes();
CREATE TRIGGER scopes_of_removed AFTER DELETE ON image_embedding REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_scopes();
CREATE TRIGGER scopes_of_changed AFTER UPDATE ON image_embedding REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_scopes();
CREATE TRIGGER scopes_of_none AFTER TRUNCATE ON image_embedding
    FOR EACH STATEMENT EXECUTE FUNCTION count_scopes();

INSERT INTO scope_count
SELECT space_id, dataset_id, above, sum(n)
FROM (SELECT space_id, dataset_id, folder_id, count(*) AS n FROM image_embedding GROUP BY 1, 2, 3) present,
     folder_and_ancestors(folder_id) AS above
GROUP BY 1, 2, 3;
