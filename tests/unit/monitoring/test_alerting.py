"""Alertmanager's and Prometheus' configuration, as values; amtool and promtool judge them elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml

from monitoring import config
from monitoring.alerting import alertmanager, prometheus
from tests.support import monitoringconfig


def environment(folder: Path, old: str = "", new: str = "") -> config.Config:
    return config.load(monitoringconfig.write(folder, old, new), "production")


def test_the_watchdog_goes_to_on_call_unless_somebody_else_is_named(tmp_path: Path) -> None:
    own = yaml.safe_load(alertmanager.configuration(environment(tmp_path)))
    other = "receivers:\n      watchdog: {url: http://deadman/beat}\n"
    named = yaml.safe_load(alertmanager.configuration(environment(tmp_path, "receivers:\n", other)))
    urls = [[r["webhook_configs"][0]["url"] for r in c["receivers"] if r["name"] == "watchdog"] for c in (own, named)]
    assert urls == [["http://oncall/alerts"], ["http://deadman/beat"]]


def test_the_token_is_read_from_a_file_beside_the_config(tmp_path: Path) -> None:
    found = yaml.safe_load(alertmanager.configuration(environment(tmp_path)))
    webhook = found["receivers"][0]["webhook_configs"][0]
    assert webhook["http_config"]["authorization"]["credentials_file"] == str(tmp_path / "oncall.token")
    assert webhook["send_resolved"] is True


def test_every_inhibition_asks_for_an_slo_on_both_sides() -> None:
    """A label missing on both sides counts as equal: platform alerts must not silence each other."""
    for rule in alertmanager.inhibitions():
        assert 'slo_id=~".+"' in rule["source_matchers"]
        assert 'slo_id=~".+"' in rule["target_matchers"]
        assert rule["equal"] == ["service", "slo_id"]


def test_the_flags_say_what_no_file_can(tmp_path: Path) -> None:
    found = environment(tmp_path)
    flags = prometheus.arguments(found.environment)
    assert "--storage.tsdb.retention.time=35d" in flags
    header = prometheus.configuration(found.environment, []).decode()
    assert all(flag in header for flag in flags)
    assert all(flag in alertmanager.configuration(found).decode() for flag in alertmanager.arguments())


def test_a_scrape_never_takes_longer_than_its_interval(tmp_path: Path) -> None:
    quick = environment(tmp_path, "scrape_interval: 15s", "scrape_interval: 2s")
    assert yaml.safe_load(prometheus.configuration(quick.environment, []))["global"]["scrape_timeout"] == "2s"
