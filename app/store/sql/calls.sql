-- Calls: who called whom and how far it came. What was said is in the devices' inboxes.

-- name: hold_pair
-- Calls of one conversation are decided one after the other; (1, …) keeps clear of other advisory locks.
SELECT pg_advisory_xact_lock(1, (%(conv)s %% 2147483647)::int)

-- name: both_members
SELECT count(*) FROM members
WHERE conversation_id = %(conv)s AND user_id IN (%(caller)s, %(callee)s) AND to_seq IS NULL

-- name: find
SELECT conversation_id, call_id, caller, caller_device, callee, callee_device, state, rings_until
FROM calls WHERE conversation_id = %(conv)s AND call_id = %(call)s

-- name: crossing
SELECT conversation_id, call_id, caller, caller_device, callee, callee_device, state, rings_until
FROM calls
WHERE conversation_id = %(conv)s AND caller = %(callee)s AND callee = %(caller)s AND state = 'ringing'
  AND rings_until > %(now)s
ORDER BY call_id LIMIT 1

-- name: ringing_of
SELECT count(*) FROM calls WHERE conversation_id = %(conv)s AND caller = %(caller)s AND state = 'ringing'
  AND rings_until > %(now)s

-- name: save
INSERT INTO calls (conversation_id, call_id, caller, caller_device, callee, callee_device, state, rings_until)
VALUES (%(conv)s, %(call)s, %(caller)s, %(caller_device)s, %(callee)s, %(callee_device)s, %(state)s, %(rings_until)s)
ON CONFLICT (conversation_id, call_id)
DO UPDATE SET callee_device = excluded.callee_device, state = excluded.state, changed_at = now()

-- name: devices_of
SELECT id FROM devices WHERE user_id = %(user)s AND revoked_at IS NULL ORDER BY id

-- name: hold_devices
SELECT FROM devices WHERE id = ANY (%(devices)s::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- name: forget
DELETE FROM calls WHERE changed_at < now() - interval '1 day' AND (state = 'ended' OR rings_until < %(before)s)
