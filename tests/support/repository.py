"""Where things lie in this repository, wherever pytest was started."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLOS = ROOT / "monitoring" / "slos"
ALERTS = ROOT / "alerts"
DASHBOARDS = ROOT / "dashboards"
RUNBOOKS = ROOT / "docs" / "runbooks"


def runbook(name: str) -> str:
    """Where a board made by a test says that a runbook is."""
    return f"https://runbooks.test/{name}.md"
