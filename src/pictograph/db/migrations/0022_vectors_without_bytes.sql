-- Images that were imported as vectors have no file here. Their row of `blob` is only a name: it is made of the vector,
-- the tags and the facts, and what models made of "these bytes" hangs on it as on any other (bulk/addresses.py).
ALTER TABLE blob ADD COLUMN has_bytes boolean NOT NULL DEFAULT true;

CREATE OR REPLACE FUNCTION note_added_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO write_history (about, action, key_id)
    SELECT added.id, coalesce(nullif(current_setting('pictograph.came_as', true), ''), 'uploaded'), author_of_write()
    FROM added;
    RETURN NULL;
END $$;
