"""PostgreSQL: plain named SQL in, domain values out. Only services open transactions."""
