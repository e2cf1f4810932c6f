ALTER TABLE read_markers DROP COLUMN ts, DROP COLUMN xid;
ALTER TABLE conversations RESET (fillfactor);
ALTER TABLE cursors RESET (fillfactor);
DROP FUNCTION epoch_name();
DROP TRIGGER devices_revoked ON devices;
DROP FUNCTION note_revocation();
DROP TABLE device_events;
