-- The vectors of some images in a space.
SELECT uuid_send(r.image_id) AS image_id, halfvec_send(r.vector) AS vector
FROM image_embedding r WHERE r.space_id = %(space)s AND r.image_id = ANY(%(images)s::text::uuid[])
