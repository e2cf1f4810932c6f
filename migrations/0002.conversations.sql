-- depends: 0001.accounts
-- Conversations, their members, and the log that is the truth of who said what in which order.
-- Compatible one version back: it only adds tables.

CREATE TABLE conversations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title      text CHECK (length(title) <= 128),
    head       bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A member sees the log from from_seq to to_seq; who comes back gets a second row.
CREATE TABLE members (
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    from_seq        bigint NOT NULL,
    to_seq          bigint,
    PRIMARY KEY (conversation_id, user_id, from_seq)
);
CREATE INDEX members_user_id ON members (user_id);
CREATE UNIQUE INDEX members_current ON members (conversation_id, user_id) WHERE to_seq IS NULL;

-- One row a message, never one a recipient. kind: 0 message, 1 joined, 2 left (app.domain.log.Kind).
-- xid orders commits: each node polls the rows past its position.
CREATE TABLE messages (
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    seq             bigint NOT NULL,
    kind            smallint NOT NULL,
    user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    device_id       bigint REFERENCES devices ON DELETE CASCADE,
    client_id       text,
    ts              double precision NOT NULL,
    body            text,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (conversation_id, seq)
);
CREATE UNIQUE INDEX messages_client_id ON messages (device_id, client_id);
CREATE INDEX messages_xid ON messages (xid);
CREATE INDEX messages_ts ON messages (ts);

-- Everything up to seq has reached this device and was stored there.
CREATE TABLE cursors (
    device_id       bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    seq             bigint NOT NULL,
    PRIMARY KEY (device_id, conversation_id)
);

-- Everything up to seq was read by this person, on whichever device.
CREATE TABLE read_markers (
    user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    seq             bigint NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
);
