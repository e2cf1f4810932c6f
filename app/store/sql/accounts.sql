-- People, devices and their tokens.

-- name: create_user
INSERT INTO users (name, password_hash, probe) VALUES (%(name)s, %(password_hash)s, %(probe)s) RETURNING id

-- name: find_user
SELECT id, password_hash FROM users WHERE name = %(name)s

-- name: find_users
SELECT name, id FROM users WHERE name = ANY (%(names)s)

-- name: is_probe
SELECT probe FROM users WHERE id = %(user)s

-- name: are_mixed
SELECT count(DISTINCT probe) > 1 FROM users WHERE id = ANY (%(users)s)

-- name: create_device
INSERT INTO devices (user_id, type, name) VALUES (%(user)s, %(type)s, %(name)s) RETURNING id

-- name: active_device
SELECT u.id, u.probe FROM devices d JOIN users u ON u.id = d.user_id WHERE d.id = %(device)s AND d.revoked_at IS NULL

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

-- name: lock_lately_used_token
-- For who asks again because the answer was lost. Locked, so that two who ask again come one after the other.
SELECT t.family::text, d.id, d.user_id
FROM refresh_tokens t JOIN devices d ON d.id = t.device_id
WHERE t.hash = %(hash)s AND t.used_at > now() - make_interval(secs => %(grace_s)s) AND d.revoked_at IS NULL
FOR UPDATE OF t

-- name: withdraw_unused_successor
-- None when the family was renewed after this token's use: then its successor did arrive. A withdrawn token counts as
-- used long ago, so that whoever shows it after all ends the family.
UPDATE refresh_tokens s SET used_at = '-infinity'
FROM refresh_tokens t
WHERE t.hash = %(hash)s AND s.family = t.family AND s.used_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM refresh_tokens l WHERE l.family = t.family AND l.used_at > t.used_at)
RETURNING 1

-- name: end_family_of_used_token
DELETE FROM refresh_tokens
WHERE family IN (SELECT family FROM refresh_tokens WHERE hash = %(hash)s AND used_at IS NOT NULL)
RETURNING device_id

-- name: end_families_of_device
DELETE FROM refresh_tokens WHERE device_id = %(device)s

-- name: forget_expired_tokens
WITH gone AS (DELETE FROM burned_tokens WHERE expires_at < now() - interval '1 hour')
DELETE FROM refresh_tokens WHERE expires_at < now()
