-- The log of conversations, and how far devices and people have come in it.

-- name: commit_sends
SELECT * FROM commit_sends(%(convs)s::bigint[], %(users)s::bigint[], %(devices)s::bigint[],
                           %(client_ids)s::text[], %(bodies)s::text[], %(ts)s::float8[])

-- name: append_membership
INSERT INTO messages (conversation_id, seq, kind, user_id, ts)
SELECT %(conv)s, %(first_seq)s + n - 1, %(kind)s, u, %(ts)s
FROM unnest(%(users)s::bigint[]) WITH ORDINALITY AS t(u, n)

-- name: poll
-- All rows at or past the position, and the position to go on from. Filtering by xid < xmin instead
-- would hold everything back behind any open transaction of the server; re-reading is harmless.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
       m.conversation_id, m.seq, m.kind, m.user_id, m.ts, m.device_id, m.client_id, m.body
FROM (SELECT) AS always LEFT JOIN messages m ON m.xid >= %(position)s::text::xid8
ORDER BY m.conversation_id, m.seq

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
-- Only over rows the device may have seen; sorted, so that two nodes lock in one order.
WITH told AS (
    SELECT t.device, t.conv, max(least(t.seq, coalesce(mb.to_seq, c.head))) AS seq
    FROM unnest(%(devices)s::bigint[], %(convs)s::bigint[], %(seqs)s::bigint[]) AS t(device, conv, seq)
    JOIN devices d ON d.id = t.device AND d.revoked_at IS NULL
    JOIN members mb ON mb.conversation_id = t.conv AND mb.user_id = d.user_id AND mb.from_seq <= t.seq
    JOIN conversations c ON c.id = t.conv
    GROUP BY t.device, t.conv ORDER BY t.device, t.conv
), moved AS (
    INSERT INTO cursors AS k (device_id, conversation_id, seq)
    SELECT device, conv, seq FROM told
    ON CONFLICT (device_id, conversation_id) DO UPDATE SET seq = excluded.seq WHERE k.seq < excluded.seq
    RETURNING device_id, conversation_id, seq
)
SELECT m.conversation_id, d.user_id, max(m.seq)
FROM moved m JOIN devices d ON d.id = m.device_id
WHERE (SELECT count(*) FROM members o WHERE o.conversation_id = m.conversation_id AND o.to_seq IS NULL) <= %(group_limit)s
GROUP BY m.conversation_id, d.user_id ORDER BY 1, 2

-- name: advance_read
WITH told AS (
    SELECT t.usr, t.conv, max(least(t.seq, c.head)) AS seq
    FROM unnest(%(users)s::bigint[], %(convs)s::bigint[], %(seqs)s::bigint[]) AS t(usr, conv, seq)
    JOIN members mb ON mb.conversation_id = t.conv AND mb.user_id = t.usr AND mb.to_seq IS NULL
    JOIN conversations c ON c.id = t.conv
    GROUP BY t.usr, t.conv ORDER BY t.usr, t.conv
)
INSERT INTO read_markers AS r (user_id, conversation_id, seq) SELECT usr, conv, seq FROM told
ON CONFLICT (user_id, conversation_id) DO UPDATE SET seq = excluded.seq WHERE r.seq < excluded.seq
RETURNING r.user_id, r.conversation_id, r.seq

-- name: settle
-- Deliveries whose 30 seconds are over: owed to devices connected since before the message, and how many
-- of them the device has acknowledged.
SELECT count(*), count(*) FILTER (WHERE k.seq >= m.seq)
FROM messages m
JOIN members mb ON mb.conversation_id = m.conversation_id AND m.seq >= mb.from_seq AND m.seq <= coalesce(mb.to_seq, m.seq)
JOIN devices d ON d.user_id = mb.user_id
JOIN unnest(%(devices)s::bigint[], %(since)s::float8[]) AS here(device, since) ON here.device = d.id AND here.since < m.ts
LEFT JOIN cursors k ON k.device_id = d.id AND k.conversation_id = m.conversation_id
WHERE m.kind = 0 AND m.ts >= %(begin)s AND m.ts < %(end)s

-- name: epoch
-- The stored id alone would survive a point-in-time recovery; the timeline does not.
SELECT e.id || '.' || s.system_identifier || '.' || c.timeline_id
FROM epoch e, pg_control_system() s, pg_control_checkpoint() c
