-- Acts on the whole installation are noted as well, under the id of all zeros: which encoder, which thresholds.
ALTER TABLE write_history ADD COLUMN detail text;

CREATE FUNCTION note_installation(action text, detail text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO write_history (about, action, detail, key_id)
    VALUES ('00000000-0000-0000-0000-000000000000', action, detail, author_of_write())
$$;

CREATE FUNCTION note_changed_space() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM note_installation('encoder forgotten', OLD.encoder);
        RETURN NULL;
    END IF;
    IF NEW.active AND NOT OLD.active THEN
        PERFORM note_installation('encoder changed', NEW.encoder);
    ELSIF NEW.building AND NOT OLD.building THEN
        PERFORM note_installation('reindex started', NEW.encoder);
    ELSIF OLD.building AND NOT NEW.building THEN
        PERFORM note_installation('reindex cancelled', NEW.encoder);
    ELSIF NEW.accept_failures AND NOT OLD.accept_failures THEN
        PERFORM note_installation('failures accepted', NEW.encoder);
    END IF;
    IF NEW.thresholds <> OLD.thresholds THEN
        PERFORM note_installation('threshold changed', label || ': ' || coalesce(OLD.thresholds ->> label, 'default')
                                  || ' -> ' || coalesce(NEW.thresholds ->> label, 'default'))
        FROM jsonb_object_keys(OLD.thresholds || NEW.thresholds) AS label
        WHERE OLD.thresholds -> label IS DISTINCT FROM NEW.thresholds -> label
        ORDER BY label;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER history_of_space AFTER UPDATE OR DELETE ON space FOR EACH ROW EXECUTE FUNCTION note_changed_space();
