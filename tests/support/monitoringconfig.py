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

NAMED = """\
      named:
        team-hook:
          webhook: {url: "http://hook/team", credentials_file: hook.token}
        team-chat:
          slack: {api_url_file: chat.url, channel: "#shop"}
        team-mail:
          email:
            to: shop@mail.test
            from: alerts@mail.test
            smarthost: "mail.test:587"
            auth_username: alerts
            auth_password_file: mail.password
        team-duty:
          pagerduty: {routing_key_file: duty.key}
      pages: [oncall, team-duty]
      tickets: [oncall, team-chat]
      page_severities: [page, critical]
"""
"""To be written below `receivers:`, as every_receiver does."""


def every_receiver(folder: Path) -> Path:
    """The config with a receiver of each kind."""
    return write(folder, "    receivers:\n", f"    receivers:\n{NAMED}")


def write(folder: Path, old: str = "", new: str = "") -> Path:
    """The config, with one thing changed, and one spec beside it."""
    assert old in TEXT
    (folder / "specs").mkdir(exist_ok=True)
    slospecs.write(folder / "specs", slospecs.SERVICE, slospecs.SLO)
    path = folder / "monitoring.yaml"
    path.write_text(TEXT.replace(old, new) if old else TEXT)
    return path
