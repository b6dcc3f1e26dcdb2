-- What pictures tell of themselves beside their size: when and with what they were taken (EXIF), and measures of their
-- pixels (store/facts.py). NULL where a picture does not say, and as long as nobody has looked.
ALTER TABLE image
    ADD COLUMN taken_at        timestamptz,
    ADD COLUMN camera          text,
    ADD COLUMN sharpness       real,
    ADD COLUMN brightness      real,
    ADD COLUMN contrast        real,
    ADD COLUMN average_color   integer,
    ADD COLUMN perceptual_hash bigint,
    -- which version of the measures they are of; 0: nobody has looked
    ADD COLUMN facts_version   smallint NOT NULL DEFAULT 0;
-- What was imported as a vector has no picture to look at.
UPDATE image SET facts_version = 1 FROM blob WHERE blob.sha256 = image.sha256 AND NOT blob.has_bytes;
-- What workers still have to look at in the background; an image that waits for its job gets its facts by that.
CREATE INDEX image_without_facts ON image (sha256) WHERE facts_version = 0 AND state IN ('embedded', 'tagged');

-- Facts are of bytes: with other bytes nothing is known, until the worker that exchanges them writes theirs.
CREATE FUNCTION forget_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.taken_at := NULL;
    NEW.camera := NULL;
    NEW.sharpness := NULL;
    NEW.brightness := NULL;
    NEW.contrast := NULL;
    NEW.average_color := NULL;
    NEW.perceptual_hash := NULL;
    NEW.facts_version := (SELECT CASE WHEN has_bytes THEN 0 ELSE 1 END FROM blob WHERE sha256 = NEW.sha256);
    RETURN NEW;
END $$;
CREATE TRIGGER facts_of_other_bytes BEFORE UPDATE OF sha256 ON image
    FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256) EXECUTE FUNCTION forget_facts();

-- As in 0021, with the new columns: the index holds them.
CREATE OR REPLACE FUNCTION note_image_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO image_change (image_id, vector) SELECT id, false FROM added;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO image_change (image_id, vector) SELECT id, true FROM removed;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO image_change (image_id, vector)
        SELECT id, false FROM removed was FULL JOIN added becomes USING (id)
        WHERE (was.dataset_id, was.folder_id, was.filename, was.created_at, was.width, was.height, was.file_size,
               was.content_type, was.state, was.archived_at IS NULL, was.image_auto_tags, was.taken_at, was.camera,
               was.sharpness, was.brightness, was.contrast, was.average_color, was.perceptual_hash, was.facts_version)
            IS DISTINCT FROM
              (becomes.dataset_id, becomes.folder_id, becomes.filename, becomes.created_at, becomes.width,
               becomes.height, becomes.file_size, becomes.content_type, becomes.state, becomes.archived_at IS NULL,
               becomes.image_auto_tags, becomes.taken_at, becomes.camera, becomes.sharpness, becomes.brightness,
               becomes.contrast, becomes.average_color, becomes.perceptual_hash, becomes.facts_version);
    ELSE
        DELETE FROM image_change;  -- and the new file of the truncated table ends the era
    END IF;
    RETURN NULL;
END $$;
