"""Where things lie in this repository, wherever pytest was started."""

from __future__ import annotations

import shutil
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
    """The newest step of the schema, and in `folder` the tree of the commit before it came: a real older version.

    Where git has no history (a shallow checkout, an export), this version stands in for it, without the step.
    """
    newest = max(path.stem for path in (ROOT / "migrations").glob("*.sql") if not path.name.endswith(".rollback.sql"))
    folder.mkdir()
    try:
        came = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", f"migrations/{newest}.sql").decode().strip()
        tree = _git("archive", f"{came}^", "app", "migrations")
    except (OSError, subprocess.CalledProcessError):
        for name in ("app", "migrations"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns(f"{newest}*", "__pycache__", "web")
            )
        (folder / "app" / "web").symlink_to(ROOT / "app" / "web")
    else:
        subprocess.run(["tar", "-x", "-C", folder], input=tree, check=True)
    return newest, folder


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=60).stdout
