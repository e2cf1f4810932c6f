"""Times, shares and counts as people read them; pure.

Times are UTC and say so: a report is read in other places than where it was made.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration

_FLOAT_NOISE = 1e-12


def percent(share: float | None, digits: int = 4) -> str:
    """A share as a percentage, never rounded up to a whole that it is not.

    >>> percent(0.9995), percent(0.99999999), percent(None), percent(1.0), percent(-0.25, 2)
    ('99.95 %', '99.9999 %', 'no data', '100 %', '-25 %')
    """
    if share is None:
        return "no data"
    value = round(Decimal(share) * 100, digits)
    if value == 100 and share < 1 - _FLOAT_NOISE:
        value -= Decimal(1).scaleb(-digits)
    return f"{plain(value)} %" if value else "0 %"


def number(value: float) -> str:
    r"""A count, with narrow blanks between thousands; events from `increase` are seldom whole.

    >>> number(1234567.2), number(2.5), number(0)
    ('1\u202f234\u202f567', '2.5', '0')
    """
    shown = f"{value:,.0f}" if abs(value) >= 100 else plain(round(Decimal(value), 1)) if round(value, 1) else "0"
    return shown.replace(",", "\u202f")


def shown_time(at: float) -> str:
    """
    >>> shown_time(0)
    '1970-01-01 00:00:00 UTC'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at: float) -> str:
    """
    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_length(seconds: float) -> str:
    """A length of time for people: to the second, its two largest units.

    >>> shown_length(4.6), shown_length(3725), shown_length(30 * 86400)
    ('5s', '1h2m', '30d')
    """
    whole = round(seconds)
    for unit, smaller in ((86400, 3600), (3600, 60)):
        if whole >= unit:
            return str(Duration(whole - whole % smaller))
    return str(Duration(whole))
