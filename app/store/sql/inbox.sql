-- What was sent to single devices, kept until they acknowledge it.

-- name: post
SELECT device_id, seq FROM post_to_devices(%(sender)s, %(sender_device)s, %(txn)s, %(kind)s, %(type)s,
                                           %(devices)s::bigint[], %(contents)s::text[], %(ts)s)

-- name: pages
SELECT t.device_id, t.seq, t.kind, t.sender, t.sender_device, t.type, t.content, t.ts
FROM unnest(%(devices)s::bigint[], %(after)s::bigint[]) AS w(device, after)
CROSS JOIN LATERAL (
    SELECT * FROM to_device t WHERE t.device_id = w.device AND t.seq > w.after ORDER BY t.seq LIMIT %(limit)s
) t
ORDER BY t.device_id, t.seq

-- name: acknowledge
-- Of the database with that epoch: another one numbers its inboxes anew.
DELETE FROM to_device t USING unnest(%(devices)s::bigint[], %(seqs)s::bigint[]) AS a(device, seq)
WHERE t.device_id = a.device AND t.seq <= a.seq AND epoch_name() = %(epoch)s

-- name: forget_txns
DELETE FROM to_device_txns WHERE at < now() - interval '30 days'
