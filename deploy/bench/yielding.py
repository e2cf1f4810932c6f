"""What a large fan-out does to the small conversations of its process, when it yields and when it does not.

A small message is due every few milliseconds, on a schedule that waits for nothing; its latency counts from
the moment it was due to its arrival at a reader in another process. So a loop that is blocked shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent

from app.metrics import Metrics
from app.protocol.frames import Opcode, encode
from deploy.bench import sinks
from deploy.bench.delivery import FRAME
from deploy.bench.fanout import NEVER, FanOut, connections, make_hub
from deploy.bench.report import Figure, beside, percentile
from deploy.bench.size import Size

TITLE = "Latency of small conversations beside one large fan-out every 250 ms"
SMALL_EVERY_S = 0.005
LARGE_EVERY_S = 0.25
SMALL_CONVERSATIONS = 50
SHARES = (0.5, 0.95, 0.99)
_TEXT_BYTES = len(FRAME) - 4


@dataclass
class Traffic:
    """One hub with both kinds of conversation."""

    large: FanOut
    large_bytes: int
    large_sink: sinks.Sink
    small: FanOut
    watch: sinks.Sink
    sent: dict[int, int] = field(default_factory=dict)
    skipped: int = 0

    def latencies_ms(self, phase_s: float, *, large: bool) -> list[float]:
        """Send for `phase_s`; the latency of every small delivery."""
        end = time.time() + phase_s
        work: list[Callable[[float], None]] = [self._small, self._large] if large else [self._small]
        gevent.joinall([gevent.spawn(act, end) for act in work], raise_error=True)
        gevent.sleep(2 * LARGE_EVERY_S)
        self.watch.pipe.send("latencies")
        latencies: list[float] = self.watch.pipe.recv()
        return [latency * 1000 for latency in latencies]

    def _small(self, end: float) -> None:
        due, n = time.time(), 0
        while due < end:
            gevent.sleep(max(0.0, due - time.time()))
            conv = self.small.convs[n % len(self.small.convs)]
            seq = self.sent[conv] = self.sent.get(conv, 0) + 1
            self.small.message_to(conv, seq, stamped(due))
            due, n = due + SMALL_EVERY_S, n + 1

    def _large(self, end: float) -> None:
        wanted, due = self.large_sink.drained_bytes, time.time()
        while due < end:
            gevent.sleep(max(0.0, due - time.time()))
            if self.large_sink.drained_bytes < wanted:
                self.skipped += 1  # the last one is still under way: a pile of them would measure the pile
            else:
                wanted += self.large_bytes
                self.large.message(FRAME)
            due += LARGE_EVERY_S


def stamped(due: float) -> bytes:
    """A frame of a fixed length that says when it was due."""
    return encode(Opcode.BINARY, b"x" * (_TEXT_BYTES - sinks.STAMP.size) + sinks.STAMP.pack(due))


def run(size: Size) -> list[Figure]:
    """Phases taking turns; each percentile beside that of the quiet phase."""
    small = min(2 * SMALL_CONVERSATIONS, size.listeners // 2 * 2)
    with (
        sinks.listening(size.listeners) as (sink, socks),
        sinks.listening(small, watch_bytes=len(stamped(0))) as (watch, small_socks),
    ):
        yields, whole_at_once = (
            Traffic(
                large=FanOut(hub, large, size.listeners),
                large_bytes=size.listeners * len(FRAME),
                large_sink=sink,
                small=FanOut(hub, few, 2, first=size.listeners + 1),
                watch=watch,
            )
            for large, few in [(connections(socks), connections(small_socks))]
            for hub in (make_hub(Metrics()), make_hub(Metrics(), chunk=NEVER))
        )
        rounds = [_round(yields, whole_at_once, size.phase_s) for _ in range(size.passes)]
    quiet, chunked, whole = ([row[i] for row in rounds] for i in range(3))
    name = "large fan-out yields"
    figures = []
    for share in SHARES:
        alone = [percentile(ms, share) for ms in quiet]
        for label, phases in ((name, chunked), ("large fan-out does not yield", whole)):
            values = [percentile(ms, share) for ms in phases]
            figures.append(beside(f"p{share * 100:.0f}, {label}", "ms", values, "no large fan-out", alone, "", ""))
    return figures


def _round(yields: Traffic, whole: Traffic, phase_s: float) -> tuple[list[float], list[float], list[float]]:
    quiet = yields.latencies_ms(phase_s, large=False)
    return quiet, yields.latencies_ms(phase_s, large=True), whole.latencies_ms(phase_s, large=True)
