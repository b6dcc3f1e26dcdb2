-- Beside image.image_auto_tags, which stays the truth: for every tag the list of its images, newest first, and how many
-- there are (docs/decisions/0007-tag-index.md). Triggers keep both in the transaction that changes the image, whoever
-- that is. No foreign key leads here: the triggers do the work of the cascades, once a statement instead of once a row.

-- An organization's labels by number; a tag is a list of images of ONE organization.
CREATE TABLE tag (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL,
    category        text NOT NULL,
    name            text NOT NULL,
    UNIQUE (organization_id, category, name)
);

-- Datasets by number.
CREATE TABLE tag_scope (
    number          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset_id      uuid NOT NULL UNIQUE,
    organization_id uuid NOT NULL
);
CREATE INDEX tag_scope_by_organization ON tag_scope (organization_id);

-- Which images carry a tag; archived ones have no rows.
CREATE TABLE image_tag (
    tag_id     integer NOT NULL,
    dataset    integer NOT NULL,
    created_at timestamptz NOT NULL,
    image_id   uuid NOT NULL
);

-- How many images carry a tag, in a dataset and (dataset 0) in the whole organization; tag 0 is every image of a
-- dataset. The truth is tag_count + sum(tag_delta): writers only append, so that none waits for another, and now and
-- then one of them adds the deltas up.
CREATE TABLE tag_count (
    dataset integer NOT NULL,
    tag_id  integer NOT NULL,
    images  bigint NOT NULL,
    PRIMARY KEY (dataset, tag_id)
) WITH (fillfactor = 80);
CREATE INDEX tag_count_of_none ON tag_count (images) WHERE images = 0;
CREATE TABLE tag_delta (
    dataset integer NOT NULL,
    tag_id  integer NOT NULL,
    images  bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
CREATE INDEX tag_delta_by_scope ON tag_delta (dataset, tag_id);

-- Which images changed, and in which transaction: what copies in memory read to be as true as the database. Rows of
-- transactions before `pruned` are gone: a copy that has not seen all of those is made anew.
CREATE TABLE tag_change (
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    image_id   uuid NOT NULL,
    created_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
CREATE INDEX tag_change_by_transaction ON tag_change (changed_in);
CREATE TABLE tag_change_horizon (
    pruned xid8 NOT NULL,
    next   xid8 NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tag_change_horizon (pruned, next) VALUES ('0', pg_snapshot_xmin(pg_current_snapshot()));

-- The labels of a tag document, each once; what containment would not find is left out.
CREATE FUNCTION labels_of(tags jsonb) RETURNS TABLE (category text, name text) LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT of.key, label.value #>> '{}'
    FROM jsonb_each(CASE jsonb_typeof(tags) WHEN 'object' THEN tags ELSE '{}' END) AS of,
         jsonb_array_elements(CASE jsonb_typeof(of.value) WHEN 'array' THEN of.value ELSE '[]' END) AS label
    WHERE jsonb_typeof(label.value) = 'string'
$$;

-- The rows of image_tag that an image of that dataset, with those tags, has. A scalar subquery, so that each label is
-- one look-up: as a join it was planned as a scan of all tags for each image, 1 ms instead of 0.03.
CREATE FUNCTION tag_rows(image_dataset uuid, tags jsonb) RETURNS TABLE (tag_id integer, dataset integer)
LANGUAGE sql STABLE AS $$
    SELECT (SELECT tag.id FROM tag WHERE tag.organization_id = scope.organization_id
              AND tag.category = label.category AND tag.name = label.name), scope.number
    FROM tag_scope scope, labels_of(tags) AS label
    WHERE scope.dataset_id = image_dataset
$$;

-- Existing images, before there are indexes to keep and triggers to run.
INSERT INTO tag_scope (dataset_id, organization_id) SELECT id, organization_id FROM dataset ORDER BY created_at, id;
INSERT INTO tag (organization_id, category, name)
SELECT DISTINCT scope.organization_id, label.category, label.name
FROM image JOIN tag_scope scope USING (dataset_id), labels_of(image_auto_tags) AS label
WHERE archived_at IS NULL;
ANALYZE tag, tag_scope;
INSERT INTO image_tag (tag_id, dataset, created_at, image_id)
SELECT tag_id, dataset, created_at, id FROM image, tag_rows(dataset_id, image_auto_tags) WHERE archived_at IS NULL;
INSERT INTO tag_count (dataset, tag_id, images)
SELECT dataset, tag_id, count(*) FROM image_tag GROUP BY 1, 2
UNION ALL SELECT 0, tag_id, count(*) FROM image_tag GROUP BY 2
UNION ALL SELECT number, 0, count(*) FROM image JOIN tag_scope USING (dataset_id) WHERE archived_at IS NULL GROUP BY 1
ORDER BY 1, 2;
CREATE UNIQUE INDEX image_tag_of_dataset ON image_tag (tag_id, dataset, created_at DESC, image_id);
CREATE INDEX image_tag_of_organization ON image_tag (tag_id, created_at DESC, image_id);
ANALYZE image_tag, tag_count;

-- Gives numbers to labels that are seen for the first time, which happens once in the life of an organization. The lock
-- keeps two transactions that bring the same ones in another order from waiting for each other for ever.
CREATE FUNCTION learn_tags(organizations uuid[], categories text[], names text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'746167'::integer, 1);
    INSERT INTO tag (organization_id, category, name)
    SELECT * FROM unnest(organizations, categories, names) ON CONFLICT DO NOTHING;
END $$;

-- What no snapshot has as its xmin before this transaction has ended.
CREATE FUNCTION after_this_transaction() RETURNS xid8 LANGUAGE sql VOLATILE AS $$
    SELECT (pg_current_xact_id()::text::bigint + 1)::text::xid8
$$;

-- Adds the deltas up, if nobody else is at it; only its holder writes tag_count, so nobody waits here.
CREATE FUNCTION fold_tag_deltas() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'746167'::integer, 2) THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM tag_delta RETURNING dataset, tag_id, images
    )
    INSERT INTO tag_count AS total (dataset, tag_id, images)
    SELECT dataset, tag_id, sum(images)
    FROM (SELECT * FROM gone UNION ALL SELECT 0, tag_id, images FROM gone WHERE tag_id <> 0) AS change
    GROUP BY dataset, tag_id HAVING sum(images) <> 0
    ON CONFLICT (dataset, tag_id) DO UPDATE SET images = total.images + excluded.images;
    DELETE FROM tag_count WHERE images = 0;
    IF EXISTS (SELECT FROM tag_change_horizon WHERE greatest(pruned, next) > after_this_transaction()) THEN
        -- restored from a server that was further on: its numbers say nothing about transactions here
        DELETE FROM tag_change WHERE changed_in > pg_current_xact_id();
        UPDATE tag_change_horizon
        SET pruned = after_this_transaction(), next = after_this_transaction(), at = now();
    ELSIF (SELECT at FROM tag_change_horizon) < now() - interval '1 hour' THEN
        DELETE FROM tag_change WHERE changed_in < (SELECT next FROM tag_change_horizon);
        UPDATE tag_change_horizon
        SET pruned = next, next = pg_snapshot_xmin(pg_current_snapshot()), at = now();
    END IF;
END $$;

-- What a statement on `image` changes, in whole sets. EXECUTE, because a plan that was made for one image must not be
-- kept for the statement that changes a million; it is planned for the true sizes each time.
CREATE FUNCTION keep_image_tags() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was     text := CASE TG_OP WHEN 'INSERT' THEN '(SELECT * FROM new_image LIMIT 0)' ELSE 'old_image' END;
    becomes text := CASE TG_OP WHEN 'DELETE' THEN '(SELECT * FROM old_image LIMIT 0)' ELSE 'new_image' END;
    changed bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM new_image, labels_of(image_auto_tags)) THEN  -- uploads: somebody waits for them
            INSERT INTO tag_change (image_id, created_at) SELECT id, created_at FROM new_image;
            INSERT INTO tag_delta (dataset, tag_id, images)
            SELECT number, 0, count(*) FROM new_image JOIN tag_scope USING (dataset_id)
            WHERE archived_at IS NULL GROUP BY number;
            RETURN NULL;
        END IF;
    END IF;
    EXECUTE format($sql$
        WITH was AS (
            SELECT id, created_at, dataset_id, folder_id, archived_at IS NULL, image_auto_tags FROM %s AS image
        ), becomes AS (
            SELECT id, created_at, dataset_id, folder_id, archived_at IS NULL, image_auto_tags FROM %s AS image
        ), changed AS (
            (TABLE was EXCEPT TABLE becomes) UNION ALL (TABLE becomes EXCEPT TABLE was)
        )
        INSERT INTO tag_change (image_id, created_at) SELECT DISTINCT id, created_at FROM changed
    $sql$, was, becomes);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    EXECUTE format($sql$
        SELECT learn_tags(array_agg(organization_id), array_agg(category), array_agg(name))
        FROM (
            SELECT scope.organization_id, label.category, label.name
            FROM %s AS image JOIN tag_scope scope USING (dataset_id), labels_of(image_auto_tags) AS label
            WHERE archived_at IS NULL AND NOT EXISTS (
                SELECT FROM tag WHERE tag.organization_id = scope.organization_id
                  AND tag.category = label.category AND tag.name = label.name)
        ) AS unknown
        HAVING count(*) > 0
    $sql$, becomes);
    EXECUTE format($sql$
        WITH was AS (
            SELECT * FROM %s AS image WHERE archived_at IS NULL
        ), becomes AS (
            SELECT * FROM %s AS image WHERE archived_at IS NULL
        ), before AS (
            SELECT tag_id, dataset, created_at, id FROM was, tag_rows(dataset_id, image_auto_tags)
        ), after AS (
            SELECT tag_id, dataset, created_at, id FROM becomes, tag_rows(dataset_id, image_auto_tags)
        ), gone AS (
            DELETE FROM image_tag USING (TABLE before EXCEPT TABLE after) AS lost
            WHERE image_tag.tag_id = lost.tag_id AND image_tag.dataset = lost.dataset
              AND image_tag.created_at = lost.created_at AND image_tag.image_id = lost.id
            RETURNING image_tag.dataset, image_tag.tag_id
        ), come AS (
            INSERT INTO image_tag (tag_id, dataset, created_at, image_id) TABLE after EXCEPT TABLE before
            RETURNING dataset, tag_id
        )
        INSERT INTO tag_delta (dataset, tag_id, images)
        SELECT dataset, tag_id, sum(images)
        FROM (
            SELECT dataset, tag_id, -1 AS images FROM gone
            UNION ALL SELECT dataset, tag_id, 1 FROM come
            UNION ALL SELECT number, 0, -1 FROM was JOIN tag_scope USING (dataset_id)
            UNION ALL SELECT number, 0, 1 FROM becomes JOIN tag_scope USING (dataset_id)
        ) AS change
        GROUP BY 1, 2 HAVING sum(images) <> 0
    $sql$, was, becomes);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF random() * 2000 < changed THEN
        PERFORM fold_tag_deltas();
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION image_tags_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE image_tag, tag_count, tag_delta, tag_change;
    UPDATE tag_change_horizon SET pruned = after_this_transaction();  -- every copy in memory is older than that
    RETURN NULL;
END $$;

CREATE FUNCTION dataset_tag_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'A dataset stays in its organization: its images are found by the tags of that organization.';
    END IF;
    INSERT INTO tag_scope (dataset_id, organization_id) VALUES (NEW.id, NEW.organization_id);
    RETURN NULL;
END $$;

-- Images go before their dataset, and datasets before their organization: a cascade deletes them only when nobody can
-- tell any more whose tags they carried. The row is locked by now, so that no image comes after.
CREATE FUNCTION dataset_tag_scope_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM image WHERE dataset_id = OLD.id;
    DELETE FROM tag_scope WHERE dataset_id = OLD.id;
    RETURN OLD;
END $$;

CREATE FUNCTION organization_tags_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM dataset WHERE organization_id = OLD.id;
    DELETE FROM tag WHERE organization_id = OLD.id;
    RETURN OLD;
END $$;

CREATE TRIGGER image_tags_inserted AFTER INSERT ON image
    REFERENCING NEW TABLE AS new_image FOR EACH STATEMENT EXECUTE FUNCTION keep_image_tags();
CREATE TRIGGER image_tags_updated AFTER UPDATE ON image
    REFERENCING OLD TABLE AS old_image NEW TABLE AS new_image FOR EACH STATEMENT EXECUTE FUNCTION keep_image_tags();
CREATE TRIGGER image_tags_deleted AFTER DELETE ON image
    REFERENCING OLD TABLE AS old_image FOR EACH STATEMENT EXECUTE FUNCTION keep_image_tags();
CREATE TRIGGER image_tags_truncated AFTER TRUNCATE ON image
    FOR EACH STATEMENT EXECUTE FUNCTION image_tags_truncated();
CREATE TRIGGER dataset_tag_scope AFTER INSERT OR UPDATE OF organization_id ON dataset
    FOR EACH ROW EXECUTE FUNCTION dataset_tag_scope();
CREATE TRIGGER dataset_tag_scope_gone BEFORE DELETE ON dataset
    FOR EACH ROW EXECUTE FUNCTION dataset_tag_scope_gone();
CREATE TRIGGER organization_tags_gone BEFORE DELETE ON organization
    FOR EACH ROW EXECUTE FUNCTION organization_tags_gone();
