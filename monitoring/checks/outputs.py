"""Findings as text, as JSON, as SARIF 2.1.0 and as GitHub's annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from monitoring.checks.model import Finding
from monitoring.lint.model import Rule, Severity

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_DOCUMENTATION = "docs/dashboard-rules/README.md"
OTHER = "file"
"""The rule id of what is found in files that are no dashboards."""


def text(findings: Sequence[Finding], _rules: Iterable[Rule]) -> str:
    """A line each, FILE:LINE: message."""
    return "".join(f"{finding}\n" for finding in findings)


def as_json(findings: Sequence[Finding], _rules: Iterable[Rule]) -> str:
    """A list of objects; `pointer`, `panel`, `panelId` and `query` only where they apply."""
    return json.dumps([_object(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def _object(finding: Finding) -> dict[str, Any]:
    subject = finding.subject
    told: dict[str, Any] = {
        "file": finding.file,
        "line": finding.line,
        "severity": _LEVELS[finding.severity],
        "rule": subject.rule if subject else OTHER,
        "message": finding.message,
    }
    if subject:
        more = {
            "reason": subject.reason,
            "pointer": subject.pointer,
            "board": subject.board or None,
            "panel": subject.panel,
            "panelId": subject.panel_id,
            "query": subject.ref_id,
        }
        told |= {key: value for key, value in more.items() if value is not None}
    return told


def sarif(findings: Sequence[Finding], rules: Iterable[Rule]) -> str:
    """One run of SARIF 2.1.0, with every rule that was looked for."""
    described = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.reason},
            "helpUri": f"{_DOCUMENTATION}#{rule.id}",
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        }
        for rule in rules
    ]
    described.append({"id": OTHER, "shortDescription": {"text": "A file that its reader would refuse."}})
    run = {
        "tool": {"driver": {"name": "monitoring check", "rules": described}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding) for finding in findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _result(finding: Finding) -> dict[str, Any]:
    subject = finding.subject
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": finding.file.replace("\\", "/")},
            "region": {"startLine": max(finding.line, 1)},
        }
    }
    if subject:
        location["logicalLocations"] = [{"fullyQualifiedName": subject.pointer or "/", "kind": "value"}]
    return {
        "ruleId": subject.rule if subject else OTHER,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [location],
    }


def github(findings: Sequence[Finding], _rules: Iterable[Rule]) -> str:
    """Workflow commands, which GitHub shows at the lines of a pull request."""
    return "".join(
        f"::{_GITHUB[finding.severity]} file={_property(finding.file)},line={finding.line},"
        f"title={_property(finding.subject.rule if finding.subject else OTHER)}::{_data(finding.message)}\n"
        for finding in findings
    )


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


FORMATS: Mapping[str, Callable[[Sequence[Finding], Iterable[Rule]], str]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}
