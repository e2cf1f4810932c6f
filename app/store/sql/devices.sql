-- Devices as the realtime core sees them: signing in by the batch, and what became of them.

-- name: sign_in
-- One statement for a batch of connections. Burns single-use tokens, checks that the device is still its
-- person's, takes a fencing number for each, and reads what the device may hear and how far it has come.
-- One row a membership; a device without any has one row of NULLs. The caller names a device once.
WITH here AS (
    SELECT * FROM unnest(%(devices)s::bigint[], %(users)s::bigint[], %(jtis)s::uuid[], %(burn_until)s::float8[])
        AS h(device, usr, jti, burn_until)
), burnt AS (
    INSERT INTO burned_tokens (jti, expires_at) SELECT jti, to_timestamp(burn_until) FROM here WHERE jti IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING jti
), known AS (
    SELECT h.device, h.usr,
           d.inbox_head, u.probe,
           CASE WHEN d.revoked_at IS NOT NULL THEN 'revoked'
                WHEN d.id IS NULL THEN 'unknown'
                WHEN h.jti IS NOT NULL AND b.jti IS NULL THEN 'burnt'
                ELSE 'ok' END AS outcome
    FROM here h
    LEFT JOIN devices d ON d.id = h.device AND d.user_id = h.usr
    LEFT JOIN users u ON u.id = d.user_id
    LEFT JOIN burnt b ON b.jti = h.jti
), fenced AS (
    INSERT INTO device_events (device_id, user_id, kind) SELECT device, usr, 0 FROM known WHERE outcome = 'ok'
    RETURNING id, device_id
)
SELECT k.device, k.outcome, coalesce(f.id, 0), coalesce(k.inbox_head, 0),
       EXISTS (SELECT FROM to_device t WHERE t.device_id = k.device)
           OR EXISTS (SELECT FROM device_keys i WHERE i.device_id = k.device),
       pg_snapshot_xmin(pg_current_snapshot())::text, coalesce(k.probe, false),
       m.conversation_id, m.from_seq, m.to_seq, greatest(coalesce(c.seq, 0), m.from_seq - 1), v.head
FROM known k
LEFT JOIN fenced f ON f.device_id = k.device
LEFT JOIN members m ON m.user_id = k.usr AND k.outcome = 'ok'
LEFT JOIN conversations v ON v.id = m.conversation_id
LEFT JOIN cursors c ON c.conversation_id = m.conversation_id AND c.device_id = k.device
ORDER BY k.device, m.conversation_id, m.from_seq

-- name: revoke
-- The trigger on devices tells the nodes.
UPDATE devices SET revoked_at = now() WHERE id = %(device)s AND user_id = %(user)s AND revoked_at IS NULL
RETURNING extract(epoch FROM revoked_at)::float8

-- name: note_event
INSERT INTO device_events (device_id, user_id, kind) SELECT d.id, d.user_id, %(kind)s FROM devices d
WHERE d.id = ANY (%(devices)s)

-- name: list
SELECT id, type, name, extract(epoch FROM created_at)::float8, extract(epoch FROM last_seen_at)::float8
FROM devices WHERE user_id = %(user)s AND revoked_at IS NULL ORDER BY id

-- name: of_members
-- The devices of everybody in a conversation that the asker is in; nothing of one with more than `most` people.
SELECT d.user_id, d.id, extract(epoch FROM d.last_seen_at)::float8
FROM members m JOIN devices d ON d.user_id = m.user_id AND d.revoked_at IS NULL
WHERE m.conversation_id = %(conv)s AND m.to_seq IS NULL
  AND (SELECT count(*) FROM members a WHERE a.conversation_id = %(conv)s AND a.to_seq IS NULL) <= %(most)s
ORDER BY d.user_id, d.id

-- name: rename
UPDATE devices SET name = %(name)s WHERE id = %(device)s AND user_id = %(user)s AND revoked_at IS NULL RETURNING id

-- name: saw
-- A heap-only update: neither column is in an index. Sorted, so that two nodes lock in one order.
UPDATE devices d SET last_seen_at = to_timestamp(s.at)
FROM (SELECT * FROM unnest(%(devices)s::bigint[], %(at)s::float8[]) AS s(device, at) ORDER BY device) s
WHERE d.id = s.device AND d.last_seen_at < to_timestamp(s.at)

-- name: forget_events
DELETE FROM device_events WHERE at < now() - interval '1 hour'
