-- depends: 0004.realtime
-- What makes many devices of one person work, end to end encrypted: their public keys, what is sent from device
-- to device, linking a new one with a signed-in one, and calls.
-- Compatible one version back: the new column has a default, the rest is added.

-- inbox_head numbers what is sent to a device, densely and in commit order: it is moved under the row's lock.
ALTER TABLE devices ADD COLUMN inbox_head bigint NOT NULL DEFAULT 0;
ALTER TABLE devices SET (fillfactor = 80);

-- The public identity of a device, as signed by itself. It never changes: another identity is another device.
CREATE TABLE device_keys (
    device_id bigint PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    user_id   bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    keys      text NOT NULL
);
CREATE INDEX device_keys_user_id ON device_keys (user_id);

-- Each is handed out once, the oldest first (id). A key that was handed out stays as a mark, so that uploading it
-- again does not bring it back.
CREATE TABLE one_time_keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id  bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    user_id    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    algorithm  text NOT NULL,
    key_id     text NOT NULL,
    key        text NOT NULL,
    claimed_at timestamptz,
    UNIQUE (device_id, algorithm, key_id)
);
CREATE INDEX one_time_keys_unclaimed ON one_time_keys (device_id, algorithm, id) WHERE claimed_at IS NULL;
CREATE INDEX one_time_keys_user_id ON one_time_keys (user_id);
CREATE INDEX one_time_keys_claimed_at ON one_time_keys (claimed_at) WHERE claimed_at IS NOT NULL;

-- Handed out when no one-time key is left, again and again until the device replaces it.
CREATE TABLE fallback_keys (
    device_id bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    algorithm text NOT NULL,
    key_id    text NOT NULL,
    key       text NOT NULL,
    used      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (device_id, algorithm)
);

-- When the devices or keys of a person last changed: who shares a conversation with them must learn of it.
-- xid orders commits, as in messages.
CREATE TABLE device_lists (
    user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    ts      double precision NOT NULL,
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX device_lists_xid ON device_lists (xid);

-- What was sent to one device and it has not acknowledged. kind: 0 by its type, 1 a call (app.domain.inbox.Kind).
CREATE TABLE to_device (
    device_id     bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    seq           bigint NOT NULL,
    kind          smallint NOT NULL,
    sender        bigint NOT NULL,
    sender_device bigint NOT NULL,
    type          text NOT NULL,
    content       text NOT NULL,
    ts            double precision NOT NULL,
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (device_id, seq)
);
CREATE INDEX to_device_xid ON to_device (xid);

-- Requests of a device that were carried out: repeating one sends nothing twice.
CREATE TABLE to_device_txns (
    device_id bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    txn       text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, txn)
);
CREATE INDEX to_device_txns_at ON to_device_txns (at);

-- One entry for each of these devices, in one call like commit_sends: no lock spans a round trip. Rows are locked in
-- id order. With a txn that is known nothing is sent. A device that was revoked meanwhile gets nothing.
CREATE FUNCTION post_to_devices(
    p_sender bigint, p_sender_device bigint, p_txn text, p_kind int, p_type text,
    p_devices bigint[], p_contents text[], p_ts float8
) RETURNS TABLE (device_id bigint, seq bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    IF p_txn IS NOT NULL THEN
        INSERT INTO to_device_txns (device_id, txn) VALUES (p_sender_device, p_txn) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    PERFORM FROM devices WHERE id = ANY (p_devices) ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH input AS (
        SELECT * FROM unnest(p_devices, p_contents) AS i(device, content)
    ), numbered AS (
        UPDATE devices d SET inbox_head = d.inbox_head + 1 FROM input i
        WHERE d.id = i.device AND d.revoked_at IS NULL
        RETURNING d.id, d.inbox_head, i.content
    )
    INSERT INTO to_device (device_id, seq, kind, sender, sender_device, type, content, ts)
    SELECT n.id, n.inbox_head, p_kind, p_sender, p_sender_device, p_type, n.content, p_ts FROM numbered n
    RETURNING to_device.device_id, to_device.seq;
END $$;

-- A new device that asks to be let in by one that is signed in. Secrets are kept as keyed digests only.
-- state: open, claimed, confirmed, refused, completed (app.domain.links.State). xid moves with every change of state.
CREATE TABLE links (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    device_id    bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    secret_hash  bytea NOT NULL UNIQUE,
    code_hash    bytea NOT NULL UNIQUE,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'claimed', 'confirmed', 'refused', 'completed')),
    expires_at   timestamptz NOT NULL,
    claim_hash   bytea UNIQUE,
    new_type     text,
    new_name     text,
    new_key      text,
    nonce        text,
    comparison   text,
    new_device   bigint,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX links_device_id ON links (device_id);
CREATE INDEX links_user_id ON links (user_id);
CREATE INDEX links_xid ON links (xid);
CREATE INDEX links_expires_at ON links (expires_at);

-- Calls between two people of a conversation; what is said in them is opaque and goes through to_device.
-- state: ringing, connected, ended (app.domain.calls.State).
CREATE TABLE calls (
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    call_id         text NOT NULL,
    caller          bigint NOT NULL,
    caller_device   bigint NOT NULL,
    callee          bigint NOT NULL,
    callee_device   bigint,
    state           text NOT NULL CHECK (state IN ('ringing', 'connected', 'ended')),
    rings_until     double precision NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, call_id)
);
CREATE INDEX calls_changed_at ON calls (changed_at);
