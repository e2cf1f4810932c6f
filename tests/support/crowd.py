"""Many devices that behave as the protocol asks, in one thread, and remember everything for the history checker.

A device stays connected: it comes back after full jitter or when it was told to, resumes with its cursors and its
epoch, drops what it has, repeats an unacknowledged send with the same id, and reports what it stored at most once a
second. Which nodes it may use is the test's choice and may change; it moves when its connection ends.
"""

from __future__ import annotations

import base64
import json
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import config, seeding
from monitoring.load.history import History
from tests.support.servers import JWT_SECRET

TICK_S = 0.02
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 1.0
ANSWER_S = 5.0
"""How long a connect and the answer to `hello` may take."""
DELIVERED_EVERY_S = 1.0
REPEAT_AFTER_S = 10.0
"""A send without any answer for so long is repeated in the same connection."""
MAX_UNACKNOWLEDGED = 8
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
Event = dict[str, Any]


@dataclass
class Unacknowledged:
    """A send without an ack; repeated at `repeat_at` on the monotonic clock."""

    conv: int
    body: str
    repeat_at: float = 0.0


@dataclass(eq=False)
class Device:
    """One device; `ports` are the nodes it may use."""

    user: int
    device: int
    token: str
    convs: list[int]
    ports: Sequence[int]
    cursors: dict[int, int] = field(default_factory=dict)
    epoch: str | None = None
    unacknowledged: dict[str, Unacknowledged] = field(default_factory=dict)
    closes: list[int] = field(default_factory=list)  # how connections ended, 1006 without a word
    errors: Counter[str] = field(default_factory=Counter)
    reconnect_delays_ms: list[int] = field(default_factory=list)  # chosen by servers
    connections: int = 0
    sends: int = 0
    holes: list[str] = field(default_factory=list)  # rows that came too early
    deaf: bool = False  # reads nothing
    beat_s: float = 60.0
    sock: socket.socket | None = None
    live: bool = False  # said `synced`, so commands may be sent
    upgraded: bool = False
    inbox: bytearray = field(default_factory=bytearray)
    outbox: bytearray = field(default_factory=bytearray)
    backoff_s: float = BACKOFF_FIRST_S
    connect_at: float = 0.0
    heard_at: float = 0.0
    report_at: float = 0.0
    unreported: bool = False
    told_to_wait_s: float | None = None
    port: int = 0  # of the node it is or was connected to


class Crowd:
    """Devices on nodes; every event goes into `history`."""

    def __init__(self, devices: list[Device], seed: int = 0) -> None:
        self.devices = devices
        self.history = History()
        self._chance = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._orders: deque[Callable[[], None]] = deque()
        self._rate_per_s = 0.0
        self._talkers: list[Device] = []
        self._next_send_at = 0.0
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        for device in devices:
            for conv in device.convs:
                self.history.joined(device.device, device.user, conv, 1)
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._thread.start()

    # --- from the test's thread ----------------------------------------------------------------------

    def do(self, act: Callable[[], None]) -> None:
        """Carry `act` out in the crowd's thread, and wait until it is done."""
        done = threading.Event()

        def carry_out() -> None:
            act()
            done.set()

        self._orders.append(carry_out)
        while not done.wait(0.05):
            assert self._thread.is_alive(), f"the crowd's thread is gone: {self._failure!r}"

    def talk(self, rate_per_s: float, talkers: Sequence[Device] | None = None) -> None:
        """From now on send so many messages a second, from devices and to conversations by chance; 0 to hush."""

        def talk() -> None:
            self._rate_per_s, self._talkers = rate_per_s, list(talkers or self.devices)
            self._next_send_at = time.monotonic()

        self.do(talk)

    def send(self, device: Device, conv: int, body: str = "") -> str:
        """One message now, or as soon as the device is connected; returns its id."""
        message_id = f"{device.device}-{device.sends}-said"
        self.do(lambda: self._send(device, conv, message_id, body))
        return message_id

    def live(self) -> int:
        """How many are connected and have everything that was missed."""
        return sum(device.live for device in self.devices)

    def acknowledged(self) -> int:
        """How many sends were acknowledged so far."""
        return sum(device.sends - len(device.unacknowledged) for device in self.devices)

    def move(self, devices: Sequence[Device], ports: Sequence[int]) -> None:
        """These devices use other nodes the next time they connect."""
        for device in devices:
            device.ports = ports

    def deafen(self, device: Device, deaf: bool) -> None:
        """Let a connected device read nothing more, or again."""

        def turn() -> None:
            assert device.sock is not None
            device.deaf = deaf
            if deaf:
                device.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                self._selector.unregister(device.sock)
            else:
                self._selector.register(device.sock, selectors.EVENT_READ, device)
                device.heard_at = time.monotonic()

        self.do(turn)

    def hang_up(self, devices: Sequence[Device]) -> None:
        """Cut these devices' connections from their side, without a word."""
        self.do(lambda: [self._lost(device, 1006) for device in devices if device.sock] and None)

    def close(self) -> None:
        """Disconnect everybody, and end the thread."""
        self._ended.set()
        self._thread.join()
        assert self._failure is None, self._failure

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                for key, _ in self._selector.select(TICK_S):
                    if key.data.sock is key.fileobj:
                        self._readable(key.data)
                while self._orders:
                    self._orders.popleft()()
                now = time.monotonic()
                self._talk(now)
                for device in self.devices:
                    self._look_after(device, now)
        except BaseException as error:  # noqa: BLE001  told to the test's thread
            self._failure = error
        finally:
            for device in self.devices:
                if device.sock is not None:
                    device.sock.close()
            self._selector.close()

    def _talk(self, now: float) -> None:
        while self._rate_per_s and self._next_send_at <= now:
            self._next_send_at += 1 / self._rate_per_s
            device = self._chance.choice(self._talkers)
            if device.live and len(device.unacknowledged) < MAX_UNACKNOWLEDGED:
                self._send(device, self._chance.choice(device.convs), f"{device.device}-{device.sends}")

    def _look_after(self, device: Device, now: float) -> None:
        if device.sock is None:
            if now >= device.connect_at:
                self._connect(device, now)
            return
        # The server pings every beat; who hears nothing for two of them is alone (docs/protocol.md).
        patience_s = 2 * device.beat_s + 1 if device.live else ANSWER_S
        if now - device.heard_at > patience_s and not device.deaf:
            self._lost(device, 1006)
            return
        if device.live:
            for message_id, send in device.unacknowledged.items():
                if send.repeat_at <= now:
                    self._say_send(device, message_id, send)
            if device.unreported and now >= device.report_at:
                device.unreported, device.report_at = False, now + DELIVERED_EVERY_S
                self._say(device, {"type": "delivered", "cursors": device.cursors})
        self._flush(device)

    def _connect(self, device: Device, now: float) -> None:
        device.port = self._chance.choice(device.ports)
        device.inbox, device.outbox = bytearray(), bytearray()
        device.upgraded = device.live = False
        device.heard_at = now
        device.told_to_wait_s = None
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", device.port))
        device.sock = sock
        self._selector.register(sock, selectors.EVENT_READ, device)
        key = base64.b64encode(os.urandom(16)).decode()
        device.outbox += (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{device.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    def _lost(self, device: Device, code: int) -> None:
        assert device.sock is not None
        if not device.deaf:
            self._selector.unregister(device.sock)
        device.sock.close()
        device.sock, device.live = None, False
        if device.upgraded:
            device.closes.append(code)
        if device.told_to_wait_s is not None:
            wait_s = device.told_to_wait_s
        else:
            wait_s = self._chance.uniform(0, device.backoff_s)
            device.backoff_s = min(device.backoff_s * 2, BACKOFF_MAX_S)
        device.connect_at = time.monotonic() + wait_s

    def _readable(self, device: Device) -> None:
        assert device.sock is not None
        try:
            data = device.sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(device, 1006)
            return
        device.heard_at = time.monotonic()
        device.inbox += data
        if not device.upgraded:
            self._read_handshake(device)
        while device.upgraded and device.sock is not None and (frame := _take_frame(device.inbox)):
            self._heard(device, *frame)

    def _read_handshake(self, device: Device) -> None:
        head, mark, rest = bytes(device.inbox).partition(b"\r\n\r\n")
        if not mark:
            return
        if not head.startswith(b"HTTP/1.1 101 "):
            self._lost(device, 1006)
            return
        device.inbox, device.upgraded = bytearray(rest), True
        device.connections += 1
        hello: Event = {"type": "hello", "token": device.token, "cursors": device.cursors}
        self._say(device, hello | ({"epoch": device.epoch} if device.epoch else {}))

    def _heard(self, device: Device, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            device.outbox += _frame(PONG, payload)
        elif opcode == CLOSE:
            self._flush(device)
            self._lost(device, int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005)
        elif opcode == TEXT:
            self._obey(device, json.loads(payload))

    def _obey(self, device: Device, event: Event) -> None:
        kind = event["type"]
        if kind in ("message", "member"):
            self._row(device, event)
        elif kind == "ack":
            self.history.acknowledged(device.device, event["id"], event["conv"], event["seq"])
            device.unacknowledged.pop(event["id"], None)
        elif kind == "welcome":
            device.epoch, device.beat_s = event["epoch"], event["beat_s"]
        elif kind == "synced":
            device.live, device.backoff_s = True, BACKOFF_FIRST_S
            for message_id, send in device.unacknowledged.items():
                self._say_send(device, message_id, send)
        elif kind == "drain":
            device.reconnect_delays_ms.append(event["retry_after_ms"])
            device.told_to_wait_s = event["retry_after_ms"] / 1000
        elif kind == "error":
            device.errors[event["code"]] += 1
            send = device.unacknowledged.get(event.get("id", ""))
            if send and event.get("retry_after_ms"):
                send.repeat_at = time.monotonic() + event["retry_after_ms"] / 1000
        elif kind == "resync":
            raise AssertionError("no database was restored, yet the server says resync")

    def _row(self, device: Device, event: Event) -> None:
        conv, seq = event["conv"], event["seq"]
        self.history.received(device.device, device.connections, conv, seq)
        if seq == device.cursors.get(conv, 0) + 1:
            device.cursors[conv] = seq
            device.unreported = True
            self.history.applied(device.device, conv, seq, event.get("id"))
        elif seq > device.cursors.get(conv, 0):
            device.holes.append(f"{conv}/{seq} came after {device.cursors.get(conv, 0)}")

    def _send(self, device: Device, conv: int, message_id: str, body: str = "") -> None:
        device.sends += 1
        self.history.sent(device.device, message_id, conv)
        send = device.unacknowledged[message_id] = Unacknowledged(conv, body or message_id)
        if device.live:
            self._say_send(device, message_id, send)

    def _say_send(self, device: Device, message_id: str, send: Unacknowledged) -> None:
        send.repeat_at = time.monotonic() + REPEAT_AFTER_S
        self._say(device, {"type": "send", "id": message_id, "conv": send.conv, "body": send.body})

    def _say(self, device: Device, command: Event) -> None:
        device.outbox += _frame(TEXT, json.dumps(command).encode())
        self._flush(device)

    def _flush(self, device: Device) -> None:
        """Hand the kernel what it takes; a connection that is being made or is gone tells through reading."""
        if device.outbox and device.sock is not None:
            try:
                del device.outbox[: device.sock.send(device.outbox)]
            except OSError:
                return


def seeded(database_url: str, folder: Path, ports: Sequence[int], count: int, **plan: int) -> list[Device]:
    """`count` fresh people with a device each, in `conversations_each` conversations of `size`."""
    settings = config.load({"DATABASE_URL": database_url, "JWT_SECRET": JWT_SECRET})
    file = folder / f"tokens-{random.getrandbits(64):x}"
    size, each = plan.get("size", count), plan.get("conversations_each", 1)
    seeding.seed(settings, seeding.Plan(count, each, size, token_ttl_s=900), file)
    people = [json.loads(line) for line in file.read_text().splitlines()]
    # They begin with nothing, whatever the server thinks they have stored.
    return [
        Device(p["user"], p["device"], p["token"], p["conversations"], ports, dict.fromkeys(p["conversations"], 0))
        for p in people
    ]


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame. The mask may be anything (RFC 6455, section 5.3, asks for chance against proxies): zero."""
    size = len(payload)
    length = struct.pack("!B", size | 0x80) if size < 126 else struct.pack("!BH", 126 | 0x80, size)
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


def _take_frame(inbox: bytearray) -> tuple[int, bytes] | None:
    """Cut the first whole frame off; the server neither masks nor fragments."""
    if len(inbox) < 2:
        return None
    size, start = inbox[1], 2
    if size == 126:
        size, start = int.from_bytes(inbox[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(inbox[2:10], "big"), 10
    if len(inbox) < start + size:
        return None
    frame = inbox[0] & 0x0F, bytes(inbox[start : start + size])
    del inbox[: start + size]
    return frame
