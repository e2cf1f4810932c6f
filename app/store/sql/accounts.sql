-- People, devices and their tokens.

-- name: create_user
INSERT INTO users (name, password_hash) VALUES (%(name)s, %(password_hash)s) RETURNING id

-- name: find_user
SELECT id, password_hash FROM users WHERE name = %(name)s

-- name: find_users
SELECT name, id FROM users WHERE name = ANY (%(names)s)

-- name: create_device
INSERT INTO devices (user_id, type, name) VALUES (%(user)s, %(type)s, %(name)s) RETURNING id

-- name: active_device
SELECT user_id FROM devices WHERE id = %(device)s AND revoked_at IS NULL

-- name: add_refresh_token
INSERT INTO refresh_tokens (hash, family, device_id, expires_at)
VALUES (%(hash)s, coalesce(%(family)s::uuid, gen_random_uuid()), %(device)s, now() + make_interval(secs => %(ttl_s)s))

-- name: use_refresh_token
-- The row is locked by the UPDATE, so of two simultaneous uses only one finds it unused.
UPDATE refresh_tokens t SET used_at = now()
FROM devices d
WHERE t.hash = %(hash)s AND t.used_at IS NULL AND t.expires_at > now()
  AND d.id = t.device_id AND d.revoked_at IS NULL
RETURNING t.family::text, d.id, d.user_id

-- name: end_family_of_used_token
DELETE FROM refresh_tokens
WHERE family IN (SELECT family FROM refresh_tokens WHERE hash = %(hash)s AND used_at IS NOT NULL)
RETURNING device_id

-- name: end_families_of_device
DELETE FROM refresh_tokens WHERE device_id = %(device)s

-- name: forget_expired_tokens
WITH gone AS (DELETE FROM burned_tokens WHERE expires_at < now() - interval '1 hour')
DELETE FROM refresh_tokens WHERE expires_at < now()
