"""Every kind of panel, what a board adds around them, and what cannot be written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.boards import grafana
from monitoring.boards.grid import place
from monitoring.boards.model import (
    Annotation,
    Board,
    Link,
    Mapping,
    Override,
    Panel,
    Query,
    Row,
    Step,
    Variable,
    runbook,
    stable_id,
)
from monitoring.boards.shapes import SHAPES
from monitoring.deployments import metrics as deployments
from monitoring.errors import BoardError
from monitoring.signals import deploys
from tests.support import repository

UP = Query("up", "{{job}}")
ONE = Panel("one", "One", "It is up.", "short", (UP,))
GAUGE = replace(ONE, kind="gauge", minimum=Decimal(0), maximum=Decimal(1))
TABLE = replace(ONE, kind="table", queries=(Query("up", "Up"), Query("down", "Down")), columns=("job", "instance"))


def board(*panels: Panel, **more: Any) -> Board:
    rows = tuple(Row(4, (panel,), (24,)) for panel in panels)
    return Board(**({"uid": "u", "title": "T", "description": "D", "tags": (), "rows": rows, "variables": ()} | more))


def drawn(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = grafana.as_json(board(panel), repository.runbook)["panels"][0]
    return made


def defaults(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = drawn(panel)["fieldConfig"]["defaults"]
    return made


class TestEveryKind:
    @pytest.mark.parametrize("kind", SHAPES)
    def test_has_exactly_the_options_of_its_shape(self, kind: Any) -> None:
        made = drawn(replace(GAUGE, kind=kind, queries=(Query("up", "Up"),)))
        assert made["type"] == kind
        assert made["options"].keys() == SHAPES[kind].options.keys()
        assert made["fieldConfig"]["defaults"]["custom"].keys() == SHAPES[kind].custom.keys()
        assert made["fieldConfig"]["defaults"]["unit"] == "short"

    @pytest.mark.parametrize("kind", SHAPES)
    def test_takes_limits_decimals_mappings_and_steps(self, kind: Any) -> None:
        look = replace(
            GAUGE,
            kind=kind,
            queries=(Query("up", "Up"),),
            decimals=2,
            mappings=(Mapping(Decimal(0), "down", "red"), Mapping(Decimal("0.5"), "half")),
            steps=(Step("green"), Step("red", Decimal("0.001"))),
        )
        made = defaults(look)
        assert (made["min"], made["max"], made["decimals"]) == (0, 1, 2)
        assert made["mappings"] == [
            {
                "type": "value",
                "options": {"0": {"index": 0, "text": "down", "color": "red"}, "0.5": {"index": 1, "text": "half"}},
            }
        ]
        assert made["thresholds"]["steps"] == [{"color": "green", "value": None}, {"color": "red", "value": 0.001}]

    def test_a_heatmap_reads_the_buckets_as_they_are(self) -> None:
        cells = Query("sum by (le) (increase(x_bucket[5m]))", "{{le}}", exemplars=True)
        made = drawn(replace(ONE, kind="heatmap", unit="s", queries=(cells,)))
        assert made["options"]["calculate"] is False
        assert made["options"]["yAxis"]["unit"] == "s"
        assert (made["targets"][0]["format"], made["targets"][0]["exemplar"]) == ("heatmap", True)

    def test_a_table_shows_its_columns_in_order_then_the_values_by_their_legends(self) -> None:
        made = drawn(TABLE)
        assert [(t["format"], t["instant"], t["range"]) for t in made["targets"]] == [("table", True, False)] * 2
        merge, chosen, order = made["transformations"]
        assert merge == {"id": "merge", "options": {}}
        assert chosen["options"]["include"]["names"] == ["job", "instance", "Value #A", "Value #B"]
        assert order["options"]["renameByName"] == {"Value #A": "Up", "Value #B": "Down"}
        assert order["options"]["indexByName"] == {"job": 0, "instance": 1, "Value #A": 2, "Value #B": 3}

    def test_the_value_of_a_tables_only_query_has_no_letter(self) -> None:
        chosen, order = drawn(replace(TABLE, queries=(Query("up", "Up"),)))["transformations"]
        assert chosen["options"]["include"]["names"] == ["job", "instance", "Value"]
        assert order["options"]["renameByName"] == {"Value": "Up"}

    def test_a_table_colours_its_values_and_not_its_labels(self) -> None:
        made = drawn(replace(TABLE, steps=(Step("green"), Step("red", Decimal(1)))))
        assert made["fieldConfig"]["defaults"]["custom"]["cellOptions"] == {"type": "auto"}
        assert [o["matcher"]["options"] for o in made["fieldConfig"]["overrides"]] == ["Up", "Down"]

    def test_a_stat_of_one_instant_draws_no_past(self) -> None:
        assert drawn(replace(ONE, kind="stat"))["options"]["graphMode"] == "area"
        instant = drawn(replace(ONE, kind="stat", queries=(replace(UP, instant=True),)))
        assert instant["options"]["graphMode"] == "none"
        assert (instant["targets"][0]["instant"], instant["targets"][0]["range"]) == (True, False)

    def test_a_line_that_is_alone_has_the_colour_of_the_threshold_it_is_past(self) -> None:
        steps = (Step("green"), Step("red", Decimal(1)))
        alone = defaults(replace(ONE, queries=(Query("up", "up"),), steps=steps))
        assert (alone["color"]["mode"], alone["custom"]["gradientMode"]) == ("thresholds", "scheme")
        several = defaults(replace(ONE, steps=steps))
        assert (several["color"]["mode"], several["custom"]["gradientMode"]) == ("palette-classic", "none")
        assert several["custom"]["thresholdsStyle"]["mode"] == "dashed"

    def test_overrides_name_a_series_or_match_it(self) -> None:
        steps = (Step("green"), Step("red", Decimal(1)))
        some = (
            Override("{{job}}", color="blue", unit="s", dashed=True),
            Override("probe.*", pattern=True, steps=steps),
        )
        first, second = drawn(replace(ONE, overrides=some))["fieldConfig"]["overrides"]
        assert first["matcher"] == {"id": "byName", "options": "{{job}}"}
        assert {p["id"] for p in first["properties"]} == {"color", "unit", "custom.lineStyle"}
        assert second["matcher"] == {"id": "byRegexp", "options": "/probe.*/"}
        assert second["properties"][0]["value"]["steps"][0] == {"color": "green", "value": None}


class TestAround:
    def test_a_title_above_a_row_is_an_open_row_with_an_id_of_its_own(self) -> None:
        made = grafana.as_json(board(rows=(Row(4, (ONE,), (24,), title="First"),)))["panels"]
        assert [(p["type"], p["gridPos"]["y"], p["gridPos"]["h"]) for p in made] == [
            ("row", 0, 1),
            ("timeseries", 1, 4),
        ]
        assert (made[0]["collapsed"], made[0]["panels"], made[0]["title"]) == (False, [], "First")

    def test_boards_of_one_tag_are_a_menu_that_keeps_time_and_variables(self) -> None:
        (menu,) = grafana.as_json(board(ONE, tags=("messenger",)))["links"]
        assert (menu["type"], menu["tags"], menu["keepTime"], menu["includeVars"]) == (
            "dashboards",
            ["messenger"],
            True,
            True,
        )

    def test_a_runbook_is_named_and_its_address_configured(self) -> None:
        linked = replace(ONE, links=(runbook("node-down"), Link("Elsewhere", "https://x.test/?${__url_time_range}")))
        assert [link["url"] for link in drawn(linked)["links"]] == [
            "https://runbooks.test/node-down.md",
            "https://x.test/?${__url_time_range}",
        ]
        with pytest.raises(BoardError, match="runbook node-down, and it was not said where"):
            grafana.dashboard(board(linked))

    def test_a_link_to_another_board_keeps_time_and_variables_and_one_elsewhere_does_not(self) -> None:
        inside, outside = grafana.as_json(
            board(ONE, links=(Link("SLOs", "/d/slos"), runbook("probe"))), repository.runbook
        )["links"]
        assert (inside["keepTime"], inside["includeVars"], inside["targetBlank"]) == (True, True, False)
        assert (outside["keepTime"], outside["includeVars"], outside["targetBlank"]) == (False, False, True)
        assert outside["url"] == "https://runbooks.test/probe.md"

    def test_every_board_marks_alerts_by_how_loud_they_are_and_deploys_at_their_time(self) -> None:
        own = Annotation("Faults", "messenger_fault_active == 1", "purple", "{{fault}}")
        found = {a["name"]: a for a in grafana.as_json(board(ONE, annotations=(own,)))["annotations"]["list"]}
        assert list(found) == [
            "Annotations & Alerts",
            "Alerts: page",
            "Alerts: ticket",
            "Alerts: other",
            "Deploys",
            "Faults",
        ]
        assert [found[f"Alerts: {s}"]["iconColor"] for s in ("page", "ticket", "other")] == ["red", "orange", "yellow"]
        assert all('severity!="none"' in a["expr"] for name, a in found.items() if name.startswith("Alerts: "))
        assert found["Deploys"]["useValueForTime"] is True
        assert found["Faults"]["expr"] == "messenger_fault_active == 1"

    def test_deploys_are_read_by_the_name_they_are_exposed_under(self) -> None:
        assert deploys.DEPLOYED.name == deployments.DEPLOY


KEYS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=8, unique=True)


class TestIds:
    @given(KEYS, st.data())
    def test_inserting_moving_and_renaming_leave_the_ids_of_the_others_alone(
        self, keys: Sequence[str], data: st.DataObject
    ) -> None:
        before = self.ids(keys, title="Before")
        moved = data.draw(st.permutations(keys))
        moved.insert(data.draw(st.integers(0, len(keys))), "".join(keys) + "+")
        after = self.ids(moved, title="After")
        assert {key: after[key] for key in keys} == before

    @staticmethod
    def ids(keys: Sequence[str], title: str) -> dict[str, int]:
        rows = tuple(Row(1, (replace(ONE, key=key, title=f"{title} {i}"),), (24,)) for i, key in enumerate(keys))
        panels = grafana.as_json(board(rows=rows))["panels"]
        return dict(zip(keys, (panel["id"] for panel in panels), strict=True))

    @given(st.text(st.characters(codec="utf-8")))
    def test_an_id_is_a_positive_number_that_every_language_can_hold(self, key: str) -> None:
        assert 0 < stable_id(key) < 2**31

    def test_two_keys_that_happen_to_have_one_id_are_told_by_name(self) -> None:
        seen: dict[int, str] = {}
        for key in map(str, itertools.count()):
            if (other := seen.setdefault(stable_id(key), key)) != key:
                break
        with pytest.raises(BoardError, match=f"'{other}' and '{key}' happen to have the same id"):
            grafana.as_json(board(replace(ONE, key=other), replace(ONE, key=key)))

    def test_two_rows_of_one_title_are_told(self) -> None:
        rows = (Row(1, (ONE,), (24,), title="A"), Row(1, (replace(ONE, key="two"),), (24,), title="A"))
        with pytest.raises(BoardError, match="'heading: A' twice"):
            grafana.as_json(board(rows=rows))


ROWS = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.lists(st.integers(1, 24), min_size=1, max_size=6).filter(lambda widths: sum(widths) <= 24),
        st.booleans(),
    ),
    max_size=8,
)


class TestTheGrid:
    @given(ROWS)
    def test_nothing_overlaps_leaves_the_grid_or_leaves_a_hole_between_rows(
        self, rows: list[tuple[int, list[int], bool]]
    ) -> None:
        laid = [
            Row(
                h, tuple(replace(ONE, key=f"{i}/{j}") for j in range(len(ws))), tuple(ws), f"Row {i}" if named else None
            )
            for i, (h, ws, named) in enumerate(rows)
        ]
        taken: set[tuple[int, int]] = set()
        for where in place(laid):
            cells = {(x, y) for x in range(where.x, where.x + where.w) for y in range(where.y, where.y + where.h)}
            assert len(cells) == where.w * where.h > 0
            assert not cells & taken
            assert where.x >= 0
            assert where.x + where.w <= 24
            taken |= cells
        assert {y for _, y in taken} == set(range(sum(h + named for h, _, named in rows)))

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            (Row(4, (ONE, ONE), (12, 13)), "is 25 wide; a board has 24"),
            (Row(4, (ONE, ONE), (12,)), "has 2 panels and 1 widths"),
            (Row(4, (ONE,), (12, 12)), "has 1 panels and 2 widths"),
            (Row(4, (ONE, ONE), (24, 0)), "each is at least 1"),
            (Row(0, (ONE,), (24,)), "each is at least 1"),
            (Row(4, (), ()), "has no panel"),
            (Row(4, (ONE,), (24,), title=""), "empty title"),
        ],
    )
    def test_a_row_that_cannot_be_laid_is_refused_with_its_panels_named(self, row: Row, words: str) -> None:
        with pytest.raises(BoardError, match=words) as told:
            list(place([row]))
        assert "one" in str(told.value) or not row.panels


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        (replace(ONE, unit=""), "has a title, a description and a unit"),
        (replace(ONE, queries=()), "0 queries; a panel has 1 to 26"),
        (replace(ONE, queries=(UP,) * 27), "27 queries; a panel has 1 to 26"),
        (replace(ONE, kind="graph"), "no kind 'graph'"),  # type: ignore[arg-type]
        (replace(ONE, steps=()), "the first threshold has no value"),
        (replace(ONE, steps=(Step("red", Decimal(1)),)), "the first threshold has no value"),
        (replace(ONE, steps=(Step("red"), Step("green"))), "only the first threshold is without a value"),
        (replace(ONE, steps=(Step("a"), Step("b", Decimal(2)), Step("c", Decimal(1)))), "must rise, found 2, 1"),
        (replace(ONE, minimum=Decimal(1), maximum=Decimal(1)), "the minimum 1 is not below the maximum 1"),
        (replace(ONE, queries=(replace(UP, instant=True),)), "a timeseries draws time"),
        (replace(ONE, kind="heatmap", queries=(replace(UP, instant=True),)), "a heatmap draws time"),
        (replace(ONE, kind="stat", queries=(replace(UP, exemplars=True),)), "a stat draws no exemplars"),
        (replace(ONE, kind="stat", stacked=True), "only lines can be stacked, not a stat"),
        (replace(ONE, columns=("job",)), "only a table has columns"),
        (replace(ONE, kind="gauge", maximum=Decimal(1)), "a gauge needs a minimum and a maximum"),
        (replace(TABLE, queries=(UP,)), "a legend is the title of its query's column"),
        (replace(TABLE, queries=(Query("up", "job"),)), "a legend is the title of its query's column"),
        (replace(ONE, mappings=(Mapping(Decimal(0), "a"), Mapping(Decimal("0.0"), "b"))), "0 is mapped twice"),
        (replace(ONE, queries=(Query("up", "up"),), overrides=(Override("down", color="red"),)), "no query is called"),
        (replace(ONE, overrides=(Override("x"),)), "the override of 'x' changes nothing"),
        (replace(ONE, kind="stat", overrides=(Override("x", dashed=True),)), "only lines can be dashed"),
    ],
)
def test_a_panel_that_contradicts_itself_is_refused_with_its_key(panel: Panel, words: str) -> None:
    with pytest.raises(BoardError, match=words) as told:
        grafana.as_json(board(panel))
    assert str(told.value).startswith("one: ")


@pytest.mark.parametrize("uid", ["", "a b", "x" * 41, "shop.eu"])
def test_a_uid_that_grafana_does_not_take_is_refused(uid: str) -> None:
    with pytest.raises(BoardError, match="is not 1 to 40 letters"):
        grafana.as_json(board(ONE, uid=uid))


def test_two_variables_or_annotations_of_one_name_are_refused() -> None:
    twice = (Variable("job", "Job", "up", "job"),) * 2
    with pytest.raises(BoardError, match="two variables named job"):
        grafana.as_json(board(ONE, variables=twice))
    with pytest.raises(BoardError, match="two annotations named Deploys"):
        grafana.as_json(board(ONE, annotations=(Annotation("Deploys", "up", "red", ""),)))


def test_every_kind_is_documented() -> None:
    page = (repository.ROOT / "docs/authoring-boards.md").read_text()
    assert [kind for kind in SHAPES if f"| `{kind}` |" not in page] == []
