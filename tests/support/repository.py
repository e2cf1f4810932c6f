"""Where things lie in this repository, wherever pytest was started."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLOS = ROOT / "monitoring" / "slos"
ALERTS = ROOT / "alerts"
DASHBOARDS = ROOT / "dashboards"
RUNBOOKS = ROOT / "docs" / "runbooks"


def runbook(name: str) -> str:
    """Where a board made by a test says that a runbook is."""
    return f"https://runbooks.test/{name}.md"


def version_before(folder: Path) -> tuple[str, Path]:
    """The newest step of the schema, and in `folder` the tree of the commit before it came: a real older version."""
    newest = max(path.stem for path in (ROOT / "migrations").glob("*.sql") if not path.name.endswith(".rollback.sql"))
    came = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", f"migrations/{newest}.sql").decode().strip()
    assert came, f"git does not know migrations/{newest}.sql: commit it; in CI fetch the whole history (fetch-depth: 0)"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=_git("archive", f"{came}^", "app", "migrations"), check=True)
    return newest, folder


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=60).stdout
