-- How many images of a filter are certainly within a distance, examples not counted, and the vectors of those so close to
-- it that two ways of computing one may disagree; and how many images the place has, how many of those the filter means,
-- and how many of these are examples.
WITH scored AS MATERIALIZED (
    SELECT r.image_id, r.vector <=> %(vector)s AS distance, r.image_id = ANY(%(left_out)s::uuid[]) AS is_example
    FROM image_embedding r
    WHERE r.space_id = %(space)s AND {place} AND {facts}
)
SELECT sizes.scope_size, counted.meant, counted.left_out, counted.sure,
       uuid_send(close.image_id) AS image_id, halfvec_send(close.vector) AS vector
FROM (SELECT count(*) AS scope_size FROM image_embedding r WHERE r.space_id = %(space)s AND {place}) sizes
CROSS JOIN (
    SELECT count(*) AS meant, count(*) FILTER (WHERE is_example) AS left_out,
           count(*) FILTER (WHERE NOT is_example AND distance < %(sure)s) AS sure
    FROM scored
) counted
LEFT JOIN (
    SELECT s.image_id, e.vector
    FROM scored s JOIN image_embedding e ON e.image_id = s.image_id AND e.space_id = %(space)s
    WHERE NOT s.is_example AND s.distance BETWEEN %(sure)s AND %(ceiling)s
) close ON true
