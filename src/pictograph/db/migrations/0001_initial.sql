-- One row per customer of this installation. Everything else belongs to exactly one.
CREATE TABLE organization (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name            text NOT NULL,
    key_prefix      text NOT NULL,
    key_hash        bytea NOT NULL UNIQUE,
    role            text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_used_at    timestamptz,
    revoked_at      timestamptz
);

CREATE TABLE dataset (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name            text NOT NULL,
    description     text,
    idempotency_key text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);

-- Ids are unique over all datasets, so that one folder is one value to search by.
CREATE TABLE folder (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset_id uuid NOT NULL REFERENCES dataset ON DELETE CASCADE,
    path       text COLLATE "C" NOT NULL,
    UNIQUE (dataset_id, path)
);

-- The bytes that the blob store holds. touched_at keeps the sweeper off a blob whose image row is about to be written.
CREATE TABLE blob (
    sha256     bytea PRIMARY KEY CHECK (length(sha256) = 32),
    size_bytes bigint NOT NULL,
    touched_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE image (
    id              uuid PRIMARY KEY,
    dataset_id      uuid NOT NULL REFERENCES dataset ON DELETE CASCADE,
    folder_id       bigint NOT NULL REFERENCES folder,
    filename        text NOT NULL,
    sha256          bytea NOT NULL REFERENCES blob,
    content_type    text NOT NULL,
    width           integer NOT NULL,
    height          integer NOT NULL,
    file_size       bigint NOT NULL,
    state           text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'embedded', 'tagged', 'failed')),
    reason          text,
    image_auto_tags jsonb NOT NULL DEFAULT '{"objects": [], "scenes": [], "attributes": []}',
    idempotency_key text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    UNIQUE (folder_id, filename)
);
CREATE INDEX image_newest_first ON image (dataset_id, created_at DESC, id);
CREATE INDEX image_by_state ON image (dataset_id, state);
CREATE INDEX image_by_sha256 ON image (sha256);
CREATE INDEX image_by_tags ON image USING gin (image_auto_tags jsonb_path_ops) WITH (fastupdate = off);

-- Where vectors are comparable: one model, one revision, one dimension. Searches ask the active one.
CREATE TABLE space (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    encoder    text NOT NULL,
    revision   text NOT NULL,
    dimension  integer NOT NULL,
    active     boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (encoder, revision, dimension)
);
CREATE UNIQUE INDEX space_only_one_active ON space (active) WHERE active;

-- What a model made of some bytes, kept so that the same bytes are never encoded again.
CREATE TABLE encoding (
    space_id       integer NOT NULL REFERENCES space ON DELETE CASCADE,
    sha256         bytea NOT NULL,
    vector         halfvec(1152) NOT NULL,
    tagger         text,
    tags           jsonb,
    tag_scores     jsonb,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (space_id, sha256)
);
ALTER TABLE encoding ALTER COLUMN vector SET STORAGE EXTERNAL;

-- What likeness search reads: one row per findable image, the vector inside the row (PLAIN), three rows a page.
CREATE TABLE image_embedding (
    space_id   integer NOT NULL REFERENCES space ON DELETE CASCADE,
    image_id   uuid NOT NULL REFERENCES image ON DELETE CASCADE,
    dataset_id uuid NOT NULL,
    folder_id  bigint NOT NULL,
    vector     halfvec(1152) NOT NULL,
    PRIMARY KEY (space_id, image_id)
);
ALTER TABLE image_embedding ALTER COLUMN vector SET STORAGE PLAIN;
CREATE INDEX image_embedding_by_image ON image_embedding (image_id);
CREATE INDEX image_embedding_by_scope ON image_embedding (space_id, dataset_id, folder_id);

-- The promise that an image will be processed. A claim pushes ready_at into the future: if its worker dies, the job
-- becomes ready again by itself, and no other process has to notice.
CREATE TABLE job (
    image_id uuid PRIMARY KEY REFERENCES image ON DELETE CASCADE,
    sha256   bytea NOT NULL,
    priority smallint NOT NULL DEFAULT 0,
    ready_at timestamptz NOT NULL DEFAULT now(),
    attempts smallint NOT NULL DEFAULT 0,
    claim    uuid
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX job_next ON job (priority DESC, ready_at) WHERE attempts < 2;
-- Jobs that failed, or whose worker died, more than once: they are processed one at a time, apart from healthy ones.
CREATE INDEX job_suspect ON job (ready_at) WHERE attempts >= 2;
CREATE INDEX job_by_sha256 ON job (sha256);
-- The same bytes are never encoded by two workers at once: the database itself refuses it.
CREATE UNIQUE INDEX job_one_claim_per_sha256 ON job (sha256) WHERE claim IS NOT NULL;

-- Permission to PUT the bytes of one file; only the hash of its token is kept.
CREATE TABLE upload_ticket (
    token_hash   bytea PRIMARY KEY,
    dataset_id   uuid NOT NULL REFERENCES dataset ON DELETE CASCADE,
    folder_path  text NOT NULL,
    filename     text NOT NULL,
    sha256       bytea REFERENCES blob,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX upload_ticket_by_name ON upload_ticket (dataset_id, folder_path, filename);
CREATE INDEX upload_ticket_by_sha256 ON upload_ticket (sha256);
