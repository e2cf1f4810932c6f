DROP TABLE epoch;
DROP TABLE burned_tokens;
DROP TABLE refresh_tokens;
DROP TABLE devices;
DROP TABLE users;
