"""A monitoring.yaml for tests: small, and in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from tests.support import slospecs

TEXT = """\
service: shop
specs: [specs]
outputs:
  alerts: out/alerts
  dashboards: out/dashboards
links:
  runbooks: https://docs.test/runbooks/
  dashboards: https://grafana.test/d/
environments:
  production:
    scrape_interval: 15s
    evaluation_interval: 15s
    jobs:
      shop: ["shop1:80"]
    prometheus:
      url: http://prometheus:9090
      retention: 35d
    alertmanager:
      targets: ["alertmanager:9093"]
    receivers:
      oncall:
        url: http://oncall/alerts
        credentials_file: oncall.token
"""


def write(folder: Path, old: str = "", new: str = "") -> Path:
    """The config, with one thing changed, and one spec beside it."""
    assert old in TEXT
    (folder / "specs").mkdir(exist_ok=True)
    slospecs.write(folder / "specs", slospecs.SERVICE, slospecs.SLO)
    path = folder / "monitoring.yaml"
    path.write_text(TEXT.replace(old, new) if old else TEXT)
    return path
