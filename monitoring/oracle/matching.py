"""Whether a series is one that a selector names: Prometheus' four matchers in Python.

A label that a series lacks is the empty string. Regular expressions are anchored on
both sides. They are read by Python's `re`: what RE2 has and Python lacks is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import lru_cache

from monitoring.errors import PromqlError
from monitoring.promql import Matcher, Selector


def matches(selector: Selector, name: str, labels: Mapping[str, str]) -> bool:
    """Raises PromqlError for a regular expression that Python cannot read."""
    if selector.name and selector.name != name:
        return False
    whole = {**labels, "__name__": name}
    return all(accepts(matcher, whole.get(matcher.label, "")) for matcher in selector.matchers)


def accepts(matcher: Matcher, value: str) -> bool:
    """Whether a label's value satisfies one matcher.

    >>> accepts(Matcher("code", "=~", "5.."), "503"), accepts(Matcher("code", "!~", "5.."), "")
    (True, True)
    """
    if matcher.operator in ("=", "!="):
        return (value == matcher.value) == (matcher.operator == "=")
    return (compiled(matcher.value).fullmatch(value) is not None) == (matcher.operator == "=~")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression as Python reads it."""
    try:
        with warnings.catch_warnings():
            # What Python warns of it reads differently, [[:alpha:]] for example.
            warnings.simplefilter("error")
            return re.compile(pattern)
    except (re.error, Warning) as error:
        raise PromqlError(f"Python cannot read the regular expression {pattern!r}: {error}") from error
