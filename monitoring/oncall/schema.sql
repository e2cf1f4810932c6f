-- On-call's own file. Times are Unix seconds.

-- What Alertmanager said, as it said it; repeats are left out.
CREATE TABLE IF NOT EXISTS events (
    id          INTEGER PRIMARY KEY,
    received_at REAL NOT NULL,
    receiver    TEXT NOT NULL,
    status      TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at   TEXT NOT NULL,
    ends_at     TEXT NOT NULL,
    labels      TEXT NOT NULL,
    annotations TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_fingerprint ON events (fingerprint, receiver, id);

-- key: Alertmanager's fingerprint, or own:NAME for what on-call noticed itself. event: what the world calls it.
-- doubted_at: Alertmanager called it resolved, and nobody has confirmed that. absent_since: Prometheus does not know it.
CREATE TABLE IF NOT EXISTS incidents (
    id              INTEGER PRIMARY KEY,
    event           TEXT NOT NULL UNIQUE,
    key             TEXT NOT NULL,
    severity        TEXT NOT NULL,
    title           TEXT NOT NULL,
    summary         TEXT NOT NULL,
    labels          TEXT NOT NULL,
    annotations     TEXT NOT NULL,
    starts_at       TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    opened_at       REAL NOT NULL,
    seen_at         REAL NOT NULL,
    acknowledged_at REAL,
    acknowledged_by TEXT,
    resolved_at     REAL,
    resolved_by     TEXT,
    doubted_at      REAL,
    absent_since    REAL,
    steps_taken     INTEGER NOT NULL DEFAULT 0,
    silenced        INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS incidents_open ON incidents (key) WHERE state != 'resolved';
CREATE INDEX IF NOT EXISTS incidents_key ON incidents (key, id);

CREATE TABLE IF NOT EXISTS timeline (
    id       INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incidents,
    at       REAL NOT NULL,
    who      TEXT NOT NULL,
    what     TEXT NOT NULL,
    text     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS timeline_incident ON timeline (incident, id);

-- Who is to be told. person is empty where a way speaks to everybody at once. event is the same at each try.
CREATE TABLE IF NOT EXISTS outbox (
    id          INTEGER PRIMARY KEY,
    event       TEXT NOT NULL UNIQUE,
    incident    INTEGER NOT NULL REFERENCES incidents,
    cause       TEXT NOT NULL,
    way         TEXT NOT NULL,
    person      TEXT NOT NULL,
    due_at      REAL NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    sent_at     REAL,
    given_up_at REAL,
    problem     TEXT
);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_at) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_incident ON outbox (incident);

CREATE TABLE IF NOT EXISTS watchdog (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    heard_at REAL NOT NULL
);

CREATE TABLE IF NOT EXISTS people (
    name          TEXT PRIMARY KEY,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'responder', 'admin')),
    password_hash TEXT NOT NULL
);
-- digest: SHA-256 of what the cookie says.
CREATE TABLE IF NOT EXISTS sign_ins (
    digest     BLOB PRIMARY KEY,
    name       TEXT NOT NULL REFERENCES people ON DELETE CASCADE,
    expires_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS audit (
    id   INTEGER PRIMARY KEY,
    at   REAL NOT NULL,
    who  TEXT NOT NULL,
    what TEXT NOT NULL
);

-- Silences of Alertmanager, which forgets a fresh one when it is killed.
CREATE TABLE IF NOT EXISTS silences (
    id      TEXT PRIMARY KEY,
    ends_at TEXT NOT NULL,
    body    TEXT NOT NULL
);

-- Alerts raised to see that alerts arrive: no incidents. id: what whoever raised it calls it.
CREATE TABLE IF NOT EXISTS drills (
    id        TEXT PRIMARY KEY,
    opened_at REAL NOT NULL,
    ended_at  REAL
);
CREATE TABLE IF NOT EXISTS drill_messages (
    id          INTEGER PRIMARY KEY,
    event       TEXT NOT NULL UNIQUE,
    drill       TEXT NOT NULL REFERENCES drills ON DELETE CASCADE,
    state       TEXT NOT NULL CHECK (state IN ('firing', 'resolved')),
    way         TEXT NOT NULL,
    person      TEXT NOT NULL,
    due_at      REAL NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    sent_at     REAL,
    given_up_at REAL,
    problem     TEXT
);
CREATE INDEX IF NOT EXISTS drill_messages_due ON drill_messages (due_at) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX IF NOT EXISTS drill_messages_drill ON drill_messages (drill);
