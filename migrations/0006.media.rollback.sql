ALTER TABLE users DROP COLUMN avatar;
DROP TABLE media_uploads;
DROP TABLE media_shares;
DROP TABLE media;
