"""What the linter makes of queries, labels, metrics and anything that JSON can be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.__main__ import main
from monitoring.checks import metricsource
from monitoring.checks.command import ALL_RULES
from monitoring.checks.model import Finding
from monitoring.checks.outputs import FORMATS
from monitoring.errors import InputError, PromqlError
from monitoring.lint.expand import MARK, expand
from monitoring.lint.read import Dashboard
from monitoring.lint.run import lint
from monitoring.lint.series import labels_of
from monitoring.promql import parse
from tests.support.repository import DASHBOARDS, ROOT

VARIABLES = {
    "templating": {
        "list": [
            {"name": "k", "type": "custom", "query": "5,10", "current": {"value": "5"}},
            {"name": "by", "type": "custom", "query": "job,code", "current": {"value": "code"}},
            {"name": "window", "type": "interval", "query": "5m,1h", "current": {"value": "$__auto"}},
            {"name": "query", "type": "textbox", "query": "sum(up)"},
        ]
    }
}


class TestVariables:
    @pytest.mark.parametrize(
        ("expr", "expected"),
        [
            ('up{job=~"$job"}', f'up{{job=~"{MARK}_job"}}'),
            ("rate(x_total[$__rate_interval])", "rate(x_total[5m])"),
            ("rate(x_total[${__range_s}s])", "rate(x_total[1s])"),
            ("rate(x_total[[[window]]])", "rate(x_total[5m])"),
            ("sum(rate(x_total[5m])) * $__range_s", "sum(rate(x_total[5m])) * 1"),
            ("topk($k, x)", "topk(5, x)"),
            ("sum by ($by) (x)", "sum by (code) (x)"),
            ("$query / 2", "sum(up) / 2"),
            ("${prefix}_requests_total", f"{MARK}_prefix_requests_total"),
            ("x offset $window", "x offset 5m"),
            ("max_over_time(x[$__range:$window])", "max_over_time(x[5m:5m])"),
            ("$agg by (job) (x)", "sum by (job) (x)"),
            ("histogram_quantile($q, sum by (le) (x_bucket))", "histogram_quantile(0.5, sum by (le) (x_bucket))"),
            ('x{$label="a"}', f'x{{{MARK}_label="a"}}'),
            ('label_replace(up, "a", "$1", "b", "(.*)")', 'label_replace(up, "a", "$1", "b", "(.*)")'),
        ],
    )
    def test_each_stands_for_what_its_place_wants(self, expr: str, expected: str) -> None:
        assert expand(expr, Dashboard(VARIABLES)).expr == expected

    def test_what_does_not_parse_is_told_in_the_words_it_was_written_in(self) -> None:
        with pytest.raises(PromqlError, match=r'in: sum\(up\{job=~"\$job"\}$'):
            expand('sum(up{job=~"$job"}', Dashboard(VARIABLES))


class TestLabels:
    @pytest.mark.parametrize(
        ("expr", "label", "there"),
        [
            ("sum by (job) (x)", "job", True),
            ("sum by (job) (x)", "code", False),
            ("sum without (job) (x)", "job", False),
            ("sum without (job) (x)", "code", None),
            ("rate(x_total[5m])", "code", None),
            ("rate(x_total[5m])", "__name__", False),
            ("histogram_quantile(0.9, sum by (le, job) (x))", "le", False),
            ('label_replace(sum(x), "zone", "$1", "a", "(.*)")', "zone", True),
            ("sum by (a) (x) / on (a) group_left (b) y", "b", True),
            ("topk(3, sum by (a) (x))", "a", True),
            ('count_values("version", x)', "version", True),
            ("sum by (a) (x) or sum by (b) (y)", "b", True),
            ("sum by (a) (x) and y", "b", False),
            ("vector(1)", "job", False),
            ("sum by (a) (x) > 5", "a", True),
            ("-sum by (a) (x)", "a", True),
            ("absent(x)", "job", None),
        ],
    )
    def test_three_answers(self, expr: str, label: str, there: bool | None) -> None:
        assert labels_of(parse(expr)).has(label) is there


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
BOARD: dict[str, Any] = json.loads((DASHBOARDS / "messenger-overview.json").read_text())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value that could hold something else."""
    found: list[tuple[Any, Any]] = []
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


class TestAnythingAtAll:
    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def test_whatever_stands_anywhere_is_told_without_a_traceback(self, data: st.DataObject) -> None:
        board = json.loads(json.dumps(BOARD))
        holder, key = data.draw(st.sampled_from(places(board)))
        holder[key] = data.draw(ANYTHING)
        for finding in lint(board):
            assert str(finding)

    @given(st.text(alphabet='abx_{}[]()"=~$5m.,+-/ by', max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_any_text_as_a_query(self, expr: str) -> None:
        target = {"refId": "A", "expr": expr, "datasource": {"type": "prometheus"}}
        found = lint({"panels": [{"type": "timeseries", "targets": [target]}], **VARIABLES})
        # The board itself has no uid, whatever the query says: all rules were asked.
        assert "uid-missing" in {one.rule.id for one in found}


EXPOSITION = """\
# TYPE orders_total counter
orders_total{code="200"} 1
# TYPE wait_seconds histogram
wait_seconds_bucket{le="+Inf"} 1
wait_seconds_count 1
wait_seconds_sum 1
# TYPE queue gauge
queue 1
# TYPE mean summary
mean{quantile="0.5"} 1
mean_count 1
mean_sum 1
"""


class TestMetricsOfAFile:
    @pytest.mark.parametrize("end", ["", "# EOF\n"])
    def test_kinds_and_labels_are_those_of_the_exposition(self, tmp_path: Path, end: str) -> None:
        path = tmp_path / "shop.prom"
        text = EXPOSITION if not end else EXPOSITION.replace("TYPE orders_total", "TYPE orders")
        path.write_text(text + end)
        metrics = metricsource.read(str(path))
        kinds = {name: series.kind for name in NAMES if (series := metrics.series(name))}
        assert kinds == {
            "orders_total": "counter",
            "wait_seconds_bucket": "counter",
            "wait_seconds_count": "counter",
            "wait_seconds": "histogram",
            "queue": "gauge",
            "mean": "gauge",
            "mean_sum": "counter",
        }
        orders, bucket = metrics.series("orders_total"), metrics.series("wait_seconds_bucket")
        assert orders and orders.labels == {"code", "job", "instance"}
        assert bucket and "le" in bucket.labels

    @pytest.mark.parametrize(
        ("text", "words"), [("orders_total{", "not in the text exposition format"), ("", "holds no metric")]
    )
    def test_what_is_no_exposition_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        path = tmp_path / "a.prom"
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            metricsource.read(str(path))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            metricsource.read(str(tmp_path / "nowhere"))


NAMES = ("orders_total", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds", "queue", "mean", "mean_sum", "x")


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """The overview without a panel's description, and with an old range: two warnings."""
    board = json.loads(json.dumps(BOARD))
    panels = [panel for panel in board["panels"] if panel.get("targets")]
    panels[0].pop("description")
    expr = 'sum(rate(messenger_requests_total{job=~"$job"}[5m]))'
    panels[1]["targets"] = [panels[1]["targets"][0] | {"expr": expr, "legendFormat": "requests"}]
    panels[1]["fieldConfig"]["defaults"]["unit"] = "reqps"
    path = tmp_path / "board.json"
    path.write_text(json.dumps(board, indent=2))
    return path


class TestTheCommand:
    def test_severity_hides_and_fail_on_decides(self, wrong: Path) -> None:
        assert check(wrong).exit_code == 0
        assert check("--fail-on", "warning", wrong).exit_code == 1
        hidden = check("--severity", "error", "--fail-on", "warning", wrong)
        assert (hidden.exit_code, hidden.stderr) == (1, "")
        assert check("--fail-on", "never", wrong).exit_code == 0

    def test_json_says_everything(self, wrong: Path) -> None:
        told = json.loads(check("--format", "json", wrong).stdout)
        one = next(one for one in told if one["rule"] == "query-fixed-range")
        assert one["severity"] == "warning"
        assert one["pointer"].endswith("/targets/0/expr")
        assert one["query"] == "A"
        assert one["panel"] in {panel["title"] for panel in BOARD["panels"]}
        line = wrong.read_text().splitlines()[one["line"] - 1]
        assert "[5m]" in line

    def test_sarif_has_its_rules_and_places(self, wrong: Path) -> None:
        log = json.loads(check("--format", "sarif", wrong).stdout)
        (run,) = log["runs"]
        rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
        assert log["version"] == "2.1.0"
        assert {result["ruleId"] for result in run["results"]} <= rules
        assert {rule.id for rule in ALL_RULES} < rules
        assert all(r["locations"][0]["physicalLocation"]["region"]["startLine"] > 1 for r in run["results"])

    def test_github_annotates(self, wrong: Path) -> None:
        told = check("--format", "github", wrong).stdout.splitlines()
        assert told
        assert all(line.startswith(f"::warning file={wrong},line=") for line in told)

    def test_text_that_would_end_an_annotation_is_escaped(self) -> None:
        told = FORMATS["github"]([Finding("a,b:c.json", 3, "100 %\nnext")], ALL_RULES)
        assert told == "::error file=a%2Cb%3Ac.json,line=3,title=file::100 %25%0Anext\n"

    def test_an_exclusion_covers_its_place_and_nothing_else(self, wrong: Path, tmp_path: Path) -> None:
        file = tmp_path / "keep.yaml"
        file.write_text("- rule: query-fixed-range\n  board: messenger-overview\n  query: A\n  reason: Finance.\n")
        done = check("--exclude", file, wrong)
        assert "query-fixed-range" not in done.stderr
        assert "description-missing" in done.stderr
        assert ", 1 excluded" in done.stdout

    def test_an_exclusion_that_covers_nothing_is_told(self, wrong: Path, tmp_path: Path) -> None:
        file = tmp_path / "keep.yaml"
        file.write_text("- {rule: grid-overlap, panel: Nothing, reason: It was so once.}\n")
        assert f"{file}:1: warning: nothing is excluded by this entry" in check("--exclude", file, wrong).stderr

    def test_an_exclusion_without_reason_or_of_no_rule_has_its_line(self, wrong: Path, tmp_path: Path) -> None:
        file = tmp_path / "keep.yaml"
        file.write_text(
            "- {rule: grid-overlap}\n- {rule: grid-overlaps, reason: x}\n- {rule: editable, why: x, reason: y}\n"
        )
        done = check("--exclude", file, wrong)
        assert done.exit_code == 2
        assert f"{file}:1: no reason" in done.output
        assert f"{file}:2: no rule 'grid-overlaps'" in done.output
        assert f"{file}:3: unknown key why" in done.output

    def test_provisioned_data_sources_are_the_ones_there_are(self, tmp_path: Path) -> None:
        sources = tmp_path / "sources.yaml"
        sources.write_text("apiVersion: 1\ndatasources:\n- {name: Main, uid: main, type: prometheus}\n")
        board = json.loads(json.dumps(BOARD))
        board["panels"][0]["datasource"] = {"type": "prometheus", "uid": "other"}
        board["panels"][0]["targets"][0]["datasource"] = {"type": "prometheus", "uid": "main"}
        path = tmp_path / "board.json"
        path.write_text(json.dumps(board, indent=2))
        told = check(sources, path).stderr
        assert "no data source 'other'; there is Main, main" in told
        assert "'main' is written in" not in told

    def test_two_boards_of_one_uid(self, wrong: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.json"
        other.write_text(wrong.read_text().replace('"Messenger overview"', '"Another"'))
        done = check(wrong, other)
        assert done.exit_code == 1
        assert f"the uid 'messenger-overview' is that of {wrong} too" in done.stderr

    def test_a_resource_of_grafana_12_is_read_and_schema_v2_is_said_not_to_be(self, tmp_path: Path) -> None:
        board = json.loads(json.dumps(BOARD))
        board["panels"][0].pop("description")
        path = tmp_path / "resource.json"
        resource = {"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "spec": board}
        path.write_text(json.dumps(resource, indent=2))
        assert "[description-missing]" in check(path).stderr
        resource |= {"apiVersion": "dashboard.grafana.app/v2beta1", "spec": {"elements": {}, "layout": {}}}
        path.write_text(json.dumps(resource))
        assert "schema v2" in check(path).stderr

    def test_every_rule_in_one_line(self) -> None:
        told = check("--rules").stdout.splitlines()
        assert len(told) == len(ALL_RULES)

    def test_metrics_are_for_files(self) -> None:
        assert "--metrics is for FILES" in check("--metrics", "x.prom").output


def test_the_registry_is_that_of_the_pinned_package() -> None:
    """`npm run registry` prints what is committed."""
    web = ROOT / "monitoring/preview/web"
    done = subprocess.run(["node", "registry.mjs"], cwd=web, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "monitoring/lint/grafana.json").read_text()
