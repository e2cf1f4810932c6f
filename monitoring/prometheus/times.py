"""Moments as people write them on a command line; pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration

_AGO = re.compile(r"-(.+)")
_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,3})?")


def moment(text: str, now: float, zone: tzinfo = UTC) -> float:
    """Unix seconds of `now`, `-7d` (before now), `2026-10-01`, `2026-10-01T12:00[:00][Z|+02:00]` or Unix seconds.

    A time without an offset is one of `zone`. Raises OutOfRangeError for anything else.

    >>> moment("-1h", 7200), moment("now", 7200), moment("1970-01-02", 0), moment("1970-01-01T01:00+01:00", 5)
    (3600.0, 7200.0, 86400.0, 0.0)
    """
    if text == "now":
        return float(now)
    if _UNIX.fullmatch(text):
        return float(text)
    if found := _AGO.fullmatch(text):
        return float(now - Duration.parse(found[1]))
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise OutOfRangeError(
            f"{text!r} is no time; expected now, -7d, 2026-10-01, 2026-10-01T12:00:00Z or Unix seconds"
        ) from None
    return (read if read.tzinfo else read.replace(tzinfo=zone)).timestamp()
