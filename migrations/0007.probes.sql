-- depends: 0006.media
-- People who are probes of the monitoring, so that what they do is left out of the users' numbers. Set when they are
-- registered and never changed.
-- Compatible one version back: a new column with a default.

ALTER TABLE users ADD COLUMN probe boolean NOT NULL DEFAULT false;
