-- Which blob store holds this library's files: it carries the same id in an object of its own (store/library.py), so that
-- a service or worker that opens another one is refused. Not confirmed: the store was chosen, and perhaps not yet marked.
CREATE TABLE library (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    blob_store uuid NOT NULL,
    location   text NOT NULL,
    confirmed  boolean NOT NULL DEFAULT false,
    chosen_at  timestamptz NOT NULL DEFAULT now()
);
