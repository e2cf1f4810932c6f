DROP FUNCTION commit_sends(bigint[], bigint[], bigint[], text[], text[], float8[]);
