"""Random traffic for the oracle and for the real Prometheus: everything that counters do to those who read them.

Rates change, errors come in bursts, processes restart, scrapes are missed, series appear late or
end, and a scrape falls between two counters, so that there is more good than there was in all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

from hypothesis import strategies as st

from monitoring.oracle.samples import Series
from monitoring.promql import Matcher, Selector, quoted
from monitoring.proofs.values import Values
from monitoring.spec.model import WINDOW, EventSli, Query

INSTANCES = ("n1", "n2")


@dataclass(frozen=True)
class Track:
    """One series with its values, one a scrape."""

    name: str
    labels: dict[str, str]
    values: Values

    def __str__(self) -> str:
        return f"{self.name}{{{','.join(f'{k}={quoted(v)}' for k, v in self.labels.items())}}}"

    def series(self, times_ms: list[int]) -> Series:
        """As the oracle reads it, scraped at these times."""
        pairs = zip(times_ms, self.values, strict=False)
        return Series(self.name, self.labels, [(at, value) for at, value in pairs if value is not None])


def increase(name: str, **labels: str) -> Query:
    """The sum of the increases of a counter."""
    selector = Selector(name, tuple(Matcher(k, "=", v) for k, v in labels.items()))
    return Query(f"sum(increase({selector}[{WINDOW}]))", (selector,))


def good_of_total(story: int | None = None) -> EventSli:
    """Two metrics: what was owed, and what came."""
    more = {} if story is None else {"story": str(story)}
    return EventSli(total=increase("owed_total", **more), good=increase("came_total", **more))


def bad_of_total(story: int | None = None) -> EventSli:
    """One metric: the failures among all requests."""
    more = {} if story is None else {"story": str(story)}
    return EventSli(total=increase("requests_total", **more), bad=increase("requests_total", outcome="error", **more))


def seeds(stories: int) -> st.SearchStrategy[list[int]]:
    """Seeds of so many stories, each drawn by random numbers of its own, so that the first is as rich as the last."""
    return st.lists(st.integers(0, 2**32), min_size=stories, max_size=stories, unique=True)


def story(seed: int, most_scrapes: int = 120) -> list[Track]:
    """Four counters and a gauge of each of two instances."""
    chance = Random(seed)
    return [track for instance in INSTANCES for track in _instance(chance, instance, most_scrapes)]


def _instance(chance: Random, instance: str, most_scrapes: int) -> list[Track]:
    phases = [
        (chance.randint(2, 40), chance.choice([0, 1, 3, 20, 97]), chance.choice([0, 0, 0, 0.03, 0.3, 1]))
        for _ in range(chance.randint(1, 8))
    ]
    steps = [(rate - round(rate * share), round(rate * share)) for n, rate, share in phases for _ in range(n)]
    steps = steps[:most_scrapes]
    restarts = {chance.randint(1, len(steps)) for _ in range(chance.choice([0, 0, 1, 2]))}
    missed = {chance.randint(0, len(steps)) for _ in range(chance.choice([0, 1, 8, 20]))}
    early = {chance.randrange(len(steps)) for _ in range(chance.choice([0, 1, 5]))}
    late = chance.choice([0, 0, 0, 5, 30])
    ended = chance.choice([None, None, None, 10, 50])
    born_at = chance.choice([0, 0, 7, 1000])

    def track(name: str, amounts: list[int], ahead: bool = False, **labels: str) -> Track:
        values: list[float | None] = list(_counter(amounts, restarts, born_at))
        if ahead:
            # This counter was read after the other: it has the next events already.
            values = [values[i + 1] if i in early and i + 1 not in restarts else v for i, v in enumerate(values)]
        values = [None if i in missed or i < late else v for i, v in enumerate(values)]
        if ended is not None and ended < len(values):
            values = [*values[:ended], math.nan]
        return Track(name, {"instance": instance, **labels}, values)

    goods, bads = [good for good, _ in steps], [bad for _, bad in steps]
    alls = [good + bad for good, bad in steps]
    tracks = [
        track("owed_total", alls),
        track("came_total", goods, ahead=True),
        track("requests_total", goods, outcome="ok"),
        track("requests_total", bads, outcome="error"),
    ]
    shaky = chance.choice([0, 0.1, 0.7])
    ups: list[float | None] = [float(chance.random() >= shaky) for _ in range(len(steps) + 1)]
    tracks.append(Track("up", {"instance": instance}, [None if i in missed else v for i, v in enumerate(ups)]))
    absent = chance.choice([None, None, None, 1, 3])
    return [one for i, one in enumerate(tracks) if i != absent]


def _counter(amounts: list[int], restarts: set[int], born_at: int) -> Any:
    def step(value: float, numbered: tuple[int, int]) -> float:
        scrape, amount = numbered
        return float(amount) if scrape in restarts else value + amount

    return accumulate(enumerate(amounts, 1), step, initial=float(born_at))
