"""`check FILES`: each file told apart by what it is, each finding with its line, each status one a pipeline can use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitoring.__main__ import main
from monitoring.checks.jsonlines import line_of, lines
from monitoring.checks.kinds import Kind, kind_of
from tests.support import monitoringconfig, slospecs
from tests.support.repository import ALERTS, DASHBOARDS, SLOS

RULES = """\
groups:
- name: shop
  rules:
  - record: job:orders:rate5m
    expr: sum by (job) (rate(orders_total[5m]))
  - alert: NoOrders
    expr: job:orders:rate5m == 0
    labels: {severity: page}
    annotations: {runbook_url: "https://docs.test/no-orders"}
"""

ALERTMANAGER = """\
route:
  receiver: page
  routes:
  - receiver: ticket
    matchers: ['severity="ticket"']
receivers:
- name: page
- name: ticket
"""

PROMETHEUS = """\
rule_files: [rules/*.yml]
scrape_configs:
- job_name: shop
  static_configs: [{targets: ["shop:80"]}]
"""

TESTS = """\
rule_files: [rules.yml]
tests:
- interval: 1m
"""


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def put(folder: Path, name: str, text: str, old: str = "", new: str = "") -> Path:
    assert old in text
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(old, new) if old else text)
    return path


def found(path: Path, *options: str) -> list[str]:
    """What is told of a file that is wrong, without its name."""
    done = check(*options, path)
    assert done.exit_code == 1, done.output
    assert all(line.startswith(f"{path}:") for line in done.stderr.splitlines())
    return [line.removeprefix(f"{path}:") for line in done.stderr.splitlines()]


def board(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((DASHBOARDS / "messenger-overview.json").read_text())
    return value | changes


class TestTellingApart:
    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            (slospecs.SLO, Kind.SPEC),
            (slospecs.SERVICE + "---\n" + slospecs.SLO, Kind.SPEC),
            ("# a comment\n---\napiVersion: openslo/v1alpha\nkind: SLO\n", Kind.SPEC),
            ('version: "prometheus/v1"\nservice: shop\nslos: []\n', Kind.SPEC),
            ("apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\n", Kind.SPEC),
            ('{"apiVersion": "openslo/v1", "kind": "SLO"}', Kind.SPEC),
            (RULES, Kind.RULES),
            ("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}\n", Kind.PROMETHEUS_RULE),
            (TESTS, Kind.RULE_TESTS),
            (ALERTMANAGER, Kind.ALERTMANAGER),
            (PROMETHEUS, Kind.PROMETHEUS),
            (monitoringconfig.TEXT, Kind.PROJECT),
            ("maintenance: []\n", Kind.MAINTENANCE),
            ("apiVersion: v1\nkind: ConfigMap\n", Kind.CONFIG_MAP),
            ("apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n", None),
            ("services:\n  shop:\n    image: shop\n", None),
            ("just words", None),
            ("", None),
        ],
    )
    def test_by_what_it_says(self, text: str, kind: Kind | None) -> None:
        assert kind_of(text) is kind

    def test_a_stranger_is_refused_when_named_and_left_alone_in_a_folder(self, tmp_path: Path) -> None:
        put(tmp_path, "rules.yml", RULES)
        stranger = put(tmp_path, "compose.yaml", "services: {}\n")
        put(tmp_path, "package.json", "{}")
        put(tmp_path, ".git/config.yaml", "groups: nonsense")
        put(tmp_path, "notes.txt", "groups: nonsense")
        assert found(stranger)[0].startswith("1: not known what this is; expected one of: SLO spec, rule file,")
        done = check(tmp_path)
        assert done.exit_code == 0
        assert done.output == "1 rule file: 0 errors; 2 other files left alone\n"

    def test_a_file_that_is_named_twice_is_read_once(self, tmp_path: Path) -> None:
        path = put(tmp_path, "rules.yml", RULES)
        assert check(path, tmp_path, path).output == "1 rule file: 0 errors\n"

    def test_a_broken_stranger_in_a_folder_is_only_a_warning(self, tmp_path: Path) -> None:
        put(tmp_path, "broken.json", '{\n"a": }')
        done = check(tmp_path)
        assert done.exit_code == 0
        assert "broken.json:2: warning: not JSON" in done.stderr


def test_what_this_repository_generates_is_right() -> None:
    done = check(ALERTS, DASHBOARDS, SLOS)
    assert done.exit_code == 0
    assert done.stderr == ""


class TestSpecs:
    def test_right_ones(self, tmp_path: Path) -> None:
        done = check(slospecs.write(tmp_path, slospecs.SERVICE, slospecs.SLO))
        assert (done.exit_code, done.output) == (0, "1 SLO spec: 0 errors\n")

    def test_a_mistake_has_its_line(self, tmp_path: Path) -> None:
        path = slospecs.write(tmp_path, slospecs.SERVICE, slospecs.changed("target: 0.999", "target: 100"))
        line = slospecs.line_of(path, "target: 100")
        assert any(one.startswith(f"{line}: ") for one in found(path))

    def test_an_impossible_tier_is_found_from_the_rules(self, tmp_path: Path) -> None:
        path = slospecs.write(tmp_path, slospecs.SERVICE, slospecs.changed("target: 0.999", "target: 0.93"))
        (told,) = found(path)
        assert "checkout: tier page-quick: it can never fire at a target of 0.93" in told

    def test_one_mistake_does_not_hide_that_of_another_file(self, tmp_path: Path) -> None:
        slospecs.write(tmp_path, slospecs.SERVICE, slospecs.changed("target: 0.999", "target: 0.93"))
        put(tmp_path, "z.yaml", slospecs.changed("name: checkout\n  dis", "name: payment\n  dis"), "30d", "thirty days")
        done = check(tmp_path)
        assert done.exit_code == 1
        assert "it can never fire" in done.stderr
        assert "'thirty days'" in done.stderr

    def test_windows_are_judged_at_the_rhythm_of_the_config_that_is_named(self, tmp_path: Path) -> None:
        config = monitoringconfig.write(tmp_path, "scrape_interval: 15s", "scrape_interval: 31s")
        path = tmp_path / "specs/spec.yaml"
        assert check(path).exit_code == 0
        (told,) = found(path, "--config", str(config))
        assert "a window of 2m ÷ 1 = 2m holds fewer than 4 scrapes" in told


class TestRules:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("(rate(orders_total[5m]))", "(rate(orders_total[5m])", "5: job:orders:rate5m: "),
            (
                "record: job:orders:rate5m",
                "recrod: job:orders:rate5m",
                "4: expected a rule with either record or alert",
            ),
            ("    expr: job:orders:rate5m == 0\n", "", "6: NoOrders: the field 'expr' is missing"),
            (
                "- name: shop\n",
                "- name: shop\n- name: shop\n",
                "3: the group 'shop' stands here twice, first in line 2",
            ),
            ("groups:\n- name: shop\n", "groups:\n- rules: []\n- name: shop\n", "2: groups[0]: a group needs a name"),
            (
                "  - alert",
                "  - record: job:orders:rate5m\n    expr: up\n  - alert",
                "6: job:orders:rate5m{} is recorded already, in line 4",
            ),
            ("  rules:\n", "  rules: {}\n  ruels:\n", "3: groups[0].rules: expected a list of rules"),
            ("  rules:", "  intervall: 5s\n  rules:", "3: promtool: line 3: field intervall not found"),
            ("job:orders:rate5m == 0", '"{{ $labels.x"', "7: NoOrders: "),
        ],
    )
    def test_what_is_wrong_has_its_line(self, tmp_path: Path, old: str, new: str, words: str) -> None:
        told = found(put(tmp_path, "rules.yml", RULES, old, new))
        assert any(one.startswith(words) for one in told), told

    def test_an_alert_that_helps_nobody_is_a_warning(self, tmp_path: Path) -> None:
        bare = RULES[: RULES.index("    labels")]
        done = check(put(tmp_path, "rules.yml", bare))
        assert done.exit_code == 0
        assert "rules.yml:6: warning: NoOrders: no severity among its labels" in done.stderr
        assert "rules.yml:6: warning: NoOrders: no runbook_url among its annotations" in done.stderr
        assert done.stdout == "1 rule file: 0 errors, 2 warnings\n"

    def test_a_template_that_only_promtool_understands_has_the_line_of_its_rule(self, tmp_path: Path) -> None:
        path = put(tmp_path, "rules.yml", RULES, "runbook_url:", 'summary: "{{ $labels.x", runbook_url:')
        (told,) = found(path)
        assert told.startswith('6: promtool: group "shop", rule 2, "NoOrders"')

    def test_one_bad_file_among_many_is_named_alone(self, tmp_path: Path) -> None:
        for i in range(20):
            put(tmp_path, f"r{i}.yml", RULES, "job:orders", f"job{i}:orders")
        put(tmp_path, "r7.yml", RULES, "severity: page", "se-verity: page")
        done = check(tmp_path)
        assert done.exit_code == 1
        (error,) = [line for line in done.stderr.splitlines() if ": warning:" not in line]
        assert error.startswith(f"{tmp_path}/r7.yml:6: promtool: ")

    def test_a_series_that_two_files_record_is_a_warning(self, tmp_path: Path) -> None:
        put(tmp_path, "a.yml", RULES)
        put(tmp_path, "b.yml", RULES)
        done = check(tmp_path)
        assert done.exit_code == 0
        assert done.stderr == f"{tmp_path}/b.yml:1: warning: 1 series are recorded in {tmp_path}/a.yml too\n"

    def test_environments_and_rules_for_a_test_may_record_the_same(self, tmp_path: Path) -> None:
        for name in ("rules", "trial"):
            (tmp_path / name).mkdir()
            put(tmp_path / name, "orders.yml", RULES)
        for name in ("days", "hours"):
            put(tmp_path, f"orders.{name}.rules.yml", RULES)
        done = check(tmp_path)
        assert (done.exit_code, done.stderr) == (0, "")

    def test_what_reads_a_series_of_ours_that_nothing_records_is_a_warning(self, tmp_path: Path) -> None:
        done = check(put(tmp_path, "rules.yml", RULES, "job:orders:rate5m == 0", "slo:errors:ratio_rate9m > 0"))
        assert done.exit_code == 0
        assert "rules.yml:7: warning: reads slo:errors:ratio_rate9m, which no rule" in done.stderr

    def test_the_same_inside_a_prometheusrule(self, tmp_path: Path) -> None:
        head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n"
        indented = "".join(f"  {line}\n" for line in RULES.splitlines())
        assert check(put(tmp_path, "a.yaml", head + indented)).exit_code == 0
        (told,) = found(put(tmp_path, "b.yaml", head + indented, "== 0", "== "))
        assert told.startswith("10: NoOrders: ")

    def test_without_promtool_our_own_checks_stand_and_it_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        done = check(put(tmp_path, "rules.yml", RULES, "== 0", "== "))
        assert done.exit_code == 1
        assert "rules.yml:7: NoOrders: " in done.stderr
        assert "not installed, so not asked: promtool, amtool" in done.stdout


class TestConfigurations:
    def test_right_ones(self, tmp_path: Path) -> None:
        put(tmp_path, "rules.yml", RULES)
        put(tmp_path, "tests.yml", TESTS)
        put(tmp_path, "alertmanager.yml", ALERTMANAGER)
        put(tmp_path, "prometheus.yml", PROMETHEUS)
        monitoringconfig.write(tmp_path)
        done = check(tmp_path)
        assert done.stderr == ""
        assert done.exit_code == 0
        for kind in (Kind.RULES, Kind.RULE_TESTS, Kind.ALERTMANAGER, Kind.PROMETHEUS, Kind.PROJECT, Kind.SPEC):
            assert f"1 {kind.value}" in done.output

    @pytest.mark.parametrize(
        ("name", "text", "old", "new", "words"),
        [
            ("am.yml", ALERTMANAGER, "receiver: ticket", "receiver: tikcet", "4: no receiver 'tikcet'; there is page,"),
            ("am.yml", ALERTMANAGER, "route:\n", "routes: []\nroute:\n", "1: amtool: line 1: field routes not found"),
            ("p.yml", PROMETHEUS, "- job_name: shop\n", "- job_name: shop\n- job_name: shop\n", "4: the job 'shop'"),
            ("p.yml", PROMETHEUS, "static_configs", "static_config", "4: promtool: line 4: field static_config not"),
            ("t.yml", TESTS, "rules.yml", "nowhere.yml", "1: rule_files: no file nowhere.yml"),
            ("m.yaml", monitoringconfig.TEXT, "retention: 35d", "retention: long", "17: environments.production.prome"),
            ("m.yaml", monitoringconfig.TEXT, "service: shop", "service: shop\nservice: shop", "2: the key 'service'"),
        ],
    )
    def test_what_is_wrong_has_its_line(
        self, tmp_path: Path, name: str, text: str, old: str, new: str, words: str
    ) -> None:
        put(tmp_path, "rules.yml", RULES)
        told = found(put(tmp_path, name, text, old, new))
        assert told[0].startswith(words), told


class TestBoards:
    def write(self, folder: Path, value: Any) -> Path:
        return put(folder, "board.json", json.dumps(value, indent=2))

    def test_a_query_that_does_not_parse_has_its_own_line(self, tmp_path: Path) -> None:
        value = board()
        value["panels"][2]["targets"][0]["expr"] = "sum(rate(x_total[5m])"
        path = self.write(tmp_path, value)
        (told,) = found(path)
        assert told.startswith(f"{slospecs.line_of(path, 'sum(rate(x_total[5m])')}: ")
        assert told.endswith("[promql-syntax]")

    def test_what_is_only_hard_to_read_is_a_warning(self, tmp_path: Path) -> None:
        value = board(editable=True)
        value["panels"][0].pop("description")
        done = check(self.write(tmp_path, value))
        assert done.exit_code == 0
        assert done.stderr.count(": warning: ") == 2

    def test_one_that_grafanas_api_wrapped(self, tmp_path: Path) -> None:
        value = board()
        value["panels"][0]["targets"][0]["expr"] = "up{"
        path = self.write(tmp_path, {"meta": {}, "dashboard": value})
        assert found(path)[0].startswith(f"{slospecs.line_of(path, 'up{')}: ")

    def test_those_in_a_configmap(self, tmp_path: Path) -> None:
        value = board()
        value["panels"][0]["targets"][0]["expr"] = "up{"
        inner, quoted = json.dumps(value, indent=2), '"up{"'
        single = json.dumps(value).replace("'", "''")
        head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: boards\ndata:\n  notes.txt: up{\n"
        block = "".join(f"    {line}\n" for line in inner.splitlines())
        path = put(tmp_path, "block.yaml", f"{head}  board.json: |\n{block}")
        (told,) = found(path)
        assert told.startswith(f"{slospecs_line(path.read_text(), quoted)}: board.json: ")
        (told,) = found(put(tmp_path, "line.yaml", f"{head}  board.json: '{single}'\n"))
        assert told.startswith("7: board.json: ")
        (told,) = found(put(tmp_path, "broken.yaml", f"{head}  board.json: '{{'\n"))
        assert told.startswith("7: board.json: not JSON")

    @pytest.mark.parametrize(
        "expr",
        [
            'sum by ($by) (rate(x_total{a=~"${b:regex}"}[$__rate_interval]))',
            "topk($n, x)",
            "rate(x_total[$window])",
            'label_replace(up, "a", "$1", "b", "(.*)")',
            "rate(x_total[${__range_s}s])",
            "sum(x) / ${b.text}",
        ],
    )
    def test_grafanas_variables_are_understood(self, tmp_path: Path, expr: str) -> None:
        value = board()
        value["templating"]["list"] += [
            {"name": n, "type": "custom", "query": q}
            for n, q in (("by", "job,code"), ("b", "1"), ("n", "5,10"), ("window", "5m,1h"))
        ]
        value["panels"][0]["targets"] = [{"refId": "A", "expr": expr, "legendFormat": "x"}]
        done = check(self.write(tmp_path, value))
        assert "[promql-syntax]" not in done.stderr
        assert "[variable-undefined]" not in done.stderr
        assert done.exit_code == 0

    def test_queries_of_other_sources_are_none_of_ours(self, tmp_path: Path) -> None:
        value = board()
        value["templating"]["list"].append({"name": "logs", "type": "datasource", "query": "loki"})
        value["panels"][0]["datasource"] = {"type": "datasource", "uid": "-- Mixed --"}
        value["panels"][0]["targets"] = [
            {"refId": "A", "datasource": {"type": "loki", "uid": "x"}, "expr": '{job="a"} |= "error"'},
            {"refId": "B", "datasource": {"uid": "${logs}"}, "expr": '{job="a"} |= "error"'},
            {"refId": "C", "datasource": {"type": "postgres"}, "rawSql": "SELECT 1"},
        ]
        assert check(self.write(tmp_path, value)).exit_code == 0

    @pytest.mark.parametrize(
        "value", [{"panels": ["text"]}, {"panels": [{"gridPos": 5}]}, {"panels": [{"targets": 1}]}]
    )
    def test_what_is_no_dashboard_at_all_is_told_without_a_traceback(self, tmp_path: Path, value: Any) -> None:
        assert any("[json-shape]" in one for one in found(self.write(tmp_path, value)))

    def test_lines_are_those_of_the_values(self) -> None:
        text = json.dumps({"a/b": [1, {"~": "x\ny, {"}], "c": {"d": None}}, indent=1)
        places = lines(text)
        assert places["/a~1b/1/~0"] == slospecs_line(text, '"~"')
        assert places["/c/d"] == slospecs_line(text, '"d"')
        assert line_of(places, "/a~1b/1/nothing/there") == places["/a~1b/1"]


def slospecs_line(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


class TestMisuse:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert check(tmp_path / "nowhere.yaml").exit_code == 2

    def test_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        path.write_bytes(b"\xff\xfe\x00")
        assert found(path)[0].startswith("1: cannot be read: ")

    def test_brackets_without_end(self, tmp_path: Path) -> None:
        path = put(tmp_path, "a.json", "[" * 100_000)
        assert found(path) == ["1: not JSON: nested too deep"]

    def test_a_pipe_that_nobody_writes_to(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.yaml")
        assert found(tmp_path / "a.yaml") == ["1: cannot be read: no regular file"]


@pytest.mark.parametrize("command", ["check", "explain", "diff", "init", "generate"])
def test_help_teaches(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--help"])
    assert done.exit_code == 0
    assert "Example" in done.output
    assert "Exit status" in done.output
    assert f"python -m monitoring {command}" in done.output
