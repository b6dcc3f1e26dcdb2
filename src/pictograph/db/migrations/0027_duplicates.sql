-- Near-duplicates that were found (store/duplicates.py): a row for each question, and for each image in a group.
CREATE TABLE duplicate_finding (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    question        text NOT NULL UNIQUE,
    dataset_id      uuid NOT NULL REFERENCES dataset ON DELETE CASCADE,
    folder_path     text NOT NULL,
    against_id      uuid REFERENCES dataset ON DELETE CASCADE,
    against_path    text NOT NULL,
    threshold       double precision NOT NULL,
    hash_distance   smallint NOT NULL,
    space_id        integer NOT NULL REFERENCES space ON DELETE CASCADE,
    asked_at        timestamptz NOT NULL DEFAULT now(),
    -- when it was asked for by somebody who does not wait for it; NULL: nobody waits
    wanted_at       timestamptz,
    -- whoever is at it renews this; if it dies, another one takes it
    claim           uuid,
    claimed_until   timestamptz,
    done            bigint NOT NULL DEFAULT 0,
    total           bigint NOT NULL DEFAULT 0,
    found_at        timestamptz,
    took_s          double precision NOT NULL DEFAULT 0,
    images          bigint NOT NULL DEFAULT 0,
    not_hashed      bigint NOT NULL DEFAULT 0,
    not_embedded    bigint NOT NULL DEFAULT 0
);
CREATE INDEX duplicate_finding_by_dataset ON duplicate_finding (dataset_id);
CREATE INDEX duplicate_finding_by_against ON duplicate_finding (against_id);
CREATE INDEX duplicate_finding_by_organization ON duplicate_finding (organization_id);
CREATE INDEX duplicate_finding_by_space ON duplicate_finding (space_id);
CREATE INDEX duplicate_finding_wanted ON duplicate_finding (wanted_at) WHERE wanted_at IS NOT NULL;

-- Which images a finding has compared, some thousand in a row: 16 bytes of the id, 8 that change with what was compared.
CREATE TABLE duplicate_compared (
    finding_id uuid NOT NULL REFERENCES duplicate_finding ON DELETE CASCADE,
    part       integer NOT NULL,
    images     bytea NOT NULL,
    PRIMARY KEY (finding_id, part)
);
ALTER TABLE duplicate_compared ALTER COLUMN images SET STORAGE EXTERNAL;

-- An image of a group. The leader is the image that the others were found by, and names the group for good; the
-- representative is the one that people are shown, and what was measured is of each image with that.
CREATE TABLE duplicate_link (
    finding_id     uuid NOT NULL REFERENCES duplicate_finding ON DELETE CASCADE,
    image_id       uuid NOT NULL REFERENCES image ON DELETE CASCADE,
    leader_id      uuid NOT NULL,
    representative boolean NOT NULL,
    reason         text,
    same_bytes     boolean NOT NULL,
    bits           smallint,
    mirrored       boolean NOT NULL,
    cosine         real,
    PRIMARY KEY (finding_id, image_id)
);
CREATE INDEX duplicate_link_by_leader ON duplicate_link (finding_id, leader_id);
CREATE INDEX duplicate_link_by_image ON duplicate_link (image_id);

-- What people decided; it holds for every finding.
CREATE TABLE duplicate_told_apart (
    one        uuid NOT NULL REFERENCES image ON DELETE CASCADE,
    other      uuid NOT NULL REFERENCES image ON DELETE CASCADE,
    key_id     uuid,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (one, other),
    CHECK (one < other)
);
CREATE INDEX duplicate_told_apart_by_other ON duplicate_told_apart (other);
CREATE TABLE duplicate_keep (
    image_id   uuid PRIMARY KEY REFERENCES image ON DELETE CASCADE,
    key_id     uuid,
    decided_at timestamptz NOT NULL DEFAULT now()
);
