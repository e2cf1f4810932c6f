"""Whether a Prometheus keeps samples as long as an SLO needs; pure.

Its default of 15 days silently loses half of a 30-day period, and the budget then
looks better than it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitoring.alerting.prometheus import RETENTION_MARGIN
from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration

_DEFAULT = Duration.parse("15d")
_YEARS = re.compile(r"(?:([0-9]+)y)?(.*)")
_YEAR_S = 365 * 86400


def kept(flags: Mapping[str, str]) -> Duration | None:
    """How long samples are kept; None when the flags do not say, as when only their size is limited.

    >>> kept({"storage.tsdb.retention.time": "5w"})
    35d
    >>> kept({"storage.tsdb.retention.time": "0s", "storage.tsdb.retention.size": "0B"})
    15d
    >>> kept({"storage.tsdb.retention.time": "0s", "storage.tsdb.retention.size": "1GB"}) is None
    True
    """
    text = flags.get("storage.tsdb.retention.time", "")
    if text == "0s":
        return _DEFAULT if flags.get("storage.tsdb.retention.size", "0B") == "0B" else None
    found = _YEARS.fullmatch(text)
    if not text or found is None:
        return None
    years_s = int(found[1] or 0) * _YEAR_S
    try:
        return Duration(years_s + (Duration.parse(found[2]) if found[2] else 0))
    except OutOfRangeError:
        return None


def shortfall(flags: Mapping[str, str] | None, longest: Duration) -> str | None:
    """What is wrong with the retention for a period of `longest`, in words; None when nothing is, or nobody knows.

    >>> shortfall({"storage.tsdb.retention.time": "30d"}, Duration.parse("30d"))
    'Prometheus keeps 30d; a period of 30d needs --storage.tsdb.retention.time=35d'
    >>> shortfall({"storage.tsdb.retention.time": "1y"}, Duration.parse("90d")) is None
    True
    """
    found = kept(flags or {})
    needed = Duration(longest + RETENTION_MARGIN)
    if found is None or found >= needed:
        return None
    return f"Prometheus keeps {found}; a period of {longest} needs --storage.tsdb.retention.time={needed}"
