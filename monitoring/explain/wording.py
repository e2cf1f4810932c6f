"""Figures as people say them; pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from monitoring.maths.decimals import percent, plain


def _to(value: Decimal, places: int) -> Decimal:
    """Rounded to so many places, never to so few digits that nothing is left."""
    if value and abs(value) < 1:
        places = max(places, 1 - value.adjusted())
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def spoken(seconds: Decimal | int | None) -> str:
    """A length of time in the unit in which it reads best; None is never.

    >>> spoken(Decimal("51.84")), spoken(Decimal("295.68")), spoken(Decimal(1788)), spoken(Decimal(21576))
    ('51.84 s', '295.68 s', '29.8 min', '359.6 min')
    >>> spoken(Decimal(50000)), spoken(Decimal(1209600)), spoken(None)
    ('13.9 h', '14 d', 'never')
    """
    if seconds is None:
        return "never"
    value = Decimal(seconds)
    for limit, size, places, unit in ((600, 1, 2, "s"), (36000, 60, 1, "min"), (5 * 86400, 3600, 1, "h")):
        if value < limit:
            return f"{plain(_to(value / size, places))} {unit}"
    return f"{plain(_to(value / 86400, 1))} d"


def share(ratio: Decimal | None) -> str:
    """A share as a percentage of at most four places.

    >>> share(Decimal("0.1728")), share(Decimal(1) / 3), share(Decimal("0.0000005"))
    ('17.28 %', '33.3333 %', '0.00005 %')
    """
    return "–" if ratio is None else percent(_to(ratio * 100, 4) / 100)


def number(value: Decimal) -> str:
    """A number with a thousand's separator and few places.

    >>> number(Decimal("1000")), number(Decimal("14.4")), number(Decimal("0.0333333"))
    ('1,000', '14.4', '0.033')
    """
    return f"{_to(value, 2).normalize():,f}"
