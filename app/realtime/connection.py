"""One WebSocket connection: a descriptor, a libev watcher and this object; no greenlet, no parser while idle.

`_readable` and `_writable` run in the event loop's own greenlet: they receive, parse, hand on
and send without blocking. An exception that escaped there would stop the watcher for ever, so
each ends in a catch-all that closes the connection.

Sending is direct: `send` writes to the kernel at once, and only what the kernel refuses is
queued. The queue is bounded in bytes; a listener that lets it fill is closed with 4008 and
resumes later, because it must not cost the others anything.

Receiving ends in one way, whoever began it (RFC 6455, section 7.1): a close frame is sent once,
our half of the connection is shut down, and what still comes is read and thrown away until the
client hangs up. Closing at once with unread bytes would reset the connection, and a reset can
destroy the close frame on its way.
"""

from __future__ import annotations

import _socket
import itertools
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

from gevent import get_hub

from app.protocol.frames import Decoder, Event, FrameError, Opcode, decode_whole, encode, encode_close

READ_BYTES = 65_536
MAX_QUEUE_BYTES = 1_048_576
COALESCE_BYTES = 65_536
SEND_BUFFER_BYTES = 65_536
LINGER_BYTES = 4 * 1_048_576
"""What is read and thrown away after our last frame; who sends more is cut."""
_numbers = itertools.count()
_READ, _WRITE = 1, 2  # libev's EV_READ and EV_WRITE


class Owner(Protocol):
    """Who a connection reports to; called in the event loop, so nothing here may wait."""

    max_message_bytes: int
    """Longest message that is taken; a longer one ends its connection with 1009."""

    def received(self, conn: Connection, text: str) -> None:
        """A text message came."""

    def received_bytes(self, conn: Connection, data: bytes) -> None:
        """A binary message came."""

    def flushed(self, stamp: float) -> None:
        """A frame that had to queue has reached the kernel; `stamp` is what `send` was given."""

    def closing(self, conn: Connection) -> None:
        """We sent a close frame: nothing more will be sent. The owner aborts who does not hang up soon."""

    def closed(self, conn: Connection, code: int) -> None:
        """The connection is gone; called exactly once."""


class Connection:
    """Owns its socket from the moment it is made. All methods are for the loop's thread only."""

    __slots__ = (
        "_decoder",
        "_discarded_bytes",
        "_owner",
        "_queue",
        "_reader",
        "_sock",
        "_writer",
        "close_code",
        "heard",
        "number",
        "queued_bytes",
        "session",
    )

    def __init__(self, sock: _socket.socket, owner: Owner) -> None:
        """`sock` is a plain, connected, non-blocking socket (not gevent's)."""
        self._sock = sock
        self._owner = owner
        self._decoder: Decoder | None = None
        self._discarded_bytes: int | None = None  # since we stopped parsing; None while we do
        self._queue: deque[tuple[bytes, float]] | None = None
        self._writer: Any = None
        self.queued_bytes = 0
        self.close_code = 0  # of the close frame we sent; 0 while open
        self.heard = True  # something came since the last beat
        self.number = next(_numbers)  # in the order of acceptance
        self.session: Any = None  # the owner's
        self._reader = get_hub().loop.io(sock.fileno(), _READ)
        self._reader.start(self._readable)

    @property
    def open(self) -> bool:
        """Whether frames may still be sent."""
        return self.close_code == 0

    def send(self, frame: bytes, stamp: float = 0.0) -> bool:
        """Hand a frame to the kernel, or queue what it does not take.

        True when the kernel took all of it now. A frame with a `stamp` that had to queue is
        reported to the owner's `flushed` once the kernel has it. After a close it is dropped.
        """
        if self.close_code:
            return False
        if self._queue is None:
            try:
                sent = self._sock.send(frame)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.abort(1006)
                return False
            if sent == len(frame):
                return True
            frame = frame[sent:]
            self._queue = deque()
            self._writer = get_hub().loop.io(self._sock.fileno(), _WRITE)
            self._writer.start(self._writable)
        self._queue.append((frame, stamp))
        self.queued_bytes += len(frame)
        if self.queued_bytes > MAX_QUEUE_BYTES:
            self._give_up()
        return False

    def ping(self) -> None:
        """Ask whether the other side lives; any byte from it counts as the answer."""
        self.heard = False
        self.send(encode(Opcode.PING, b""))

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame and wait for the client's; the owner cuts whoever does not answer."""
        if self.close_code == 0:
            self.send(encode_close(code, reason))
            if self.close_code == 0:  # unless the send found the connection gone
                self.close_code = code
                self._owner.closing(self)

    def abort(self, code: int) -> None:
        """Cut the connection now; `code` is what is counted and reported (1006 when it just vanished)."""
        if self._reader is None:
            return
        # Watchers first: a closed descriptor's number may be another person's a moment later.
        for watcher in (self._reader, self._writer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._reader = self._writer = self._queue = self._decoder = None
        self.queued_bytes = 0
        self.close_code = self.close_code or code
        self._sock.close()
        self._owner.closed(self, self.close_code)

    def _give_up(self) -> None:
        """Too slow a listener: drop what waits, and let only the word of why follow the frame under way."""
        assert self._queue is not None  # noqa: S101  only called after queueing
        under_way = self._queue[0]
        farewell = encode_close(4008, "too slow; reconnect and resume")
        self._queue = deque((under_way, (farewell, 0.0)))
        self.queued_bytes = len(under_way[0]) + len(farewell)
        self.close_code = 4008
        self._owner.closing(self)

    def take(self, data: bytes) -> None:
        """Act on bytes that came from the client; never raises."""
        self.heard = True
        try:
            if self._discarded_bytes is None:
                self._feed(data)
            else:
                self._discard(len(data))
        except FrameError as error:
            self._fail(error.code, error.reason)
        except Exception:  # noqa: BLE001  an escaping exception would leave this connection deaf for ever
            self._fail(1011, "internal error")

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self.take(data)
        else:
            with suppress(Exception):  # the owner's: there is nothing left here to save
                self.abort(1006)

    def _feed(self, data: bytes) -> None:
        if self._decoder is None:
            event = decode_whole(data, self._owner.max_message_bytes)
            if event is not None:
                self._handle(event)
                return
            self._decoder = Decoder(self._owner.max_message_bytes)
        decoder = self._decoder
        for event in decoder.feed(data):
            self._handle(event)
        if decoder.idle:
            self._decoder = None

    def _handle(self, event: Event) -> None:
        if event.opcode is Opcode.CLOSE:
            # Echo the code (section 5.5.1), unless this is the answer to a close frame of ours.
            self.close(1000 if event.code == 1005 else event.code)
            self._finish()
        elif self.close_code:
            return  # what comes after our close frame is no longer ours to act on
        elif event.opcode is Opcode.TEXT:
            self._owner.received(self, event.text)
        elif event.opcode is Opcode.BINARY:
            self._owner.received_bytes(self, event.data)
        elif event.opcode is Opcode.PING:
            self.send(encode(Opcode.PONG, event.data))
        # A pong needs nothing: that something came is noted already.

    def _fail(self, code: int, reason: str) -> None:
        """End a connection whose other side broke the protocol, or that we cannot serve; never raises."""
        try:
            self.close(code, reason)
            self._finish()
        except Exception:  # noqa: BLE001  see take
            with suppress(Exception):
                self.abort(code)

    def _finish(self) -> None:
        """Parse nothing more. The server hangs up first (section 7.1.1), then reads to the end."""
        self._decoder = None
        self._discarded_bytes = 0
        self._hang_up()

    def _hang_up(self) -> None:
        """Shut down our half once parsing has ended and nothing is queued any more."""
        if self._discarded_bytes is not None and not self.queued_bytes and self._reader is not None:
            self._sock.shutdown(_socket.SHUT_WR)

    def _discard(self, size_bytes: int) -> None:
        self._discarded_bytes = (self._discarded_bytes or 0) + size_bytes
        if self._discarded_bytes > LINGER_BYTES:
            self.abort(1006)

    def _writable(self) -> None:
        try:
            self._drain()
        except OSError:
            self.abort(1006)
        except Exception:  # noqa: BLE001  see _readable
            self.abort(1011)

    def _drain(self) -> None:
        """Write queued frames, many in one call, until the kernel refuses or nothing is left."""
        queue = self._queue
        while queue:
            chunk = [queue[0][0]]
            size = len(chunk[0])
            for frame, _stamp in islice(queue, 1, 64):
                if size + len(frame) > COALESCE_BYTES:
                    break
                chunk.append(frame)
                size += len(frame)
            try:
                sent = self._sock.send(b"".join(chunk))
            except (BlockingIOError, InterruptedError):
                return
            self.queued_bytes -= sent
            while queue and sent >= len(queue[0][0]):
                frame, stamp = queue.popleft()
                sent -= len(frame)
                if stamp:
                    self._owner.flushed(stamp)
            if sent:
                frame, stamp = queue[0]
                queue[0] = (frame[sent:], stamp)
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None
        self._queue = None
        self._hang_up()


def adopt(fd: int, owner: Owner) -> Connection:
    """A connection over a detached TCP descriptor, which becomes its own."""
    # The plain class under gevent's patched one: no greenlet ever waits on this socket.
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fileno=fd)
    sock.setblocking(False)
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    # A client that never reads would otherwise be lent megabytes of kernel memory.
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return Connection(sock, owner)
