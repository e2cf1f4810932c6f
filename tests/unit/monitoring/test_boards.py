"""Boards: what cannot be written, what the validation finds, and the overview's ten panels."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.boards import grafana, overview
from monitoring.boards.grid import place
from monitoring.boards.model import Board, Panel, Query, Row, Step, Variable
from monitoring.boards.queries import panel_queries
from monitoring.boards.validate import findings
from monitoring.errors import BoardError, PromqlError
from monitoring.promql import parse
from monitoring.signals import messenger
from monitoring.signals.kinds import Counter, Gauge, Scope
from monitoring.spec.reader import load
from tests.support.repository import SLOS, runbook

OBJECTIVES = load([SLOS])
BOARD = overview.board(OBJECTIVES)
JSON: dict[str, Any] = json.loads(grafana.dashboard(BOARD, runbook))


def panel(key: str) -> Panel:
    return Panel(key, "Title", "Description", "s", (Query("up", "{{job}}"),))


def board(*rows: Row) -> Board:
    return Board("uid", "Title", "Description", (), rows, (Variable("job", "Job", "up", "job"),))


class TestSignals:
    def test_a_gauge_has_no_rate(self) -> None:
        assert not hasattr(Gauge("g", ""), "rate")
        assert not hasattr(Counter("c_total", ""), "value")

    def test_a_label_or_value_that_the_metric_has_not_is_refused(self) -> None:
        with pytest.raises(PromqlError, match="has no label room"):
            messenger.REQUESTS.rate(Scope(), by=("room",))
        with pytest.raises(PromqlError, match="has no outcome='eror'"):
            messenger.REQUESTS.rate(Scope(), where={"outcome": "eror"})

    def test_what_it_renders_parses(self) -> None:
        scope = Scope(range="5m")
        parse(messenger.REQUESTS.increase(scope, by=("outcome",), where={"transport": "ws"}))
        parse(messenger.LOOP_LAG.quantile_or_zero(Decimal("0.95"), scope))
        assert messenger.FANOUT_LATENCY.quantile(Decimal("0.5"), scope, by=("path",)).count("le, path") == 1


class TestTheGrid:
    @given(st.lists(st.lists(st.integers(min_value=1, max_value=8), min_size=1, max_size=3), max_size=6))
    def test_nothing_placed_ever_overlaps_or_leaves_the_grid(self, widths: list[list[int]]) -> None:
        rows = [Row(4, tuple(panel(f"{i}/{j}") for j in range(len(row))), tuple(row)) for i, row in enumerate(widths)]
        taken: set[tuple[int, int]] = set()
        for where in place(rows):
            cells = {(x, y) for x in range(where.x, where.x + where.w) for y in range(where.y, where.y + where.h)}
            assert not cells & taken
            assert where.x + where.w <= 24
            taken |= cells

    @pytest.mark.parametrize("widths", [(12, 13), (12,), (24, 0), (12, 12, 1)])
    def test_a_row_that_does_not_fit_is_refused(self, widths: tuple[int, ...]) -> None:
        with pytest.raises(BoardError):
            list(place([Row(4, (panel("a"), panel("b")), widths)]))


class TestGrafanasJson:
    def test_the_same_board_is_the_same_bytes(self) -> None:
        assert grafana.dashboard(BOARD, runbook) == grafana.dashboard(overview.board(OBJECTIVES), runbook)

    def test_inserting_a_panel_changes_no_other_id(self) -> None:
        before = json.loads(grafana.dashboard(board(Row(4, (panel("a"), panel("b")), (12, 12)))))
        after = json.loads(grafana.dashboard(board(Row(4, (panel("a"), panel("new"), panel("b")), (8, 8, 8)))))
        assert {p["id"] for p in before["panels"]} < {p["id"] for p in after["panels"]}

    def test_the_schema_is_42_and_no_key_of_old_grafanas_is_left(self) -> None:
        assert JSON["schemaVersion"] == 42
        assert not {"rows", "style", "sharedCrosshair", "hideControls", "gnetId", "__inputs"} & JSON.keys()
        for one in JSON["panels"]:
            assert not {"span", "editable", "error", "height", "cacheTimeout", "maxDataPoints"} & one.keys()
            for target in one["targets"]:
                assert not {"intervalFactor", "step", "metric", "query", "target"} & target.keys()

    def test_nulls_are_only_where_the_schema_wants_one(self) -> None:
        def nulls(value: Any, path: str = "") -> list[str]:
            if isinstance(value, dict):
                return [n for k, v in value.items() for n in nulls(v, f"{path}/{k}")]
            if isinstance(value, list):
                return [n for i, v in enumerate(value) for n in nulls(v, f"{path}/{i}")]
            return [path] if value is None else []

        assert all(path.endswith("/thresholds/steps/0/value") for path in nulls(JSON))

    def test_thresholds_are_numbers_that_can_be_reached(self) -> None:
        """grafanalib writes the first as the text "null", with which 95 stays green with red at 80."""
        made = json.loads(grafana.dashboard(board(Row(4, (self.with_thresholds(),), (24,)))))
        steps = made["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps == [{"color": "green", "value": None}, {"color": "red", "value": 0.001}]

    @staticmethod
    def with_thresholds() -> Panel:
        steps = (Step("green"), Step("red", Decimal("0.001")))
        return Panel("k", "T", "D", "s", (Query("up", ""),), steps=steps, maximum=Decimal("0.99"))

    def test_an_axis_may_end_at_a_fraction(self) -> None:
        made = json.loads(grafana.dashboard(board(Row(4, (self.with_thresholds(),), (24,)))))
        assert made["panels"][0]["fieldConfig"]["defaults"]["max"] == 0.99


class TestTheOverview:
    def test_it_has_the_ten_panels_of_the_checklist(self) -> None:
        assert sorted(p["title"] for p in JSON["panels"]) == sorted(
            [
                "Connections",
                "Deliveries a second",
                "Fan-out p50, p95, p99",
                "Delivery loss",
                "Error budget left",
                "Error rate",
                "p95 in database, Redis, loop and GC",
                "CPU per node",
                "Memory per node",
                "Alerts firing",
            ]
        )

    def test_it_refreshes_every_ten_seconds_and_has_its_variables(self) -> None:
        assert JSON["refresh"] == "10s"
        assert JSON["uid"] == "messenger-overview"
        assert [v["name"] for v in JSON["templating"]["list"]] == ["datasource", "job", "instance"]
        assert JSON["timepicker"]["refresh_intervals"]

    def test_its_thresholds_are_the_objectives(self) -> None:
        steps = {p["title"]: p["fieldConfig"]["defaults"]["thresholds"]["steps"][-1] for p in JSON["panels"]}
        assert steps["Fan-out p50, p95, p99"] == {"color": "red", "value": 0.25}
        assert steps["Delivery loss"] == {"color": "red", "value": 0.001}
        assert steps["Error rate"] == {"color": "red", "value": 0.01}

    def test_it_is_right(self) -> None:
        assert findings(JSON) == []

    def test_its_queries_are_ready_to_be_asked(self) -> None:
        queries = panel_queries(JSON, rate_interval="20s", job="secure-messenger", instance=".+")
        assert {q.panel_title for q in queries} == {p["title"] for p in JSON["panels"]}
        for query in queries:
            assert "$" not in query.expr
            parse(query.expr)

    def test_an_slo_that_is_gone_is_named(self) -> None:
        with pytest.raises(BoardError, match="shows the SLO 'delivery', which no spec defines"):
            overview.board([slo for slo in OBJECTIVES if slo.name != "delivery"])


def seeded(change: Any) -> list[str]:
    """The rules that find a defect put into the overview."""
    broken = copy.deepcopy(JSON)
    change(broken)
    return [finding.rule for finding in findings(broken)]


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("schema-version", lambda b: b.update(schemaVersion=12)),
        ("uid", lambda b: b.pop("uid")),
        ("grid", lambda b: b["panels"][1]["gridPos"].update(x=1)),
        ("grid", lambda b: b["panels"][2]["gridPos"].update(w=5)),
        ("panel-id", lambda b: b["panels"][1].update(id=b["panels"][0]["id"])),
        ("ref-id", lambda b: b["panels"][3]["targets"][1].update(refId="A")),
        ("title", lambda b: b["panels"][0].update(title="")),
        ("description", lambda b: b["panels"][0].pop("description")),
        ("unit", lambda b: b["panels"][0]["fieldConfig"]["defaults"].pop("unit")),
        ("targets", lambda b: b["panels"][0].update(targets=[])),
        ("thresholds", lambda b: b["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["steps"].reverse()),
        (
            "thresholds",
            lambda b: b["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["steps"][0].update(value="null"),
        ),
        ("variable", lambda b: b["templating"]["list"].pop()),
        ("variable", lambda b: b["panels"][0]["targets"][0].update(expr='up{a="${nosuch:regex}"}')),
        ("promql", lambda b: b["panels"][0]["targets"][0].update(expr="sum(up")),
        ("promql", lambda b: b["panels"][0]["targets"][0].update(expr="rate(x_total)")),
    ],
)
def test_a_seeded_defect_is_found_by_its_rule(rule: str, change: Any) -> None:
    assert rule in seeded(change)
