"""When what was deployed, as on-call's /metrics tells it from the journal of deploys."""

from __future__ import annotations

from monitoring.signals.kinds import Gauge

DEPLOYED = Gauge("monitoring_deploy_timestamp_seconds", "When the version that runs was deployed, Unix seconds")
"""With the labels service, environment, version and author."""
