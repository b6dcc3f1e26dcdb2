-- A fact of some images.
SELECT uuid_send(r.id) AS id, ({value})::float8 AS value FROM image r WHERE r.id = ANY(%(images)s::text::uuid[])
