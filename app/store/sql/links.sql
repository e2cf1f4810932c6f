-- Links: a new device asks a signed-in one to let it in. Every change of state moves xid, by which nodes learn of it.

-- name: create
-- A device offers one link at a time.
WITH before AS (DELETE FROM links WHERE device_id = %(device)s AND state IN ('open', 'claimed'))
INSERT INTO links (user_id, device_id, secret_hash, code_hash, expires_at)
VALUES (%(user)s, %(device)s, %(secret_hash)s, %(code_hash)s, now() + make_interval(secs => %(lifetime_s)s))
RETURNING id, extract(epoch FROM expires_at)::float8

-- name: hold
-- Locked: of two who claim or collect at once, one finds it used.
SELECT id, user_id, device_id, state, expires_at <= now(), new_type, new_name, new_key, nonce, comparison, new_device
FROM links
WHERE (%(id)s::bigint IS NULL OR id = %(id)s) AND (%(offer)s::bytea IS NULL OR %(offer)s IN (secret_hash, code_hash))
  AND (%(claim)s::bytea IS NULL OR claim_hash = %(claim)s)
  AND num_nonnulls(%(id)s::bigint, %(offer)s::bytea, %(claim)s::bytea) = 1
FOR UPDATE

-- name: device_lives
SELECT 1 FROM devices WHERE id = %(device)s AND revoked_at IS NULL

-- name: claim
UPDATE links SET state = 'claimed', claim_hash = %(claim)s, new_type = %(type)s, new_name = %(name)s,
                 new_key = %(key)s, nonce = %(nonce)s, comparison = %(comparison)s,
                 changed_at = now(), xid = pg_current_xact_id()
WHERE id = %(id)s

-- name: decide
UPDATE links SET state = %(state)s, changed_at = now(), xid = pg_current_xact_id() WHERE id = %(id)s

-- name: complete
UPDATE links SET state = 'completed', new_device = %(device)s, changed_at = now(), xid = pg_current_xact_id()
WHERE id = %(id)s

-- name: cancel_of_device
DELETE FROM links WHERE device_id = %(device)s AND state <> 'completed'

-- name: forget
-- A device that confirmed a link and was away for long still asks which device came of it: it owes that one its history.
DELETE FROM links WHERE expires_at < now() - CASE state WHEN 'completed' THEN interval '30 days' ELSE interval '1 hour' END
