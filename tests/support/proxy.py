"""A TCP proxy that fails on demand: it passes bytes, holds them back in silence, or resets connections.

One thread, one selector. A silent link still accepts (as a network that swallows packets leaves a kernel's connections
open), but nothing moves: what was sent waits and goes on when the link heals, as TCP would retransmit it.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

READ_BYTES = 65_536
MAX_WAITING_BYTES = 262_144
TICK_S = 0.05
Address = tuple[str, int] | str
"""(host, port), or the path of a Unix socket."""


@dataclass(eq=False)
class _Half:
    """Bytes from `source` to `target`, waiting since a moment on the monotonic clock."""

    source: socket.socket
    target: socket.socket
    upward: bool
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    size_bytes: int = 0
    ended: bool = False


class Proxy:
    """Listens on a port of loopback and passes everything to `target`. Switches may be turned from any thread."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._halves: dict[socket.socket, _Half] = {}
        self._selector = selectors.DefaultSelector()
        self._orders: deque[Callable[[], None]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._silent = {True: False, False: False}
        self._delay_s = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"proxy {self.port}", daemon=True)
        self._thread.start()

    # --- switches; each has happened when it returns --------------------------------------------------

    def silence(self, *, upward: bool = True, downward: bool = True) -> None:
        """Pass nothing more in these directions (upward: to the target), and close nothing."""
        self._order(lambda: self._silent.update({True: upward, False: downward}))

    def delay(self, seconds: float) -> None:
        """Let everything arrive so much later."""
        self._order(lambda: setattr(self, "_delay_s", seconds))

    def reset(self) -> None:
        """Reset every connection; new ones pass."""
        self._order(self._reset_all)

    def heal(self) -> None:
        """Pass everything again."""

        def heal() -> None:
            self._silent = {True: False, False: False}
            self._delay_s = 0.0

        self._order(heal)

    @property
    def broken(self) -> bool:
        """Whether anything is held back now."""
        return any(self._silent.values()) or self._delay_s > 0

    def close(self) -> None:
        """End it."""
        self._order(lambda: setattr(self, "_closing", True))
        self._thread.join()

    def _order(self, act: Callable[[], None]) -> None:
        done = threading.Event()

        def carry_out() -> None:
            act()
            done.set()

        self._orders.append(carry_out)
        self._wake.send(b"x")
        assert done.wait(10), "the proxy stands still"

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        while not self._closing:
            for key, _ in self._selector.select(TICK_S if self._delay_s or self._anything_waits() else None):
                if key.fileobj is self._woken:
                    self._woken.recv(1024)
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._halves:
                    self._receive(self._halves[key.fileobj])
            while self._orders:
                self._orders.popleft()()
            for half in list(self._halves.values()):
                if half.source in self._halves:  # else it ended with its other half
                    self._pass_on(half)
        self._reset_all()
        for sock in (self._listener, self._wake, self._woken):
            sock.close()
        self._selector.close()

    def _anything_waits(self) -> bool:
        return any(half.waiting or half.ended for half in self._halves.values())

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
        server = socket.socket(family)
        try:
            server.connect(self._target)
        except OSError:
            _reset(client)
            server.close()
            return
        for sock in (client, server):
            sock.setblocking(False)
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ)
        self._halves[client] = _Half(client, server, upward=True)
        self._halves[server] = _Half(server, client, upward=False)

    def _receive(self, half: _Half) -> None:
        try:
            data = half.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            half.waiting.append((time.monotonic(), data))
            half.size_bytes += len(data)
        else:
            half.ended = True
        if half.ended or half.size_bytes > MAX_WAITING_BYTES:
            self._selector.unregister(half.source)

    def _pass_on(self, half: _Half) -> None:
        if self._silent[half.upward]:
            return
        now = time.monotonic()
        was_full = half.size_bytes > MAX_WAITING_BYTES
        while half.waiting and half.waiting[0][0] + self._delay_s <= now:
            arrived, data = half.waiting.popleft()
            try:
                sent = half.target.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(half, _reset)
                return
            half.size_bytes -= sent
            if sent < len(data):
                half.waiting.appendleft((arrived, data[sent:]))
                break
        if was_full and half.size_bytes <= MAX_WAITING_BYTES and not half.ended:
            self._selector.register(half.source, selectors.EVENT_READ)
        if half.ended and not half.waiting:
            self._drop(half, socket.socket.close)

    def _drop(self, half: _Half, end: Callable[[socket.socket], None]) -> None:
        for sock in (half.source, half.target):
            if self._halves.pop(sock, None) is not None and sock in self._selector.get_map():
                self._selector.unregister(sock)
            end(sock)

    def _reset_all(self) -> None:
        for half in list(self._halves.values()):
            if half.source in self._halves:
                self._drop(half, _reset)


def _reset(sock: socket.socket) -> None:
    """Close with RST: the other side learns at once that the connection is gone."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
