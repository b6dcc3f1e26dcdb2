-- How many of the images that a filter means carry each label; the first row has how many images there are.
--
-- A label that a document has twice counts once, and what is no text counts not at all, as containment has it.
WITH found AS MATERIALIZED (
    SELECT r.image_auto_tags AS tags FROM image r WHERE r.archived_at IS NULL AND {place} AND {facts}
)
SELECT NULL AS category, NULL AS name, count(*) AS images FROM found
UNION ALL
SELECT label.category, label.name, count(*) FROM found CROSS JOIN LATERAL (
    SELECT DISTINCT of.key AS category, item #>> '{{}}' AS name
    FROM jsonb_each(CASE jsonb_typeof(tags) WHEN 'object' THEN tags ELSE '{{}}' END) AS of,
         jsonb_array_elements(CASE jsonb_typeof(of.value) WHEN 'array' THEN of.value ELSE '[]' END) AS items (item)
    WHERE jsonb_typeof(item) = 'string') AS label
GROUP BY label.category, label.name
