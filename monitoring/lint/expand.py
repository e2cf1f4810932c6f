"""PromQL with Grafana's variables in it, made into PromQL that means the same and parses.

What a variable may stand for follows from its place: a duration in `[…]`, a label in
`by (…)`, a pattern between quotes, a number behind `topk(`, a piece of a name beside
letters. Only where the place leaves it open are several readings tried, what the board
says of the variable first. A stand-in is recognised later by MARK: nothing is known of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.dollars import VARIABLE, name_of
from monitoring.errors import PromqlError
from monitoring.lint.read import Dashboard, mapping, sequence, text
from monitoring.promql import parse

MARK = "zzvar"
"""Begins every stand-in for a name that only the chosen value tells."""

_NUMBERS = frozenset({"__range_s", "__range_ms", "__interval_ms", "__rate_interval_ms", "__from", "__to"})
_DURATIONS = frozenset({"__interval", "__rate_interval", "__range", "interval"})
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*$", re.IGNORECASE)
_NUMBER_FIRST = re.compile(r"\b(?:topk|bottomk|quantile|histogram_quantile|quantile_over_time|limitk|limit_ratio)\s*"
                           r"(?:(?:by|without)\s*\([^()]*\)\s*)?\(\s*$", re.IGNORECASE)  # fmt: skip
_MAX_READINGS = 200
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_WORD = re.compile(r"[A-Za-z_:][\w:]*")


@dataclass(frozen=True)
class Expanded:
    """An expression that parses, its tree, and what was asked for."""

    original: str
    expr: str
    tree: Any


def expand(expr: str, board: Dashboard) -> Expanded:
    """The expression with every variable put in. Raises PromqlError, of the likeliest reading, when none parses."""
    first = ""
    for reading in itertools.islice(_readings(expr, _values(board)), _MAX_READINGS):
        try:
            return Expanded(expr, reading, parse(reading))
        except PromqlError as error:
            # People know what they wrote, not what was put in for it.
            first = first or str(error).removesuffix(f" in: {reading}")
        except RecursionError:
            first = first or "too many brackets and operators inside each other"
    raise PromqlError(f"{first} in: {expr}")


def _values(board: Dashboard) -> Mapping[str, Sequence[str]]:
    """What the board says each variable may be: what is chosen, then what is offered."""
    found: dict[str, list[str]] = {}
    for variable in board.variables:
        said = mapping(variable.json.get("current")).get("value")
        values = [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)]
        values += [text(mapping(one).get("value")) or "" for one in sequence(variable.json.get("options"))[:5]]
        if variable.type in ("constant", "textbox"):
            values.insert(0, text(variable.json.get("query")) or "")
        if variable.type in ("custom", "interval"):
            offered = (text(variable.json.get("query")) or "").split(",")
            values += [one.strip().rpartition(" : ")[2] for one in offered[:5]]
        found[variable.name] = list(dict.fromkeys(one for one in values if one and "$" not in one))[:4]
    return found


def _readings(expr: str, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    pieces: list[Sequence[str]] = []
    end = 0
    for found in VARIABLE.finditer(expr):
        pieces.append((expr[end : found.start()],))
        pieces.append(_choices(expr, found, values))
        end = found.end()
    pieces.append((expr[end:],))
    return ("".join(reading) for reading in itertools.product(*pieces))


def _choices(expr: str, found: re.Match[str], values: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """What a variable may be at this place, most likely first."""
    name, before, after = name_of(found), expr[: found.start()], expr[found.end() :]
    known = values.get(name, ())
    stand_in = f"{MARK}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"
    if _in_string(before):
        return (stand_in,)
    if name in _NUMBERS:
        return ("1",)
    if _open_bracket(before):
        return _durations(before, after, known)
    if name in _DURATIONS - {"interval"} or re.search(r"\boffset\s*-?\s*$", before, re.IGNORECASE):
        return ("5m", "300")
    if re.search(r"@\s*$", before):
        return ("1",)
    if re.match(r"[\w:]", after) or re.search(r"[\w:]$", before):
        # A piece of a name, or of a number: `foo_$x`, `${prefix}_total`, `0.$q`.
        if re.search(r"\d\.$|(?<![A-Za-z_:])\d$", before):
            return ("9",)
        return (*(one for one in known if re.fullmatch(r"[\w:]+", one)), stand_in, "1")
    if _GROUPING.search(before):
        return (*(one for one in known if re.fullmatch(r"\w+(?:\s*,\s*\w+)*", one)), stand_in)
    if _NUMBER_FIRST.search(before):
        return (*(one for one in known if re.fullmatch(r"-?\d*\.?\d+", one)), "0.5")
    if _open_brace(before):
        if re.match(r"\s*(?:=~|!~|!=|=)", after):
            return (stand_in,)
        return (f'{stand_in}="x"', f',{stand_in}="x"', "")
    if re.match(r"\s*\(", after) or re.match(r"\s+(?:by|without)\b", after):
        return (*(one for one in known if _WORD.fullmatch(one)), "sum", "rate", "abs", "topk", stand_in)
    usable = [one for one in known if len(one) < 2000 and one not in ("$__all", "All")]
    return (*usable, stand_in, "1", "5m", f"{stand_in}[5m]", "+", ">", "")


def _durations(before: str, after: str, known: Sequence[str]) -> Sequence[str]:
    """Inside `[…]`: a duration, or the number of one."""
    if re.match(r"(?:ms|[smhdwy])\b", after):
        return ("5",)
    if re.search(r"\d$", before):
        return ("m",)
    return (*(one for one in known if _DURATION.fullmatch(one)), "5m")


def _in_string(before: str) -> bool:
    """Whether the text ends inside quotes."""
    quote = ""
    i = 0
    while i < len(before):
        char = before[i]
        if quote:
            if char == "\\" and quote != "`":
                i += 1
            elif char == quote:
                quote = ""
        elif char in "\"'`":
            quote = char
        i += 1
    return bool(quote)


def _bare(before: str) -> str:
    return re.sub(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""", "", before)


def _open_bracket(before: str) -> bool:
    bare = _bare(before)
    return bare.count("[") > bare.count("]")


def _open_brace(before: str) -> bool:
    bare = _bare(VARIABLE.sub("", before))
    return bare.count("{") > bare.count("}")
