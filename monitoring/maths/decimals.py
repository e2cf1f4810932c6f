"""Decimals as people write them: thresholds in rules must not read 0.0009999999999999432."""

from __future__ import annotations

from decimal import Decimal


def plain(value: Decimal) -> str:
    """The shortest exact notation without an exponent.

    >>> plain(Decimal("14.4") * (1 - Decimal("0.999")))
    '0.0144'
    >>> plain(Decimal("1E+2")), plain(Decimal("0.10"))
    ('100', '0.1')
    """
    return f"{value.normalize():f}"


def percent(share: Decimal) -> str:
    """A share as a percentage.

    >>> percent(Decimal("0.999"))
    '99.9 %'
    """
    return f"{plain(share * 100)} %"
