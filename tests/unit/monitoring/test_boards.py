"""Boards: what cannot be written, what the validation finds, and the overview's ten panels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from monitoring.boards import grafana, overview
from monitoring.boards import slos as slos_board
from monitoring.boards.queries import all_panels, panel_queries
from monitoring.errors import BoardError, PromqlError
from monitoring.lint.model import Severity
from monitoring.lint.run import lint
from monitoring.maths.decimals import percent
from monitoring.maths.durations import Duration
from monitoring.promql import parse
from monitoring.rules.profile import Profile
from monitoring.signals import messenger
from monitoring.signals.kinds import Counter, Gauge, Scope
from monitoring.spec.model import Condition, Service, Slo
from monitoring.spec.reader import load
from tests.support.repository import DASHBOARDS, RUNBOOKS, SLOS, runbook

RUNBOOK_ADDRESS = "https://messenger.example.com/runbooks/"
OBJECTIVES = load([SLOS])
BOARD = overview.board(OBJECTIVES)
JSON: dict[str, Any] = json.loads(grafana.dashboard(BOARD, runbook))


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


class TestGrafanasJson:
    def test_the_same_board_is_the_same_bytes(self) -> None:
        assert grafana.dashboard(BOARD, runbook) == grafana.dashboard(overview.board(OBJECTIVES), runbook)

    def test_it_is_canonical(self) -> None:
        text = grafana.dashboard(BOARD, runbook).decode()
        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def test_the_schema_is_42_and_no_key_of_old_grafanas_is_left(self) -> None:
        assert JSON["schemaVersion"] == 42
        assert not {"rows", "style", "sharedCrosshair", "hideControls", "gnetId", "__inputs"} & JSON.keys()
        for one in JSON["panels"]:
            assert not {"span", "editable", "error", "height", "cacheTimeout", "maxDataPoints"} & one.keys()
            for target in one["targets"]:
                assert not {"intervalFactor", "step", "metric", "query", "target"} & target.keys()


GENERATED = {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


@pytest.mark.parametrize("name", GENERATED)
class TestEveryGeneratedBoard:
    def test_refreshes_every_ten_seconds_with_a_time_picker_and_one_crosshair(self, name: str) -> None:
        made = GENERATED[name]
        assert (made["refresh"], made["graphTooltip"], made["editable"], made["timezone"]) == ("10s", 1, False, "utc")
        assert "10s" in made["timepicker"]["refresh_intervals"]

    def test_asks_the_data_source_that_is_chosen_and_offers_every_choice(self, name: str) -> None:
        first, *others = GENERATED[name]["templating"]["list"]
        assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
        for variable in others:
            assert variable["label"][0].isupper()
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")

    def test_marks_alerts_and_deploys_and_leads_to_its_kin(self, name: str) -> None:
        marks = {one["name"] for one in GENERATED[name]["annotations"]["list"]}
        assert {"Alerts: page", "Alerts: ticket", "Deploys"} <= marks
        menus = [link for link in GENERATED[name]["links"] if link["type"] == "dashboards"]
        assert [link["tags"] for link in menus] == [[tag] for tag in GENERATED[name]["tags"]]
        assert all(link["keepTime"] and link["includeVars"] for link in menus)

    def test_links_to_runbooks_that_exist(self, name: str) -> None:
        links = [link["url"] for one in all_panels(GENERATED[name]) for link in one.get("links", ())]
        pages = [url.removeprefix(RUNBOOK_ADDRESS) for url in links if url.startswith(RUNBOOK_ADDRESS)]
        assert pages
        assert [page for page in pages if not (RUNBOOKS / page).is_file()] == []

    def test_has_nulls_only_where_the_schema_wants_one(self, name: str) -> None:
        assert all(path.endswith("/steps/0/value") for path in nulls(GENERATED[name]))

    def test_is_right(self, name: str) -> None:
        assert [str(found) for found in lint(GENERATED[name]) if found.severity >= Severity.WARNING] == []


def nulls(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [n for k, v in value.items() for n in nulls(v, f"{path}/{k}")]
    if isinstance(value, list):
        return [n for i, v in enumerate(value) for n in nulls(v, f"{path}/{i}")]
    return [path] if value is None else []


def test_no_two_generated_boards_have_one_uid_or_title() -> None:
    """Grafana only logs it, and shows either."""
    for key in ("uid", "title"):
        assert len({one[key] for one in GENERATED.values()}) == len(GENERATED)


class TestTheBoardToImport:
    def test_asks_for_the_data_source_and_is_else_the_overview(self) -> None:
        made = dict(GENERATED["grafana-dashboard.json"])
        (asked,) = made.pop("__inputs")
        assert (asked["name"], asked["type"], asked["pluginId"]) == ("DS_PROMETHEUS", "datasource", "prometheus")
        needed = {(one["type"], one["id"]) for one in made.pop("__requires")}
        assert needed == {
            ("grafana", "grafana"),
            ("datasource", "prometheus"),
            ("panel", "stat"),
            ("panel", "timeseries"),
        }
        assert made.pop("__elements") == {}
        answered = json.loads(json.dumps(made).replace("${DS_PROMETHEUS}", "prometheus"))
        overview_ = GENERATED["messenger-overview.json"]
        differs = {key for key in overview_ if answered[key] != overview_[key]}
        assert differs == {"uid", "title", "templating"}
        assert answered["templating"]["list"][1:] == overview_["templating"]["list"][1:]
        assert answered["templating"]["list"][0]["current"]["value"] == "prometheus"


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

    def test_the_probes_p95_stands_beside_the_servers(self) -> None:
        (made,) = (p for p in JSON["panels"] if p["title"] == "Fan-out p50, p95, p99")
        assert [t["legendFormat"] for t in made["targets"]] == ["p50", "p95", "p99", "p95 seen by the probe"]
        (dashed,) = made["fieldConfig"]["overrides"]
        assert dashed["matcher"]["options"] == "p95 seen by the probe"

    def test_no_alert_is_0_and_the_watchdog_is_none(self) -> None:
        (made,) = (p for p in JSON["panels"] if p["title"] == "Alerts firing")
        expr = made["targets"][0]["expr"]
        assert expr == 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)'

    def test_each_panel_says_what_to_do(self) -> None:
        assert all(len(panel["description"]) > 120 for panel in JSON["panels"])

    def test_its_thresholds_are_the_objectives(self) -> None:
        steps = {p["title"]: p["fieldConfig"]["defaults"]["thresholds"]["steps"][-1] for p in JSON["panels"]}
        assert steps["Fan-out p50, p95, p99"] == {"color": "red", "value": 0.25}
        assert steps["Delivery loss"] == {"color": "red", "value": 0.001}
        assert steps["Error rate"] == {"color": "red", "value": 0.01}

    def test_its_queries_are_ready_to_be_asked(self) -> None:
        queries = panel_queries(JSON, rate_interval="20s", job="secure-messenger", instance=".+")
        assert {q.panel_title for q in queries} == {p["title"] for p in JSON["panels"]}
        for query in queries:
            assert "$" not in query.expr
            parse(query.expr)

    def test_an_slo_that_is_gone_is_named(self) -> None:
        with pytest.raises(BoardError, match="shows the SLO 'delivery', which no spec defines"):
            overview.board([slo for slo in OBJECTIVES if slo.name != "delivery"])


PROFILE = Profile(Duration(15), Duration(15), 1, "https://r.test/", "https://d.test/")
SHOP = Service("shop", "Shop")


def slo_boards(slos: Sequence[Slo], profile: Profile = PROFILE) -> list[dict[str, Any]]:
    return [grafana.as_json(one, runbook) for one in slos_board.boards(SHOP, "shop", slos, profile)]


class TestTheObjectives:
    def test_each_has_a_row_of_attainment_budget_and_burn(self) -> None:
        (made,) = slo_boards(OBJECTIVES)
        titles = [p["title"] for p in made["panels"]]
        for slo in OBJECTIVES:
            at = titles.index(f"{slo.display_name} ({slo.name})")
            assert titles[at + 1 : at + 4] == [
                f"Attained, of {percent(slo.target)}",
                "Error budget left",
                "Burn rate, by window",
            ]

    @pytest.mark.parametrize("slo", OBJECTIVES, ids=lambda slo: slo.name)
    def test_attainment_turns_red_below_the_objective(self, slo: Slo) -> None:
        made = self.row(slo)["attained"]
        assert made["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
            {"color": "red", "value": None},
            {"color": "green", "value": float(slo.target)},
        ]

    def test_attainment_shows_as_many_digits_as_tell_it_from_the_objective(self) -> None:
        digits = {slo.name: self.row(slo)["attained"]["fieldConfig"]["defaults"]["decimals"] for slo in OBJECTIVES}
        assert (digits["fanout-latency"], digits["delivery"]) == (2, 3)

    def test_burn_has_a_threshold_at_the_factor_of_each_alert_in_the_colour_of_its_severity(self) -> None:
        made = self.row(OBJECTIVES[0])["burn"]
        assert made["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
            {"color": "green", "value": None},
            {"color": "orange", "value": 1},
            {"color": "orange", "value": 3},
            {"color": "red", "value": 6},
            {"color": "red", "value": 14.4},
        ]

    def test_burn_has_a_line_for_every_window_that_an_alert_reads(self) -> None:
        (fanout,) = (slo for slo in OBJECTIVES if slo.name == "fanout-latency")
        legends = [target["legendFormat"] for target in self.row(fanout)["burn"]["targets"]]
        assert legends == ["2m", "5m", "30m", "1h", "2h", "6h", "1d", "3d"]
        scaled = self.row(fanout, Profile(Duration(1), Duration(1), 12, "", ""))["burn"]["targets"]
        burning, or_nothing = scaled[0]["expr"].split(" or ")
        assert burning == 'slo:errors:ratio_rate10s{slo_id="fanout-latency"} / 0.05'
        assert or_nothing == '0 * slo:error_budget_remaining:ratio{slo_id="fanout-latency"}'

    def test_an_slo_with_conditions_of_its_own_has_their_factors(self) -> None:
        hour = Duration(3600)
        own = Condition("fast", "page", Decimal(9), hour, Duration(300))
        made = self.row(replace(OBJECTIVES[0], conditions=(own,)))["burn"]
        assert [s["value"] for s in made["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 9]
        quiet = self.row(replace(OBJECTIVES[0], conditions=()))["burn"]
        assert quiet["targets"][0]["legendFormat"] == "period"
        assert "No alert watches it" in quiet["description"]

    def test_its_panels_link_to_the_runbook_of_its_alerts(self) -> None:
        (slo,) = (slo for slo in OBJECTIVES if slo.name == "delivery")
        for made in self.row(slo).values():
            assert [link["url"] for link in made["links"]] == ["https://runbooks.test/delivery.md"]

    def test_a_service_with_many_has_several_boards(self) -> None:
        many = [replace(OBJECTIVES[0], name=f"slo-{i}", display_name=f"SLO {i}") for i in range(61)]
        made = slo_boards(many)
        assert [one["uid"] for one in made] == ["shop-slos", "shop-slos-2", "shop-slos-3"]
        rows = [[p["title"] for p in one["panels"] if p["type"] == "row"] for one in made]
        assert [len(titles) for titles in rows] == [30, 30, 1]
        assert [v["name"] for v in made[0]["templating"]["list"]] == ["datasource", "slo"]
        assert [v["name"] for v in made[1]["templating"]["list"]] == ["datasource"]

    @staticmethod
    def row(slo: Slo, profile: Profile = PROFILE) -> dict[str, dict[str, Any]]:
        """The three panels of one SLO by their role."""
        (made,) = slo_boards([slo], profile)
        return dict(zip(("attained", "budget", "burn"), made["panels"][-3:], strict=True))
