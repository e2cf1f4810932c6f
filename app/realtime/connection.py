"""One WebSocket connection: a descriptor, a libev watcher and this object; no greenlet, no parser while idle.

`_readable` and `_writable` run in the event loop's own greenlet: they receive, parse, hand on
and send without blocking. An exception that escaped there would stop the watcher for ever, so
each ends in a catch-all that closes the connection.

Sending is direct: `send` writes to the kernel at once, and only what the kernel refuses is
queued, in an `Outbox` that exists while something waits. The queue is bounded in bytes and in
time; a listener that lets it fill, or takes nothing for ten seconds, is closed with 4008 and
resumes later, because it must not cost the others anything.

Receiving ends in one way, whoever began it (RFC 6455, section 7.1): a close frame is sent once,
our half of the connection is shut down, and what still comes is read and thrown away until the
client hangs up. Closing at once with unread bytes would reset the connection, and a reset can
destroy the close frame on its way.
"""

from __future__ import annotations

import _socket
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

import gevent
from gevent import get_hub

from app import logs
from app.protocol.frames import Decoder, Event, FrameError, Opcode, decode_whole, encode, encode_close

READ_BYTES = 16_384
"""What is taken from one connection before others have their turn: of the smallest frames, 7 ms of work."""
MAX_QUEUE_BYTES = 1_048_576
MAX_ALL_QUEUES_BYTES = 268_435_456
COALESCE_BYTES = 65_536
SEND_BUFFER_BYTES = 65_536
STALL_S = 10.0
"""Who takes nothing of what waits for so long is closed."""
LINGER_BYTES = 4 * 1_048_576
"""What is read and thrown away after our last frame; who sends more is cut."""
_READ, _WRITE = 1, 2  # libev's EV_READ and EV_WRITE
_PING = encode(Opcode.PING, b"")

log = logs.get("connection")


class Owner(Protocol):
    """Who a connection reports to; called in the event loop, so nothing here may wait."""

    outboxes: Outboxes
    max_message_bytes: int
    """Longest message that is taken; a longer one ends its connection with 1009."""

    def received(self, conn: Connection, text: str) -> None:
        """A text message came."""

    def received_bytes(self, conn: Connection, data: bytes) -> None:
        """A binary message came."""

    def flushed(self, token: object) -> None:
        """A frame that had to queue has reached the kernel; `token` is what `send` was given."""

    def closing(self, conn: Connection) -> None:
        """We sent a close frame: nothing more will be sent. The owner aborts who does not hang up soon."""

    def closed(self, conn: Connection, code: int) -> None:
        """The connection is gone; called exactly once."""


class Outboxes:
    """What waits for slow listeners, all of one owner's connections together.

    `each_bytes` and `total_bytes` bound the queue of one connection and of all. Who would have to
    queue beyond either is closed with 4008.
    """

    __slots__ = ("each_bytes", "total_bytes", "used_bytes", "waiting")

    def __init__(self, each_bytes: int = MAX_QUEUE_BYTES, total_bytes: int = MAX_ALL_QUEUES_BYTES) -> None:
        self.each_bytes = each_bytes
        self.total_bytes = total_bytes
        self.used_bytes = 0
        self.waiting: dict[Connection, None] = {}


class Outbox:
    """What one connection has not been able to send: frames, their tokens, and when the kernel last took something."""

    __slots__ = ("frames", "progressed_at", "size_bytes", "writer")

    def __init__(self, writer: Any) -> None:
        self.frames: deque[tuple[bytes, object]] = deque()
        self.progressed_at = time.monotonic()
        self.size_bytes = 0
        self.writer = writer


class Connection:
    """Owns its socket from the moment it is made. All methods are for the loop's thread only."""

    __slots__ = (
        "_decoder",
        "_discarded_bytes",
        "_outbox",
        "_owner",
        "_pinged",
        "_reader",
        "_sock",
        "close_code",
        "heard",
        "lively",
        "session",
    )

    def __init__(self, sock: _socket.socket, owner: Owner) -> None:
        """`sock` is a plain, connected, non-blocking socket (not gevent's)."""
        self._sock = sock
        self._owner = owner
        self._decoder: Decoder | None = None
        self._discarded_bytes: int | None = None  # since we stopped parsing; None while we do
        self._outbox: Outbox | None = None
        self.close_code = 0  # of the close frame we sent; 0 while open
        self.heard = True  # something came since the last turn
        self.lively = False  # and it shows that the other side hears us, too; set by the owner as well
        self._pinged = False
        self.session: Any = None  # the owner's
        self._reader: Any = get_hub().loop.io(sock.fileno(), _READ)
        self._reader.start(self._readable)

    @property
    def open(self) -> bool:
        """Whether frames may still be sent."""
        return self.close_code == 0

    @property
    def queued_bytes(self) -> int:
        """What waits for the kernel to take it."""
        return self._outbox.size_bytes if self._outbox is not None else 0

    def send(self, frame: bytes, token: object = None) -> bool:
        """Hand a frame to the kernel, or queue what it does not take.

        True when the kernel took all of it now. A frame that had to queue is reported to the
        owner's `flushed` with its `token` once the kernel has it. After a close it is dropped.
        """
        if self.close_code:
            return False
        if self._outbox is None:
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
        self._enqueue(frame, token)
        return False

    def offer(self, frame: bytes) -> bool:
        """Send a frame that may be lost; False when it was dropped because half the queue is full."""
        if self.queued_bytes > self._owner.outboxes.each_bytes // 2:
            return False
        return self.send(frame) or self.open

    def beat(self) -> None:
        """Have a turn of the wheel: ping, or cut when nothing came since the last ping.

        Who has shown since the last turn that it hears us needs no ping. Who dies is cut at the third turn from then.
        """
        if not (self.lively or self.heard):
            self._readable()  # on a busy node something may have come and not been read yet
        if self.lively:
            self.lively = self.heard = self._pinged = False
        elif self.heard or not self._pinged:
            self.heard, self._pinged = False, True
            self.send(_PING)
        else:
            self.abort(1006)

    def stalled(self, now: float) -> bool:
        """Whether something waits and the kernel has taken nothing for STALL_S; `now` is monotonic."""
        return self._outbox is not None and now - self._outbox.progressed_at > STALL_S

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
        self._reader.stop()
        self._reader.close()
        self._reader = self._decoder = None
        self._drop_outbox()
        self.close_code = self.close_code or code
        self._sock.close()
        self._owner.closed(self, self.close_code)

    def give_up(self) -> None:
        """Too slow a listener: drop what waits, and let only the word of why follow the frame under way."""
        out = self._outbox
        if out is None or self.close_code:
            return
        under_way = out.frames[0]
        farewell = encode_close(4008, "too slow; reconnect and resume")
        self._account(len(under_way[0]) + len(farewell) - out.size_bytes)
        out.frames = deque((under_way, (farewell, None)))
        self.close_code = 4008
        self._owner.closing(self)

    def _enqueue(self, frame: bytes, token: object) -> None:
        out, boxes = self._outbox, self._owner.outboxes
        if out is None:
            out = self._outbox = Outbox(get_hub().loop.io(self._sock.fileno(), _WRITE))
            out.writer.start(self._writable)
            boxes.waiting[self] = None
        out.frames.append((frame, token))
        self._account(len(frame))
        if out.size_bytes > boxes.each_bytes or boxes.used_bytes > boxes.total_bytes:
            self.give_up()

    def _account(self, more_bytes: int) -> None:
        assert self._outbox is not None  # noqa: S101  only called while something is queued
        self._outbox.size_bytes += more_bytes
        self._owner.outboxes.used_bytes += more_bytes

    def _drop_outbox(self) -> None:
        out = self._outbox
        if out is not None:
            out.writer.stop()
            out.writer.close()
            self._account(-out.size_bytes)
            self._owner.outboxes.waiting.pop(self, None)
            self._outbox = None

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
        except Exception as error:  # noqa: BLE001  an escaping exception would leave this connection deaf for ever
            gevent.spawn(_tell, error)  # logging may wait, and here is the event loop
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
            if self._reader is None or self._discarded_bytes is not None:
                return
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
        elif event.opcode is Opcode.PONG:
            self.lively = True

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
            try:
                self._sock.shutdown(_socket.SHUT_WR)
            except OSError:  # the client is gone already
                self.abort(1006)

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
        out = self._outbox
        while out is not None and out.frames:
            frames = out.frames
            chunk = [frames[0][0]]
            size = len(chunk[0])
            for frame, _token in islice(frames, 1, 64):
                if size + len(frame) > COALESCE_BYTES:
                    break
                chunk.append(frame)
                size += len(frame)
            try:
                sent = self._sock.send(b"".join(chunk))
            except (BlockingIOError, InterruptedError):
                return
            out.progressed_at = time.monotonic()
            self._account(-sent)
            while frames and sent >= len(frames[0][0]):
                frame, token = frames.popleft()
                sent -= len(frame)
                if token is not None:
                    self._owner.flushed(token)
            if sent:
                frame, token = frames[0]
                frames[0] = (frame[sent:], token)
        self._drop_outbox()
        self._hang_up()


def _tell(error: Exception) -> None:
    log.error("a connection ended with an internal error", exc_info=error)


def adopt(fd: int, owner: Owner) -> Connection:
    """A connection over a detached TCP descriptor, which becomes its own."""
    # The plain class under gevent's patched one: no greenlet ever waits on this socket.
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fileno=fd)
    sock.setblocking(False)
    # A client that never reads would otherwise be lent megabytes of kernel memory.
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return Connection(sock, owner)
