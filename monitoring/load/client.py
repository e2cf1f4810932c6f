"""One device of the load tool: the little that is kept for it, and how its connection is opened."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from enum import IntEnum

from monitoring.load.plan import Person, source_address

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: choose the port at connect, when the target is known


class State(IntEnum):
    """Where a connection is."""

    GONE = -1
    """Given up: it must not come back."""
    DOWN = 0
    CONNECTING = 1
    UPGRADING = 2
    GREETING = 3
    LIVE = 4


@dataclass(slots=True)
class Waiting:
    """A send without its acknowledgement; `due_at` is on the monotonic clock."""

    conv: int
    due_at: float


class Client:
    """One device. What an idle device does not need is None."""

    __slots__ = (
        "attempts", "came", "cursors", "deadline", "drain_s", "epoch", "fd", "number", "outbox", "partial",
        "person", "place", "state", "unreported", "waiting",
    )  # fmt: skip

    def __init__(self, person: Person, place: int) -> None:
        self.person = person
        self.place = place  # among all clients of all processes
        self.state = State.DOWN
        self.fd = -1
        self.number = 0  # connections so far
        self.came = False  # was signed in at least once
        self.attempts = 0  # since the last that succeeded
        self.deadline = 0.0
        self.partial: bytes | None = None  # received, not a whole frame yet
        self.outbox: bytes | None = None  # what the kernel would not take
        self.cursors: dict[int, int] | None = None  # of conversations that had rows
        self.unreported: dict[int, int] | None = None  # cursors since the last `delivered`
        self.waiting: dict[str, Waiting] | None = None
        self.drain_s: float | None = None
        self.epoch: str | None = None


def address_of(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, (str(address[0]), int(address[1]))


def open_connection(family: socket.AddressFamily, address: tuple[str, int], place: int) -> int:
    """A descriptor that is connecting; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address[0].startswith("127."):
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source_address(place), 0))
        code = sock.connect_ex(address)
    except OSError:
        sock.close()
        raise
    if code not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock.detach()


def connect_error(fd: int) -> str:
    """Why a connection could not be made, in words."""
    sock = socket.socket(fileno=fd)
    try:
        return os.strerror(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    finally:
        sock.detach()
