"""Alertmanager's routing and time intervals as its documentation states them, to judge what is generated.

Written from the manual and not from our generator: a tree of routes, asked from the top,
the first child that matches unless it says `continue`; mute intervals are not inherited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

_MATCHER = re.compile(r'([a-zA-Z_]\w*)(=~|!~|!=|=)"(.*)"')
_OPERATORS = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}


def matches(matchers: Iterable[str], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy all matchers; a missing label is empty."""
    for matcher in matchers:
        found = _MATCHER.fullmatch(matcher)
        assert found, matcher
        wanted = re.sub(r'\\([\\"])', r"\1", found[3])
        if not _OPERATORS[found[2]](labels.get(found[1], ""), wanted):
            return False
    return True


def reached(route: Mapping[str, Any], labels: Mapping[str, str], receiver: str = "") -> list[tuple[str, list[str]]]:
    """Every receiver an alert reaches, with the intervals that mute it there."""
    if not matches(route.get("matchers", []), labels):
        return []
    receiver = route.get("receiver", receiver)
    found: list[tuple[str, list[str]]] = []
    for child in route.get("routes", []):
        below = reached(child, labels, receiver)
        found += below
        if below and not child.get("continue"):
            break
    return found or [(receiver, route.get("mute_time_intervals", []))]


def active(interval: Mapping[str, Any], moment: datetime) -> bool:
    """Whether a moment lies in a time interval."""
    moment = moment.astimezone(UTC)
    minute = moment.hour * 60 + moment.minute
    for entry in interval["time_intervals"]:
        assert entry["location"] == "UTC"
        on_day = (
            str(moment.day) in entry["days_of_month"]
            and str(moment.month) in entry["months"]
            and str(moment.year) in entry["years"]
        )
        if on_day and any(_minute(t["start_time"]) <= minute < _minute(t["end_time"]) for t in entry["times"]):
            return True
    return False


def inhibits(rule: Mapping[str, Any], source: Mapping[str, str], target: Mapping[str, str]) -> bool:
    """Whether a firing source quiets a target; labels missing on both sides count as equal."""
    return (
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
    )


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
