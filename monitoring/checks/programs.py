"""promtool and amtool, asked about many files at once, and their answers as findings.

Each runs when it is installed; without it our own checks stand alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monitoring.checks.model import Finding

_BATCH = 500
"""Files a call: a command line has an end."""

_TIMEOUT_S = 120
_TOTAL = "amtool: error: failed to validate"
_YAML_LINE = re.compile(r"\bline (\d+)")
_RULE = re.compile(r'group "(?P<group>.+?)", rule (?P<number>\d+)')
_PLACE = re.compile(r"(?P<file>.+?):(?: (?P<line>\d+):\d+:)? (?P<message>.*)")


def rules(paths: Mapping[Path, str]) -> list[Finding]:
    """What `promtool check rules` says of rule files; `paths` has each path and how it is shown."""
    return [
        finding
        for some in _batches(list(paths))
        for finding in _told("promtool", ["check", "rules", "--lint=none", *map(str, some)], paths)
    ]


def expressions(exprs: Sequence[str]) -> dict[str, str]:
    """What promtool refuses of PromQL expressions, with its words; nothing where it is not installed."""
    if not exprs:
        return {}
    rules_ = [{"record": f"r:{i}", "expr": expr} for i, expr in enumerate(exprs)]
    with tempfile.TemporaryDirectory(prefix="expressions-") as folder:
        path = Path(folder) / "rules.yml"  # JSON is YAML
        path.write_text(json.dumps({"groups": [{"name": "all", "rules": rules_}]}))
        told = _told("promtool", ["check", "rules", "--lint=none", str(path)], {path: ""})
    found: dict[str, str] = {}
    for finding in told:
        if (rule := _RULE.search(finding.message)) and 0 < int(rule["number"]) <= len(exprs):
            found[exprs[int(rule["number"]) - 1]] = finding.message.partition("parse error: ")[2] or finding.message
    return found


def placed(finding: Finding, places: Mapping[tuple[str, str, int], int]) -> Finding:
    """The finding at the line of its rule, where promtool names the rule and no line.

    `places` has the line of each rule by shown file, group and number.
    """
    rule = _RULE.search(finding.message)
    if finding.line > 1 or not rule:
        return finding
    line = places.get((finding.file, rule["group"], int(rule["number"])), 1)
    return Finding(finding.file, line, finding.message, finding.doubt)


def prometheus(path: Path, shown: str) -> list[Finding]:
    """What promtool says of a Prometheus configuration, whether or not the files it names are on this machine."""
    return _told("promtool", ["check", "config", "--syntax-only", str(path)], {path: shown})


def alertmanager(path: Path, shown: str) -> list[Finding]:
    """What amtool says of an Alertmanager configuration."""
    return _told("amtool", ["check-config", str(path)], {path: shown})


def missing() -> list[str]:
    """Which of the programs are not installed."""
    return [name for name in ("promtool", "amtool") if _path(name) is None]


def _batches(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (paths[i : i + _BATCH] for i in range(0, len(paths), _BATCH))


def _path(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin")))


def _told(name: str, arguments: Sequence[str], paths: Mapping[Path, str]) -> list[Finding]:
    program = _path(name)
    if program is None:
        return []
    try:
        done = subprocess.run(  # noqa: S603  our own arguments
            [program, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding(shown, 1, f"{name} did not answer: {error}") for shown in paths.values()]
    if done.returncode == 0:
        return []
    return list(_findings(name, done.stdout + "\n" + done.stderr, paths)) or [
        Finding(shown, 1, f"{name}: {_last_line(done.stderr or done.stdout)}") for shown in paths.values()
    ]


def _findings(name: str, output: str, paths: Mapping[Path, str]) -> Iterator[Finding]:
    """The lines that name a file of ours, and those after "FAILED", which belong to the file named before."""
    by_text = {str(path): shown for path, shown in paths.items()}
    current, failed = "", False
    for line in map(str.strip, output.splitlines()):
        if line.startswith("Checking "):
            current, failed = by_text.get(line.removeprefix("Checking ").split("  ")[0].strip("'"), ""), False
        if "FAILED" in line:
            failed = True
            line = line.partition("FAILED:")[2].strip()
        if not failed or not line or line.endswith("errors:") or line.startswith(_TOTAL):
            continue
        place = _PLACE.fullmatch(line)
        if place and place["file"] in by_text:
            found = _YAML_LINE.search(place["message"])
            number = int(place["line"] or (found[1] if found else 1))
            yield Finding(by_text[place["file"]], number, f"{name}: {place['message']}")
        elif current:
            found = _YAML_LINE.search(line)
            yield Finding(current, int(found[1]) if found else 1, f"{name}: {line}")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it failed without a word")
