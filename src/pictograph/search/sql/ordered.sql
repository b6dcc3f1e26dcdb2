-- The images that a filter means in the order of a fact, ties by id, those without a value last: a page of them; and how
-- many images their place has, how many the filter means, and of how many of these the fact is not known.
SELECT counted.scope_size, counted.total, counted.unknown, uuid_send(page.id) AS id, page.value
FROM (
    SELECT count(*) AS scope_size, count(*) FILTER (WHERE {facts}) AS total,
           count(*) FILTER (WHERE {value} IS NULL AND {facts}) AS unknown
    FROM image r WHERE r.archived_at IS NULL AND {place}
) counted
LEFT JOIN (
    SELECT id, value FROM (
        SELECT r.id, ({value})::float8 AS value FROM image r WHERE r.archived_at IS NULL AND {place} AND {facts}
    ) valued
    WHERE %(after_id)s::uuid IS NULL
       OR (value IS NULL AND (%(after_value)s::float8 IS NOT NULL OR id > %(after_id)s::uuid))
       OR %(sign)s * value > %(sign)s * %(after_value)s::float8
       OR (value = %(after_value)s::float8 AND id > %(after_id)s::uuid)
    ORDER BY %(sign)s * value NULLS LAST, id
    LIMIT %(limit)s
) page ON true
ORDER BY %(sign)s * page.value NULLS LAST, page.id
