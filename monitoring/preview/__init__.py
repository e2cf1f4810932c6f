"""Any dashboard's JSON as a page on live Prometheus data, and as a picture: for review and for CI."""
