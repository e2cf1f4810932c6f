"""Periods as specs write them: rolling or aligned to a calendar, in OpenSLO's shorthand.

A month has no fixed length. A rolling one is 30 days; one of a calendar keeps its
unit, and 30 days are its nominal length, which burn rates are taken from.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration
from monitoring.spec.model import Calendar, CalendarUnit
from monitoring.spec.openslo import CalendarStart, TimeWindow
from monitoring.yamltree import Place

DAY_S = 86400
DEFAULT_PERIOD = Duration(30 * DAY_S)
MIN_PERIOD = Duration(3600)
"""Periods are summed from slices of 5 minutes, and alerts look back an hour."""
MAX_PERIOD = Duration(5 * 366 * DAY_S)

UNITS: dict[str, tuple[CalendarUnit, int]] = {
    "d": ("day", 1),
    "w": ("week", 7),
    "M": ("month", 30),
    "Q": ("quarter", 90),
    "Y": ("year", 365),
}
"""Calendar units by their letter, with their nominal days."""

Period = tuple[Duration, Calendar | None]

_SHORTHAND = re.compile(r"([0-9]{1,5})([a-zA-Z])")
_START = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def duration(text: str) -> Duration:
    """A length of time: Prometheus' notation, or a number of M (30d), Q (90d) or Y (365d).

    Raises OutOfRangeError.
    """
    found = _SHORTHAND.fullmatch(text)
    if found and found[2] in "MQY" and int(found[1]):
        length = Duration(int(found[1]) * UNITS[found[2]][1] * DAY_S)
    else:
        length = Duration.parse(text)
    if length > MAX_PERIOD:
        raise OutOfRangeError(f"{text!r} is longer than {MAX_PERIOD}")
    return length


def hold(text: str) -> Duration | None:
    """How long a condition must last; None for no time at all, such as `0m`. Raises OutOfRangeError."""
    return None if re.fullmatch(r"0+[smhdwMQY]?", text) else duration(text)


def slice_length(text: str) -> Duration:
    """A slice of time: a duration, or a bare number of minutes. Raises OutOfRangeError."""
    return duration(f"{text}m" if text.isascii() and text.isdigit() else text)


def told(place: Place, text: str, reader: Any) -> Any:
    """What `reader` makes of the text; None when that was refused and noted at `place`."""
    try:
        return reader(text)
    except OutOfRangeError as error:
        place.error(str(error))
        return None


def period(place: Place, windows: tuple[TimeWindow, ...]) -> Period | None:
    """The period of an SLO from its one time window; None when refused."""
    if not windows:
        place.doubt("expected one time window", f"the period is the last {DEFAULT_PERIOD}")
        return DEFAULT_PERIOD, None
    if len(windows) > 1:
        place.error(f"expected exactly one time window, found {len(windows)}")
        return None
    window, here = windows[0], place.at(0)
    if window.calendar is None:
        return _rolling(here, window)
    if window.is_rolling:
        here.at("isRolling").error("expected false: a window with a calendar does not roll")
        return None
    return aligned(here.at("duration"), here.at("calendar"), window.duration, window.calendar)


def _rolling(place: Place, window: TimeWindow) -> Period | None:
    if window.is_rolling is None:
        place.doubt("expected either isRolling: true or a calendar", "it rolls")
    elif not window.is_rolling:
        place.error("expected a calendar, with startTime and timeZone, since the window does not roll")
        return None
    return rolling(place.at("duration"), window.duration)


def rolling(place: Place, text: str) -> Period | None:
    """A period that ends now; None when refused."""
    length: Duration | None = told(place, text, duration)
    if length is not None and length < MIN_PERIOD:
        minutes = _SHORTHAND.fullmatch(text)
        meant = f"; {minutes[1]}M is months" if minutes and minutes[2] == "m" else ""
        place.error(f"expected a period of at least {MIN_PERIOD}, found {text}{meant}")
        return None
    return None if length is None else (length, None)


def aligned(place: Place, calendar: Place, text: str, start: CalendarStart) -> Period | None:
    """A period that begins at a date and repeats; None when refused."""
    found = _SHORTHAND.fullmatch(text)
    count, letter = (int(found[1]), found[2]) if found else (0, "")
    if letter == "m":
        months = f"{count} month{'s' if count > 1 else ''}"
        place.doubt(f"a calendar of {count} minutes; {count}M is {months}", f"read as {months}")
        letter = "M"
    if letter not in UNITS or not 1 <= count <= 1000:
        place.error(f"expected a number of {', '.join(UNITS)} for a window that follows a calendar, found {text!r}")
        return None
    unit, days = UNITS[letter]
    anchor = _anchor(calendar, start, unit)
    length = told(place, f"{count * days}d", duration)
    if anchor is None or length is None:
        return None
    return length, Calendar(anchor, start.time_zone, count, unit)


def _anchor(place: Place, start: CalendarStart, unit: CalendarUnit) -> datetime | None:
    try:
        ZoneInfo(start.time_zone)
    except (ValueError, OSError, KeyError):
        place.at("timeZone").error(f"no time zone is named {start.time_zone!r}; expected for example Europe/Berlin")
        return None
    try:
        anchor = datetime.fromisoformat(start.start_time) if _START.fullmatch(start.start_time) else None
    except ValueError:
        anchor = None
    if anchor is None:
        message = (
            f"expected a date and time such as 2026-01-31 12:30:00, without a zone, found {str(start.start_time)!r}"
        )
        place.at("startTime").error(message)
    elif unit in ("month", "quarter", "year") and anchor.day > 28:
        place.at("startTime").error(f"not every {unit} has a day {anchor.day}; begin on one of the first 28 days")
        return None
    return anchor
