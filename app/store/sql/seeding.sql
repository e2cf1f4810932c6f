-- Bulk making of people and conversations for load tools.

-- name: people
WITH made AS (
    INSERT INTO users (name, password_hash)
    SELECT %(prefix)s || '-' || n, '!' FROM generate_series(1, %(count)s) AS n
    RETURNING id
), with_device AS (
    INSERT INTO devices (user_id, type, name) SELECT id, 'WEB', 'load' FROM made RETURNING user_id, id
)
SELECT user_id, id FROM with_device ORDER BY user_id

-- name: conversations
-- Conversation k (from 0) takes the `size` users from position k * size on, around the ring; the second
-- and later turns start one further, so that people have several different neighbours. Every device has stored
-- what there is, so that it connects like one that comes back.
WITH people AS (
    SELECT u, n - 1 AS at FROM unnest(%(users)s::bigint[]) WITH ORDINALITY AS t(u, n)
), made AS (
    INSERT INTO conversations (title, head) SELECT NULL, %(size)s
    FROM generate_series(1, %(total)s)
    RETURNING id, head
), numbered AS (
    SELECT id, head, row_number() OVER (ORDER BY id) - 1 AS k FROM made
), seats AS (
    SELECT c.id, c.head, p.u, s + 1 AS seq
    FROM numbered c
    CROSS JOIN LATERAL generate_series(0, c.head - 1) AS s
    JOIN people p ON p.at = (c.k * %(size)s + s + (c.k * %(size)s) / %(count)s) %% %(count)s
), joined AS (
    INSERT INTO members (conversation_id, user_id, from_seq) SELECT id, u, 1 FROM seats RETURNING conversation_id, user_id
), logged AS (
    INSERT INTO messages (conversation_id, seq, kind, user_id, ts) SELECT id, seq, 1, u, %(now)s FROM seats
), stored AS (
    INSERT INTO cursors (device_id, conversation_id, seq)
    SELECT d.device, s.id, s.head FROM seats s
    JOIN unnest(%(users)s::bigint[], %(devices)s::bigint[]) AS d(usr, device) ON d.usr = s.u
)
SELECT conversation_id, user_id FROM joined ORDER BY conversation_id

-- name: analyze
-- Without fresh statistics the planner guesses wrong for minutes, and every figure with it.
ANALYZE users, devices, conversations, members, messages, cursors
