"""The messenger's protocol as the load tool speaks it: frames in both directions, without input or output.

Cheap before all else, since a client shares the machine with the servers: frames are cut from what one
read brought, and decoded by msgspec into structs that leave out what is not looked at (the body).
`docs/protocol.md` is the reference.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from functools import reduce
from operator import or_

import msgspec

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
"""First byte of an unfragmented frame (RFC 6455, section 5.2). The messenger never fragments."""

# One random key a process: RFC 6455 wants an unforeseeable key for each frame to protect proxies from scripts in
# browsers (section 10.3). Here everything that is sent is our own, and os.urandom for each frame would cost more
# than the rest of it.
_KEY = os.urandom(4)
_key_numbers: dict[int, int] = {}
_UPGRADE_KEY = base64.b64encode(os.urandom(16))
_ACCEPT = base64.b64encode(
    hashlib.sha1(_UPGRADE_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
)


class ProtocolError(Exception):
    """The server said what no messenger says."""


class _Event(msgspec.Struct, tag_field="type", gc=False):
    """What the server says; fields that nobody here reads are left out."""


class Welcome(_Event, tag="welcome"):
    """Signed in."""

    epoch: str


class Ack(_Event, tag="ack"):
    """The message is committed."""

    id: str
    conv: int
    seq: int


class Message(_Event, tag="message"):
    """A message of a conversation; `ts` is when the server received it."""

    conv: int
    seq: int
    id: str
    ts: float


class Member(_Event, tag="member"):
    """A row of the log that says who joined or left."""

    conv: int
    seq: int
    user: int
    event: str


class Synced(_Event, tag="synced"):
    """What was missed has been sent."""


class Resync(_Event, tag="resync"):
    """Another database than before."""

    epoch: str


class Drain(_Event, tag="drain"):
    """The node goes away."""

    retry_after_ms: int


class Error(_Event, tag="error"):
    """A command failed."""

    code: str
    id: str | None = None
    retry_after_ms: int | None = None


class Receipt(_Event, tag="receipt"):
    """Not looked at."""


class ReadMark(_Event, tag="read"):
    """Not looked at."""


class Broadcast(_Event, tag="broadcast"):
    """Not looked at."""


class Typing(_Event, tag="typing"):
    """Not looked at."""


class Device(_Event, tag="device"):
    """Not looked at: a connection that ends with its device is told by the close code."""


class DeviceLists(_Event, tag="device_lists"):
    """Not looked at: devices of the load have no keys."""


class Keys(_Event, tag="keys"):
    """Not looked at, like lists of devices."""


class ToDevice(_Event, tag="to_device"):
    """Not looked at, like lists of devices."""


class Link(_Event, tag="link"):
    """Not looked at."""


class CallAck(_Event, tag="call.ack"):
    """Not looked at."""


class Call(_Event):
    """Not looked at; one class a verb."""


_VERBS = ("invite", "candidates", "answer", "select_answer", "reject", "hangup", "negotiate")
CALLS = {verb: msgspec.defstruct(f"Call_{verb}", [], bases=(Call,), tag=f"call.{verb}") for verb in _VERBS}
NotLookedAt = Receipt | ReadMark | Broadcast | Typing | Device | DeviceLists | Keys | ToDevice | Link | CallAck | Call
Event = Welcome | Ack | Message | Member | Synced | Resync | Drain | Error | NotLookedAt
_ALL = reduce(or_, CALLS.values(), Welcome | Ack | Message | Member | Synced | Resync | Drain | Error)
_QUIET = Receipt | ReadMark | Broadcast | Typing | Device | DeviceLists | Keys | ToDevice | Link | CallAck
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(_ALL | _QUIET)


def event(payload: bytes) -> Event:
    """What a text frame says; raises ProtocolError."""
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise ProtocolError(str(error)) from None


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames in `data` as (first byte, payload), and the rest that waits for more."""
    frames, at, have = [], 0, len(data)
    while have - at >= 2:
        size, start = data[at + 1], at + 2
        if size > 125:
            start += 2 if size == 126 else 8
            if have < start:
                break
            size = int.from_bytes(data[at + 2 : start], "big")
        if have < start + size:
            break
        frames.append((data[at], data[start : start + size]))
        at = start + size
    return frames, data[at:]


def frame(payload: bytes, first: int = TEXT) -> bytes:
    """One masked client frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    key = _key_numbers.get(size)
    if key is None:
        key = _key_numbers[size] = int.from_bytes((_KEY * (size // 4 + 1))[:size], "little")
    # One XOR of two long integers; the number of the repeated key is kept for each size.
    return head + _KEY + (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")


def upgrade(host: str, path: str) -> bytes:
    """The HTTP request that becomes a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_UPGRADE_KEY.decode()}\r\n\r\n"
    ).encode()


def upgraded(data: bytes) -> bytes | None:
    """What follows the server's consent; None while it is incomplete. Raises ProtocolError when it refused."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    if not head.startswith(b"HTTP/1.1 101") or _ACCEPT not in head:
        raise ProtocolError(head.split(b"\r\n", 1)[0].decode("latin-1"))
    return rest


def hello(token: str, cursors: Mapping[int, int], epoch: str | None) -> bytes:
    """The first frame. What cannot be said in 500 cursors is left to the server's stored ones."""
    said: dict[str, object] = {"type": "hello", "token": token}
    if cursors:
        said["cursors"] = dict(list(cursors.items())[:500])
    if epoch:
        said["epoch"] = epoch
    return frame(json.dumps(said, separators=(",", ":")).encode())


def send(message_id: str, conv: int, body: str) -> bytes:
    """A message. `message_id` and `body` must need no escaping in JSON."""
    return frame(f'{{"type":"send","id":"{message_id}","conv":{conv},"body":"{body}"}}'.encode())


def delivered(cursors: Mapping[int, int]) -> bytes:
    """Everything up to these seqs is stored; at most 500 conversations."""
    told = ",".join(f'"{conv}":{seq}' for conv, seq in cursors.items())
    return frame(f'{{"type":"delivered","cursors":{{{told}}}}}'.encode())


def close(code: int) -> bytes:
    """A close frame, or the answer to one."""
    return frame(struct.pack("!H", code), CLOSE)


def close_code(payload: bytes) -> int:
    """The code in a close frame; 1005 when there is none."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
