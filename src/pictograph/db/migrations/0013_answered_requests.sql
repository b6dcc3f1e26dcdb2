-- The first answer to each request that carried an Idempotency-Key, for 24 hours. Of the key and of the request there are
-- only hashes; the answer is encrypted under a key derived from the Idempotency-Key, since it may hold a secret.
CREATE TABLE answered_request (
    key_hash    bytea PRIMARY KEY,
    -- of method, path, parameters and body; null once what it was about is deleted for good
    fingerprint bytea,
    -- who works on it: an answer is written under the claim that it was begun with, or not at all
    claim       uuid NOT NULL,
    busy_until  timestamptz NOT NULL,
    -- null while it is worked on
    status      smallint,
    -- null also when it was deleted together with the image it tells of
    answer      bytea,
    image_id    uuid,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX answered_request_by_age ON answered_request USING brin (created_at) WITH (pages_per_range = 16);
CREATE INDEX answered_request_by_image ON answered_request (image_id) WHERE image_id IS NOT NULL;

-- Whoever deletes images for good, what is left of their answers goes in the same statement. A retry is then told that
-- the image is gone: it must not come back.
CREATE FUNCTION forget_answers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE answered_request SET answer = NULL, fingerprint = NULL FROM removed WHERE image_id = removed.id;
    RETURN NULL;
END $$;
CREATE TRIGGER answers_of_removed AFTER DELETE ON image REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION forget_answers();

-- These proved which call had made a row, whatever bytes the call carried.
ALTER TABLE image DROP COLUMN idempotency_key;
ALTER TABLE dataset DROP COLUMN idempotency_key;
