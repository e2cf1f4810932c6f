"""Puts recording rules into the expressions that read them; pure.

An alert compares recorded series, which a new spec has not recorded. In their place
goes the expression that the rule records, with the labels that the rule adds, so that
the result is what the alert would have seen; as often as rules read other rules.

The text is taken apart only as far as needed: what is quoted is skipped, and the name
of a recorded series, which has colons, is found outside of quotes. Its matchers are
read by the real parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from monitoring import promql
from monitoring.errors import PromqlError
from monitoring.maths.durations import Duration
from monitoring.promql import Selector, quoted
from monitoring.rules.model import Group, Recording

MAX_DEPTH = 20
"""Rules that read rules that read rules; more than this is a circle."""

_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
_TOKEN = re.compile(
    rf"(?P<skip>{_STRING}|\#[^\n]*)"
    rf"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?P<braces>\s*\{{(?:{_STRING}|[^\"'`}}])*\}})?"
    r"(?P<range>\s*\[[^\]]*\])?(?P<moved>\s*(?:offset\b|@))?"
    r"|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Recorded:
    """A recording rule and how often it is evaluated."""

    rule: Recording
    interval: Duration


def recorded(groups: Iterable[Group]) -> tuple[Recorded, ...]:
    """Every recording rule of these groups."""
    return tuple(
        Recorded(rule, group.interval) for group in groups for rule in group.rules if isinstance(rule, Recording)
    )


def inlined(expr: str, rules: Iterable[Recorded], depth: int = 0) -> str:
    """The expression with no recorded series of `rules` left in it.

    A range of a recorded series becomes a subquery at its group's interval. Raises
    PromqlError where that cannot be said: a selector with offset or @, or rules in a circle.

    >>> rule = Recording("job:up:sum", "sum(up)", {"team": "a"})
    >>> inlined('job:up:sum{team="a"} > 1', [Recorded(rule, Duration(15))])
    '(label_replace(sum(up), "team", "a", "", "")) > 1'
    >>> inlined('max_over_time(job:up:sum[5m])', [Recorded(rule, Duration(15))])
    'max_over_time((label_replace(sum(up), "team", "a", "", ""))[5m:15s])'
    """
    every = tuple(rules)
    if depth > MAX_DEPTH:
        raise PromqlError(f"recording rules read one another in a circle, or {MAX_DEPTH} deep: {expr}")
    return "".join(_replaced(found, every, depth) for found in _TOKEN.finditer(expr))


def _replaced(found: re.Match[str], rules: tuple[Recorded, ...], depth: int) -> str:
    rule = _rule(found, rules) if found["name"] else None
    if rule is None:
        return found[0]
    if found["moved"]:
        raise PromqlError(f"a recorded series with offset or @ cannot be replaced by its rule: {found[0]}")
    # As a recording rule does: the labels it names replace those of the result.
    expr = inlined(rule.rule.expr, rules, depth + 1)
    for label, value in rule.rule.labels.items():
        expr = f'label_replace({expr}, {quoted(label)}, {quoted(_literal(value))}, "", "")'
    return f"({expr}){_subquery(found['range'], rule.interval)}"


def _rule(found: re.Match[str], rules: tuple[Recorded, ...]) -> Recorded | None:
    """The rule that records what a selector asks for; None when it is none of these rules' series."""
    candidates = [one for one in rules if one.rule.record == found["name"]]
    if not candidates:
        return None
    selector = _selector(found["name"] + (found["braces"] or ""))
    fitting = [one for one in candidates if all(_matches(selector, one))]
    if len(fitting) > 1:
        raise PromqlError(f"two rules record {selector}; name the SLO whose series is meant")
    return fitting[0] if fitting else None


def _selector(text: str) -> Selector:
    return promql.uses(text)[0].selector


def _matches(selector: Selector, rule: Recorded) -> Iterator[bool]:
    for matcher in selector.matchers:
        value = rule.rule.labels.get(matcher.label, "")
        same = value == matcher.value if "~" not in matcher.operator else bool(re.fullmatch(matcher.value, value))
        yield same != matcher.operator.startswith("!")


def _literal(value: str) -> str:
    """A replacement of label_replace, in which $ would name a group."""
    return value.replace("$", "$$")


def _subquery(range_: str | None, interval: Duration) -> str:
    if not range_:
        return ""
    inside = range_.strip()[1:-1]
    return range_ if ":" in inside else f"[{inside}:{interval}]"
