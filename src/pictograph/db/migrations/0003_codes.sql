-- Which transaction wrote a row last, so that codes held in a server's memory can tell what they have not seen
-- (docs/decisions/0006-codes.md): a row visible to a later query either has changed below the watermark of a loading
-- and was visible to it, or has changed at or above it.
ALTER TABLE image_embedding ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX image_embedding_by_change ON image_embedding (space_id, changed);

-- Whoever writes, and whatever they write into the column: it is right. The condition keeps ordinary inserts, which the
-- default has served, from calling the function.
CREATE FUNCTION stamp_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER image_embedding_stamp_change BEFORE INSERT OR UPDATE ON image_embedding
    FOR EACH ROW WHEN (NEW.changed IS DISTINCT FROM pg_current_xact_id()) EXECUTE FUNCTION stamp_change();
-- also for rows that a subscription or a restore brings
ALTER TABLE image_embedding ENABLE ALWAYS TRIGGER image_embedding_stamp_change;
