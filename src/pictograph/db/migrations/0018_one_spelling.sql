-- Names that differ by Unicode normalisation only are one name, written as NFC: macOS gives `e` and an accent apart where
-- Linux gives one letter. Where two stored names become one, the newer gets ` (2)`. What a name was stays here, for
-- `pictograph datasets name-changes` and for exports.
CREATE TABLE name_change (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    kind            text NOT NULL CHECK (kind IN ('dataset', 'folder', 'image', 'api_key')),
    dataset_id      uuid REFERENCES dataset ON DELETE CASCADE,
    object_id       text NOT NULL,
    original        text NOT NULL,
    becomes         text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX name_change_newest_first ON name_change (organization_id, created_at DESC, id);
CREATE INDEX name_change_by_dataset ON name_change (dataset_id);

DO $$
#variable_conflict use_column
DECLARE
    place  record;
    goal   text;
    free   text;
    above  text;
    n      integer;
BEGIN
    -- Datasets of organizations where any name is written otherwise, oldest first: the first of a name keeps it.
    CREATE TEMP TABLE named (owner uuid, id text, original text, becomes text, UNIQUE (owner, becomes)) ON COMMIT DROP;
    CREATE INDEX ON named (owner, original);
    FOR place IN
        SELECT id, organization_id AS owner, name FROM dataset
        WHERE organization_id IN (SELECT organization_id FROM dataset WHERE name IS NOT NFC NORMALIZED)
        ORDER BY created_at, id
    LOOP
        goal := normalize(place.name, NFC);
        free := goal;
        n := 1;
        WHILE EXISTS (SELECT FROM named WHERE owner = place.owner AND becomes = free)
           OR (n > 1 AND EXISTS (SELECT FROM dataset d WHERE d.organization_id = place.owner
                                   AND normalize(d.name, NFC) = free))
        LOOP
            n := n + 1;
            free := goal || ' (' || n || ')';
        END LOOP;
        INSERT INTO named VALUES (place.owner, place.id::text, place.name, free);
    END LOOP;
    DELETE FROM named WHERE original = becomes;
    INSERT INTO name_change (organization_id, kind, dataset_id, object_id, original, becomes)
    SELECT owner, 'dataset', id::uuid, id, original, becomes FROM named;
    UPDATE dataset SET name = '/' || dataset.id FROM named WHERE dataset.id = named.id::uuid;  -- a name nobody can have
    UPDATE dataset SET name = becomes FROM named WHERE dataset.id = named.id::uuid;
    TRUNCATE named;

    -- Folders of datasets where any path is written otherwise: those above before those below, oldest first.
    FOR place IN
        SELECT f.id, f.dataset_id AS owner, f.path, regexp_replace(f.path, '/[^/]*$', '') AS parent,
               regexp_replace(f.path, '^.*/', '') AS name
        FROM folder f
        WHERE f.dataset_id IN (SELECT dataset_id FROM folder WHERE path IS NOT NFC NORMALIZED) AND f.path <> '/'
        ORDER BY length(f.path) - length(replace(f.path, '/', '')), f.id
    LOOP
        above := coalesce((SELECT becomes FROM named WHERE owner = place.owner AND original = place.parent), '');
        goal := above || '/' || normalize(place.name, NFC);
        free := goal;
        n := 1;
        WHILE EXISTS (SELECT FROM named WHERE owner = place.owner AND becomes = free)
           OR (n > 1 AND EXISTS (SELECT FROM folder f WHERE f.dataset_id = place.owner AND normalize(f.path, NFC) = free))
        LOOP
            n := n + 1;
            free := goal || ' (' || n || ')';
        END LOOP;
        INSERT INTO named VALUES (place.owner, place.id::text, place.path, free);
    END LOOP;
    DELETE FROM named WHERE original = becomes;
    INSERT INTO name_change (organization_id, kind, dataset_id, object_id, original, becomes)
    SELECT d.organization_id, 'folder', d.id, named.id, original, becomes FROM named JOIN dataset d ON d.id = owner;
    UPDATE folder SET path = '//' || folder.id FROM named WHERE folder.id = named.id::bigint;
    UPDATE folder SET path = becomes FROM named WHERE folder.id = named.id::bigint;

    -- Images: few, so that only those that are written otherwise, or collide with one that is, are looked at.
    CREATE TEMP TABLE renamed (id uuid, folder_id bigint, original text, wanted text, rank bigint, becomes text)
        ON COMMIT DROP;
    INSERT INTO renamed (id, folder_id, original, wanted, rank)
    SELECT id, folder_id, filename, wanted, rank
    FROM (SELECT id, folder_id, filename, normalize(filename, NFC) AS wanted,
                 row_number() OVER (PARTITION BY folder_id, normalize(filename, NFC) ORDER BY created_at, id) AS rank
          FROM image WHERE folder_id IN (SELECT folder_id FROM image WHERE filename IS NOT NFC NORMALIZED)) ranked
    WHERE filename <> wanted OR rank > 1;
    UPDATE renamed SET becomes = wanted WHERE rank = 1;
    FOR place IN SELECT id, folder_id AS owner, wanted AS name FROM renamed WHERE rank > 1 ORDER BY rank, id LOOP
        n := 1;
        LOOP
            n := n + 1;  -- `name (2).jpg`: the ending stays one
            free := regexp_replace(place.name, '^(.+?)(\.[^.]*)?$', '\1 (' || n || ')\2');
            EXIT WHEN NOT EXISTS (SELECT FROM renamed WHERE folder_id = place.owner AND becomes = free)
                  AND NOT EXISTS (SELECT FROM image WHERE folder_id = place.owner AND normalize(filename, NFC) = free);
        END LOOP;
        UPDATE renamed SET becomes = free WHERE id = place.id;
    END LOOP;
    DELETE FROM renamed WHERE original = becomes;
    INSERT INTO name_change (organization_id, kind, dataset_id, object_id, original, becomes)
    SELECT d.organization_id, 'image', d.id, renamed.id::text, original, becomes
    FROM renamed JOIN image ON image.id = renamed.id JOIN dataset d ON d.id = image.dataset_id;
    UPDATE image SET filename = '/' || image.id FROM renamed WHERE image.id = renamed.id;
    UPDATE image SET filename = becomes FROM renamed WHERE image.id = renamed.id;

    INSERT INTO name_change (organization_id, kind, object_id, original, becomes)
    SELECT organization_id, 'api_key', id::text, name, normalize(name, NFC) FROM api_key WHERE name IS NOT NFC NORMALIZED;
    UPDATE api_key SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
    UPDATE upload_ticket SET folder_path = normalize(folder_path, NFC), filename = normalize(filename, NFC)
    WHERE folder_path IS NOT NFC NORMALIZED OR filename IS NOT NFC NORMALIZED;
END $$;
