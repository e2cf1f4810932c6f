"""A run from beginning to end: connect, settle, traffic, drain, judge.

The parent only starts client processes, asks each for its tally once a second, and judges the merged
history; what is measured happens in the client processes.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from monitoring.load import worker
from monitoring.load.history import History, Verdict
from monitoring.load.nodes import Node, Scraper
from monitoring.load.plan import IN_FLIGHT, LoadError, Person, Shard, Sizes, Target, members_of, weights
from monitoring.load.tally import Tally

POLL_S = 1.0
SETTLE_S = 2.0
DRAIN_S = 15.0
FIRST_S, STALLED_S = 10.0, 60.0
"""The ramp ends when it is complete, or when the first connection, or another one, does not come for so long."""
ANSWER_S = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, checked."""

    targets: Sequence[Target]
    people: Sequence[Person]
    seats: Sizes
    """Conversation -> its members, whether they take part or not."""
    fresh: bool
    duration_s: float
    rate_per_s: float
    body_bytes: int
    sizes: dict[int, float]
    metrics_urls: Sequence[str]
    processes: int
    connect_rate_per_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out; times in seconds."""

    options: Options
    tally: Tally
    processes: Sequence[Tally]
    verdict: Verdict
    nodes: Sequence[Node]
    connected: int
    """Live connections when the traffic began."""
    traffic_s: float
    drain_s: float


Progress = Callable[[str, Tally], None]


def run(options: Options, progress: Progress) -> Outcome:
    """Do it all; `progress` is called about once a second with the phase's name. Raises LoadError."""
    scraper = Scraper(options.metrics_urls)
    scraper.start()
    try:
        with _clients(shards(options)) as clients:
            _connect(clients, len(options.people), progress)
            _wait(clients, SETTLE_S, "settle", progress)
            scraper.mark(begin=True)
            connected, began = clients.tally().live, time.monotonic()
            clients.tell(("traffic", options.rate_per_s, options.duration_s))
            _wait(clients, options.duration_s, "traffic", progress)
            ended = time.monotonic()
            scraper.mark(begin=False)
            drain_s = _drain(clients, progress)
            processes, history, absent = _gather(clients)
    finally:
        scraper.stop()
    tally = Tally()
    for process in processes:
        tally.add(process)
    progress("judge", tally)
    return Outcome(
        options=options,
        tally=tally,
        processes=processes,
        verdict=judge(options.people, history, absent),
        nodes=scraper.nodes,
        connected=connected,
        traffic_s=ended - began,
        drain_s=drain_s,
    )


def shards(options: Options) -> Iterator[Shard]:
    """One shard a process, of neighbours: members of one conversation are mostly in one process."""
    count, total = options.processes, len(options.people)
    members = members_of(options.people)
    bounds = [(total * index // count, total * (index + 1) // count) for index in range(count)]
    by_size = weights(options.sizes, [_seats_by_size(options.people[a:b], members) for a, b in bounds])
    stamp = f"{int(time.time()):x}{random.getrandbits(24):06x}-"
    for index, (first, end) in enumerate(bounds):
        people = options.people[first:end]
        mine = {conv for person in people for conv in person.conversations}
        yield Shard(
            index=index,
            first=first,
            people=people,
            targets=options.targets,
            connect_rate_per_s=options.connect_rate_per_s / count,
            in_flight=max(4, IN_FLIGHT // count),
            body="x" * options.body_bytes,
            run=stamp,
            members=Sizes.of({conv: members[conv] for conv in mine}),
            heads=Sizes.of({conv: options.seats[conv] for conv in mine}) if options.fresh else None,
            share=sum(by_size[index].values()) if options.sizes else len(people) / total,
            sizes=by_size[index],
        )


def _seats_by_size(people: Iterable[Person], members: Mapping[int, int]) -> Mapping[int, int]:
    return Counter(members[conv] for person in people for conv in person.conversations)


def _gather(clients: _Clients) -> tuple[list[Tally], History, set[int]]:
    """End the client processes: their tallies, the whole history, and the devices that were absent."""
    tallies, history, absent = list[Tally](), History(), set[int]()
    gc.disable()  # it would look at millions of small objects again and again, and find nothing
    try:
        for result in clients.stop():
            tallies.append(result.tally)
            history.merge(result.history)
            absent |= result.absent
    finally:
        gc.enable()
    return tallies, history, absent


def judge(people: Iterable[Person], history: History, absent: Container[int]) -> Verdict:
    """The verdict: every device that was there must have applied what was acknowledged in its conversations."""
    acknowledged = history.acknowledged_seqs()
    for person in people:
        if person.device in absent:
            continue
        for conv in person.conversations:
            if seqs := acknowledged.get(conv):
                first = history.first_applied(person.device, conv)
                from_seq = seqs[0] if first is None else min(first, seqs[0])
                history.joined(person.device, person.user, conv, from_seq)
    return history.judge()


def descriptors() -> int:
    """Raise the limit of open files as far as allowed, for us and our client processes; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class _Clients:
    """The client processes."""

    def __init__(self, members: Sequence[tuple[BaseProcess, Connection[Any, Any]]]) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def tell(self, command: tuple[Any, ...]) -> None:
        for process, pipe in self._members:
            try:
                pipe.send(command)
            except OSError:
                raise LoadError(f"client process {process.name} died") from None

    def tally(self) -> Tally:
        """The sum of all tallies now."""
        self.tell(("tally",))
        total = Tally()
        for tally in self._answers():
            total.add(tally)
        return total

    def stop(self) -> Iterator[worker.Result]:
        """End all of them; what each knows, one at a time."""
        self.tell(("stop",))
        yield from self._answers()

    def _answers(self) -> Iterator[Any]:
        for process, pipe in self._members:
            try:
                if not pipe.poll(ANSWER_S):
                    raise LoadError(f"client process {process.name} does not answer")
                yield pipe.recv()
            except EOFError:
                raise LoadError(f"client process {process.name} died with status {process.exitcode}") from None


@contextmanager
def _clients(shards_of_run: Iterable[Shard]) -> Iterator[_Clients]:
    # Spawned, not forked: a fork would share, and then copy, the parent's parsed tokens file.
    context = multiprocessing.get_context("spawn")
    members: list[tuple[BaseProcess, Connection[Any, Any]]] = []
    try:
        for shard in shards_of_run:
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=worker.main, args=(theirs,), name=f"client-{shard.index}", daemon=True
            )
            process.start()
            theirs.close()
            ours.send(shard)
            members.append((process, ours))
        yield _Clients(members)
    finally:
        for process, pipe in members:
            pipe.close()
            process.join(5)
            if process.is_alive():
                process.kill()


def _connect(clients: _Clients, wanted: int, progress: Progress) -> None:
    """Wait for the ramp."""
    changed, live = time.monotonic(), 0
    while True:
        tally = clients.tally()
        progress("connect", tally)
        now = time.monotonic()
        if tally.live > live:
            live, changed = tally.live, now
        if tally.live + tally.given_up >= wanted or now > changed + (STALLED_S if live else FIRST_S):
            break
        time.sleep(POLL_S / 4)
    if not live:
        raise LoadError(f"no connection could be made: {_reasons(tally)}")


def _reasons(tally: Tally) -> str:
    return ", ".join(f"{why} ({count} times)" for why, count in tally.connect_errors.most_common(3)) or "no answer"


def _wait(clients: _Clients, seconds: float, phase: str, progress: Progress) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(POLL_S, left))
        progress(phase, clients.tally())


def _drain(clients: _Clients, progress: Progress) -> float:
    """Wait until everything acknowledged has arrived, or DRAIN_S; how long it took, in seconds."""
    began = time.monotonic()
    while True:
        tally = clients.tally()
        progress("drain", tally)
        took_s = time.monotonic() - began
        if (not tally.outstanding and tally.applied >= tally.owed) or took_s > DRAIN_S:
            return took_s
        time.sleep(POLL_S / 4)
