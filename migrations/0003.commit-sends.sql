-- depends: 0002.conversations
-- One call commits one batch of messages.
--
-- The conversations are locked in id order, so that two nodes cannot deadlock; what follows
-- runs as new statements of a VOLATILE function and therefore sees what was committed while
-- the locks were waited for: retries that another node took meanwhile, and who left.
-- Only rows that are new get a number, so no seq is ever burnt.
-- Compatible one version back: it only adds a function.

CREATE FUNCTION commit_sends(
    p_conversations bigint[], p_users bigint[], p_devices bigint[], p_client_ids text[], p_bodies text[], p_ts float8[]
) RETURNS TABLE (ord bigint, outcome text, out_seq bigint, out_ts float8) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM conversations WHERE id = ANY (p_conversations) ORDER BY id FOR NO KEY UPDATE;

    RETURN QUERY
    WITH input AS (
        SELECT * FROM unnest(p_conversations, p_users, p_devices, p_client_ids, p_bodies, p_ts)
            WITH ORDINALITY AS i(conversation_id, user_id, device_id, client_id, body, ts, ord)
    ), known AS (
        SELECT i.ord, m.seq, m.ts,
               m.conversation_id = i.conversation_id AND m.body IS NOT DISTINCT FROM i.body AS same
        FROM input i JOIN messages m USING (device_id, client_id)
    ), allowed AS (
        SELECT i.*,
               -- The same id twice in one batch is one message.
               row_number() OVER (PARTITION BY i.device_id, i.client_id ORDER BY i.ord) AS copy
        FROM input i
        JOIN members mb ON mb.conversation_id = i.conversation_id AND mb.user_id = i.user_id AND mb.to_seq IS NULL
        JOIN devices d ON d.id = i.device_id AND d.user_id = i.user_id AND d.revoked_at IS NULL
        WHERE NOT EXISTS (SELECT FROM known k WHERE k.ord = i.ord)
    ), numbered AS (
        SELECT a.*, row_number() OVER (PARTITION BY a.conversation_id ORDER BY a.ord) AS nth
        FROM allowed a WHERE a.copy = 1
    ), advanced AS (
        UPDATE conversations c SET head = c.head + n.total
        FROM (SELECT conversation_id, count(*) AS total FROM numbered GROUP BY conversation_id) n
        WHERE c.id = n.conversation_id
        RETURNING c.id, c.head - n.total AS base
    ), written AS (
        INSERT INTO messages (conversation_id, seq, kind, user_id, device_id, client_id, ts, body)
        SELECT n.conversation_id, a.base + n.nth, 0, n.user_id, n.device_id, n.client_id, n.ts, n.body
        FROM numbered n JOIN advanced a ON a.id = n.conversation_id
        RETURNING conversation_id, seq, device_id, client_id, ts, body
    )
    SELECT i.ord,
           CASE WHEN k.ord IS NOT NULL THEN CASE WHEN k.same THEN 'known' ELSE 'conflict' END
                WHEN al.ord IS NULL THEN 'forbidden'
                WHEN al.copy = 1 THEN 'new'
                WHEN w.conversation_id = i.conversation_id AND w.body IS NOT DISTINCT FROM i.body THEN 'known'
                ELSE 'conflict' END,
           coalesce(k.seq, w.seq), coalesce(k.ts, w.ts)
    FROM input i
    LEFT JOIN known k ON k.ord = i.ord
    LEFT JOIN allowed al ON al.ord = i.ord
    LEFT JOIN written w ON w.device_id = i.device_id AND w.client_id = i.client_id
    ORDER BY i.ord;
END $$;
