-- Queries by name: the JSON of `POST /search/query`, as text, since it is read whole and may hold what jsonb cannot.
CREATE TABLE saved_query (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization (id),
    name            text NOT NULL,
    question        text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    created_by      uuid DEFAULT author_of_write(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    updated_by      uuid DEFAULT author_of_write(),
    UNIQUE (organization_id, name)
);
