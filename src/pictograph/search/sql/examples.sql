-- Indexed images that a question starts from, and their vectors in a space; archived images may be examples too.
SELECT i.id, i.state, i.reason, e.vector
FROM image i JOIN dataset d ON d.id = i.dataset_id
LEFT JOIN encoding e ON e.sha256 = i.sha256 AND e.space_id = %(space)s
WHERE d.organization_id = %(organization)s AND i.id = ANY(%(images)s)
