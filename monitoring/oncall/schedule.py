"""Who is on call: weekly rotations by the calendar of a place, and overrides. Pure: the moment is an argument.

A week is counted from one handover to the next by local dates, so it begins at the same hour on the clock of its
place, whatever happens to summer time in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody stands in, `start` <= t < `end`, both aware."""

    start: datetime
    end: datetime
    person: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """People who take turns week by week; the first of them began on the date `since`, at the hour `at`."""

    name: str
    people: tuple[str, ...]
    since: date
    at: time
    zone: ZoneInfo
    overrides: tuple[Override, ...] = ()

    def on_call(self, moment: datetime) -> str:
        """Whose turn it is at an aware moment; of overrides the last in the file decides.

        >>> berlin = ZoneInfo("Europe/Berlin")
        >>> primary = Rotation("primary", ("ann", "bob"), date(2026, 3, 23), time(9), berlin)
        >>> primary.on_call(datetime(2026, 3, 30, 8, 59, tzinfo=berlin))  # summer time began the day before
        'ann'
        >>> primary.on_call(datetime(2026, 3, 30, 9, tzinfo=berlin))
        'bob'
        """
        for override in reversed(self.overrides):
            if override.start <= moment < override.end:
                return override.person
        weeks = (self.handover(moment).date() - self.since).days // 7
        return self.people[weeks % len(self.people)]

    def handover(self, moment: datetime) -> datetime:
        """The last handover at or before an aware moment, aware, in the place's time."""
        local = moment.astimezone(self.zone)
        back = (local.weekday() - self.since.weekday()) % 7
        found = datetime.combine(local.date() - timedelta(days=back), self.at, self.zone)
        # Compared as moments: on the day on which the clock is set back an hour comes twice.
        if found.timestamp() > moment.timestamp():
            found = datetime.combine(found.date() - _WEEK, self.at, self.zone)
        return found

    def turns(self, start: datetime, count: int) -> Iterator[tuple[datetime, datetime, str]]:
        """(start, end, person) of so many stretches from an aware moment on, in the place's time."""
        for _ in range(count):
            week = self.handover(start)
            ends = [datetime.combine(week.date() + _WEEK, self.at, self.zone)]
            ends += [edge for one in self.overrides for edge in (one.start, one.end) if edge > start]
            end = min(ends, key=lambda edge: edge.timestamp()).astimezone(self.zone)
            yield start.astimezone(self.zone), end, self.on_call(start)
            start = end


def people_of(names: Sequence[str], rotations: dict[str, Rotation], moment: datetime) -> tuple[str, ...]:
    """The people that names stand for at a moment, each once: a rotation means who is on call in it."""
    found = (rotations[name].on_call(moment) if name in rotations else name for name in names)
    return tuple(dict.fromkeys(found))
