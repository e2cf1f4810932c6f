"""What Grafana's own library does with our panels, and with those of grafanalib alone."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from grafanalib import core as g
from grafanalib._gen import DashboardEncoder

from monitoring.boards import grafana
from monitoring.boards.model import Board, Panel, Query, Row, Step
from tests.support.repository import ROOT

WEB = ROOT / "monitoring" / "preview" / "web"
SCRIPT = Path(__file__).with_name("grafana_data.cjs")
PAST_RED = 95


def raw() -> dict[str, Any]:
    steps = [g.Threshold("#00ff00", 0, 0.0), g.Threshold("#ff0000", 1, 80.0)]
    made: dict[str, Any] = json.loads(json.dumps(g.TimeSeries(thresholds=steps), cls=DashboardEncoder))
    return made


def ours(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = grafana.as_json(Board("u", "T", "D", (), (Row(4, (panel,), (24,)),), ()))["panels"][0]
    return made


COLORED = Panel("k", "T", "D", "s", (Query("up", "Up"),), steps=(Step("#00ff00"), Step("#ff0000", Decimal(80))))
JOINED = Panel("k", "T", "D", "s", (Query("a", "Up"), Query("b", "Down")), kind="table", columns=("job", "instance"))


def frame(ref: str, **columns: list[Any]) -> dict[str, Any]:
    """What the Prometheus data source answers to an instant query in the format `table`."""
    return {
        "refId": ref,
        "fields": [{"name": name.replace("_", " #"), "values": values} for name, values in columns.items()],
    }


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    assert (WEB / "node_modules" / "@grafana" / "data").is_dir(), (
        "run `npm ci` in monitoring/preview/web, or `make setup`"
    )
    asked = {
        "colors": [
            {"fieldConfig": raw()["fieldConfig"], "value": PAST_RED},
            {"fieldConfig": ours(COLORED)["fieldConfig"], "value": PAST_RED},
            {"fieldConfig": ours(COLORED)["fieldConfig"], "value": 79},
        ],
        "tables": [
            {
                "transformations": ours(JOINED)["transformations"],
                "frames": [
                    frame("A", Time=[1, 1], instance=["x", "y"], job=["j", "k"], version=["1", "2"], Value_A=[5, 6]),
                    frame("B", Time=[1, 1], instance=["y", "x"], job=["k", "j"], Value_B=[60, 50]),
                ],
            }
        ],
    }
    command = ["node", SCRIPT, WEB]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_value_past_grafanalibs_threshold_stays_green_and_past_ours_turns_red(answer: dict[str, Any]) -> None:
    assert answer["colors"] == ["#00ff00", "#ff0000", "#00ff00"]


def test_a_table_has_its_columns_in_order_and_the_rows_of_all_queries_joined(answer: dict[str, Any]) -> None:
    assert answer["tables"] == [[["job", ["j", "k"]], ["instance", ["x", "y"]], ["Up", [5, 6]], ["Down", [50, 60]]]]
