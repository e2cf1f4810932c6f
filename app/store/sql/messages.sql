-- The log of conversations, and how far devices and people have come in it.

-- name: commit_sends
SELECT * FROM commit_sends(%(convs)s::bigint[], %(users)s::bigint[], %(devices)s::bigint[],
                           %(client_ids)s::text[], %(bodies)s::text[], %(ts)s::float8[])

-- name: append_membership
INSERT INTO messages (conversation_id, seq, kind, user_id, ts)
SELECT %(conv)s, %(first_seq)s + n - 1, %(kind)s, u, %(ts)s
FROM unnest(%(users)s::bigint[]) WITH ORDINALITY AS t(u, n)

-- name: poll
-- What was committed at or past the position: how far each conversation has come, who joined which, read markers,
-- device events; and the position to go on from. Bodies are not read: a node reads those it lacks as pages.
-- Filtering by xid < xmin instead would hold everything back behind any open transaction of the server;
-- reading rows again is harmless.
WITH fresh AS MATERIALIZED (
    SELECT conversation_id, seq, kind, user_id FROM messages WHERE xid >= %(position)s::text::xid8
)
SELECT 'position', NULL::bigint, NULL::bigint, NULL::bigint, NULL::int, NULL::float8,
       pg_snapshot_xmin(pg_current_snapshot())::text, epoch_name()
UNION ALL
SELECT 'fresh', conversation_id, max(seq), min(seq), NULL, NULL, NULL, NULL FROM fresh GROUP BY conversation_id
UNION ALL
SELECT 'joined', conversation_id, seq, user_id, NULL, NULL, NULL, NULL FROM fresh WHERE kind = 1
UNION ALL
SELECT 'read', conversation_id, seq, user_id, NULL, ts, NULL, NULL FROM read_markers
WHERE xid >= %(position)s::text::xid8
UNION ALL
SELECT 'device', device_id, id, user_id, kind, extract(epoch FROM at)::float8, NULL, NULL FROM device_events
WHERE xid >= %(position)s::text::xid8
UNION ALL
SELECT 'inbox', device_id, max(seq), NULL, NULL, NULL, NULL, NULL FROM to_device
WHERE xid >= %(position)s::text::xid8 GROUP BY device_id
UNION ALL
SELECT 'list', m.conversation_id, NULL, l.user_id, NULL, l.ts, l.xid::text, NULL
FROM device_lists l LEFT JOIN members m ON m.user_id = l.user_id AND m.to_seq IS NULL
WHERE l.xid >= %(position)s::text::xid8
UNION ALL
SELECT 'link', id, new_device, device_id, NULL, extract(epoch FROM changed_at)::float8, state,
       json_build_object('name', new_name, 'device_type', new_type, 'key', new_key, 'nonce', nonce,
                         'comparison', comparison)::text
FROM links WHERE xid >= %(position)s::text::xid8

-- name: position
SELECT pg_snapshot_xmin(pg_current_snapshot())::text

-- name: memberships
SELECT m.conversation_id, m.from_seq, m.to_seq, greatest(coalesce(c.seq, 0), m.from_seq - 1), v.head
FROM members m
JOIN conversations v ON v.id = m.conversation_id
LEFT JOIN cursors c ON c.conversation_id = m.conversation_id AND c.device_id = %(device)s
WHERE m.user_id = %(user)s
ORDER BY m.conversation_id, m.from_seq

-- name: pages
-- The next rows of each wanted conversation; every range was cut to the membership by the caller.
SELECT m.conversation_id, m.seq, m.kind, m.user_id, m.ts, m.device_id, m.client_id, m.body
FROM unnest(%(convs)s::bigint[], %(after)s::bigint[], %(upto)s::bigint[]) AS want(conv, after, upto)
CROSS JOIN LATERAL (
    SELECT * FROM messages m
    WHERE m.conversation_id = want.conv AND m.seq > want.after AND (want.upto IS NULL OR m.seq <= want.upto)
    ORDER BY m.seq LIMIT %(limit)s
) m
ORDER BY m.conversation_id, m.seq

-- name: advance_cursors
-- `sent`: the node knows that it has sent that row to the device, of the database with that epoch; nothing is taken
-- for another one. What the node does not know is cut to what the person may have seen. Sorted, so that two nodes
-- lock in one order. A receipt is worth telling when it covers a message of somebody else, in a conversation that is
-- not too large for receipts.
WITH said AS (
    SELECT * FROM unnest(%(devices)s::bigint[], %(users)s::bigint[], %(convs)s::bigint[], %(seqs)s::bigint[],
                         %(sent)s::boolean[]) AS t(device, usr, conv, seq, sent)
    WHERE epoch_name() = %(epoch)s
), checked AS (
    SELECT device, usr, conv, seq FROM said WHERE sent
    UNION ALL
    SELECT t.device, t.usr, t.conv, max(least(t.seq, coalesce(mb.to_seq, c.head)))
    FROM said t
    JOIN members mb ON mb.conversation_id = t.conv AND mb.user_id = t.usr AND mb.from_seq <= t.seq
    JOIN conversations c ON c.id = t.conv
    WHERE NOT t.sent GROUP BY t.device, t.usr, t.conv
), told AS (
    SELECT t.*, coalesce(k.seq, 0) AS before
    FROM checked t LEFT JOIN cursors k ON k.device_id = t.device AND k.conversation_id = t.conv
    ORDER BY t.device, t.conv
), moved AS (
    INSERT INTO cursors AS k (device_id, conversation_id, seq)
    SELECT device, conv, seq FROM told WHERE seq > before
    ON CONFLICT (device_id, conversation_id) DO UPDATE SET seq = excluded.seq WHERE k.seq < excluded.seq
)
SELECT t.conv, t.usr, max(t.seq)
FROM told t
WHERE t.seq > t.before
  AND EXISTS (SELECT FROM messages r WHERE r.conversation_id = t.conv AND r.seq > t.before AND r.seq <= t.seq
                AND r.kind = 0 AND r.user_id <> t.usr)
  AND (SELECT count(*) FROM members o WHERE o.conversation_id = t.conv AND o.to_seq IS NULL) <= %(group_limit)s
GROUP BY t.conv, t.usr ORDER BY 1, 2

-- name: advance_read
WITH told AS (
    SELECT t.usr, t.conv, max(least(t.seq, c.head)) AS seq, max(t.ts) AS ts
    FROM unnest(%(users)s::bigint[], %(convs)s::bigint[], %(seqs)s::bigint[], %(ts)s::float8[]) AS t(usr, conv, seq, ts)
    JOIN members mb ON mb.conversation_id = t.conv AND mb.user_id = t.usr AND mb.to_seq IS NULL
    JOIN conversations c ON c.id = t.conv
    GROUP BY t.usr, t.conv ORDER BY t.usr, t.conv
)
INSERT INTO read_markers AS r (user_id, conversation_id, seq, ts) SELECT usr, conv, seq, ts FROM told
ON CONFLICT (user_id, conversation_id) DO UPDATE SET seq = excluded.seq, ts = excluded.ts, xid = pg_current_xact_id()
WHERE r.seq < excluded.seq
RETURNING r.user_id, r.conversation_id, r.seq
