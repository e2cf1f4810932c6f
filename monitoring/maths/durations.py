"""Lengths of time: whole seconds inside, Prometheus notation outside."""

from __future__ import annotations

import re

from monitoring.errors import OutOfRangeError

_UNITS_S = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_NOTATION = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS_S))


class Duration(int):
    """A length of time in whole seconds that prints as Prometheus reads it.

    >>> str(Duration(75)), str(Duration(6 * 3600)), str(Duration(30 * 86400))
    ('1m15s', '6h', '30d')
    """

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `30d`, `1h30m`, `15s`: units w, d, h, m, s, each at most once, largest first.

        Raises OutOfRangeError for anything else and for zero.

        >>> int(Duration.parse("1h30m"))
        5400
        """
        found = _NOTATION.fullmatch(text)
        seconds = (
            sum(int(n or 0) * unit for n, unit in zip(found.groups(), _UNITS_S.values(), strict=True)) if found else 0
        )
        if not seconds:
            raise OutOfRangeError(f"{text!r} is no duration; expected for example 15s, 5m, 1h30m or 30d")
        return cls(seconds)

    def __str__(self) -> str:
        # Weeks are left out: people say 30d and 28d, and a metric name should too.
        rest, parts = int(self), ""
        for unit, size_s in _UNITS_S.items():
            if unit != "w" and rest >= size_s:
                parts, rest = f"{parts}{rest // size_s}{unit}", rest % size_s
        return parts or "0s"

    __repr__ = __str__

    def divided(self, divisor: int) -> Duration:
        """This time ÷ divisor, up to the next whole second; divisor >= 1.

        >>> Duration(300).divided(4), Duration(300).divided(8)
        (1m15s, 38s)
        """
        return Duration(-(-int(self) // divisor))
