-- The newest images that a filter means, ties by id, and how many it means in all. created_at falls and id rises, which one
-- comparison of rows says with the two sides crossed over.
SELECT counted.total, uuid_send(page.id) AS id
FROM (SELECT count(*) AS total FROM image r WHERE r.archived_at IS NULL AND {place} AND {facts}) counted
LEFT JOIN (
    SELECT r.id, r.created_at FROM image r
    WHERE r.archived_at IS NULL AND {place} AND {facts}
      AND (%(after_time)s::timestamptz IS NULL
           OR (r.created_at, %(after_id)s::uuid) < (%(after_time)s::timestamptz, r.id))
    ORDER BY r.created_at DESC, r.id
    LIMIT %(limit)s OFFSET %(offset)s
) page ON true
ORDER BY page.created_at DESC, page.id
