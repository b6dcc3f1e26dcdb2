-- A ticket ends when its bytes are registered, when the image of its place is deleted for good, and when the key that
-- asked for it is revoked: permission to write does not outlive what gave it.
ALTER TABLE upload_ticket
    ADD COLUMN key_id        uuid,
    ADD COLUMN registered_at timestamptz;

-- Whoever deletes images for good: else `register` could make one anew of bytes that were PUT before.
CREATE FUNCTION end_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM upload_ticket USING removed, folder
    WHERE folder.id = removed.folder_id AND upload_ticket.dataset_id = removed.dataset_id
      AND upload_ticket.folder_path = folder.path AND upload_ticket.filename = removed.filename;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_of_removed AFTER DELETE ON image REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION end_tickets();
