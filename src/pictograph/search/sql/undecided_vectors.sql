-- As undecided.sql, of the images that have a vector.
SELECT count(*), count(*) FILTER (WHERE (SELECT facts_version = 0 FROM image i WHERE i.id = r.image_id))
FROM image_embedding r
WHERE r.space_id = %(space)s AND {place} AND {judged} IS NULL
  AND (%(fresh)s::text IS NULL OR r.image_id = ANY(%(fresh)s::text::uuid[]))
