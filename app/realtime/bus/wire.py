"""What travels between nodes, as MessagePack: one batch of frames from one node.

A batch is `[version, node, addresses, frames]`. `addresses` has one integer a frame, so a receiver
passes over the frames that nobody here listens to without decoding them; the node's name stands once,
at the front, so a node knows its own batches by their first bytes. Later versions may append fields to
a frame or to the batch; what an older reader would misread gets another VERSION.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum

import msgspec

from app.domain.log import Kind
from app.metrics import PATHS, Metrics, path_of

VERSION = 1


class Audience(IntEnum):
    """Whom a frame is for; `key` of the frame is an id of that kind, 0 for EVERYBODY."""

    CONVERSATION = 0
    USER = 1
    DEVICE = 2
    EVERYBODY = 3


Wanted = Callable[[int, int], bool]
"""Whether somebody on this node listens to (audience, key); asked once for each frame that arrives."""


class BusFrame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One frame between nodes, ready for sockets.

    `seq` and `kind` place it in the log of its conversation (`key`); seq 0: it is no row of the log. `user` is who
    a row is about, or who must not get the frame. `ts`: when the server received it, Unix seconds. `mark`
    is the seq of a read marker of `user`, or of what was put into the inbox of a DEVICE (its `frame` is empty), else 0.
    `probe`: it is of a conversation of probes, and what is measured of it on its way is counted apart.
    """

    path: str
    audience: Audience
    key: int
    seq: int
    kind: Kind
    user: int
    ts: float
    frame: bytes
    mark: int = 0
    probe: bool = False

    @property
    def counted_as(self) -> str:
        """The `path` label of what is measured of it on its way."""
        return path_of(self.path, probe=True) if self.probe else self.path


_encode = msgspec.msgpack.encode
_decode_batch = msgspec.msgpack.Decoder(tuple[int, str, list[int], list[msgspec.Raw]]).decode
_decode_frame = msgspec.msgpack.Decoder(BusFrame).decode


def encode(node: str, frames: list[BusFrame]) -> bytes:
    """One batch of this node."""
    return _encode((VERSION, node, [frame.key << 2 | frame.audience for frame in frames], frames))


def mark(node: str) -> bytes:
    """How every batch of `node` begins."""
    return encode(node, [])[:-2]


class Reader:
    """Takes the batches of other nodes apart. What it cannot read it counts; it never raises."""

    def __init__(self, node: str, wanted: Wanted, metrics: Metrics) -> None:
        """`node`: this node's own name; its batches come back to it and are passed over."""
        self._own = mark(node)
        self._wanted = wanted
        self._relay = {path: metrics.histogram("messenger_fanout_stage_seconds", path, "relay") for path in PATHS}
        self._unreadable = {
            reason: metrics.counter("messenger_bus_unreadable_total", reason)
            for reason in ("batch", "version", "frame")
        }

    def read(self, data: bytes) -> list[BusFrame]:
        """The frames of a batch that somebody here listens to, in their order."""
        if data.startswith(self._own):
            return []
        try:
            version, _node, addresses, frames = _decode_batch(data)
        except (msgspec.DecodeError, RecursionError):
            self._unreadable["batch"].add()
            return []
        if version != VERSION or len(addresses) != len(frames):
            self._unreadable["version" if version != VERSION else "batch"].add()
            return []
        wanted = self._wanted
        kept = [raw for to, raw in zip(addresses, frames, strict=True) if wanted(to & 3, to >> 2)]
        return self._decode(kept) if kept else []

    def _decode(self, raws: list[msgspec.Raw]) -> list[BusFrame]:
        """Those of `raws` that this version knows; each arrived after `relay` seconds (0 when clocks differ)."""
        now = time.time()
        frames = []
        for raw in raws:
            try:
                frame = _decode_frame(raw)
                self._relay[frame.counted_as].observe(max(0.0, now - frame.ts))
            except (msgspec.DecodeError, RecursionError, KeyError):
                self._unreadable["frame"].add()
            else:
                frames.append(frame)
        return frames
