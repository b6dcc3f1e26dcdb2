-- The triggers of 0004 work in sets, and with few statements: half the cost of finishing a batch was planning them.

-- As learn_tags, for one label, and in the same breath: the number of a label, given to it now if it has none.
CREATE FUNCTION tag_number(organization uuid, of_category text, label text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    number integer := (SELECT id FROM tag WHERE organization_id = organization AND category = of_category AND name = label);
BEGIN
    IF number IS NULL THEN
        PERFORM learn_tags(ARRAY[organization], ARRAY[of_category], ARRAY[label]);
        SELECT id INTO number FROM tag WHERE organization_id = organization AND category = of_category AND name = label;
    END IF;
    RETURN number;
END $$;

-- One statement for all that a change of images means. The first and second %s: the images as they were and as they
-- are, only those that differ. Labels that a document has twice, and those it keeps, fall out where `net` is formed; it
-- is sorted as the lists are, so that their indexes are extended from one end to the other.
--
-- A statement in the function itself keeps its plan, EXECUTE plans anew. A few images (a worker's batch, one upload)
-- are worth the kept plan, which then always was made for few; for many the plan must know how many.
DO $make$
DECLARE
    apply text := $sql$
        WITH lost AS MATERIALIZED (
            SELECT id, created_at, dataset_id, is_shown, image_auto_tags FROM %s
        ), won AS MATERIALIZED (
            SELECT id, created_at, dataset_id, is_shown, image_auto_tags FROM %s
        ), noted AS (
            INSERT INTO tag_change (image_id, created_at)
            SELECT id, created_at FROM lost UNION SELECT id, created_at FROM won
        ), sides AS (
            SELECT -1 AS side, * FROM lost WHERE is_shown
            UNION ALL SELECT 1, * FROM won WHERE is_shown
        ), pairs AS MATERIALIZED (
            SELECT side, scope.organization_id, scope.number, created_at, sides.id, of.key AS category,
                   label.value #>> '{}' AS name
            FROM sides JOIN tag_scope scope USING (dataset_id),
                 jsonb_each(CASE jsonb_typeof(image_auto_tags) WHEN 'object' THEN image_auto_tags ELSE '{}' END) AS of,
                 jsonb_array_elements(CASE jsonb_typeof(of.value) WHEN 'array' THEN of.value ELSE '[]' END) AS label
            WHERE jsonb_typeof(label.value) = 'string'
        ), numbers AS MATERIALIZED (
            SELECT organization_id, category, name, coalesce(
                (SELECT tag.id FROM tag WHERE tag.organization_id = label.organization_id
                   AND tag.category = label.category AND tag.name = label.name),
                tag_number(organization_id, category, name)) AS tag_id
            FROM (SELECT DISTINCT organization_id, category, name FROM pairs) AS label
        ), net AS MATERIALIZED (
            SELECT tag_id, number, created_at, id, max(side) AS side
            FROM pairs JOIN numbers USING (organization_id, category, name)
            GROUP BY tag_id, number, created_at, id HAVING min(side) = max(side)
            ORDER BY tag_id, number, created_at DESC, id
        ), gone AS (
            DELETE FROM image_tag USING net
            WHERE net.side = -1 AND image_tag.tag_id = net.tag_id AND image_tag.dataset = net.number
              AND image_tag.created_at = net.created_at AND image_tag.image_id = net.id
            RETURNING image_tag.dataset, image_tag.tag_id
        ), come AS (
            INSERT INTO image_tag (tag_id, dataset, created_at, image_id)
            SELECT tag_id, number, created_at, id FROM net WHERE side = 1
            RETURNING dataset, tag_id
        )
        INSERT INTO tag_delta (dataset, tag_id, images)
        SELECT dataset, tag_id, sum(images)
        FROM (
            SELECT dataset, tag_id, -1 AS images FROM gone
            UNION ALL SELECT dataset, tag_id, 1 FROM come
            UNION ALL SELECT number, 0, side FROM sides JOIN tag_scope USING (dataset_id)
        ) AS change
        GROUP BY 1, 2 HAVING sum(images) <> 0$sql$;
    facts text := 'SELECT id, created_at, dataset_id, folder_id, archived_at IS NULL AS is_shown, image_auto_tags FROM ';
    was   text := facts || 'old_image';
    is_   text := facts || 'new_image';
    updated text := format(apply, format('(%s EXCEPT %s) AS image', was, is_), format('(%s EXCEPT %s) AS image', is_, was));
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION keep_image_tags() RETURNS trigger LANGUAGE plpgsql AS $body$
        DECLARE
            few     CONSTANT integer := 200;
            changed bigint := 0;
        BEGIN
            IF TG_OP = 'INSERT' THEN
                -- uploads have no tags yet, and somebody waits for them
                IF NOT EXISTS (SELECT FROM new_image, labels_of(image_auto_tags)) THEN
                    INSERT INTO tag_change (image_id, created_at) SELECT id, created_at FROM new_image;
                    INSERT INTO tag_delta (dataset, tag_id, images)
                    SELECT number, 0, count(*) FROM new_image JOIN tag_scope USING (dataset_id)
                    WHERE archived_at IS NULL GROUP BY number;
                    RETURN NULL;
                END IF;
                EXECUTE %1$L;
            ELSIF TG_OP = 'DELETE' THEN
                EXECUTE %2$L;
            ELSIF (SELECT count(*) FROM (SELECT FROM new_image LIMIT few + 1) AS capped) > few THEN
                EXECUTE %3$L;
            ELSE
                %3$s;
            END IF;
            GET DIAGNOSTICS changed = ROW_COUNT;
            IF random() * 2000 < changed THEN
                PERFORM fold_tag_deltas();
            END IF;
            RETURN NULL;
        END $body$
    $function$,
        format(apply, format('(%s LIMIT 0) AS image', is_), format('(%s) AS image', is_)),
        format(apply, format('(%s) AS image', was), format('(%s LIMIT 0) AS image', was)),
        updated);
END $make$;

-- Whole datasets come and go. By default a table is vacuumed when a fifth of it is dead, which for a million images is
-- 200,000 rows of 2.3 kB, and its statistics are as late; a table of changes that are soon added up is nearly all dead.
ALTER TABLE image_embedding SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
                                 autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE image SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
                       autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE image_tag SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
                           autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE scope_count SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE tag_count SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
