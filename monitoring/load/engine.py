"""One client process's connections: an epoll loop over bare descriptors, everything in one thread.

It shares the machine with the servers it measures, so it must be cheap: no thread, no buffer and no
parser object for an idle connection, one read a wake-up, frames decoded once. It keeps the rules of
`docs/protocol.md` as a careful client would: cursors, `delivered` at most once a second, full jitter,
repeats with the same id.
"""

from __future__ import annotations

import os
import random
import select
import time
from collections import defaultdict
from collections.abc import Callable

from monitoring.load import wire
from monitoring.load.client import Client, State, Waiting, address_of, connect_error, open_connection
from monitoring.load.history import History
from monitoring.load.plan import Shard
from monitoring.load.tally import Tally
from monitoring.load.traffic import Due, Traffic

READ_BYTES = 64 * 1024
CONNECT_DEADLINE_S = 20.0
"""From the first packet to `synced`."""
BACKOFF_BASE_S, BACKOFF_CAP_S = 1.0, 30.0
NOT_TO_COME_BACK = frozenset({1008, 4401, 4402, 4409})
NO_CODE = 1006
"""The connection broke without a close frame (RFC 6455, section 7.4.1)."""
TICK_S = 0.02
_EVENTS = 512


class Engine:
    """The clients of one shard. `run` returns when `stop` was called; all else happens inside it."""

    def __init__(self, shard: Shard, on_command: Callable[[], None], command_fd: int) -> None:
        self._shard = shard
        self._on_command, self._command_fd = on_command, command_fd
        self.tally = Tally()
        self.history = History()
        self.clients = [Client(person, shard.first + at) for at, person in enumerate(shard.people)]
        self._by_fd: dict[int, Client] = {}
        self._epoll = select.epoll()
        self._addresses = [address_of(target.host, target.port) for target in shard.targets]
        self._requests = [wire.upgrade(f"{target.host}:{target.port}", target.path) for target in shard.targets]
        self._later: defaultdict[int, list[tuple[Callable[[Client], None], Client]]] = defaultdict(list)
        self._tick = int(time.monotonic() / TICK_S)
        self._to_connect = iter(self.clients)
        self._ready_to_connect: list[Client] = []  # those that come back
        self._epoch = ""
        self._opening = 0
        self._connect_allowance = 0.0
        self._allowance_at = time.monotonic()
        self._running = True
        self._traffic: Traffic | None = None
        self._cpu_from = 0.0
        self._actions: dict[type, Callable[[Client, wire.Event], None]] = {
            wire.Message: self._on_message,
            wire.Ack: self._on_ack,
            wire.Member: self._on_member,
            wire.Welcome: self._on_welcome,
            wire.Synced: self._on_synced,
            wire.Resync: self._on_resync,
            wire.Drain: self._on_drain,
            wire.Error: self._on_error,
        }

    # --- the loop -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Connect, and go on until `stop`."""
        self._epoll.register(self._command_fd, select.EPOLLIN)
        while True:
            events = self._epoll.poll(self._patience(), _EVENTS)
            began = time.monotonic()
            for fd, mask in events:
                client = self._by_fd.get(fd)
                if client is not None:
                    self._on_ready(client, mask)
                elif fd == self._command_fd:
                    self._on_command()
            if not self._running:
                return
            self._timers(began)
            self._connect_due(began)
            if self._traffic is not None:
                for send in self._traffic.due(time.monotonic()):
                    self._send(send)
                turn_s = time.monotonic() - began
                self.tally.turns.record(turn_s)
                self.tally.busy_s += turn_s

    def start_traffic(self, rate_per_s: float, duration_s: float) -> None:
        """Begin our share of the sends, of which there are `rate_per_s` in all."""
        self._traffic = Traffic(self._shard, rate_per_s * self._shard.share, time.monotonic(), duration_s)
        self._cpu_from = time.process_time()

    def stop(self) -> None:
        """Hang up everywhere and end the loop."""
        self._running = False
        for client in list(self._by_fd.values()):
            self._write(client, wire.close(1000))
        for fd in list(self._by_fd):
            os.close(fd)
        self._by_fd.clear()

    def snapshot(self) -> Tally:
        """The tally, with the figures of the process itself."""
        self.tally.cpu_s = time.process_time() - self._cpu_from if self._traffic is not None else 0.0
        self.tally.rss_bytes = _rss_bytes()
        return self.tally

    def _patience(self) -> float:
        """How long the loop may sleep, in seconds."""
        wait_s = self._traffic.wait_s(time.monotonic()) if self._traffic is not None else TICK_S
        return min(TICK_S, wait_s)

    def _timers(self, now: float) -> None:
        while self._tick <= now / TICK_S:
            for action, client in self._later.pop(self._tick, ()):
                action(client)
            self._tick += 1

    def _after(self, delay_s: float, action: Callable[[Client], None], client: Client) -> None:
        tick = int((time.monotonic() + delay_s) / TICK_S) + 1
        self._later[max(tick, self._tick + 1)].append((action, client))

    # --- connecting -----------------------------------------------------------------------------------

    def _connect_due(self, now: float) -> None:
        """Open what rate and number in flight allow."""
        rate = self._shard.connect_rate_per_s
        self._connect_allowance = min(rate * 0.1 + 1, self._connect_allowance + (now - self._allowance_at) * rate)
        self._allowance_at = now
        while self._connect_allowance >= 1 and self._opening < self._shard.in_flight:
            client = self._ready_to_connect.pop() if self._ready_to_connect else next(self._to_connect, None)
            if client is None:
                return
            self._connect_allowance -= 1
            self._connect(client, now)

    def _connect(self, client: Client, now: float) -> None:
        self._opening += 1
        if not self.tally.connects:
            self.tally.ramp = now, now
        self.tally.connects += 1
        self.tally.reconnects += client.number > 0
        family, address = self._addresses[(client.place + client.number) % len(self._addresses)]
        client.number += 1
        client.state, client.deadline = State.CONNECTING, now + CONNECT_DEADLINE_S
        try:
            client.fd = open_connection(family, address, client.place)
        except OSError as error:
            self._failed(client, error.strerror or type(error).__name__)
            return
        self._by_fd[client.fd] = client
        self._epoll.register(client.fd, select.EPOLLIN | select.EPOLLOUT)
        self._after(CONNECT_DEADLINE_S, self._expire, client)

    def _expire(self, client: Client) -> None:
        if State.DOWN < client.state < State.LIVE and time.monotonic() >= client.deadline:
            self._lose(client, "not signed in in time")

    def _come_back(self, client: Client) -> None:
        self._ready_to_connect.append(client)

    def _failed(self, client: Client, why: str, delay_s: float | None = None) -> None:
        """The attempt is over; another follows with full jitter."""
        self._opening -= 1
        self.tally.connects_failed += 1
        self.tally.connect_errors[why] += 1
        self._rest(client, delay_s)

    def _rest(self, client: Client, delay_s: float | None) -> None:
        client.state = State.DOWN
        if delay_s is None:
            delay_s = random.random() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0**client.attempts)  # noqa: S311
        client.attempts += 1
        self._after(delay_s, self._come_back, client)

    def _lose(self, client: Client, why: str, code: int = NO_CODE) -> None:
        """The connection is gone: close our end and decide whether to come back."""
        state, drain_s = client.state, client.drain_s
        self._hang_up(client)
        if code in NOT_TO_COME_BACK:
            self.tally.given_up += 1
        if state is State.LIVE:
            self.tally.live -= 1
            if drain_s is None:
                self.tally.unexpected_closes[str(code)] += 1
            else:
                self.tally.drained += 1
        else:
            self._opening -= 1
            self.tally.connects_failed += 1
            self.tally.connect_errors[why if code == NO_CODE else f"{why} with {code}"] += 1
        if code in NOT_TO_COME_BACK:
            client.state = State.GONE
        else:
            self._rest(client, drain_s)

    def _hang_up(self, client: Client) -> None:
        del self._by_fd[client.fd]
        os.close(client.fd)  # which takes it out of the epoll set
        client.fd = -1
        client.partial = client.outbox = client.drain_s = None

    # --- bytes ----------------------------------------------------------------------------------------

    def _on_ready(self, client: Client, mask: int) -> None:
        if mask & select.EPOLLERR and client.state is State.CONNECTING:
            self._lose(client, connect_error(client.fd))
            return
        try:
            if mask & select.EPOLLOUT:
                self._on_writable(client)
            if mask & ~select.EPOLLOUT and client.fd >= 0:
                data = os.read(client.fd, READ_BYTES)
                if data:
                    self._on_bytes(client, data)
                else:
                    self._lose(client, "closed")
        except BlockingIOError:
            pass
        except OSError as error:
            self._lose(client, error.strerror or type(error).__name__)
        except wire.ProtocolError as error:
            self._lose(client, str(error))

    def _on_writable(self, client: Client) -> None:
        if client.state is State.CONNECTING:
            place = (client.place + client.number - 1) % len(self._requests)
            client.state = State.UPGRADING
            self._epoll.modify(client.fd, select.EPOLLIN)
            self._write(client, self._requests[place])
        elif client.outbox is not None:
            data, client.outbox = client.outbox, None
            self._epoll.modify(client.fd, select.EPOLLIN)
            self._write(client, data)

    def _write(self, client: Client, data: bytes) -> None:
        """Write now; what the kernel refuses waits. A dead connection is found by the next read."""
        if client.outbox is not None:
            client.outbox += data
            return
        try:
            written = os.write(client.fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            return
        if written < len(data):
            client.outbox = data[written:]
            self._epoll.modify(client.fd, select.EPOLLIN | select.EPOLLOUT)

    def _on_bytes(self, client: Client, data: bytes) -> None:
        if client.partial is not None:
            data = client.partial + data
            client.partial = None
        if client.state is State.UPGRADING:
            rest = wire.upgraded(data)
            if rest is None:
                client.partial = data
                return
            self._greet(client)
            data = rest
        frames, rest = wire.split(data)
        for first, payload in frames:
            if first == wire.TEXT:
                event = wire.event(payload)
                action = self._actions.get(type(event))
                if action is not None:
                    action(client, event)
            elif self._on_control(client, first, payload):
                return
        if rest:
            client.partial = rest

    def _on_control(self, client: Client, first: int, payload: bytes) -> bool:
        """Answer a ping or a close; True when the connection is gone."""
        if first == wire.PING:
            self._write(client, wire.frame(payload, wire.PONG))
            return False
        if first == wire.CLOSE:
            code = wire.close_code(payload)
            self._write(client, wire.close(1000))
            self._lose(client, "closed", code)
            return True
        if first == wire.PONG:
            return False
        raise wire.ProtocolError(f"a frame that begins with {first:#x}")

    # --- events ---------------------------------------------------------------------------------------

    def _greet(self, client: Client) -> None:
        client.state = State.GREETING
        heads, cursors = self._shard.heads, client.cursors or {}
        if heads is not None:
            cursors = {conv: heads[conv] for conv in client.person.conversations} | cursors
        self._write(client, wire.hello(client.person.token, cursors, client.epoch))

    def _on_welcome(self, client: Client, event: wire.Event) -> None:
        assert isinstance(event, wire.Welcome)  # noqa: S101  by the table of actions
        if event.epoch != self._epoch:
            self._epoch = event.epoch
        client.epoch = self._epoch  # one string for all clients, not one for each

    def _on_synced(self, client: Client, event: wire.Event) -> None:
        del event
        if client.state is not State.GREETING:
            return
        if not client.came:
            self.tally.ramp = self.tally.ramp[0], time.monotonic()
        client.state, client.attempts, client.came = State.LIVE, 0, True
        self._opening -= 1
        self.tally.live += 1
        for message_id, waiting in (client.waiting or {}).items():
            self.tally.repeats += 1
            self._write(client, wire.send(message_id, waiting.conv, self._shard.body))
        if client.unreported:
            self._after(_report_delay_s(), self._report, client)

    def _on_resync(self, client: Client, event: wire.Event) -> None:
        del event
        self.tally.resyncs += 1
        client.cursors = client.unreported = None

    def _on_drain(self, client: Client, event: wire.Event) -> None:
        assert isinstance(event, wire.Drain)  # noqa: S101
        client.drain_s = event.retry_after_ms / 1000

    def _on_error(self, client: Client, event: wire.Event) -> None:
        assert isinstance(event, wire.Error)  # noqa: S101
        self.tally.error_frames[event.code] += 1
        if event.id is None or not client.waiting or event.id not in client.waiting:
            return
        if event.retry_after_ms is None:
            del client.waiting[event.id]
            self.tally.outstanding -= 1
        else:
            self._after(event.retry_after_ms / 1000, self._repeat(event.id), client)

    def _repeat(self, message_id: str) -> Callable[[Client], None]:
        def repeat(client: Client) -> None:
            waiting = client.waiting.get(message_id) if client.waiting else None
            if waiting is not None and client.state is State.LIVE:
                self.tally.repeats += 1
                self._write(client, wire.send(message_id, waiting.conv, self._shard.body))

        return repeat

    def _on_ack(self, client: Client, event: wire.Event) -> None:
        assert isinstance(event, wire.Ack)  # noqa: S101
        self.history.acknowledged(client.person.device, event.id, event.conv, event.seq)
        waiting = client.waiting.pop(event.id, None) if client.waiting else None
        if waiting is None:
            return
        if not client.waiting:
            client.waiting = None
        tally = self.tally
        tally.ack.record(time.monotonic() - waiting.due_at)
        tally.acks += 1
        tally.outstanding -= 1
        tally.owed += self._shard.members[event.conv]

    def _on_message(self, client: Client, event: wire.Event) -> None:
        assert isinstance(event, wire.Message)  # noqa: S101
        tally = self.tally
        tally.received += 1
        ours = event.id.startswith(self._shard.run)
        if self._apply(client, event.conv, event.seq, event.id) and ours:
            # A repeat or an old message is no measure of fan-out.
            tally.fanout.record(time.time() - event.ts)
            tally.applied += 1

    def _on_member(self, client: Client, event: wire.Event) -> None:
        assert isinstance(event, wire.Member)  # noqa: S101
        if event.event == "joined" and event.user == client.person.user and client.cursors:
            # What lies between leaving and coming back is not for this device.
            client.cursors[event.conv] = max(event.seq - 1, client.cursors.get(event.conv, 0))
        self._apply(client, event.conv, event.seq, None)

    def _apply(self, client: Client, conv: int, seq: int, message_id: str | None) -> bool:
        """Apply a row when it is the next of its conversation; False when it is a repeat or comes too early."""
        device = client.person.device
        self.history.received(device, client.number, conv, seq)
        cursors = client.cursors
        if cursors is None:
            cursors = client.cursors = {}
        cursor = cursors.get(conv)
        if cursor is None:
            cursor = self._shard.heads[conv] if self._shard.heads is not None else seq - 1
        if seq != cursor + 1:
            self.tally.gaps += seq > cursor
            return False
        cursors[conv] = seq
        self.history.applied(device, conv, seq, message_id)
        if client.unreported is None:
            client.unreported = {conv: seq}
            self._after(_report_delay_s(), self._report, client)
        else:
            client.unreported[conv] = seq
        return True

    def _report(self, client: Client) -> None:
        """`delivered`; while the connection is down the cursors wait for the next one."""
        if client.unreported and client.state is State.LIVE:
            self._write(client, wire.delivered(client.unreported))
            client.unreported = None

    # --- traffic --------------------------------------------------------------------------------------

    def _send(self, send: Due) -> None:
        client, shard = self.clients[send.place], self._shard
        message_id = f"{shard.run}{shard.index}-{self.tally.sends}"
        self.history.sent(client.person.device, message_id, send.conv)
        if client.waiting is None:
            client.waiting = {}
        client.waiting[message_id] = Waiting(send.conv, send.at)
        self.tally.sends += 1
        self.tally.outstanding += 1
        if client.state is State.LIVE:  # otherwise it goes out when the client is back
            self._write(client, wire.send(message_id, send.conv, shard.body))


def _report_delay_s() -> float:
    """At most once a second, and not all clients at the same moment."""
    return 1.0 + random.random()  # noqa: S311


def _rss_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  each second, in the loop
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
