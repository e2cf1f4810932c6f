"""Alertmanager's and Prometheus' configuration, as values; amtool and promtool judge them elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from monitoring import config
from monitoring.alerting import alertmanager, matchers, prometheus, routes
from monitoring.maths.durations import Duration
from monitoring.rules.model import Alert, Group, RuleFile
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import Condition, Slo
from monitoring.spec.targets import notify_label
from tests.support import monitoringconfig, routing, slospecs


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


def alert(severity: str, tier: str = "", kind: str = "burnrate", slo_id: str = "checkout") -> dict[str, str]:
    labels = {"severity": severity, "tier": tier, "kind": kind, "slo_id": slo_id, "service": "shop"}
    return {name: value for name, value in labels.items() if value}


PAGE_QUICK, PAGE_SLOW = alert("page", "page-quick"), alert("page", "page-slow")
TICKET_QUICK, TICKET_SLOW = alert("ticket", "ticket-quick"), alert("ticket", "ticket-slow")
DIRECT = alert("page", kind="threshold")
DATA_PAGE, DATA_TICKET = alert("page", kind="data"), alert("ticket", kind="data")
NODE_DOWN, BUS_DISCONNECTED = alert("page", kind="platform", slo_id=""), alert("ticket", kind="platform", slo_id="")
UNHEARD_OF = alert("unheard-of", "own")


@pytest.mark.parametrize(
    ("source", "target", "quiet"),
    [
        (PAGE_QUICK, TICKET_QUICK, True),
        (PAGE_SLOW, TICKET_SLOW, True),
        (PAGE_QUICK, UNHEARD_OF, True),
        (DIRECT, TICKET_SLOW, True),
        (PAGE_QUICK, PAGE_SLOW, True),
        (TICKET_QUICK, TICKET_SLOW, True),
        # Never the other way round, nor itself.
        (PAGE_SLOW, PAGE_QUICK, False),
        (TICKET_SLOW, TICKET_QUICK, False),
        (TICKET_QUICK, PAGE_SLOW, False),
        (PAGE_QUICK, PAGE_QUICK, False),
        # The direct alert comes and goes while the budget burns on.
        (DIRECT, PAGE_QUICK, False),
        (PAGE_QUICK, DIRECT, False),
        # What says that the figures are wrong, and what the figures say.
        (DATA_PAGE, TICKET_QUICK, False),
        (PAGE_QUICK, DATA_TICKET, False),
        (PAGE_QUICK, DATA_PAGE, False),
        # Another SLO, and no SLO at all.
        (PAGE_QUICK, alert("ticket", "ticket-quick", slo_id="payment"), False),
        (PAGE_QUICK, alert("page", "page-slow", slo_id="payment"), False),
        (NODE_DOWN, TICKET_QUICK, False),
        (NODE_DOWN, BUS_DISCONNECTED, False),
        (PAGE_QUICK, BUS_DISCONNECTED, False),
    ],
)
def test_the_louder_alert_of_the_same_slo_quiets_the_softer(
    source: dict[str, str], target: dict[str, str], quiet: bool
) -> None:
    assert any(routing.inhibits(rule, source, target) for rule in alertmanager.inhibitions()) is quiet


def condition(name: str, severity: str, factor: int, long: str, short: str, notify: tuple[str, ...] = ()) -> Condition:
    long_s, short_s = Duration.parse(long), Duration.parse(short)
    return Condition(name, severity, Decimal(factor), long_s, short_s, notify=notify, file="own.yaml", line=7)


def test_an_slo_with_conditions_of_its_own_has_its_own_order_of_speed(tmp_path: Path) -> None:
    """Their names may even be the usual ones, the wrong way round."""
    own = replace(
        slospecs.slo(tmp_path),
        name="own",
        conditions=(
            condition("page-slow", "page", 14, "1h", "5m"),
            condition("page-quick", "page", 6, "6h", "30m"),
            condition("later", "ticket", 1, "3d", "6h"),
        ),
    )
    rules = alertmanager.inhibitions([own, slospecs.slo(tmp_path)])

    def quiet(source: str, target: str, slo_id: str) -> bool:
        found = (alert("page", source, slo_id=slo_id), alert("page", target, slo_id=slo_id))
        return any(routing.inhibits(rule, *found) for rule in rules)

    assert quiet("page-slow", "page-quick", "own")
    assert not quiet("page-quick", "page-slow", "own"), "both would be quiet"
    assert quiet("page-quick", "page-slow", "checkout")
    assert not quiet("page-slow", "page-quick", "checkout")
    assert not quiet("page-slow", "later", "own"), "of two severities, only the severities decide"


def routed(found: config.Config, labels: dict[str, str], *slos: Slo) -> list[str]:
    route = yaml.safe_load(alertmanager.configuration(found, slos))["route"]
    return [receiver for receiver, _ in routing.reached(route, labels)]


def everybody(folder: Path) -> config.Config:
    return config.load(monitoringconfig.every_receiver(folder), "production")


@pytest.mark.parametrize(
    ("severity", "names", "receivers"),
    [
        ("page", [], ["page"]),
        ("critical", [], ["page"]),
        ("ticket", [], ["ticket"]),
        ("unheard-of", [], ["ticket"]),
        ("", [], ["ticket"]),
        ("page", ["team-hook"], ["team-hook", "page"]),
        ("page", ["team-mail", "team-hook"], ["team-hook", "team-mail", "page"]),
        # page tells team-duty and oncall, ticket team-chat and oncall: nobody hears it twice.
        ("page", ["team-duty"], ["page"]),
        ("ticket", ["team-duty"], ["team-duty", "ticket"]),
        ("page", ["team-chat", "oncall"], ["team-chat", "page"]),
        ("ticket", ["team-chat", "oncall"], ["ticket"]),
        ("page", ["team"], ["page"]),
    ],
)
def test_an_alert_reaches_whom_it_names_and_whom_its_severity_tells(
    tmp_path: Path, severity: str, names: list[str], receivers: list[str]
) -> None:
    labels = {"alertname": "Any", "severity": severity} | notify_label(names)
    assert routed(everybody(tmp_path), labels) == receivers
    assert list(routes.expected(everybody(tmp_path).environment.receivers, labels)) == receivers


def test_whose_slo_says_so_does_not_hear_of_the_end_but_on_call_does(tmp_path: Path) -> None:
    found, slo = everybody(tmp_path), replace(slospecs.slo(tmp_path), send_resolved=False)
    read = yaml.safe_load(alertmanager.configuration(found, [slo]))
    by_name = {receiver["name"]: receiver for receiver in read["receivers"]}
    assert by_name["page/firing"]["webhook_configs"][0]["send_resolved"] is True
    assert by_name["page/firing"]["pagerduty_configs"][0]["send_resolved"] is False
    assert by_name["team-mail/firing"]["email_configs"][0]["send_resolved"] is False
    assert by_name["team-mail"]["email_configs"][0]["send_resolved"] is True
    quietly = {"alertname": "Any", "severity": "page"} | notify_label(["team-mail", "oncall"], send_resolved=False)
    told = ["team-mail/firing", "page/firing"]
    assert [name for name, _ in routing.reached(read["route"], quietly)] == told
    assert list(routes.expected(found.environment.receivers, quietly)) == told
    assert "firing" not in alertmanager.configuration(found, [slospecs.slo(tmp_path)]).decode(), "nobody asks for it"


def test_several_receivers_of_pages_hear_them_at_once(tmp_path: Path) -> None:
    found = yaml.safe_load(alertmanager.configuration(everybody(tmp_path)))
    by_name = {receiver["name"]: sorted(key for key in receiver if key != "name") for receiver in found["receivers"]}
    assert by_name == {
        "page": ["pagerduty_configs", "webhook_configs"],
        "ticket": ["slack_configs", "webhook_configs"],
        "watchdog": ["webhook_configs"],
        "drill": ["webhook_configs"],
        "team-hook": ["webhook_configs"],
        "team-chat": ["slack_configs"],
        "team-mail": ["email_configs"],
        "team-duty": ["pagerduty_configs"],
    }
    assert found["templates"] == ["messages.tmpl"]
    assert set(alertmanager.files(everybody(tmp_path), [], [])) == {"alertmanager.yml", "messages.tmpl"}


def test_every_secret_is_a_file_beside_the_config(tmp_path: Path) -> None:
    text = alertmanager.configuration(everybody(tmp_path)).decode()
    for key, name in (
        ("credentials_file", "oncall.token"),
        ("credentials_file", "hook.token"),
        ("api_url_file", "chat.url"),
        ("auth_password_file", "mail.password"),
        ("routing_key_file", "duty.key"),
    ):
        assert f"{key}: {tmp_path / name}\n" in text


def test_a_receiver_that_a_spec_names_must_be_configured(tmp_path: Path) -> None:
    slo = replace(
        slospecs.slo(tmp_path),
        notify=("team-chat", "gone"),
        conditions=(condition("own", "page", 14, "1h", "5m", ("oncall", "lost")),),
    )
    told = [str(mistake) for mistake in alertmanager.unknown_targets(everybody(tmp_path), [slo])]
    known = "there is oncall, team-hook, team-chat, team-mail, team-duty"
    place = "environments.production.receivers.named of monitoring.yaml"
    assert told == [
        f"{slo.file}:{slo.line}: checkout: no receiver 'gone' in {place}; {known}",
        f"own.yaml:7: checkout: own: no receiver 'lost' in {place}; {known}",
    ]


def test_a_dot_in_a_name_matches_only_a_dot() -> None:
    matcher = matchers.one_of("slo_id", ["a.b", 'c"d|e', "f\\g"])
    assert [routing.matches([matcher], {"slo_id": name}) for name in ("a.b", 'c"d|e', "f\\g")] == [True] * 3
    assert not any(routing.matches([matcher], {"slo_id": name}) for name in ("axb", "e", "a.b.c", ""))
    nobody = matchers.none_of("slo_id", ["a.b", "c"])
    assert [routing.matches([nobody], {"slo_id": name}) for name in ("a.b", "c", "axb", "")] == [
        False,
        False,
        True,
        True,
    ]


def test_the_table_has_a_row_for_each_way_an_alert_can_go(tmp_path: Path) -> None:
    found = everybody(tmp_path)
    slo = replace(slospecs.slo(tmp_path), notify=("team-mail",))
    alerts = tuple(
        Alert(f"A{i}", "vector(1)", labels, {})
        for i, labels in enumerate(
            (alert("page", "page-quick"), alert("page", "page-slow"), NODE_DOWN, {"severity": "{{ $x }}"})
        )
    )
    rules = [RuleFile("x", "x", (Group("x", Duration(15), alerts),))]
    start = datetime(2030, 1, 1, tzinfo=UTC)
    span = Maintenance("quiet", start, start + timedelta(hours=1), "", "", slos=frozenset(["checkout"]))
    rows = routes.rows(found, [slo], [span], rules)
    text = routes.table(found, rows).decode().splitlines()
    assert "| `A0` | `shop` | `checkout` | `page` |  |  | `page` | `maintenance/quiet` |" in text
    assert "| `A2` | `shop` |  | `page` |  |  | `page` |  |" in text
    assert "| `A3` |  |  |  |  |  | `ticket` |  |" in text
    assert "| `Example` | `shop` |  | `ticket` | `,team-mail,` |  | `team-mail`, `ticket` |  |" in text
    assert not any("`A1`" in line for line in text), "it goes where A0 goes"
    route = yaml.safe_load(alertmanager.configuration(found, [slo], [span]))["route"]
    for row in rows:
        assert routing.reached(route, row.labels) == [(name, list(row.muted_in)) for name in row.receivers]


def test_of_a_long_table_a_sample_is_tried_that_has_every_kind_of_row() -> None:
    every = [routes.Row({"severity": s, "n": str(n)}, (s,), ()) for s in ("page", "ticket") for n in range(500)]
    every.append(routes.Row({"severity": "page", "notify": ",a,"}, ("a", "page"), ("maintenance/x",)))
    some = routes.sample(every, 20)
    assert len({id(row) for row in some}) == 20
    assert {row.receivers for row in some} == {("page",), ("ticket",), ("a", "page")}
    assert routes.sample(every, 5000) == tuple(every)


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
