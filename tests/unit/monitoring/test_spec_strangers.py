"""Specs as they are found in the wild: nearly right, of another tool's dialect, or made to do harm."""

from __future__ import annotations

import doctest
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring import config, generate, goregex
from monitoring.checks import run
from monitoring.errors import ConfigError, PromqlError, SpecError
from monitoring.lint.model import Severity
from monitoring.maths.durations import Duration
from monitoring.promql import MAX_DEPTH, uses
from monitoring.rules.model import Alert
from monitoring.rules.profile import Profile
from monitoring.spec import queries, reader
from monitoring.spec.model import EventSli
from tests.support import monitoringconfig, slospecs

PROFILE = Profile(Duration(15), Duration(15), 1, "https://runbooks.test/", "https://boards.test/")

SLOTH = """\
version: prometheus/v1
service: shop
slos:
  - name: orders
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(orders_total{code=~"5.."}[{{.window}}]))
        total_query: sum(rate(orders_total[{{.window}}]))
    alerting:
      name: OrdersFail
"""


def refusals(folder: Path, text: str, strict: bool = True) -> list[str]:
    with pytest.raises(SpecError) as refused:
        reader.read([slospecs.write(folder, text)], strict)
    return [str(mistake).removeprefix(f"{folder}/spec.yaml:") for mistake in refused.value.mistakes]


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(goregex) == (0, 3)


@pytest.mark.parametrize(
    "pattern",
    [
        "/users/{id}|[^]a-z*+]{2,3}?",
        "(?i)x(?P<y>z)+(?s:.)*?",
        "(a{10}){100}",
        "a++",
        "a???",
        "(a{100}){100}",
        "a{1001}",
        "(?x)a b",
        "(?<y>z)",
        r"\\u00e9",
        r"\\p{Greek}",
        r"\\p{Alphabetic}",
        "[a--b]",
    ],
)
def test_a_regular_expression_is_taken_exactly_when_prometheus_takes_it(tmp_path: Path, pattern: str) -> None:
    query = f'sum(rate(orders_total{{path=~"{pattern}"}}[5m]))'
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [{"record": "r", "expr": query}]}]}))
    asked = subprocess.run(["promtool", "check", "rules", str(rules)], capture_output=True, check=False)
    try:
        queries.read(query)
    except PromqlError as error:
        assert "Prometheus takes no such regular expression" in str(error)
        assert asked.returncode != 0
    else:
        assert asked.returncode == 0


def test_a_label_in_quotes_is_too_new() -> None:
    with pytest.raises(PromqlError, match=r"'a b' is no label's name for Prometheus 2\.42"):
        queries.read('sum(rate(orders_total[5m])) by ("a b")')


@pytest.mark.parametrize("shape", ["{0}orders_total{1}", "orders_total{2}", "{3}orders_total"])
def test_a_query_that_is_nested_too_deep_is_refused(shape: str) -> None:
    def nested(depth: int) -> str:
        return shape.format("abs(" * depth, ")" * depth, " + orders_total" * depth, "- " * depth)

    assert queries.read(nested(queries.MAX_DEPTH))
    with pytest.raises(PromqlError, match="more than 100 brackets and operators"):
        queries.read(nested(queries.MAX_DEPTH * 3))
    with pytest.raises(PromqlError, match="brackets and operators inside each other"):
        uses(nested(MAX_DEPTH))


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        (finding,) = run.check([path], PROFILE).findings
        assert str(finding) == f"{path}:1: cannot be read: no regular file"
    slospecs.write(tmp_path, slospecs.SERVICE, slospecs.SLO)
    assert run.check([tmp_path], PROFILE).worst() is not Severity.ERROR


def test_a_name_that_the_file_system_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r":1: cannot be read: File name too long"):
        reader.read([tmp_path / ("x" * 300)])


def test_a_bad_name_and_period_hide_no_impossible_target(tmp_path: Path) -> None:
    text = slospecs.SLO.replace("name: checkout", "name: Checkout!", 1).replace("duration: 30d", "duration: soon")
    found = refusals(tmp_path, text.replace("target: 0.999", "target: 1").replace("service: shop", "service: shpo"))
    assert len(found) == 3
    assert any("metadata.name: expected at most" in message for message in found)
    assert any("timeWindow[0].duration: 'soon' is no duration" in message for message in found)
    assert any("objectives[0].target: " in message for message in found)


def test_a_dangling_service_hides_no_impossible_target(tmp_path: Path) -> None:
    text = slospecs.SLO.replace("target: 0.999", "target: 1").replace("service: shop", "service: shpo")
    found = refusals(tmp_path, f"{text}---\n{slospecs.SERVICE}")
    assert [message.split(": ")[1] for message in found] == ["spec.service", "spec.objectives[0].target"]


def test_a_list_of_very_many_names_is_cut(tmp_path: Path) -> None:
    services = "---\n".join(slospecs.SERVICE.replace("name: shop", f"name: shop{i:03}") for i in range(600))
    (message,) = refusals(tmp_path, f"{slospecs.SLO}---\n{services}")
    assert "there is shop000, shop001, " in message
    assert message.endswith("shop019 and 580 more (doubtful: --lenient only warns)")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("isRolling: true", 'isRolling: "true"', "expected true or false, found 'true'; leave the quotes out"),
        ("target: 0.999", 'target: "0.999"', "expected a number, found '0.999'; leave the quotes out"),
        ("target: 0.999", "target: 99.9", "between 0 and 1, not at 99.9; in percent it is written targetPercent: 99.9"),
        ("name: checkout", 'name: "a\\nb"', "metadata.name: expected something like one line of text"),
        ("  service: shop", "\tservice: shop", "YAML is indented by spaces, never by tabs"),
        ("apiVersion: openslo/v1\n", "", "or version: prometheus/v1, found nothing"),
        ("target: 0.999", "target: high", "expected a number, found 'high'"),
        ("budgetingMethod: Occurrences", "budgetingMethod: Timeslice", "did you mean 'Timeslices'?"),
        ("service: shop", "service: 7", "spec.service: expected text, found a number"),
        ("service: shop", 'service: ""', "spec.service: expected some text, found none"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in slospecs.SLO
    (message,) = refusals(tmp_path, slospecs.SLO.replace(old, new, 1))
    assert words in message


def test_a_field_in_the_spelling_of_another_dialect_is_doubtful(tmp_path: Path) -> None:
    text = SLOTH.replace("error_query", "errorQuery")
    (message,) = refusals(tmp_path, text)
    assert message.startswith("8: slos[0].sli.events: 'errorQuery' is written 'error_query' here (doubtful")
    specs = reader.read([slospecs.write(tmp_path, text)], strict=False)
    sli = specs.slos[0].sli
    assert isinstance(sli, EventSli)
    assert sli.bad is not None
    assert sli.bad.template == 'sum(increase(orders_total{code=~"5.."}[$window]))'
    assert str(specs.warnings[0]).endswith("'errorQuery' is written 'error_query' here; read as that")


def test_both_spellings_of_a_field_are_one_too_many(tmp_path: Path) -> None:
    (message,) = refusals(tmp_path, SLOTH.replace("    alerting:\n", "    alerting:\n      Name: Other\n"))
    assert message.startswith("11: slos[0].alerting: unknown or unsupported field 'Name'; did you mean 'name'?")


def test_alerts_of_sloth_need_a_name(tmp_path: Path) -> None:
    empty = SLOTH.replace("name: OrdersFail", 'name: ""')
    for strict in (True, False):
        assert refusals(tmp_path, empty, strict) == [
            "11: slos[0].alerting.name: expected the name of the alerts, found none"
        ]
    without = SLOTH.replace("    alerting:\n      name: OrdersFail\n", "")
    (message,) = refusals(tmp_path, without)
    assert "slos[0].alerting: the field 'name' is missing, which sloth needs for alerts (doubtful" in message
    assert len(reader.read([slospecs.write(tmp_path, without)], strict=False).slos) == 1
    off = SLOTH.replace("name: OrdersFail", "{page_alert: {disable: true}, ticket_alert: {disable: true}}")
    assert len(reader.read([slospecs.write(tmp_path, off)]).slos) == 1


def test_a_bucket_by_itself_is_no_count_of_what_was_slow(tmp_path: Path) -> None:
    query = 'sum(rate(orders_seconds_bucket{le="0.5"}[{{.window}}]))'
    text = SLOTH.replace('sum(rate(orders_total{code=~"5.."}[{{.window}}]))', query)
    (message,) = refusals(tmp_path, text)
    assert message.startswith("8: slos[0].sli.events.error_query: a bucket counts what is within its bound")
    slow = f"sum(rate(orders_seconds_count[{{{{.window}}}}])) - {query}"
    assert len(reader.read([slospecs.write(tmp_path, text.replace(query, slow))]).slos) == 1


def test_bad_events_that_are_all_events_are_a_warning(tmp_path: Path) -> None:
    text = SLOTH.replace('{code=~"5.."}', "")
    (warning,) = reader.read([slospecs.write(tmp_path, text)]).warnings
    assert str(warning).endswith("error_query: counts the same as the total, so every event is bad")


def test_a_raw_ratio_of_sloth_has_the_window_as_well(tmp_path: Path) -> None:
    raw = "      raw: {error_ratio_query: 'sum(rate(bad_total[5m])) / sum(rate(orders_total[5m]))'}\n"
    start, end = SLOTH.index("      events:"), SLOTH.index("    alerting:")
    text = SLOTH[:start] + raw + SLOTH[end:]
    (message,) = refusals(tmp_path, text)
    assert message.startswith("7: slos[0].sli.raw.error_ratio_query: expected {{.window}} in place of a range")


def test_the_kind_for_a_managed_prometheus_is_read_as_the_usual_one(tmp_path: Path) -> None:
    body = SLOTH.split("\n", 1)[1].replace("error_query", "errorQuery").replace("total_query", "totalQuery")
    head = "apiVersion: sloth.slok.dev/v1\nkind: ManagedPrometheusServiceLevel\nmetadata: {name: shop}\nspec:\n"
    indented = "".join(f"  {line}\n" for line in body.splitlines())
    (slo,) = reader.read([slospecs.write(tmp_path, head + indented)]).slos
    assert slo.name == "shop-orders"


def test_a_divisor_that_leaves_no_window_is_told_with_its_line(tmp_path: Path) -> None:
    path = monitoringconfig.write(tmp_path, "    jobs:\n", f"    window_divisor: {10**30}\n    jobs:\n")
    with pytest.raises(ConfigError, match=r"monitoring\.yaml:\d+: environments\.production\.window_divisor: a window"):
        generate.plan(config.load(path, None))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("oncall:\n        url: http://oncall/alerts\n        credentials_file: oncall.token", "oncall: s3cret"),
        ("url: http://oncall/alerts", "url: s3cret"),
        ("credentials_file: oncall.token", "credentials_file: [s3cret]"),
        ("      oncall:\n", "      named: {x: {slack: https://hooks.test/s3cret}}\n      oncall:\n"),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, old: str, new: str) -> None:
    path = monitoringconfig.write(tmp_path, old, new)
    with pytest.raises(ConfigError) as refused:
        config.load(path, None)
    assert "s3cret" not in str(refused.value)


def test_services_of_nearly_the_same_name_have_a_board_each(tmp_path: Path) -> None:
    path = monitoringconfig.write(tmp_path)
    names = ["shop", "Shop", "日本", "中文", "x" * 60, "x" * 61]
    texts = [
        slospecs.SLO.replace("name: checkout", f"name: slo{i}", 1).replace("service: shop", f"service: {name}")
        for i, name in enumerate(names)
    ]
    slospecs.write(tmp_path / "specs", *texts)
    plan = generate.plan(config.load(path, None))
    boards = [file.stem for file in plan.files if file.suffix == ".json" and file.name != "grafana-dashboard.json"]
    assert len(boards) == len(names)
    assert "shop-slos" in boards
    assert all(len(board) <= 40 and not board.startswith("-") for board in boards)
    alerts = [rule for file in plan.rules for rule in file.rules() if isinstance(rule, Alert)]
    linked = {alert.annotations.get("dashboard_url") for alert in alerts}
    assert {f"https://grafana.test/d/{board}" for board in boards} <= linked


def test_windows_of_sloth_in_their_older_form(tmp_path: Path) -> None:
    windows = """\
version: "alertWindows/v1"
sloPeriod: 7d
page:
  quick: {errorBudgetPercent: 8, shortWindow: 5m, longWindow: 1h}
  slow: {errorBudgetPercent: 12.5, shortWindow: 30m, longWindow: 6h}
ticket:
  quick: {errorBudgetPercent: 20, shortWindow: 2h, longWindow: 1d}
  slow: {errorBudgetPercent: 42, shortWindow: 6h, longWindow: 3d}
"""
    (slo,) = reader.read([slospecs.write(tmp_path, windows, SLOTH)]).slos
    assert str(slo.period) == "7d"
    assert [str(condition.factor) for condition in slo.conditions or ()] == ["13.44", "3.5", "1.4", "0.98"]
    assert run.check([slospecs.write(tmp_path, windows)], PROFILE).worst() is not Severity.ERROR
    (message,) = refusals(tmp_path, windows.replace("sloPeriod: 7d", "sloPeriod: 7m"))
    assert message == "2: sloPeriod: expected a period of at least 1h, found 7m; 7M is months"


@pytest.mark.parametrize(("length", "ending"), [("1m", "found 1m; 1M is months"), ("59m59s", "found 59m59s")])
def test_a_period_of_minutes_is_refused(tmp_path: Path, length: str, ending: str) -> None:
    (message,) = refusals(tmp_path, slospecs.SLO.replace("duration: 30d", f"duration: {length}"))
    assert message == f"29: spec.timeWindow[0].duration: expected a period of at least 1h, {ending}"


def test_the_calendars_of_our_own_rules_are_not_too_deep(tmp_path: Path) -> None:
    calendar = "isRolling: false\n      calendar: {startTime: '2026-01-01 00:00:00', timeZone: Europe/Berlin}"
    text = slospecs.SLO.replace("duration: 30d", "duration: 1M").replace("isRolling: true", calendar)
    assert run.check([slospecs.write(tmp_path, text)], PROFILE).worst() is not Severity.ERROR
