-- Attachments, uploads under way, avatars.

-- name: is_member
SELECT 1 FROM members WHERE conversation_id = %(conv)s AND user_id = %(user)s AND to_seq IS NULL

-- name: used_today
SELECT (SELECT count(*) FROM media_uploads WHERE user_id = %(user)s),
       coalesce((SELECT sum(m.size_bytes) FROM media_shares s JOIN media m USING (sha256)
                 WHERE s.user_id = %(user)s AND s.created_at > now() - interval '1 day'), 0)::bigint
       + coalesce((SELECT sum(size_bytes) FROM media_uploads WHERE user_id = %(user)s), 0)::bigint

-- name: begin
INSERT INTO media_uploads (user_id, conversation_id, sha256, size_bytes, handle)
VALUES (%(user)s, %(conv)s, %(sha256)s, %(size)s, %(handle)s) RETURNING id

-- name: upload
SELECT id, user_id, conversation_id, sha256, size_bytes, received, handle FROM media_uploads
WHERE id = %(upload)s AND user_id = %(user)s

-- name: advance
-- Of two who bring the same chunk one moves it on.
UPDATE media_uploads SET received = %(to)s WHERE id = %(upload)s AND received = %(from)s RETURNING id

-- name: drop
DELETE FROM media_uploads WHERE id = %(upload)s RETURNING id

-- name: add
INSERT INTO media (sha256, size_bytes) VALUES (%(sha256)s, %(size)s) ON CONFLICT DO NOTHING

-- name: share
INSERT INTO media_shares (sha256, conversation_id, user_id) VALUES (%(sha256)s, %(conv)s, %(user)s)
ON CONFLICT DO NOTHING

-- name: seen_by
SELECT m.size_bytes FROM media m WHERE m.sha256 = %(sha256)s AND EXISTS (
    SELECT FROM media_shares s JOIN members b ON b.conversation_id = s.conversation_id
    WHERE s.sha256 = m.sha256 AND b.user_id = %(user)s AND b.to_seq IS NULL)

-- name: size
SELECT size_bytes FROM media WHERE sha256 = %(sha256)s

-- name: stale
DELETE FROM media_uploads WHERE created_at < now() - interval '1 day' RETURNING handle

-- name: set_avatar
UPDATE users SET avatar = %(avatar)s WHERE id = %(user)s

-- name: avatar
SELECT u.avatar FROM users u
WHERE u.id = %(user)s AND (u.id = %(caller)s OR EXISTS (
    SELECT FROM members a JOIN members b ON b.conversation_id = a.conversation_id AND b.to_seq IS NULL
    WHERE a.user_id = %(caller)s AND a.to_seq IS NULL AND b.user_id = u.id))
