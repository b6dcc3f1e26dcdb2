-- Servers keep the hashes of all working keys in memory. One look at this row tells them whether that is still true.
-- A random value, not a counter: after a restore a counter could be where it was, with other keys.
CREATE TABLE key_version (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO key_version DEFAULT VALUES;

CREATE FUNCTION renew_key_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE key_version SET version = gen_random_uuid();
    RETURN NULL;
END $$;

CREATE TRIGGER api_key_set_changed AFTER INSERT OR DELETE OR TRUNCATE ON api_key
FOR EACH STATEMENT EXECUTE FUNCTION renew_key_version();

-- that a key was used changes nothing of who holds it
CREATE TRIGGER api_key_changed AFTER UPDATE ON api_key FOR EACH ROW
WHEN (to_jsonb(OLD) - 'last_used_at' IS DISTINCT FROM to_jsonb(NEW) - 'last_used_at')
EXECUTE FUNCTION renew_key_version();
