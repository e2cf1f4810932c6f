DROP TABLE read_markers;
DROP TABLE cursors;
DROP TABLE messages;
DROP TABLE members;
DROP TABLE conversations;
