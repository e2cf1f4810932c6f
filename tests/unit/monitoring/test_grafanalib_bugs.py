"""What grafanalib 0.7.1 does wrong, shown on grafanalib itself, and that our boards do not inherit it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from grafanalib import core as g
from grafanalib._gen import DashboardEncoder

from monitoring.boards import grafana
from monitoring.boards.model import Board, Mapping, Panel, Query, Row, Step
from monitoring.boards.normalise import normalise
from monitoring.errors import BoardError

QUERY = g.Target(expr="up", refId="A")


def raw(*panels: Any) -> dict[str, Any]:
    """A dashboard as grafanalib alone writes it."""
    made: dict[str, Any] = json.loads(json.dumps(g.Dashboard(title="T", panels=list(panels)), cls=DashboardEncoder))
    return made


def corrected(panel: Any) -> dict[str, Any]:
    """A panel that grafanalib wrote, after the normalising pass."""
    made: dict[str, Any] = normalise(raw(panel))["panels"][0]
    return made


def ours(**look: Any) -> dict[str, Any]:
    """A panel through the wrapper and the pass."""
    panel = Panel("k", "T", "D", "s", (Query("up", "{{job}}"),), **look)
    made: dict[str, Any] = grafana.as_json(Board("u", "T", "D", (), (Row(4, (panel,), (24,)),), ()))["panels"][0]
    return made


def steps(panel: dict[str, Any]) -> Any:
    return panel["fieldConfig"]["defaults"]["thresholds"]["steps"]


def test_schema_version_12_has_the_crosshair_overwritten_by_a_migration() -> None:
    assert raw()["schemaVersion"] == 12
    made = normalise(raw() | {"graphTooltip": 1})
    assert (made["schemaVersion"], made["graphTooltip"]) == (42, 1)
    assert "sharedCrosshair" not in made


def test_threshold_0_is_the_text_null_and_no_threshold_ever_fires() -> None:
    panel = g.TimeSeries(targets=[QUERY], thresholds=[g.Threshold("green", 0, 0.0), g.Threshold("red", 1, 80.0)])
    assert steps(raw(panel)["panels"][0])[0]["value"] == "null"
    assert steps(corrected(panel)) == [{"color": "green", "value": None}, {"color": "red", "value": 80}]


def test_the_thresholds_of_a_stat_are_a_text_by_default() -> None:
    """With which Grafana 11.6 and later answer `steps.find is not a function`."""
    panel = g.Stat(targets=[QUERY])
    assert steps(raw(panel)["panels"][0]) == ""
    assert steps(corrected(panel)) == [{"color": "green", "value": None}]


def test_a_panel_has_no_threshold_step_by_default_and_is_grey() -> None:
    for panel in (g.TimeSeries(targets=[QUERY]), g.Table(targets=[QUERY])):
        assert steps(raw(panel)["panels"][0]) == []
        assert steps(corrected(panel)) == [{"color": "green", "value": None}]


def test_queries_are_needlessly_coarse() -> None:
    before = raw(g.TimeSeries(targets=[QUERY]))["panels"][0]
    assert (before["maxDataPoints"], before["targets"][0]["intervalFactor"], before["targets"][0]["step"]) == (
        100,
        2,
        10,
    )
    after = corrected(g.TimeSeries(targets=[QUERY]))
    assert "maxDataPoints" not in after
    assert not {"intervalFactor", "step"} & after["targets"][0].keys()


def test_an_axis_ends_at_whole_numbers_only_and_a_threshold_at_fractions_only() -> None:
    with pytest.raises(TypeError, match="valueMax"):
        g.TimeSeries(valueMax=0.99)
    with pytest.raises(TypeError, match="axisSoftMax"):
        g.TimeSeries(axisSoftMax=0.99)
    with pytest.raises(TypeError, match="value"):
        g.Threshold("red", 1, 80)
    made = ours(maximum=Decimal("0.99"), steps=(Step("green"), Step("red", Decimal(80))))
    assert made["fieldConfig"]["defaults"]["max"] == 0.99
    assert steps(made)[1]["value"] == 80


def test_a_gauge_has_keys_that_its_field_config_may_not_have_and_no_reduction() -> None:
    panel = g.GaugePanel(targets=[QUERY], calc="max", thresholdMarkers=False)
    before = raw(panel)["panels"][0]
    assert {"calcs", "limit", "override", "values", "title"} <= before["fieldConfig"]["defaults"].keys()
    assert "options" not in before
    after = corrected(panel)
    assert not {"calcs", "limit", "override", "values", "title"} & after["fieldConfig"]["defaults"].keys()
    assert after["options"]["reduceOptions"] == {"calcs": ["max"], "fields": "", "values": False}
    assert after["options"]["showThresholdMarkers"] is False


def test_a_bar_gauge_keeps_its_look_where_grafana_6_had_it() -> None:
    panel = g.BarGauge(targets=[QUERY], calc="max", format="bytes", max=7, orientation="vertical", displayMode="lcd")
    assert raw(panel)["panels"][0]["options"]["fieldOptions"]["defaults"]["unit"] == "bytes"
    after = corrected(panel)
    assert "fieldOptions" not in after["options"]
    assert (after["fieldConfig"]["defaults"]["unit"], after["fieldConfig"]["defaults"]["max"]) == ("bytes", 7)
    assert after["options"]["reduceOptions"]["calcs"] == ["max"]
    assert (after["options"]["orientation"], after["options"]["displayMode"]) == ("vertical", "lcd")


def test_the_options_of_a_heatmap_are_an_empty_list() -> None:
    panel = g.Heatmap(targets=[QUERY])
    before = raw(panel)["panels"][0]
    assert before["options"] == []
    assert {"cards", "dataFormat", "xAxis", "yBucketBound"} <= before.keys()
    after = corrected(panel)
    assert after["options"]["calculate"] is False
    assert not {"cards", "color", "dataFormat", "heatmap", "xAxis", "yAxis", "yBucketBound"} & after.keys()
    assert after["targets"][0]["format"] == "heatmap"


def test_the_mappings_of_a_table_are_where_grafana_does_not_look() -> None:
    mapping = {"type": "value", "options": {"0": {"index": 0, "text": "down"}}}
    panel = g.Table(targets=[QUERY], mappings=[mapping])
    before = raw(panel)["panels"][0]
    assert before["mappings"] == [mapping]
    assert "mappings" not in before["fieldConfig"]["defaults"]
    after = corrected(panel)
    assert after["fieldConfig"]["defaults"]["mappings"] == [mapping]
    assert not {"mappings", "columns", "fontSize", "color"} & after.keys()


def test_the_span_of_a_table_does_nothing() -> None:
    panel = g.Table(targets=[QUERY], span=12)
    assert raw(panel)["panels"][0]["span"] == 12
    assert "span" not in corrected(panel)


def test_auto_panel_ids_keeps_two_panels_of_one_id() -> None:
    twice = g.Dashboard(title="T", panels=[g.TimeSeries(id=1), g.TimeSeries(id=1)]).auto_panel_ids()
    assert [panel.id for panel in twice.panels] == [1, 1]
    same = Panel("k", "T", "D", "s", (Query("up", ""),))
    with pytest.raises(BoardError, match="'k' twice"):
        grafana.as_json(Board("u", "T", "D", (), (Row(4, (same, same), (12, 12)),), ()))


def test_a_target_has_no_range_and_no_exemplars() -> None:
    with pytest.raises(TypeError, match="exemplar"):
        g.Target(exemplar=True)
    assert "range" not in raw(g.TimeSeries(targets=[QUERY]))["panels"][0]["targets"][0]
    query = Query("up", "{{job}}", exemplars=True)
    made = grafana.as_json(Board("u", "T", "D", (), (Row(4, (Panel("k", "T", "D", "s", (query,)),), (24,)),), ()))
    target = made["panels"][0]["targets"][0]
    assert (target["range"], target["instant"], target["exemplar"]) == (True, False, True)


def test_a_panel_does_not_say_which_grafana_it_is_of() -> None:
    """Without it Grafana tries the migrations of every version since 6 on the panel."""
    assert "pluginVersion" not in raw(g.Stat(targets=[QUERY]))["panels"][0]
    assert ours(kind="stat")["pluginVersion"] == "11.0.0"


def test_what_is_none_is_written_as_null() -> None:
    before = raw(g.Stat(targets=[QUERY]))["panels"][0]
    assert before["fieldConfig"]["defaults"]["color"] is None
    after = ours(kind="stat", mappings=(Mapping(Decimal(0), "down"),))
    nulls = [path for path, value in _leaves(after) if value is None]
    assert nulls == ["/fieldConfig/defaults/thresholds/steps/0/value"]


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}/{key}")]
    if isinstance(value, list):
        return [leaf for i, item in enumerate(value) for leaf in _leaves(item, f"{path}/{i}")]
    return [(path, value)]
