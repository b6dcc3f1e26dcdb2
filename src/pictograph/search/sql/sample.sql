-- Some images of a place at random, each with how many there are: those whose ids end lowest. The last four bytes of an id
-- are random, so this is a fair sample, and the same one as the index takes (View.sample).
WITH meant AS MATERIALIZED (
    SELECT r.image_id FROM image_embedding r WHERE r.space_id = %(space)s AND {place} AND {facts}
)
SELECT (SELECT count(*) FROM meant) AS meant, halfvec_send(e.vector) AS vector
FROM (SELECT image_id FROM meant ORDER BY substring(uuid_send(image_id) FROM 13), image_id LIMIT %(count)s) chosen
JOIN image_embedding e ON e.image_id = chosen.image_id AND e.space_id = %(space)s
