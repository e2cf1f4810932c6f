-- People, their devices, and what a sign-in leaves behind.
-- Compatible one version back: it only adds tables.

CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE CHECK (name = lower(name) AND length(name) BETWEEN 2 AND 64),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE devices (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    type         text NOT NULL CHECK (type IN ('WEB', 'MOBILE', 'DESKTOP')),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE INDEX devices_user_id ON devices (user_id);

-- A refresh token is used once; using it again ends its whole family (RFC 9700, 4.14.2).
CREATE TABLE refresh_tokens (
    hash       bytea PRIMARY KEY,
    family     uuid NOT NULL,
    device_id  bigint NOT NULL REFERENCES devices ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_device_id ON refresh_tokens (device_id);

-- Ids of single-use tokens that were used. Here and not in Redis: a FLUSHALL must not revive them.
CREATE TABLE burned_tokens (
    jti        uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX burned_tokens_expires_at ON burned_tokens (expires_at);

-- Which database this is; a restored one gets a new id, so that clients notice.
CREATE TABLE epoch (
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton)
);
INSERT INTO epoch DEFAULT VALUES;
