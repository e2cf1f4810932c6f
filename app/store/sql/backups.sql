-- name: note
INSERT INTO backups (taken_at, file, size_bytes) VALUES (to_timestamp(%(taken_at)s), %(file)s, %(size_bytes)s)
ON CONFLICT (taken_at) DO NOTHING

-- name: forget
DELETE FROM backups WHERE taken_at < now() - interval '400 days'

-- name: last
SELECT extract(epoch FROM max(taken_at))::float8 FROM backups

-- name: epoch
SELECT epoch_name()

-- name: others
-- Who else is connected to a database.
SELECT count(*) FROM pg_stat_activity WHERE datname = %(database)s AND pid <> pg_backend_pid()

-- name: is_empty
SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))

-- name: begin_a_new_epoch
-- A restored database numbers its transactions anew: no row may seem to lie ahead of them.
UPDATE messages SET xid = '0' WHERE xid <> '0';
UPDATE device_events SET xid = '0' WHERE xid <> '0';
UPDATE read_markers SET xid = '0' WHERE xid <> '0';
UPDATE device_lists SET xid = '0' WHERE xid <> '0';
UPDATE to_device SET xid = '0' WHERE xid <> '0';
UPDATE links SET xid = '0' WHERE xid <> '0';
-- Given out after the backup was taken, they would be given out a second time; devices upload new ones.
DELETE FROM one_time_keys;
DELETE FROM fallback_keys;
-- Used after the backup was taken, they would be good again.
DELETE FROM refresh_tokens;
DELETE FROM links;
UPDATE calls SET state = 'ended' WHERE state <> 'ended';
-- Everybody must ask whose devices and keys changed.
INSERT INTO device_lists (user_id, ts, xid) SELECT id, extract(epoch FROM clock_timestamp()), '0' FROM users
ON CONFLICT (user_id) DO UPDATE SET ts = excluded.ts;
UPDATE epoch SET id = gen_random_uuid()

-- name: revoke_again
-- What was revoked after the backup was taken. A device that was made after that moment is another one with its number.
UPDATE devices d SET revoked_at = to_timestamp(r.at)
FROM unnest(%(devices)s::bigint[], %(at)s::float8[]) AS r(device, at)
WHERE d.id = r.device AND d.revoked_at IS NULL AND d.created_at <= to_timestamp(r.at)
RETURNING d.id
