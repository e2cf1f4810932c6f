"""Three who count the same hour: the prober's ledger, a real Prometheus, and the oracle."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from pathlib import Path

from monitoring.maths.durations import Duration
from monitoring.oracle.query import value_of
from monitoring.oracle.samples import Series, Store
from monitoring.oracle.slis import measure
from monitoring.oracle.slis import read as read_sli
from monitoring.probes.archive import Count, count, count_journal, upload
from monitoring.probes.journal import Entry, Journal, read
from monitoring.probes.ledger import FINAL_AFTER_S, ODD, End, Ledger
from monitoring.probes.metrics import OUTCOMES
from monitoring.rules.profile import Profile
from monitoring.spec.reader import load
from tests.support.backfilled import backfilled
from tests.support.repository import SLOS

HOUR_S, EVERY_S, SCRAPE_S = 3600, 2, 15
BEGAN = 1_700_006_400.0  # where Prometheus' blocks of two hours begin
END = BEGAN + 2 * HOUR_S
FATES = ("in time",) * 60 + ("late", "lost", "refused", "twice", "altered", "overtaken")
PROFILE = Profile(Duration(SCRAPE_S), Duration(SCRAPE_S), 1, "https://runbooks.test/", "https://boards.test/")


class Prober:
    """The real bookkeeping of a prober on a clock of its own: what it journals, and what it would expose."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._ledger = journal, Ledger()
        self.exposed = Counter[str](dict.fromkeys(OUTCOMES, 0))
        self._number = 0
        self._overtaken: str | None = None

    def beat(self, now: float, fate: str) -> None:
        """One canary, and what becomes of it at once; the lost ones end when their deadline has passed."""
        canary, self._number = str(uuid.UUID(int=int(now * 1000))), self._number + 1
        self._ledger.sent(canary, self._number, "body", now)
        if fate == "refused":
            self._end(self._ledger.failed(canary), now)
            return
        self._ledger.acknowledged(canary)
        if fate in ("overtaken", "lost"):
            self._overtaken = canary if fate == "overtaken" else self._overtaken
        else:
            self._arrive(
                canary, "another body" if fate == "altered" else "body", now + (1.0 if fate == "late" else 0.1)
            )
            if fate == "twice":
                self._arrive(canary, "body", now + 0.2)
            if self._overtaken:
                self._arrive(self._overtaken, "body", now + 0.3)
                self._overtaken = None
        self._end(self._ledger.settle(now), now)

    def _arrive(self, canary: str, body: str, now: float) -> None:
        self._end(self._ledger.arrived(canary, body, now), now)

    def _end(self, ends: object, now: float) -> None:
        for end in ends:  # type: ignore[attr-defined]
            assert isinstance(end, End)
            self.exposed[end.outcome] += 1
            kind = "odd" if end.outcome in ODD else "end"
            self._journal.write(Entry(kind, end.canary_id, now, end.outcome, end.latency_s))  # type: ignore[arg-type]


def lived_through(journal: Journal) -> list[Series]:
    """Two hours of a prober that is started anew in the middle; its counters as they were scraped."""
    chance, samples = random.Random(8), {outcome: list[tuple[int, float]]() for outcome in OUTCOMES}
    prober = Prober(journal)
    for second in range(2 * HOUR_S + 1):
        now = BEGAN + second
        if second % SCRAPE_S == 0:
            for outcome, value in prober.exposed.items():
                samples[outcome].append((int(now * 1000), float(value)))
        if second == HOUR_S + HOUR_S // 2 + FINAL_AFTER_S // 2:
            prober = Prober(journal)  # right after a scrape, so nothing was counted that nobody saw
        if second % EVERY_S == 1:
            prober.beat(now, chance.choice(FATES))
    name, labels = "messenger_probe_canaries_total", {"job": "messenger-probe", "instance": "p1"}
    return [Series(name, labels | {"outcome": outcome}, tuple(found)) for outcome, found in samples.items()]


def test_ledger_prometheus_and_oracle_agree_on_an_hour(empty_database_url: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    series = lived_through(journal)
    journal.close()
    start, end = END - HOUR_S, END
    counted = count_journal((entry for entry, _ in read(tmp_path / "journal")), start, end)
    upload(empty_database_url, "here", tmp_path / "journal")
    assert count(empty_database_url, start, end) == counted
    assert set(counted.by_outcome) == set(OUTCOMES), "each outcome had its turn"
    at_ms, store = int(END * 1000), Store(series)

    def query(outcome: str) -> str:
        return f"sum(increase(messenger_probe_canaries_total{{outcome='{outcome}'}}[1h]))"

    with backfilled(series) as ask:
        by_prometheus = Count({outcome: round(ask(query(outcome), at_ms) or 0) for outcome in sorted(OUTCOMES)})
        for outcome in OUTCOMES:
            # Scrapes lie on both ends of the hour, so nothing is extrapolated, and the numbers are whole.
            assert ask(query(outcome), at_ms) == value_of(query(outcome), store, at_ms) == counted.by_outcome[outcome]
    assert by_prometheus == counted
    (slo,) = load([SLOS / "probe.yaml"])
    reading = read_sli(measure(slo, PROFILE, store, [at_ms]), Duration(HOUR_S), at_ms)
    assert (reading.bad, reading.total) == (counted.total - counted.good, counted.total)
