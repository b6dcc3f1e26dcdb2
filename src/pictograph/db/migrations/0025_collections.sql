-- Sets of images by name, across datasets. `version` changes whenever images are added or taken out: who keeps the ids of a
-- collection in memory sees by it whether they are still those. That an image is deleted changes nothing for them.
CREATE TABLE collection (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization (id),
    name            text NOT NULL,
    version         uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    created_by      uuid DEFAULT author_of_write(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);

CREATE TABLE collection_image (
    collection_id uuid NOT NULL REFERENCES collection (id) ON DELETE CASCADE,
    image_id      uuid NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    added_at      timestamptz NOT NULL DEFAULT now(),
    added_by      uuid DEFAULT author_of_write(),
    PRIMARY KEY (collection_id, image_id)
);
CREATE INDEX collection_image_order ON collection_image (collection_id, added_at DESC, image_id);
CREATE INDEX collection_image_image ON collection_image (image_id);
