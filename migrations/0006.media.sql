-- depends: 0005.keys-and-links
-- Attachments and avatars: what is stored is elsewhere (app.storage), here is what it is called and who may see it.
-- Compatible one version back: it only adds.

-- One row for each stored content, named by its SHA-256 in hex.
CREATE TABLE media (
    sha256     text PRIMARY KEY,
    size_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Members of the conversation may see it.
CREATE TABLE media_shares (
    sha256          text NOT NULL REFERENCES media ON DELETE CASCADE,
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sha256, conversation_id)
);
CREATE INDEX media_shares_user_id ON media_shares (user_id, created_at);

-- Uploads under way: received is how far the chunks go, handle what the storage calls it.
CREATE TABLE media_uploads (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    sha256          text NOT NULL,
    size_bytes      bigint NOT NULL,
    received        bigint NOT NULL DEFAULT 0,
    handle          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX media_uploads_user_id ON media_uploads (user_id);
CREATE INDEX media_uploads_created_at ON media_uploads (created_at);

ALTER TABLE users ADD COLUMN avatar text;
