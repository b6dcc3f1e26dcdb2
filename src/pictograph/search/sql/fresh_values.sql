-- Of the images that the index has not seen as they are now, those of the place: whether a filter means them, and a fact.
SELECT uuid_send(r.id) AS id, ({facts}) AS meant, ({value})::float8 AS value
FROM image r WHERE r.id = ANY(%(fresh)s::text::uuid[]) AND r.archived_at IS NULL AND {place}
