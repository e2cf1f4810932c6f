"""Alertmanager's matchers, with names escaped so that a dot in one matches only a dot.

Its regular expressions (RE2) are anchored; inside the quotes of a matcher it reads
`\\\\` and `\\"` as one character each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


def equal(label: str, value: str) -> str:
    """The label is exactly this.

    >>> equal("severity", "page")
    'severity="page"'
    """
    return f"{label}={_quoted(value)}"


def matches(label: str, expression: str) -> str:
    """The whole label matches this regular expression."""
    return f"{label}=~{_quoted(expression)}"


def one_of(label: str, values: Iterable[str]) -> str:
    """The label is one of these, at least one.

    >>> print(one_of("slo_id", ["b", "a.b"]))
    slo_id=~"a\\\\.b|b"
    """
    unique = sorted(set(values))
    return equal(label, unique[0]) if len(unique) == 1 else matches(label, _alternatives(unique))


def none_of(label: str, values: Iterable[str]) -> str:
    """The label is none of these, or is missing."""
    unique = sorted(set(values))
    if len(unique) == 1:
        return f"{label}!={_quoted(unique[0])}"
    return f"{label}!~{_quoted(_alternatives(unique))}"


def _alternatives(values: Iterable[str]) -> str:
    return "|".join(_SPECIAL.sub(r"\\\1", value) for value in values)


def escaped(value: str) -> str:
    """As it stands between double quotes, in a matcher as in a template."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _quoted(value: str) -> str:
    return f'"{escaped(value)}"'
