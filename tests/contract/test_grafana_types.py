"""Generated boards against types that Grafana publishes: its foundation SDK's, and @grafana/schema by tsc.

Neither is used to make boards, so an error of ours cannot be theirs too.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from monitoring.boards import grafana
from monitoring.boards.model import Board, Mapping, Override, Panel, Query, Row, Step, Variable, runbook
from monitoring.boards.shapes import SHAPES
from tests.support import repository
from tests.support.repository import DASHBOARDS, ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # "prefer dashboardv2", which no Grafana 11 reads
    from grafana_foundation_sdk.models.dashboard import Dashboard

WEB = ROOT / "monitoring" / "preview" / "web"
TSC = WEB / "node_modules" / ".bin" / "tsc"
SCHEMA = WEB / "node_modules" / "@grafana" / "schema" / "dist" / "types"
TYPES = Path(__file__).with_name("board.ts")

ONLY_FOR_IMPORT = {"__elements", "__inputs", "__requires"}


def one_of_each_kind() -> dict[str, Any]:
    """Every kind of panel with everything that the model lets it have."""
    base = Panel(
        "kind",
        "Title",
        "Description",
        "s",
        (Query("up", "Up"),),
        minimum=Decimal(0),
        maximum=Decimal("1.5"),
        decimals=1,
        steps=(Step("green"), Step("red", Decimal("0.25"))),
        mappings=(Mapping(Decimal(0), "none", "text"),),
        overrides=(Override("Up", color="blue", unit="ms", steps=(Step("red"), Step("green", Decimal(1)))),),
        links=(runbook("node-down"),),
    )
    panels = [replace(base, key=kind, kind=kind) for kind in SHAPES]  # type: ignore[arg-type]
    panels.append(replace(base, key="dashed", stacked=True, overrides=(Override("U.*", dashed=True, pattern=True),)))
    panels.append(replace(base, key="exemplars", queries=(Query("up", "Up", exemplars=True),)))
    panels.append(
        replace(base, key="joined", kind="table", queries=(*base.queries, Query("down", "Down")), columns=("job",))
    )
    rows = tuple(Row(4, (panel,), (24,), title=panel.key) for panel in panels)
    variables = (Variable("job", "Job", "up", "job"),)
    return grafana.as_json(Board("kinds", "Kinds", "D", ("tag",), rows, variables), repository.runbook)


BOARDS = {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))} | {
    "one of each kind": one_of_each_kind()
}


@pytest.mark.parametrize("name", BOARDS)
def test_the_sdks_types_lose_nothing_of_a_board(name: str) -> None:
    register_default_plugins()
    board = {key: value for key, value in BOARDS[name].items() if key not in ONLY_FOR_IMPORT}
    again = json.loads(json.dumps(Dashboard.from_json(board).to_json(), cls=JSONEncoder))
    assert lost(board, again) == []


def test_the_sdks_types_lose_a_key_that_grafana_does_not_know() -> None:
    """So the test above can fail."""
    register_default_plugins()
    board = copy.deepcopy(BOARDS["one of each kind"])
    board["panels"][1]["colour"] = "red"
    board["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    again = json.loads(json.dumps(Dashboard.from_json(board).to_json(), cls=JSONEncoder))
    assert lost(board, again) == ["/panels/1/colour", "/panels/1/fieldConfig/defaults/units"]


def lost(before: Any, after: Any, pointer: str = "") -> list[str]:
    """JSON pointers of what is not the same afterwards; what was added does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        here = sorted(f"{pointer}/{key}" for key in before.keys() - after.keys())
        return here + [
            p for k in sorted(before.keys() & after.keys()) for p in lost(before[k], after[k], f"{pointer}/{k}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [p for i, (a, b) in enumerate(zip(before, after, strict=True)) for p in lost(a, b, f"{pointer}/{i}")]
    return [] if before == after else [pointer]


def panel_of(board: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in board["panels"] if panel["type"] == kind)


def defaults_of(board: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = panel_of(board, kind)["fieldConfig"]["defaults"]
    return found


PLANTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an old schema": lambda b: b.update(schemaVersion=12),
    "an unknown key of the board": lambda b: b.update(sharedCrosshair=True),
    "an unknown crosshair": lambda b: b.update(graphTooltip=3),
    "an unknown kind": lambda b: panel_of(b, "stat").update(type="singlestat"),
    "an unknown key of a panel": lambda b: panel_of(b, "table").update(span=12),
    "an unknown option": lambda b: panel_of(b, "bargauge")["options"].update(fieldOptions={}),
    "an option that is missing": lambda b: panel_of(b, "stat")["options"].pop("reduceOptions"),
    "options that are a list": lambda b: panel_of(b, "heatmap").update(options=[]),
    "an unknown draw style": lambda b: defaults_of(b, "timeseries")["custom"].update(drawStyle="lines"),
    "a threshold that is a text": lambda b: defaults_of(b, "gauge")["thresholds"]["steps"][0].update(value="null"),
    "thresholds that are a text": lambda b: defaults_of(b, "stat")["thresholds"].update(steps=""),
    "a maximum that is a text": lambda b: defaults_of(b, "gauge").update(max="100"),
    "a place that is not whole": lambda b: panel_of(b, "stat")["gridPos"].pop("w"),
    "a link without its type": lambda b: b["links"][0].pop("type"),
    "an unknown kind of variable": lambda b: b["templating"]["list"][0].update(type="label"),
}
"""Each is in a copy of the board with every kind, and must be reported there."""


def test_tsc_accepts_every_board_and_reports_every_planted_error(tmp_path: Path) -> None:
    assert TSC.is_file(), "run `npm ci` in monitoring/preview/web, or `make setup`"
    names = {f"right{i}.ts": name for i, name in enumerate(BOARDS)}
    names |= {f"wrong{i}.ts": name for i, name in enumerate(PLANTED)}
    for file, name in names.items():
        board = copy.deepcopy(BOARDS.get(name) or BOARDS["one of each kind"])
        if name in PLANTED:
            PLANTED[name](board)
        text = json.dumps(board, ensure_ascii=False)
        (tmp_path / file).write_text(f'import type {{ Board }} from "./board";\nexport const board: Board = {text};\n')
    (tmp_path / "board.ts").write_text(TYPES.read_text())
    (tmp_path / "tsconfig.json").write_text(json.dumps(configuration()))
    done = subprocess.run([TSC, "--project", tmp_path], capture_output=True, text=True, timeout=120)
    reported = re.findall(r"^(?:.*/)?(\w+\.ts)\(\d+,\d+\): error (TS\d+)", done.stdout, re.MULTILINE)
    wrong = {name for file, name in names.items() if file in dict(reported)}
    assert wrong == PLANTED.keys(), done.stdout[:4000] + done.stderr
    assert all(code.startswith("TS2") for _, code in reported), "an error of the types, not of how the test is written"


def configuration() -> dict[str, Any]:
    return {
        "compilerOptions": {
            "lib": ["es2022", "dom"],
            "module": "esnext",
            "moduleResolution": "bundler",
            "noEmit": True,
            "paths": {"@grafana/schema/*": [f"{SCHEMA}/*"]},
            "skipLibCheck": True,
            "strict": True,
            "target": "es2022",
            "types": [],
        },
        "include": ["*.ts"],
    }
