-- Of the images that the index has not seen as they are now, those of the place; `vector` is NULL where the filter does
-- not mean the image.
SELECT uuid_send(r.image_id) AS image_id, CASE WHEN {facts} THEN halfvec_send(r.vector) END AS vector
FROM image_embedding r
WHERE r.space_id = %(space)s AND r.image_id = ANY(%(fresh)s::text::uuid[]) AND {place}
