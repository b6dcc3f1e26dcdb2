-- A library can move to another space while it is searched (docs/reindex.md): the active space answers, the one that is
-- building is filled beside it, and one transaction makes it the active one.
ALTER TABLE space
    -- what `--encoder` must say to get this model again: its name, or the path of its folder
    ADD COLUMN source          text NOT NULL DEFAULT '',
    ADD COLUMN building        boolean NOT NULL DEFAULT false,
    -- share of the time that workers may spend on filling it
    ADD COLUMN pace            real NOT NULL DEFAULT 1 CHECK (pace > 0 AND pace <= 1),
    ADD COLUMN accept_failures boolean NOT NULL DEFAULT false,
    -- similarity = 1 - stretch * (1 - cosine): brings "visually related" to 0.6, whatever the model's own scale is
    ADD COLUMN stretch         real NOT NULL DEFAULT 1 CHECK (stretch > 0),
    -- the model's own: logit = logit_scale * cosine + logit_bias; set with its landmarks (tagging/library/calibration.py)
    ADD COLUMN logit_scale     real,
    ADD COLUMN logit_bias      real,
    -- thresholds that differ from the taxonomy's: {"objects/dog": 0.31}
    ADD COLUMN thresholds      jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN activated_at    timestamptz,
    ADD CHECK (NOT (active AND building));
UPDATE space SET source = encoder;
UPDATE space SET activated_at = created_at WHERE active;
CREATE UNIQUE INDEX space_only_one_building ON space (building) WHERE building;

-- What tags can be decided from again, without the picture: pixel measures, and what the network itself said.
ALTER TABLE encoding ADD COLUMN measures real[], ADD COLUMN evidence bytea;

-- Where a tagger that compares words with pictures finds its scale: pictures of everything, and the labels' prompts.
CREATE TABLE background_vector (
    space_id integer NOT NULL REFERENCES space ON DELETE CASCADE,
    position integer NOT NULL,
    vector   halfvec(1152) NOT NULL,
    PRIMARY KEY (space_id, position)
);
CREATE TABLE label_vector (
    space_id integer NOT NULL REFERENCES space ON DELETE CASCADE,
    taxonomy text NOT NULL,
    label    text NOT NULL,
    vector   halfvec(1152) NOT NULL,
    PRIMARY KEY (space_id, taxonomy, label)
);

-- An image can wait for, and fail in, each space by itself.
ALTER TABLE job ADD COLUMN space_id integer REFERENCES space ON DELETE CASCADE;
UPDATE job SET space_id = (SELECT id FROM space WHERE active);
ALTER TABLE job ALTER COLUMN space_id SET NOT NULL, DROP CONSTRAINT job_pkey, ADD PRIMARY KEY (image_id, space_id);
DROP INDEX job_next, job_suspect, job_one_claim_per_sha256;
CREATE INDEX job_next ON job (space_id, priority DESC, ready_at) WHERE attempts < 2;
CREATE INDEX job_suspect ON job (space_id, ready_at) WHERE attempts >= 2;
CREATE UNIQUE INDEX job_one_claim_per_sha256 ON job (space_id, sha256) WHERE claim IS NOT NULL;

CREATE TABLE failure (
    image_id   uuid NOT NULL REFERENCES image ON DELETE CASCADE,
    space_id   integer NOT NULL REFERENCES space ON DELETE CASCADE,
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (image_id, space_id)
);
CREATE INDEX failure_by_space ON failure (space_id);
INSERT INTO failure (image_id, space_id, reason)
SELECT image.id, space.id, coalesce(image.reason, 'unknown') FROM image, space WHERE image.state = 'failed' AND space.active;
