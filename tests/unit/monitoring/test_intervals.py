"""Maintenance in Alertmanager: quiet in exactly its minutes, about exactly what it covers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import config
from monitoring.alerting import alertmanager, intervals, routes
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import Service, Slo
from monitoring.spec.targets import notify_label
from tests.support import monitoringconfig, routing, slospecs

NAMES = {"a.b": "shop", "axb": "shop", "a": "mail", "b": "mail", "lone": "rare.service"}
SERVICES = sorted({*NAMES.values(), "raresservice"})
BEGIN = datetime(2030, 2, 27, 21, 59, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> config.Config:
    return config.load(monitoringconfig.every_receiver(tmp_path_factory.mktemp("config")), "production")


@pytest.fixture(scope="module")
def slos(tmp_path_factory: pytest.TempPathFactory) -> list[Slo]:
    one = slospecs.slo(tmp_path_factory.mktemp("specs"))
    named = [replace(one, name=name, service=Service(service, service)) for name, service in NAMES.items()]
    return [*named, replace(one, name="quietly", send_resolved=False)]


def span(start: datetime, length: timedelta, **more: Any) -> Maintenance:
    return Maintenance("planned", start, start + length, "Ada", "", **more)


def test_a_span_is_cut_at_midnight_and_widened_to_whole_minutes() -> None:
    offset = timezone(timedelta(hours=2))
    start = datetime(2028, 3, 1, 0, 30, 20, tzinfo=offset)
    (found,) = intervals.time_intervals([span(start, timedelta(days=1, hours=2, seconds=1))])
    assert found["name"] == "maintenance/planned"
    told = [
        (*(e["times"][0][key] for key in ("start_time", "end_time")), e["days_of_month"], e["months"], e["years"])
        for e in found["time_intervals"]
    ]
    assert told == [
        ("22:30", "24:00", ["29"], ["2"], ["2028"]),
        ("00:00", "24:00", ["1"], ["3"], ["2028"]),
        ("00:00", "00:31", ["2"], ["3"], ["2028"]),
    ]


def test_a_span_that_ends_at_midnight_has_no_entry_of_the_next_day() -> None:
    start = datetime(2030, 12, 31, 23, 0, tzinfo=UTC)
    (found,) = intervals.time_intervals([span(start, timedelta(hours=1))])
    assert [e["times"] for e in found["time_intervals"]] == [[{"start_time": "23:00", "end_time": "24:00"}]]


seconds = st.integers(0, 4 * 86400)


@settings(deadline=None)
@given(seconds, st.integers(1, 3 * 86400), seconds)
def test_a_moment_is_quiet_when_the_widened_span_holds_it(start_s: int, length_s: int, moment_s: int) -> None:
    """Over the end of February too; what is quiet beyond the span itself is less than a minute."""
    one = span(BEGIN + timedelta(seconds=start_s), timedelta(seconds=length_s))
    moment = BEGIN + timedelta(seconds=moment_s)
    (interval,) = intervals.time_intervals([one])
    quiet = routing.active(interval, moment)
    minute = timedelta(minutes=1)
    assert quiet or not one.start <= moment < one.end
    assert not quiet or one.start - minute < moment < one.end + minute


def test_a_correction_quiets_nothing_before_it_was_declared() -> None:
    start = datetime(2030, 1, 1, 8, tzinfo=UTC)
    late = span(start, timedelta(hours=2), correction=True, declared=start + timedelta(hours=3))
    amid = span(start, timedelta(hours=2), correction=True, declared=start + timedelta(hours=1))
    assert intervals.time_intervals([late]) == []
    (found,) = intervals.time_intervals([amid])
    assert found["time_intervals"][0]["times"] == [{"start_time": "09:00", "end_time": "10:00"}]


maintenances = st.lists(
    st.builds(
        lambda n, services, slo_names, correction: Maintenance(
            f"m{n}", BEGIN, BEGIN + timedelta(hours=n), "", "", services, slo_names, correction, declared=BEGIN
        ),
        st.integers(1, 30),
        st.frozensets(st.sampled_from(SERVICES), max_size=2),
        st.frozensets(st.sampled_from(sorted(NAMES)), max_size=2),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda m: m.id,
)
labels = st.builds(
    lambda slo_id, service, severity, names, send_resolved: (
        {"alertname": "Any", "service": NAMES.get(slo_id, service), "severity": severity}
        | ({"slo_id": slo_id} if slo_id else {})
        | notify_label(names, send_resolved)
    ),
    st.sampled_from(["", *NAMES]),
    st.sampled_from([*SERVICES, "nobody's"]),
    st.sampled_from(["page", "critical", "ticket", "unheard-of"]),
    st.frozensets(st.sampled_from(["oncall", "team-hook", "team-chat", "team-mail", "team-duty"])),
    st.booleans(),
)


@settings(deadline=None, max_examples=25)
@given(maintenances, st.lists(labels, min_size=1, max_size=8))
def test_an_alert_is_quiet_in_the_spans_that_cover_it_and_no_other(
    found: config.Config, slos: list[Slo], some: list[Maintenance], alerts: list[dict[str, str]]
) -> None:
    """Maintenance never changes whom it reaches, and never concerns the Watchdog."""
    read = yaml.safe_load(alertmanager.configuration(found, slos, some))
    quiets = intervals.quiets(some, slos)
    for alert in alerts:
        covering = {
            f"maintenance/{one.id}"
            for one in some
            if one.everything or alert["service"] in one.services or alert.get("slo_id") in one.slos
        }
        reached = routing.reached(read["route"], alert)
        assert [receiver for receiver, _ in reached] == list(routes.expected(found.environment.receivers, alert))
        assert all(set(muted) == covering for _, muted in reached)
        assert covering <= {interval["name"] for interval in read.get("time_intervals", [])}
        assert set(routes.muted_in(quiets, alert)) == covering
        watchdog = {"alertname": "Watchdog", "service": alert["service"], "severity": "none"}
        assert routing.reached(read["route"], watchdog) == [("watchdog", [])]
        assert routes.muted_in(quiets, watchdog) == ()
