"""The preview's page: its types, what it decides without a browser, and that its build can be repeated."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

WEB = ROOT / "monitoring/preview/web"
BUILT = ROOT / "monitoring/preview/static"


def npm(*arguments: str) -> str:
    done = subprocess.run(["npm", *arguments], cwd=WEB, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("script", ["check", "test"])
def test_its_own_checks_pass(script: str) -> None:
    npm("run", "--silent", script)


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    """What `make setup` built is what a build elsewhere gives."""
    script = (WEB / "build.mjs").read_text().replace("'../static'", repr(str(tmp_path)))
    assert str(tmp_path) in script
    copy = WEB / ".build-again.mjs"
    copy.write_text(script)
    try:
        done = subprocess.run(["node", copy.name], cwd=WEB, capture_output=True, text=True, check=False, timeout=60)
    finally:
        copy.unlink()
    assert done.returncode == 0, done.stderr
    for name in ("app.js", "app.css"):
        assert (tmp_path / name).read_bytes() == (BUILT / name).read_bytes()
