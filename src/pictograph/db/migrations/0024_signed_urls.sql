-- What addresses of pictures are signed with (store/signing.py). A new secret ends every address that was given out: it
-- counts as a change of the keys, so that every server reads it within half a second.
CREATE TABLE signing_secret (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    secret bytea NOT NULL CHECK (octet_length(secret) = 32),
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO signing_secret (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

CREATE FUNCTION note_changed_signing_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_installation('signed URLs ended', NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER history_of_signing_secret AFTER UPDATE ON signing_secret
FOR EACH ROW EXECUTE FUNCTION note_changed_signing_secret();
CREATE TRIGGER signing_secret_changed AFTER UPDATE ON signing_secret
FOR EACH STATEMENT EXECUTE FUNCTION renew_key_version();
