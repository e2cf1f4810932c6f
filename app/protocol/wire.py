"""What travels in WebSocket text frames: typed commands from clients, typed events to them.

JSON objects told apart by `type`. Decoding checks every field; an error names the field.
`docs/protocol.md` is the reference, and a test holds it to these classes.
"""

from __future__ import annotations

from typing import Annotated, cast, get_args

import msgspec
from msgspec import Meta, Struct

from app.domain.calls import Verb
from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Entry, Kind
from app.errors import AppError, InvalidRequest
from app.protocol import frames

MAX_BODY_CHARS = 48 * 1024
MAX_CURSORS = 500
"""Cursors in one command; a client with more sends the rest with `sync`."""

MAX_CALL_CHARS = 32 * 1024
MAX_RING_MS = 120_000
POSITION = r"^[0-9]{1,19}\Z"
"""A position of the log: PostgreSQL's xid8, as text."""

_Conv = Annotated[ConversationId, Meta(ge=1, lt=2**53)]
_Seq = Annotated[int, Meta(ge=0, lt=2**53)]
_Text = Annotated[str, Meta(min_length=1, max_length=64)]
_Token = Annotated[str, Meta(min_length=1, max_length=4096)]
_Cursors = Annotated[dict[_Conv, _Seq], Meta(max_length=MAX_CURSORS)]
_Position = Annotated[str, Meta(pattern=POSITION)]
_Payload = Annotated[str, Meta(max_length=MAX_CALL_CHARS)]
_Version = Annotated[str, Meta(min_length=1, max_length=16)]
_Device = Annotated[DeviceId, Meta(ge=1, lt=2**53)]

# --- commands: what a client may say -----------------------------------------------------------------


class Command(Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    """Base of everything a client sends."""


class Hello(Command, tag="hello"):
    """First frame of a connection that came without a token in its URL.

    `cursors` maps a conversation to the highest seq this device has applied; conversations left
    out go on from the server's stored cursor. `epoch` is the one of the last `welcome`. `since` is the position of the
    last `synced`: what changed in lists of devices and read markers since then is told. `to_device` is the seq of the
    last item of its inbox that this device has.
    """

    token: _Token
    cursors: _Cursors = {}
    epoch: str | None = None
    since: _Position | None = None
    to_device: _Seq | None = None


class LinkWait(Command, tag="link"):
    """First frame of a new device that has claimed a link and waits to be let in; `token` is its claim token."""

    token: _Token


class Auth(Command, tag="auth"):
    """A fresh access token for a live connection, so that it outlives the first."""

    token: _Token


class Send(Command, tag="send"):
    """A message. `id` is the client's, unique for its device for ever: a retry repeats it."""

    id: _Text
    conv: _Conv
    body: Annotated[str, Meta(max_length=MAX_BODY_CHARS)]


class Delivered(Command, tag="delivered"):
    """Everything up to these seqs is stored on this device; `to_device` is that of its inbox."""

    cursors: _Cursors = {}
    to_device: _Seq | None = None


class Read(Command, tag="read"):
    """The person has read everything up to `seq`."""

    conv: _Conv
    seq: _Seq


class Sync(Command, tag="sync"):
    """Bring what lies after these cursors."""

    cursors: _Cursors


class Typing(Command, tag="typing"):
    """The person is writing in this conversation; worth repeating every few seconds while it is true."""

    conv: _Conv


class CallCommand(Command):
    """Base of what is said about a call. `call` is the caller's id for it, `payload` opaque, `version` the client's."""

    call: _Text
    conv: _Conv
    payload: _Payload = ""
    version: _Version = "1"


class CallInvite(CallCommand, tag="call.invite", kw_only=True):
    """Ring every device of `user`, for `lifetime_ms` by the server's clock."""

    user: Annotated[UserId, Meta(ge=1, lt=2**53)]
    lifetime_ms: Annotated[int, Meta(ge=1_000, le=MAX_RING_MS)] = 60_000


class CallCandidates(CallCommand, tag="call.candidates"):
    """Ways to reach this device."""


class CallAnswer(CallCommand, tag="call.answer"):
    """This device of the callee would take the call."""


class CallSelectAnswer(CallCommand, tag="call.select_answer", kw_only=True):
    """The caller takes the answer of device `selected`; the others stop ringing."""

    selected: _Device


class CallReject(CallCommand, tag="call.reject"):
    """The callee does not want the call: it stops ringing everywhere."""

    reason: _Text | None = None


class CallHangup(CallCommand, tag="call.hangup"):
    """The call ends, or is given up while it rings."""

    reason: _Text | None = None


class CallNegotiate(CallCommand, tag="call.negotiate"):
    """A new description in a connected call."""


AnyCall = CallInvite | CallCandidates | CallAnswer | CallSelectAnswer | CallReject | CallHangup | CallNegotiate
AnyCommand = Hello | LinkWait | Auth | Send | Delivered | Read | Sync | Typing | AnyCall

# --- events: what the server says --------------------------------------------------------------------


class ServerEvent(Struct, tag_field="type", omit_defaults=True, gc=False):
    """Base of everything the server sends."""


class Welcome(ServerEvent, tag="welcome"):
    """Signed in. `ts` is the server's clock; who is silent is cut after two beats of `beat_s` seconds."""

    user: UserId
    device: DeviceId
    epoch: str
    beat_s: int
    ts: float


class Ack(ServerEvent, tag="ack"):
    """The message `id` is committed as `seq` of `conv`; it will reach every member."""

    id: str
    conv: ConversationId
    seq: int
    ts: float


class Message(ServerEvent, tag="message"):
    """A message of a conversation; `ts` is when the server received it (Unix seconds)."""

    conv: ConversationId
    seq: int
    id: str
    sender: UserId
    device: DeviceId
    ts: float
    body: str


class Member(ServerEvent, tag="member"):
    """`user` joined or left; a row of the conversation's log like a message."""

    conv: ConversationId
    seq: int
    user: UserId
    event: str
    ts: float


class Receipt(ServerEvent, tag="receipt"):
    """A device of `user` has stored everything up to `seq`."""

    conv: ConversationId
    user: UserId
    seq: int


class ReadMark(ServerEvent, tag="read"):
    """`user` has read everything up to `seq`."""

    conv: ConversationId
    user: UserId
    seq: int


class TypingEvent(ServerEvent, tag="typing"):
    """`user` is writing in `conv`. Forget it after a few seconds without another one; it may be lost."""

    conv: ConversationId
    user: UserId


class Device(ServerEvent, tag="device"):
    """Something became of a device of this person; `event` is `linked`, `changed` or `revoked`."""

    device: DeviceId
    event: str


class DeviceLists(ServerEvent, tag="device_lists"):
    """Devices or keys of the people in `changed` are others now; those in `left` share no conversation any more."""

    changed: list[UserId]
    left: list[UserId]


class KeyCounts(ServerEvent, tag="keys", omit_defaults=False):
    """What this device still has on the server: one-time keys by algorithm (none: zero), unused fallback keys."""

    one_time_key_counts: dict[str, int]
    unused_fallback_key_types: list[str]


class ToDevice(ServerEvent, tag="to_device"):
    """Something another device sent to this one alone; `event` is its type. To be acknowledged by `seq`."""

    seq: int
    sender: UserId
    device: DeviceId
    event: str
    content: msgspec.Raw


class LinkEvent(ServerEvent, tag="link"):
    """How far a link is: `claimed`, `confirmed`, `refused` or `completed`; `waiting` for one that was claimed.

    Who offered it sees who claimed it: `name`, `device_type`, `key`, and from `nonce` the `comparison` code.
    """

    link: int
    event: str
    name: str | None = None
    device_type: str | None = None
    key: str | None = None
    nonce: str | None = None
    comparison: str | None = None
    device: DeviceId | None = None


class CallEvent(ServerEvent, kw_only=True):
    """Base of what is said about a call, one class a verb; an item of the inbox like `to_device`.

    `age_ms` is how long ago, by the server's clock: an invite rings on for `lifetime_ms` less that.
    """

    seq: int
    call: str
    conv: ConversationId
    user: UserId
    device: DeviceId
    version: str
    age_ms: int
    payload: str = ""
    lifetime_ms: int | None = None
    selected: DeviceId | None = None
    reason: str | None = None


CALL_EVENTS: dict[str, type[CallEvent]] = {
    verb: cast(type[CallEvent], msgspec.defstruct(f"Call_{verb}", [], bases=(CallEvent,), tag=f"call.{verb}"))
    for verb in get_args(Verb)
}


class CallAck(ServerEvent, tag="call.ack"):
    """What this device said about a call was taken; `devices` are told."""

    call: str
    conv: ConversationId
    devices: int


class Synced(ServerEvent, tag="synced"):
    """Everything that was missed has been sent; from here on events are live.

    After signing in it carries a `position`, to be named as `since` next time.
    """

    position: str | None = None


class Resync(ServerEvent, tag="resync"):
    """This is another database than the client knew: its cursors were set aside, all logs come anew."""

    epoch: str


class Broadcast(ServerEvent, tag="broadcast"):
    """An operator's word to every connection."""

    id: str
    ts: float
    body: str


class Drain(ServerEvent, tag="drain"):
    """This node is going away; come back after `retry_after_ms`."""

    retry_after_ms: int


class ErrorEvent(ServerEvent, tag="error"):
    """A command failed; `id` repeats the message id where it had one."""

    code: str
    detail: str
    id: str | None = None
    retry_after_ms: int | None = None


_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_encoder = msgspec.json.Encoder()


def decode(text: str) -> AnyCommand:
    """The command in a text frame; raises InvalidRequest that names the field."""
    try:
        command = _decoder.decode(text)
    except msgspec.DecodeError as error:  # of which ValidationError is a kind
        raise InvalidRequest(str(error)) from None
    except RecursionError:
        raise InvalidRequest("the frame is nested too deeply") from None
    if isinstance(command, Send) and ("\x00" in command.body or "\x00" in command.id):
        # PostgreSQL's text cannot hold it, and one such row would fail its whole batch.
        raise InvalidRequest("NUL is not allowed - at `$.body` or `$.id`")
    return command


def frame(event: ServerEvent) -> bytes:
    """The WebSocket frame of an event: built once, sent to every socket as it is."""
    return frames.encode(frames.Opcode.TEXT, _encoder.encode(event))


def error_frame(error: AppError, message_id: str | None = None, retry_after_ms: int | None = None) -> bytes:
    """The frame that tells a client of an error; `message_id` is that of the send that failed."""
    return frame(ErrorEvent(error.code, error.message, message_id, retry_after_ms))


def entry_event(entry: Entry) -> ServerEvent:
    """How a row of the log is told."""
    if entry.kind is not Kind.MESSAGE:
        return Member(entry.conv, entry.seq, entry.user, entry.kind.name.lower(), entry.ts)
    assert entry.client_id is not None and entry.device is not None and entry.body is not None  # noqa: S101  by schema
    return Message(entry.conv, entry.seq, entry.client_id, entry.user, entry.device, entry.ts, entry.body)


def entry_frame(entry: Entry) -> bytes:
    """The frame of a row of the log."""
    return frame(entry_event(entry))
