-- depends: 0007.probes
-- Backups that were taken of this database, so that every node can tell how old the last one is.
-- Compatible one version back: it only adds a table.

CREATE TABLE backups (
    taken_at   timestamptz PRIMARY KEY,
    file       text NOT NULL,
    size_bytes bigint NOT NULL
);
