-- Of the images that the index has not seen as they are now, those that a filter means.
SELECT uuid_send(r.id) AS id, r.created_at, r.image_auto_tags AS tags
FROM image r
WHERE r.id = ANY(%(fresh)s::text::uuid[]) AND r.archived_at IS NULL AND {place} AND {facts}
