-- Who wrote what, and when: a row is added with every write of an image or a dataset, never changed, and goes with what it
-- tells of. Triggers note it, whoever writes; the key is the one that `Database.writing` has set for the transaction, null
-- where the service itself writes.
CREATE TABLE write_history (
    id     bigint GENERATED ALWAYS AS IDENTITY,
    about  uuid NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    action text NOT NULL,
    key_id uuid
);
CREATE INDEX write_history_about ON write_history (about, id);

CREATE FUNCTION author_of_write() RETURNS uuid LANGUAGE sql STABLE AS
$$ SELECT nullif(current_setting('pictograph.author', true), '')::uuid $$;

CREATE FUNCTION note_added_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO write_history (about, action, key_id) SELECT added.id, 'uploaded', author_of_write() FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER history_of_added AFTER INSERT ON image REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_added_images();

CREATE FUNCTION note_changed_image() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO write_history (about, action, key_id)
    SELECT NEW.id, change.action, author_of_write()
    FROM (VALUES
        (1, 'moved', (NEW.dataset_id, NEW.folder_id, NEW.filename) <> (OLD.dataset_id, OLD.folder_id, OLD.filename)),
        (2, 'replaced', NEW.sha256 <> OLD.sha256),
        (3, 'archived', OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL),
        (4, 'restored', OLD.archived_at IS NOT NULL AND NEW.archived_at IS NULL),
        (5, 'retried', OLD.state = 'failed' AND NEW.state = 'received' AND OLD.archived_at IS NULL
                       AND author_of_write() IS NOT NULL)
    ) AS change (place, action, is_so)
    WHERE change.is_so ORDER BY change.place;
    RETURN NULL;
END $$;
-- A worker that finishes an image changes none of these.
CREATE TRIGGER history_of_changed AFTER UPDATE ON image FOR EACH ROW
    WHEN (OLD.archived_at IS DISTINCT FROM NEW.archived_at OR OLD.sha256 <> NEW.sha256
          OR OLD.filename <> NEW.filename OR OLD.folder_id <> NEW.folder_id OR OLD.dataset_id <> NEW.dataset_id
          OR OLD.state = 'failed' AND NEW.state = 'received')
    EXECUTE FUNCTION note_changed_image();

CREATE FUNCTION forget_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM write_history USING removed WHERE about = removed.id;
    RETURN NULL;
END $$;
CREATE TRIGGER history_of_removed AFTER DELETE ON image REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION forget_history();
CREATE TRIGGER history_of_removed AFTER DELETE ON dataset REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION forget_history();

CREATE FUNCTION note_dataset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO write_history (about, action, key_id)
    SELECT NEW.id, change.action, author_of_write()
    FROM (VALUES
        (1, 'created', TG_OP = 'INSERT'),
        (2, 'renamed', TG_OP = 'UPDATE' AND NEW.name IS DISTINCT FROM OLD.name),
        (3, 'described', TG_OP = 'UPDATE' AND NEW.description IS DISTINCT FROM OLD.description)
    ) AS change (place, action, is_so)
    WHERE change.is_so ORDER BY change.place;
    RETURN NULL;
END $$;
CREATE TRIGGER history_of_written AFTER INSERT OR UPDATE ON dataset FOR EACH ROW EXECUTE FUNCTION note_dataset();

-- What libraries from before know: when, but not by whom.
INSERT INTO write_history (about, at, action)
SELECT id, created_at, 'created' FROM dataset ORDER BY created_at;
INSERT INTO write_history (about, at, action)
SELECT id, at, action
FROM (SELECT id, created_at AS at, 'uploaded' AS action FROM image
      UNION ALL SELECT id, archived_at, 'archived' FROM image WHERE archived_at IS NOT NULL) known
ORDER BY at;
