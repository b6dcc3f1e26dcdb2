-- The nearest images of a filter by comparing every vector in the table, how many images their place has, how many of
-- those the filter means, and how many of these are examples of the question.
--
-- OFFSET 0 keeps the distance from being computed twice. The vector of each row comes along: the final distance is computed
-- from it outside, the same to the last bit wherever a question is answered. floor: rows nearer than that were on an
-- earlier page; it is a little below that page's last distance, because two ways of computing one differ by 1e-7.
SELECT sizes.scope_size, sizes.meant, sizes.left_out, uuid_send(nearest.image_id) AS image_id, halfvec_send(nearest.vector) AS vector
FROM (
    SELECT count(*) AS scope_size, count(*) FILTER (WHERE {facts}) AS meant,
           count(*) FILTER (WHERE r.image_id = ANY(%(left_out)s::uuid[]) AND {facts}) AS left_out
    FROM image_embedding r WHERE r.space_id = %(space)s AND {place}
) sizes
LEFT JOIN (
    SELECT image_id, vector, distance FROM (
        SELECT r.image_id, r.vector, r.vector <=> %(vector)s AS distance
        FROM image_embedding r
        WHERE r.space_id = %(space)s AND {place} AND {facts}
        OFFSET 0
    ) scored
    WHERE distance >= %(floor)s
    ORDER BY distance, image_id
    LIMIT %(limit)s
) nearest ON true
ORDER BY nearest.distance, nearest.image_id
