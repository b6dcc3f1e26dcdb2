-- How many images of a place a filter cannot judge, for want of facts, and at how many of those nobody has looked yet.
-- fresh: only of these; NULL for all.
SELECT count(*), count(*) FILTER (WHERE r.facts_version = 0) FROM image r
WHERE r.archived_at IS NULL AND {place} AND {judged} IS NULL
  AND (%(fresh)s::text IS NULL OR r.id = ANY(%(fresh)s::text::uuid[]))
