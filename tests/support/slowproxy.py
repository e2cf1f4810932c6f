"""A proxy that lets everything through late, or not at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NEVER_S = 3600.0


class SlowProxy:
    """Hands each piece on after `delay_s`, which may change at any time; it accepts connections at once."""

    def __init__(self, target_port: int, delay_s: float) -> None:
        self.delay_s = delay_s
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop; open connections end with it."""
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while self._open:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target_port))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with source, sink, suppress(OSError):
            while self._open and (piece := source.recv(65536)):
                came_at = time.monotonic()
                while self._open and time.monotonic() - came_at < self.delay_s:
                    time.sleep(0.01)
                sink.sendall(piece)
            for end in (source, sink):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_proxy(target_port: int, delay_s: float = 0.0) -> Iterator[SlowProxy]:
    """A proxy to a port of loopback."""
    proxy = SlowProxy(target_port, delay_s)
    try:
        yield proxy
    finally:
        proxy.close()
