-- What a deletion for good leaves behind goes within minutes (store/leftovers.py): bytes, encodings, thumbnails. The
-- hashes that lost a reference are noted here, whoever took it away, so that nothing has to be searched for.
CREATE TABLE leftover (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Uploads in progress: their bytes are written before there is a row that refers to them.
CREATE TABLE blob_hold (
    id      uuid PRIMARY KEY,
    sha256  bytea NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX blob_hold_by_sha256 ON blob_hold (sha256);

CREATE FUNCTION note_leftovers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO leftover (sha256) SELECT DISTINCT sha256 FROM removed WHERE sha256 IS NOT NULL;
    RETURN NULL;
END $$;
CREATE FUNCTION note_leftover() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO leftover (sha256) VALUES (OLD.sha256);
    RETURN NULL;
END $$;
CREATE TRIGGER leftovers_of_images AFTER DELETE ON image REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION note_leftovers();
CREATE TRIGGER leftovers_of_tickets AFTER DELETE ON upload_ticket REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION note_leftovers();
-- the bytes behind an image or a ticket are exchanged for others
CREATE TRIGGER leftover_of_replaced_image AFTER UPDATE OF sha256 ON image
    FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256) EXECUTE FUNCTION note_leftover();
CREATE TRIGGER leftover_of_replaced_ticket AFTER UPDATE OF sha256 ON upload_ticket
    FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256) EXECUTE FUNCTION note_leftover();

-- Until now encodings stayed for ever, and blobs for an hour after somebody last uploaded them.
INSERT INTO blob (sha256, size_bytes)
SELECT DISTINCT e.sha256, 0 FROM encoding e WHERE NOT EXISTS (SELECT FROM blob b WHERE b.sha256 = e.sha256);
-- an upload that is under way while this runs has an hour, as before
INSERT INTO blob_hold (id, sha256, held_at)
SELECT gen_random_uuid(), sha256, touched_at FROM blob b
WHERE touched_at > now() - interval '1 hour' AND size_bytes > 0
  AND NOT EXISTS (SELECT FROM image i WHERE i.sha256 = b.sha256);
INSERT INTO leftover (sha256)
SELECT sha256 FROM blob b WHERE NOT EXISTS (SELECT FROM image i WHERE i.sha256 = b.sha256);

-- Notes of which images changed (0004) are kept for copies in memory, for one to two hours. Where images were deleted
-- for good they go sooner: two calls of this, some minutes apart, leave no note older than the first. Copies that have
-- not read them by then are made anew.
CREATE FUNCTION forget_tag_changes() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'746167'::integer, 2) THEN  -- as in fold_tag_deltas
        RETURN;
    END IF;
    DELETE FROM tag_change WHERE changed_in < (SELECT next FROM tag_change_horizon);
    UPDATE tag_change_horizon
    SET pruned = greatest(pruned, next), next = pg_snapshot_xmin(pg_current_snapshot()), at = now();
END $$;
