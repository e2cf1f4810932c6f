-- Public keys of devices: uploaded, asked for, handed out.

-- name: hold_device
-- Uploads of one device come one after the other; one that was revoked meanwhile has none.
SELECT 1 FROM devices WHERE id = %(device)s AND user_id = %(user)s AND revoked_at IS NULL FOR NO KEY UPDATE

-- name: identity
SELECT keys FROM device_keys WHERE device_id = %(device)s

-- name: save_identity
INSERT INTO device_keys (device_id, user_id, keys) VALUES (%(device)s, %(user)s, %(keys)s)
ON CONFLICT (device_id) DO UPDATE SET keys = excluded.keys

-- name: known_one_time_keys
SELECT k.algorithm, k.key_id, k.key FROM one_time_keys k
JOIN unnest(%(algorithms)s::text[], %(ids)s::text[]) AS i(algorithm, key_id) USING (algorithm, key_id)
WHERE k.device_id = %(device)s

-- name: add_one_time_keys
INSERT INTO one_time_keys (device_id, user_id, algorithm, key_id, key)
SELECT %(device)s, %(user)s, algorithm, key_id, key
FROM unnest(%(algorithms)s::text[], %(ids)s::text[], %(keys)s::text[]) AS i(algorithm, key_id, key)
ON CONFLICT DO NOTHING

-- name: save_fallback_key
-- The same key again stays used; another one is fresh.
INSERT INTO fallback_keys AS f (device_id, algorithm, key_id, key)
VALUES (%(device)s, %(algorithm)s, %(id)s, %(key)s)
ON CONFLICT (device_id, algorithm) DO UPDATE SET key_id = excluded.key_id, key = excluded.key, used = false
WHERE (f.key_id, f.key) <> (excluded.key_id, excluded.key)

-- name: counts
-- One row a device with an identity: unclaimed one-time keys by algorithm, and algorithms whose fallback key is unused.
SELECT i.device_id,
       coalesce((SELECT json_object_agg(algorithm, n) FROM (
           SELECT algorithm, count(*) AS n FROM one_time_keys o
           WHERE o.device_id = i.device_id AND o.claimed_at IS NULL GROUP BY algorithm) c), '{}'),
       coalesce((SELECT array_agg(algorithm ORDER BY algorithm) FROM fallback_keys f
                 WHERE f.device_id = i.device_id AND NOT f.used), '{}')
FROM device_keys i WHERE i.device_id = ANY (%(devices)s)

-- name: reachable
-- Devices of those of `users` who share a conversation with the caller now, and of the caller.
SELECT d.user_id, d.id FROM devices d
WHERE d.user_id = ANY (%(users)s) AND d.revoked_at IS NULL
  AND (d.user_id = %(caller)s OR EXISTS (
      SELECT FROM members a JOIN members b ON b.conversation_id = a.conversation_id AND b.to_seq IS NULL
      WHERE a.user_id = %(caller)s AND a.to_seq IS NULL AND b.user_id = d.user_id))
ORDER BY d.user_id, d.id

-- name: query
SELECT i.user_id, i.device_id, i.keys, d.name FROM device_keys i JOIN devices d ON d.id = i.device_id
WHERE i.device_id = ANY (%(devices)s) AND d.revoked_at IS NULL

-- name: claim
-- The oldest unclaimed key of each (device, algorithm), else its fallback key. Two claimers at once skip what the
-- other one holds; a claim that is rolled back gives its key back.
WITH wanted AS (
    SELECT * FROM unnest(%(devices)s::bigint[], %(algorithms)s::text[]) AS w(device, algorithm)
), picked AS (
    SELECT w.device, w.algorithm, o.id FROM wanted w
    CROSS JOIN LATERAL (
        SELECT k.id FROM one_time_keys k
        WHERE k.device_id = w.device AND k.algorithm = w.algorithm AND k.claimed_at IS NULL
        ORDER BY k.id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) o
), taken AS (
    UPDATE one_time_keys k SET claimed_at = now() FROM picked p WHERE k.id = p.id
    RETURNING k.device_id, k.algorithm, k.key_id, k.key
), fell_back AS (
    UPDATE fallback_keys f SET used = true FROM wanted w
    WHERE f.device_id = w.device AND f.algorithm = w.algorithm
      AND NOT EXISTS (SELECT FROM picked p WHERE (p.device, p.algorithm) = (w.device, w.algorithm))
    RETURNING f.device_id, f.algorithm, f.key_id, f.key
)
SELECT device_id, algorithm, key_id, key, false FROM taken
UNION ALL SELECT device_id, algorithm, key_id, key, true FROM fell_back

-- name: touch_list
-- Everybody who shares a conversation with this person has to learn that their devices or keys changed.
INSERT INTO device_lists (user_id, ts) VALUES (%(user)s, extract(epoch FROM clock_timestamp()))
ON CONFLICT (user_id) DO UPDATE SET ts = excluded.ts, xid = pg_current_xact_id()

-- name: forget_device
WITH one_time AS (DELETE FROM one_time_keys WHERE device_id = %(device)s),
     fallback AS (DELETE FROM fallback_keys WHERE device_id = %(device)s),
     inbox AS (DELETE FROM to_device WHERE device_id = %(device)s)
DELETE FROM device_keys WHERE device_id = %(device)s

-- name: changes
-- Whose devices changed at or past a position of the log and who can be seen by the caller; and who came or went.
WITH mine AS (
    SELECT conversation_id, to_seq FROM members WHERE user_id = %(user)s
), moved AS (
    SELECT r.conversation_id, r.user_id FROM messages r
    WHERE r.xid >= %(since)s::text::xid8 AND r.kind IN (1, 2) AND r.conversation_id IN (SELECT conversation_id FROM mine)
), touched AS (
    SELECT user_id FROM device_lists WHERE xid >= %(since)s::text::xid8
    UNION SELECT user_id FROM moved
    UNION SELECT b.user_id FROM moved r JOIN members b ON b.conversation_id = r.conversation_id
    WHERE r.user_id = %(user)s
), judged AS (
    SELECT t.user_id, t.user_id = %(user)s OR EXISTS (
               SELECT FROM mine a JOIN members b ON b.conversation_id = a.conversation_id AND b.to_seq IS NULL
               WHERE a.to_seq IS NULL AND b.user_id = t.user_id) AS together,
           EXISTS (SELECT FROM mine a JOIN members b ON b.conversation_id = a.conversation_id
                   WHERE b.user_id = t.user_id) AS once
    FROM touched t
)
SELECT user_id, together FROM judged WHERE together OR once ORDER BY user_id

-- name: own_reads
SELECT conversation_id, seq FROM read_markers WHERE user_id = %(user)s AND xid >= %(since)s::text::xid8

-- name: forget_claimed
DELETE FROM one_time_keys WHERE claimed_at < now() - interval '90 days'
