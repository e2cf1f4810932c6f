"""On which line of a JSON text each value stands; pure.

Python's own parser forgets it, and a YAML parser refuses some JSON (tabs, surrogate
pairs). The text must have been parsed before: this one only counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass
class _Open:
    pointer: str
    is_object: bool
    index: int = 0
    key: str | None = None


def lines(text: str) -> dict[str, int]:
    """Line (from 1) of each value, by JSON pointer (RFC 6901).

    >>> lines('{"a":\\n [1,\\n  {"b/c": 2}]}')
    {'': 1, '/a': 2, '/a/0': 2, '/a/1': 3, '/a/1/b~1c': 3}
    """
    return dict(_values(text))


def twice(text: str) -> list[tuple[str, int]]:
    """Each value whose key stood in the same object before, with its line.

    >>> twice('{"a": 1,\\n "b": {"a": 2}, "a": 3}')
    [('/a', 2)]
    """
    seen: set[str] = set()
    found = []
    for pointer, line in _values(text):
        if pointer in seen:
            found.append((pointer, line))
            # What lies inside begins anew.
            seen = {one for one in seen if not one.startswith(f"{pointer}/")}
        seen.add(pointer)
    return found


def _values(text: str) -> Iterator[tuple[str, int]]:
    """Every value's pointer and line, in the order of the text."""
    opened: list[_Open] = []
    line, position = 1, 0
    for match in _PIECE.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        piece, inside = match.group(), opened[-1] if opened else None
        if piece in "}]":
            opened.pop()
        elif piece == ",":
            assert inside  # noqa: S101  a comma stands in something
            inside.index, inside.key = inside.index + 1, None
        elif piece == ":":
            continue
        elif inside and inside.is_object and inside.key is None:
            inside.key = str(json.loads(piece))
        else:
            pointer = _pointer(inside)
            yield pointer, line
            if piece in "{[":
                opened.append(_Open(pointer, piece == "{"))


def _pointer(inside: _Open | None) -> str:
    if inside is None:
        return ""
    if inside.is_object:
        return f"{inside.pointer}/{str(inside.key).replace('~', '~0').replace('/', '~1')}"
    return f"{inside.pointer}/{inside.index}"


def line_of(found: dict[str, int], pointer: str) -> int:
    """The line of a value, or of the deepest part of its pointer that exists."""
    while pointer and pointer not in found:
        pointer = pointer.rpartition("/")[0]
    return found.get(pointer, 1)
