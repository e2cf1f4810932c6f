"""Configurations and rule tests: what can be said of them without their programs.

Pure but for looking whether files exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitoring.checks.model import Finding
from monitoring.yamltree import Node


def alertmanager(file: str, tree: Node) -> Iterator[Finding]:
    """Routes to receivers that exist."""
    known = {str(one.scalar("name")) for one in _items(tree, "receivers")}
    route = tree.child("route")
    if route is not None:
        yield from _routes(file, route, known)


def _routes(file: str, route: Node, known: set[str]) -> Iterator[Finding]:
    receiver = route.scalar("receiver")
    if receiver is not None and str(receiver) not in known:
        among = ", ".join(sorted(known)) or "none"
        yield Finding(file, route.line_of("receiver"), f"no receiver {str(receiver)!r}; there is {among}")
    for child in _items(route, "routes"):
        yield from _routes(file, child, known)


def prometheus(file: str, tree: Node) -> Iterator[Finding]:
    """Scrape jobs with names of their own."""
    first: dict[str, int] = {}
    for job in _items(tree, "scrape_configs"):
        name, line = job.scalar("job_name"), job.line_of("job_name")
        if not name:
            yield Finding(file, job.line, "scrape_configs: a job needs a job_name")
        elif (earlier := first.setdefault(str(name), line)) != line:
            yield Finding(file, line, f"the job {name!r} stands here twice, first in line {earlier}")


def rule_tests(file: str, path: Path, tree: Node) -> Iterator[Finding]:
    """Rule files that exist; the tests themselves are for `promtool test rules`, which takes its time."""
    for one in _items(tree, "rule_files"):
        pattern = str(one.value)
        target = Path(pattern)
        found = list(path.parent.glob(pattern)) if not target.is_absolute() else [target] if target.exists() else []
        if not found:
            yield Finding(file, one.line, f"rule_files: no file {pattern}")
    if not _items(tree, "tests"):
        yield Finding(file, tree.line_of("tests"), "tests: expected a list of tests; it tests nothing")


def _items(tree: Node, key: str) -> tuple[Node, ...]:
    child = tree.child(key)
    return child.value if child is not None and isinstance(child.value, tuple) else ()
