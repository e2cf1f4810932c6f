"""From an SLO to Prometheus rules: windows, period, burn-rate and direct alerts."""
