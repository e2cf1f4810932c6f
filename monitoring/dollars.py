"""Grafana's variables: their names in a text, and the texts in a JSON value."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A name starts with no digit: $1 belongs to label_replace. "$$" is a dollar.
_NAME = r"[A-Za-z_]\w*"
VARIABLE = re.compile(
    rf"\$(?P<plain>{_NAME})|\$\{{(?P<braced>{_NAME})(?:[.\[][^}}:]*)?(?::[^}}]*)?\}}"
    rf"|\[\[(?P<old>{_NAME})(?:\.[^\]:]*)?(?::\w+)?\]\]"
)
"""`$name`, `${name}`, `${name.field:format}` and `[[name]]`."""


def name_of(found: re.Match[str]) -> str:
    """The name of one match of VARIABLE."""
    return found["plain"] or found["braced"] or found["old"]


def names_in(value: str) -> set[str]:
    """The names of the variables a text uses.

    >>> sorted(names_in('up{job=~"$job",a="${b:regex}"}[$__range] [[c]] ${d.e}'))
    ['__range', 'b', 'c', 'd', 'job']
    >>> names_in('label_replace(up, "a", "$1", "b", "(.*)")')
    set()
    """
    return {name_of(found) for found in VARIABLE.finditer(value)}


def strings_of(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, with its pointer."""
    match value:
        case str():
            yield pointer, value
        case dict():
            for key, one in value.items():
                yield from strings_of(one, f"{pointer}/{escaped(str(key))}")
        case list():
            for i, one in enumerate(value):
                yield from strings_of(one, f"{pointer}/{i}")


def escaped(key: str) -> str:
    """A key as a JSON pointer writes it (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
