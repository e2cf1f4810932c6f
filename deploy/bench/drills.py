"""`make drills`: break the real stack as production breaks, and see when somebody is told, and that it ends.

The stack is that of `make detection`, with a fault after the other: the node stands still, Redis stands still,
PostgreSQL stands still, fan-out is slow, messages are acknowledged and lost. A hook of on-call's tells when a person
was told. Each row says which alerts came, when the first of those that were expected fired and was told of beside when
it was due, and how long after the mending its end was told.

Due = what the node or prober itself needs to notice + hold + one scrape + one evaluation; and for being told,
`group_wait` and the second that on-call takes messages together for. Whoever drills on a busy machine is late.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import psutil

from app.realtime.bus import shard
from app.store import db
from deploy.bench import children
from deploy.bench.detection import GROUP_WAIT_S, PROBE_EVERY_S, SCRAPE_S, Stack, profile_of, running_stack
from monitoring.maths.durations import Duration
from monitoring.probes.ledger import FINAL_AFTER_S
from monitoring.rules.platform import DRILL

LIMIT_S = 1200.0
WITHIN_S = 150.0
HEALTHY_S = 60.0
LOOK_S = 0.2
TOLD_S = 1.0
RESOLVED = "resolved"
SETTLE_S = 1.0
SHORT_HOLD = Duration.parse("30s")


@dataclass(frozen=True)
class Drill:
    """What is broken, the alert that must come, and the seconds until what it looks at is there to be scraped."""

    words: str
    alert: str
    notices_s: float
    held: bool
    breaking: Callable[[Stack], None]
    mending: Callable[[Stack], None]


@dataclass(frozen=True)
class Seen:
    """One row; seconds from the fault, and from the mending."""

    drill: Drill
    due_s: float
    fired_s: float | None
    told_s: float | None
    ended_s: float | None
    others: tuple[str, ...]


def _signal(word: str) -> tuple[Callable[[Stack], None], Callable[[Stack], None]]:
    return lambda stack: stack.signal(signal.SIGSTOP, word), lambda stack: stack.signal(signal.SIGCONT, word)


def _postgres(signum: int) -> Callable[[Stack], None]:
    def send(stack: Stack) -> None:
        postmaster = psutil.Process(int((stack.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]))
        for process in (postmaster, *postmaster.children()):
            process.send_signal(signum)

    return send


DRILLS = (
    Drill("the node stands still", "NodeDown", 2 * SCRAPE_S, True, *_signal("app")),
    Drill("Redis stands still", "BusDisconnected", shard.SILENCE_S + shard.PING_S, True, *_signal("redis-server")),
    Drill("PostgreSQL stands still", "DatabaseDisconnected", db.SILENCE_S, True,
          _postgres(signal.SIGSTOP), _postgres(signal.SIGCONT)),
    Drill("every delivery 400 ms late", "FanoutLatencyThreshold", 1.0, True,
          lambda stack: stack.switch(fanout_delay_ms=400), lambda stack: stack.switch()),
    Drill("every message acknowledged and lost", "ProbeCanaryLost", PROBE_EVERY_S + FINAL_AFTER_S + SETTLE_S, False,
          lambda stack: stack.switch(drop_every=1), lambda stack: stack.switch()),
)  # fmt: skip


class Told:
    """What on-call told, with the moment it came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[tuple[float, str, str]] = []

    def add(self, notification: dict[str, object]) -> None:
        """Somebody was told."""
        labels = notification["labels"]
        assert isinstance(labels, dict)  # noqa: S101  on-call's own JSON
        if labels.get("alertname") == DRILL:
            return  # a prober's, which calls nobody
        with self._lock:
            self._all.append((time.time(), str(labels.get("alertname", "")), str(notification["cause"])))

    def since(self, moment: float, *, ends: bool) -> list[tuple[float, str]]:
        """Moment and alert of each end that was told, or of each beginning."""
        with self._lock:
            return [(at, alert) for at, alert, cause in self._all if at >= moment and (cause == RESOLVED) is ends]


@contextmanager
def hook() -> Iterator[tuple[str, Told]]:
    """An address that on-call can tell, and what it was told."""
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for notification in json.loads(body)["notifications"]:
                told.add(notification)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()


def drill(stack: Stack, told: Told, one: Drill) -> Seen:
    """Break, wait until it was told, mend, wait until its end was told."""
    hold_s = float(profile_of(stack).hold(SHORT_HOLD)) if one.held else 0.0
    _until(lambda: not stack.query(f'ALERTS{{alertname="{one.alert}"}}'))
    one.breaking(stack)
    began = time.time()
    fired = _until(lambda: stack.fired_at(f'alertname="{one.alert}"', began))
    first = _until(lambda: _first(told.since(began, ends=False), one.alert))
    others = sorted({alert for _, alert in told.since(began, ends=False)} - {one.alert})
    one.mending(stack)
    mended = time.time()
    ended = _until(lambda: _first(told.since(mended, ends=True), one.alert))
    return Seen(
        one, one.notices_s + hold_s + 2 * SCRAPE_S, _after(fired, began), _after(first, began), _after(ended, mended),
        tuple(others),
    )  # fmt: skip


def _until(look: Callable[[], float | bool | None]) -> float | None:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if found := look():
            return float(found)
        time.sleep(LOOK_S)
    return None


def _first(told: Sequence[tuple[float, str]], alert: str) -> float | None:
    return min((at for at, name in told if name == alert), default=None)


def _after(moment: float | None, began: float) -> float | None:
    return None if moment is None else moment - began


def table(rows: Sequence[Seen]) -> str:
    """The rows as a table of Markdown."""
    lines = [
        "| fault | alert | fires, due | fires | told, due | told | end told after the mending | told besides |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        told_due = row.due_s + GROUP_WAIT_S + TOLD_S
        cells = (f"≤ {row.due_s:.1f} s", _s(row.fired_s), f"≤ {told_due:.1f} s", _s(row.told_s), _s(row.ended_s))
        besides = ", ".join(f"`{name}`" for name in row.others) or "–"
        lines.append(f"| {row.drill.words} | `{row.drill.alert}` | {' | '.join(cells)} | {besides} |")
    return "\n".join(lines)


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


@click.command()
@click.option("--only", multiple=True, type=click.Choice([one.alert for one in DRILLS]), help="Alerts to drill.")
def main(only: tuple[str, ...]) -> None:
    """Break the real stack in five ways. Exit status 1 when nobody was told, or nobody of the end."""
    children.end_on_sigterm()
    children.end_after(LIMIT_S)
    rows: list[Seen] = []
    with hook() as (url, told), tempfile.TemporaryDirectory(prefix="messenger-drills-") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        with running_stack(Path(name) / "run", ONCALL_HOOK=url, TRAFFIC_PER_S="10") as stack:
            time.sleep(HEALTHY_S)
            for one in DRILLS:
                if not only or one.alert in only:
                    print(one.words, file=sys.stderr, flush=True)
                    rows.append(drill(stack, told, one))
    print(table(rows))
    if any(row.told_s is None or row.ended_s is None for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
