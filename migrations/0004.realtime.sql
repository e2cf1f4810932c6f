-- depends: 0003.commit-sends
-- What a node must learn from the log besides rows of conversations: devices that connected anew or were
-- revoked, and read markers that moved. So displacement, revocation and read state reach every node within
-- a poll, also while Redis is away.
-- Compatible one version back: new columns have defaults, the rest is added.

-- id is the fencing number of a connection: of two connections of a device the higher one stays.
-- kind: 0 connected, 1 revoked (app.domain.people.DeviceEvent). Rows are dropped after an hour, so there is
-- neither a key nor a reference, whose upkeep would cost every connect.
CREATE TABLE device_events (
    id        bigint GENERATED ALWAYS AS IDENTITY,
    device_id bigint NOT NULL,
    user_id   bigint NOT NULL,
    kind      smallint NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX device_events_xid ON device_events (xid);

-- A trigger, so that a revocation is told whoever makes it, with whatever tool.
CREATE FUNCTION note_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_events (device_id, user_id, kind) VALUES (NEW.id, NEW.user_id, 1);
    RETURN NULL;
END $$;
CREATE TRIGGER devices_revoked AFTER UPDATE OF revoked_at ON devices
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION note_revocation();

-- Room in each page, so that moving a cursor or a head touches no index (a heap-only update).
ALTER TABLE cursors SET (fillfactor = 70);
ALTER TABLE conversations SET (fillfactor = 80);

-- Which database this is. The stored id alone would survive a point-in-time recovery; the timeline does not.
CREATE FUNCTION epoch_name() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT e.id || '.' || s.system_identifier || '.' || c.timeline_id
    FROM epoch e, pg_control_system() s, pg_control_checkpoint() c
$$;

-- ts: when the server received the newest marker, in Unix seconds.
ALTER TABLE read_markers ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE read_markers ADD COLUMN ts double precision NOT NULL DEFAULT 0;
CREATE INDEX read_markers_xid ON read_markers (xid);
