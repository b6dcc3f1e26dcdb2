-- New bytes for an image that keeps its id: the old ones answer until the new ones are ready, and for ever if these turn
-- out to be no picture. The worker that finishes the new bytes exchanges them in the same transaction.
CREATE TABLE replacement (
    image_id     uuid PRIMARY KEY REFERENCES image ON DELETE CASCADE,
    -- null once they failed: then nothing refers to them
    sha256       bytea REFERENCES blob,
    content_type text NOT NULL,
    width        integer NOT NULL,
    height       integer NOT NULL,
    file_size    bigint NOT NULL,
    reason       text,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX replacement_by_sha256 ON replacement (sha256);

CREATE TRIGGER leftovers_of_replacements AFTER DELETE ON replacement REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION note_leftovers();
CREATE TRIGGER leftover_of_replacement AFTER UPDATE OF sha256 ON replacement
    FOR EACH ROW WHEN (OLD.sha256 IS NOT NULL AND OLD.sha256 IS DISTINCT FROM NEW.sha256)
    EXECUTE FUNCTION note_leftover();

-- Who asked for it; the exchange itself, `replaced`, is the worker's.
CREATE FUNCTION note_replacement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO write_history (about, action, key_id) VALUES (NEW.image_id, 'replacing', author_of_write());
    RETURN NULL;
END $$;
CREATE TRIGGER history_of_replacement AFTER INSERT OR UPDATE OF sha256 ON replacement
    FOR EACH ROW WHEN (NEW.sha256 IS NOT NULL) EXECUTE FUNCTION note_replacement();
