-- One log of changes for the one index that server processes keep beside the database (docs/decisions/0010-index.md):
-- which images changed, and in which transaction. What an index has not read yet is at or above its watermark here.
CREATE TABLE image_change (
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    image_id   uuid NOT NULL,
    -- whether a vector came, changed or went; else codes of the vector are kept
    vector     boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX image_change_by_transaction ON image_change (changed_in);

-- Changes of lower transactions were taken out of the log: an index that has not read all of those is made anew.
CREATE TABLE image_change_horizon (
    pruned xid8 NOT NULL
);
INSERT INTO image_change_horizon (pruned) VALUES ('0');

-- Who reads the log: one row for each folder that holds an index. The token is written here before the index that
-- carries it is published, so that an index knows the database it was made from: one that was restored or rolled back
-- has another token.
CREATE TABLE index_follower (
    id           uuid PRIMARY KEY,
    watermark    xid8 NOT NULL,
    token        uuid NOT NULL,
    token_before uuid,
    seen_at      timestamptz NOT NULL DEFAULT now()
);

-- Once a statement, not once a row; triggers see the writes of every statement, cascades too. What an index does not
-- hold (bytes, reasons, the time of the last update) may change without a note. FULL JOIN: an id may change too.
CREATE FUNCTION note_image_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO image_change (image_id, vector) SELECT id, false FROM added;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO image_change (image_id, vector) SELECT id, true FROM removed;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO image_change (image_id, vector)
        SELECT id, false FROM removed was FULL JOIN added becomes USING (id)
        WHERE (was.dataset_id, was.folder_id, was.filename, was.created_at, was.width, was.height, was.file_size,
               was.content_type, was.state, was.archived_at IS NULL, was.image_auto_tags)
            IS DISTINCT FROM
              (becomes.dataset_id, becomes.folder_id, becomes.filename, becomes.created_at, becomes.width,
               becomes.height, becomes.file_size, becomes.content_type, becomes.state, becomes.archived_at IS NULL,
               becomes.image_auto_tags);
    ELSE
        DELETE FROM image_change;  -- and the new file of the truncated table ends the era
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION note_vector_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO image_change (image_id, vector) SELECT image_id, true FROM added;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO image_change (image_id, vector) SELECT image_id, true FROM removed;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO image_change (image_id, vector)
        SELECT image_id, was.vector IS DISTINCT FROM becomes.vector
        FROM removed was FULL JOIN added becomes USING (space_id, image_id)
        WHERE (was.vector, was.dataset_id, was.folder_id)
            IS DISTINCT FROM (becomes.vector, becomes.dataset_id, becomes.folder_id);
    ELSE
        DELETE FROM image_change;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER image_change_added AFTER INSERT ON image REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_image_change();
CREATE TRIGGER image_change_removed AFTER DELETE ON image REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION note_image_change();
CREATE TRIGGER image_change_updated AFTER UPDATE ON image REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_image_change();
CREATE TRIGGER image_change_truncated AFTER TRUNCATE ON image
    FOR EACH STATEMENT EXECUTE FUNCTION note_image_change();
CREATE TRIGGER image_change_added AFTER INSERT ON image_embedding REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_vector_change();
CREATE TRIGGER image_change_removed AFTER DELETE ON image_embedding REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION note_vector_change();
CREATE TRIGGER image_change_updated AFTER UPDATE ON image_embedding REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_vector_change();
CREATE TRIGGER image_change_truncated AFTER TRUNCATE ON image_embedding
    FOR EACH STATEMENT EXECUTE FUNCTION note_vector_change();
-- also for rows that a subscription or a restore brings
ALTER TABLE image ENABLE ALWAYS TRIGGER image_change_added, ENABLE ALWAYS TRIGGER image_change_removed,
    ENABLE ALWAYS TRIGGER image_change_updated, ENABLE ALWAYS TRIGGER image_change_truncated;
ALTER TABLE image_embedding ENABLE ALWAYS TRIGGER image_change_added, ENABLE ALWAYS TRIGGER image_change_removed,
    ENABLE ALWAYS TRIGGER image_change_updated, ENABLE ALWAYS TRIGGER image_change_truncated;

-- Names the tables that a watermark belongs to: a restore, a truncation or a rewrite gives them other files, and whoever
-- switches a trigger off and on writes its row anew. An unguarded table's name ends in `!`: no watermark is true then.
CREATE FUNCTION index_tables() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT oid FROM pg_database WHERE datname = current_database()
    ) || ' ' || (
        SELECT string_agg(one::text || ':' || pg_relation_filenode(one::regclass), ' ' ORDER BY one)
        FROM unnest(ARRAY['image'::regclass::oid, 'image_embedding'::regclass::oid, 'image_change'::regclass::oid]) one
    ) || (
        SELECT ' ' || string_agg(xmin::text, ' ' ORDER BY tgrelid, tgname)
            || CASE WHEN count(*) = 8 AND bool_and(tgenabled = 'A') THEN '' ELSE '!' END
        FROM pg_trigger
        WHERE tgrelid IN ('image'::regclass, 'image_embedding'::regclass) AND tgname LIKE 'image\_change\_%'
    );
END $$;

-- The same, and this run of the server. Every question compares it with the one that its index was read in.
CREATE FUNCTION index_era() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN extract(epoch FROM pg_postmaster_start_time())::text || '/' || index_tables();
END $$;

-- What the index replaces: lists and counters of tags (0004, 0006), of scopes (0005), numbers of changes (0003).
DROP TRIGGER image_tags_inserted ON image;
DROP TRIGGER image_tags_updated ON image;
DROP TRIGGER image_tags_deleted ON image;
DROP TRIGGER image_tags_truncated ON image;
DROP TRIGGER dataset_tag_scope ON dataset;
DROP TRIGGER dataset_tag_scope_gone ON dataset;
DROP TRIGGER organization_tags_gone ON organization;
DROP TRIGGER scopes_of_added ON image_embedding;
DROP TRIGGER scopes_of_removed ON image_embedding;
DROP TRIGGER scopes_of_changed ON image_embedding;
DROP TRIGGER scopes_of_none ON image_embedding;
DROP TRIGGER image_embedding_stamp_change ON image_embedding;
DROP FUNCTION keep_image_tags(), image_tags_truncated(), dataset_tag_scope(), dataset_tag_scope_gone(),
    organization_tags_gone(), count_scopes(), stamp_change(), fold_tag_deltas(), forget_tag_changes(),
    after_this_transaction(), tag_number(uuid, text, text), learn_tags(uuid[], text[], text[]), tag_rows(uuid, jsonb),
    labels_of(jsonb), folder_and_ancestors(bigint);
DROP TABLE image_tag, tag, tag_scope, tag_count, tag_delta, tag_change, tag_change_horizon, scope_count;
ALTER TABLE image_embedding DROP COLUMN changed;

-- Images go before their dataset, and datasets before their organization, each in one statement.
CREATE FUNCTION dataset_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM image WHERE dataset_id = OLD.id;
    RETURN OLD;
END $$;
CREATE FUNCTION organization_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM dataset WHERE organization_id = OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER dataset_gone BEFORE DELETE ON dataset FOR EACH ROW EXECUTE FUNCTION dataset_gone();
CREATE TRIGGER organization_gone BEFORE DELETE ON organization FOR EACH ROW EXECUTE FUNCTION organization_gone();
