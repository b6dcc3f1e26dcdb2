-- Above owner: whoever may act on what all organizations share (encoder, thresholds). So far every admin could.
ALTER TABLE api_key
    DROP CONSTRAINT api_key_role_check,
    ADD CONSTRAINT api_key_role_check CHECK (role IN ('viewer', 'member', 'admin', 'owner', 'installation')),
    ADD COLUMN expires_at timestamptz,
    -- which key made it, and which one revoked it; null where the service itself did
    ADD COLUMN created_by uuid,
    ADD COLUMN revoked_by uuid;

-- The keys that `pictograph serve` made for its machine; without one, the oldest that may make keys.
UPDATE api_key SET role = 'installation'
WHERE revoked_at IS NULL AND role IN ('admin', 'owner') AND name = 'this machine'
  AND organization_id = (SELECT id FROM organization WHERE name = 'default');
UPDATE api_key SET role = 'installation'
WHERE id = (SELECT k.id FROM api_key k JOIN organization o ON o.id = k.organization_id
            WHERE o.name = 'default' AND k.revoked_at IS NULL AND k.role IN ('admin', 'owner')
            ORDER BY k.created_at, k.id LIMIT 1)
  AND NOT EXISTS (SELECT FROM api_key WHERE role = 'installation');
