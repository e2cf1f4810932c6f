"""The smallest client of a node that can hold 15,000 connections: plain sockets and one epoll.

It runs in a process of its own, told what to do through a pipe (see `process`).
It parses no JSON while it is measured: what the server says is told apart by its first bytes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from deploy.bench import handshake
from deploy.bench.handshake import CLOSE, PING, PONG, TEXT

READ_BYTES = 65_536
SOURCES = 5_000
"""Connections from one source address, far below the number of its ports."""
IN_FLIGHT = 200
STUCK_S = 30.0
_spawn = multiprocessing.get_context("spawn")
Tell = Callable[..., Any]
"""How a client process is told what to do; see `process`."""


class LostConnection(Exception):
    """The server closed a connection, or refused it; the text says how."""


@dataclass(frozen=True)
class Person:
    """A line of the file that `app seed` writes."""

    device: int
    conversations: list[int]
    token: str


def people(tokens: Path, count: int) -> list[Person]:
    """The first `count` people of a tokens file."""
    with tokens.open() as file:
        lines = [json.loads(line) for line in islice(file, count)]
    return [Person(line["device"], line["conversations"], line["token"]) for line in lines]


class Peer:
    """One connection. `synced` once the server has said so; `rest` is the beginning of a frame."""

    __slots__ = ("heads", "person", "rest", "sock", "stage", "synced")

    def __init__(self, sock: socket.socket, person: Person) -> None:
        self.sock = sock
        self.person = person
        self.stage = "connecting"
        self.rest = b""
        self.synced = False
        self.heads: dict[int, int] | None = None  # what `delivered` will say, until it was said

    def say(self, text: bytes) -> None:
        """Send a text frame; small ones always fit into the kernel's buffer."""
        self.sock.send(handshake.frame(text))


class Engine:
    """All connections of this process; `heard` gets every text that comes after `synced`."""

    def __init__(self, port: int, heard: Callable[[Peer, bytes], None] = lambda _peer, _text: None) -> None:
        self.peers: dict[int, Peer] = {}
        self.epoll = select.epoll()
        self._port = port
        self._heard = heard
        self._request = handshake.request(port, "/ws")
        self._opened = 0
        self._times = 0
        self.synced = 0

    def open_all(self, arrivals: deque[Person], in_flight: int = IN_FLIGHT) -> None:
        """Connect everybody, at most `in_flight` at a time, until all are synced.

        Raises LostConnection when one is refused or closed, or none has got on for STUCK_S.
        """
        goal, seen, moved_at = self.synced + len(arrivals), self.synced, time.monotonic()
        while self.synced < goal:
            if self.synced > seen:
                seen, moved_at = self.synced, time.monotonic()
            elif time.monotonic() - moved_at > STUCK_S:
                raise LostConnection(f"{goal - self.synced} connections are stuck")
            while arrivals and self._opened - self.synced < in_flight:
                self._open(arrivals.popleft())
            self.turn(1.0)

    def close_all(self) -> None:
        """Hang up everywhere."""
        for peer in self.peers.values():
            peer.sock.close()
        self.peers.clear()
        self._opened = self.synced = 0
        self._times += 1

    def turn(self, timeout_s: float) -> list[int]:
        """One turn of the loop; returns the descriptors with news that are not ours."""
        others = []
        for fd, _events in self.epoll.poll(timeout_s):
            peer = self.peers.get(fd)
            if peer is None:
                others.append(fd)
            elif peer.stage == "connecting":
                peer.sock.send(self._request)
                peer.stage = "upgrading"
                self.epoll.modify(fd, select.EPOLLIN)
            else:
                self._readable(peer)
        return others

    def _open(self, person: Person) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Another address each time: among the ports of those just closed the kernel would search long for a free one.
        sock.bind((f"127.{self._times}.{1 + self._opened // SOURCES}.1", 0))
        with contextlib.suppress(BlockingIOError):
            sock.connect(("127.0.0.1", self._port))
        self.peers[sock.fileno()] = Peer(sock, person)
        self.epoll.register(sock, select.EPOLLOUT)
        self._opened += 1

    def _readable(self, peer: Peer) -> None:
        data = peer.rest + (news := peer.sock.recv(READ_BYTES))
        if not news:
            raise LostConnection("a connection was closed by the server")
        if peer.stage == "upgrading":
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                peer.rest = head
                return
            handshake.require_switch(head)
            peer.stage = "open"
            peer.say(b'{"type":"hello","token":"' + peer.person.token.encode() + b'"}')
        after = 0
        for opcode, payload, after in handshake.parse(data):  # noqa: B007  where the last whole frame ended
            self._frame(peer, opcode, payload)
        peer.rest = data[after:]

    def _frame(self, peer: Peer, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            if peer.synced:
                self._heard(peer, payload)
            elif payload.startswith(b'{"type":"synced"'):
                peer.synced = True
                self.synced += 1
            elif payload.startswith(b'{"type":"error"'):
                raise LostConnection(payload.decode())
            elif payload.startswith((b'{"type":"member"', b'{"type":"message"')):
                row = json.loads(payload)
                peer.heads = peer.heads or {}
                peer.heads[row["conv"]] = row["seq"]
        elif opcode == PING:
            peer.sock.send(handshake.frame(payload, PONG))
        elif opcode == CLOSE:
            raise LostConnection(f"closed with {int.from_bytes(payload[:2], 'big')}: {payload[2:].decode()}")

    def acknowledge(self) -> None:
        """Say once what was caught up with, so that the server stores the cursors."""
        for peer in self.peers.values():
            if peer.heads:
                peer.say(json.dumps({"type": "delivered", "cursors": peer.heads}).encode())
                peer.heads = None
            self.turn(0.0)


@dataclass(frozen=True)
class Rate:
    """What one stage of `Sender.run` came to; latencies in seconds, from a send to its ack."""

    window: int
    seconds: float
    acks: int
    errors: int
    messages: int
    latencies_s: list[float]


# --- the process, and what it is told ------------------------------------------------------------------


@contextmanager
def process(port: int, tokens: Path, count: int) -> Iterator[Tell]:
    """A client of its own process for the first `count` people; call it with a command and its arguments.

    `connect n`: so many more connections, synced; returns the seconds. `acknowledge`: store their cursors.
    `cpu`: CPU seconds of the client so far.
    `hang_up`. `send window seconds tag`: see `Sender`. Raises LostConnection with what went wrong over there.
    """
    here, there = _spawn.Pipe()
    child = _spawn.Process(target=_obey, args=(there, port, tokens, count), daemon=True)
    child.start()
    there.close()

    def tell(command: str, *arguments: Any) -> Any:
        here.send((command, arguments))
        answer = here.recv()
        if isinstance(answer, LostConnection):
            raise answer
        return answer

    try:
        yield tell
    finally:
        child.kill()
        child.join()
        here.close()


def _obey(pipe: Pipe, port: int, tokens: Path, count: int) -> None:
    everybody = people(tokens, count)
    sender = Sender(port)
    engine = sender.engine
    engine.epoll.register(pipe.fileno(), select.EPOLLIN)

    def connect(number: int) -> float:
        at = len(engine.peers)
        started = time.perf_counter()
        engine.open_all(deque(everybody[at : at + number]))
        return time.perf_counter() - started

    commands: dict[str, Callable[..., Any]] = {
        "connect": connect,
        "acknowledge": engine.acknowledge,
        "cpu": time.process_time,
        "hang_up": engine.close_all,
        "send": sender.run,
    }
    try:
        while True:
            if engine.turn(10.0):
                command, arguments = pipe.recv()
                pipe.send(commands[command](*arguments))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001  told to the other side, which ends us
        pipe.send(LostConnection(f"{type(error).__name__}: {error}"))


class Sender:
    """Keeps a window of sends in flight on every connection: each ack is answered with the next send."""

    def __init__(self, port: int) -> None:
        self.engine = Engine(port, self._heard)
        self._sent_at: dict[bytes, float] = {}
        self._latencies: list[float] = []
        self._errors = self._messages = self._number = 0
        self._tag = ""
        self._sending = False

    def run(self, window: int, seconds: float, tag: str) -> Rate:
        """Send for `seconds`, then wait for what is still in flight; `tag` makes the ids new."""
        self._latencies, self._errors, self._messages, self._tag = [], 0, 0, f"{tag}-{window}"
        self._sending = True
        started = time.perf_counter()
        for peer in self.engine.peers.values():
            for _ in range(window):
                self._send(peer)
        while time.perf_counter() - started < seconds:
            self.engine.turn(0.1)
        self._sending = False
        took_s = time.perf_counter() - started
        rate = Rate(window, took_s, len(self._latencies), self._errors, self._messages, self._latencies[:])
        deadline = time.perf_counter() + 30
        while self._sent_at:
            self.engine.turn(0.1)
            if time.perf_counter() > deadline:
                raise LostConnection(f"{len(self._sent_at)} sends were never answered")
        return rate

    def _send(self, peer: Peer) -> None:
        self._number += 1
        name = f"{self._tag}-{self._number}"
        conversations = peer.person.conversations
        conv = conversations[self._number % len(conversations)]
        self._sent_at[name.encode()] = time.perf_counter()
        peer.say(f'{{"type":"send","id":"{name}","conv":{conv},"body":"0123456789abcdefghijklmnopqrstuv"}}'.encode())

    def _heard(self, peer: Peer, text: bytes) -> None:
        if text.startswith(b'{"type":"message"'):
            self._messages += 1
        elif text.startswith((b'{"type":"ack"', b'{"type":"error"')):
            _, _, rest = text.partition(b'"id":"')
            sent_at = self._sent_at.pop(rest[: rest.index(b'"')])
            if text.startswith(b'{"type":"ack"'):
                self._latencies.append(time.perf_counter() - sent_at)
            else:
                self._errors += 1
            if self._sending:
                self._send(peer)
