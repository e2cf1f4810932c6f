"""Label values that satisfy a regular expression: few, short, printable, the same every time.

The walk follows Python's own parse tree of the expression (`re._parser`, which the known
libraries for this use too); each branch of an alternation gives an example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, product
from re import _constants as op  # type: ignore[attr-defined]  # typeshed does not know it
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from monitoring.oracle.matching import compiled

MOST = 4
"""Examples of one expression; more branches than this show nothing new."""

_CHARACTERS = "x1a0bA2-_. /" + "".join(map(chr, range(0x21, 0x7F)))
_CATEGORIES: Mapping[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_NOT_DIGIT: lambda c: not c.isdigit(),
    op.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    op.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
}


def examples(pattern: str) -> tuple[str, ...]:
    """Up to MOST values that match the whole pattern; empty when none was found.

    Raises PromqlError for a pattern that Python cannot read.

    >>> examples("5..|429"), examples("api-.+"), examples("(GET|POST)"), examples("[^0-9]{2}")
    (('5xx', '429'), ('api-x',), ('GET', 'POST'), ('xx',))
    """
    whole = compiled(pattern)
    found = (text for text in _sequence(_parser.parse(pattern)) if text.isprintable() and whole.fullmatch(text))
    return tuple(islice(dict.fromkeys(islice(found, 4 * MOST)), MOST))


def _sequence(nodes: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    options = [list(islice(_node(kind, argument), MOST)) for kind, argument in nodes]
    return ("".join(parts) for parts in product(*options))


def _node(kind: Any, argument: Any) -> Iterator[str]:
    if kind is op.LITERAL:
        yield chr(argument)
    elif kind is op.NOT_LITERAL:
        yield next(c for c in _CHARACTERS if ord(c) != argument)
    elif kind is op.ANY:
        yield _CHARACTERS[0]
    elif kind is op.IN:
        yield from islice((c for c in _CHARACTERS if _inside(argument, c)), 1)
    elif kind is op.BRANCH:
        for branch in argument[1]:
            yield from _sequence(branch)
    elif kind is op.SUBPATTERN:
        yield from _sequence(argument[-1])
    elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = argument
        # Once rather than never: an empty value means that the label is missing.
        times = max(least, min(most, 1))
        yield from ("".join(parts) for parts in product(list(islice(_sequence(inner), MOST)), repeat=times))
    elif kind is op.AT:
        yield ""
    # Anything else (look-around, references to groups) RE2 does not have either: no example.


def _inside(items: Iterable[tuple[Any, Any]], character: str) -> bool:
    negated, found = False, False
    for kind, argument in items:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            found |= ord(character) == argument
        elif kind is op.RANGE:
            found |= argument[0] <= ord(character) <= argument[1]
        elif kind is op.CATEGORY:
            found |= _CATEGORIES[argument](character)
    return found != negated
