-- Conversations and who is in them.

-- name: create
INSERT INTO conversations (title, head) VALUES (%(title)s, %(head)s) RETURNING id

-- name: add_members
INSERT INTO members (conversation_id, user_id, from_seq)
SELECT %(conv)s, u, %(from_seq)s FROM unnest(%(users)s::bigint[]) AS u

-- name: lock
-- Who changes membership holds the conversation, as a send does: their order is the log's order.
SELECT FROM conversations WHERE id = %(conv)s FOR NO KEY UPDATE

-- name: is_member
-- A statement of its own after the lock: it sees who left while the lock was waited for.
SELECT 1 FROM members WHERE conversation_id = %(conv)s AND user_id = %(user)s AND to_seq IS NULL

-- name: advance
UPDATE conversations SET head = head + %(by)s WHERE id = %(conv)s RETURNING head

-- name: end_membership
UPDATE members SET to_seq = %(to_seq)s WHERE conversation_id = %(conv)s AND user_id = %(user)s AND to_seq IS NULL

-- name: list
SELECT c.id, c.title, c.head, m.from_seq, coalesce(r.seq, m.from_seq - 1),
       (SELECT array_agg(u.name ORDER BY u.name) FROM members o JOIN users u ON u.id = o.user_id
        WHERE o.conversation_id = c.id AND o.to_seq IS NULL),
       (SELECT array_agg(o.user_id ORDER BY u.name) FROM members o JOIN users u ON u.id = o.user_id
        WHERE o.conversation_id = c.id AND o.to_seq IS NULL),
       (SELECT array_agg(coalesce(s.seq, 0) ORDER BY u.name) FROM members o JOIN users u ON u.id = o.user_id
        LEFT JOIN read_markers s ON s.conversation_id = c.id AND s.user_id = o.user_id
        WHERE o.conversation_id = c.id AND o.to_seq IS NULL),
       (SELECT array_agg(u.avatar ORDER BY u.name) FROM members o JOIN users u ON u.id = o.user_id
        WHERE o.conversation_id = c.id AND o.to_seq IS NULL)
FROM members m
JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN read_markers r ON r.conversation_id = c.id AND r.user_id = m.user_id
WHERE m.user_id = %(user)s AND m.to_seq IS NULL
ORDER BY c.id
