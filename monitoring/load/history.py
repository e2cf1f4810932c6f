"""What was sent, acknowledged and applied, and whether the messenger kept its promise.

The promise: every acknowledged message is applied by every device of its conversation, in the
order of `seq`, with nothing missing and nothing twice, and (conversation, seq) names the same
message everywhere.

A history is told facts as they happen, in any number of processes, is merged, and is judged once.
It is small: a device's rows of one conversation are kept as runs of consecutive seqs (one run
unless something went wrong), a message's id once per history. Nothing here does input or output.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_EXAMPLES = 20

_BITS = 53
"""Ids and seqs are below 2^53 (docs/protocol.md), so two of them pack into one integer: half the memory of a tuple."""
_LOW = (1 << _BITS) - 1
_END = 1 << _BITS


@dataclass(slots=True)
class Sent:
    """One send, however often it was repeated with the same id; `seq` is 0 until it is acknowledged."""

    device: int
    id: str
    conv: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement, in counts. `expected` counts (acknowledged message, device that must apply it)."""

    sent: int
    """Sends; a repetition with the same id is no new one."""
    acknowledged: int
    unacknowledged: int
    """Sends without an acknowledgement: nothing was promised about them."""
    expected: int
    applied: int
    """Of the expected."""
    lost: int
    """Of the expected: acknowledged, and never applied by that device."""
    duplicated: int
    """Rows applied twice by a device, or twice on the wire of one connection, or messages stored under two seqs."""
    reordered: int
    """Rows applied, or received within one connection, after a later one."""
    holes: int
    """Seqs a device skipped: never applied, though it applied later ones."""
    outside: int
    """Rows applied from before the membership began or after it ended."""
    conflicting_acks: int
    """Acknowledgements with another seq or conversation than the first, or of what was not sent."""
    wrong_content: int
    """Times that (conversation, seq) named another message than before."""
    examples: list[str]
    """The first faults, in words."""

    @property
    def ok(self) -> bool:
        """Whether the promise was kept."""
        return not (
            self.lost
            or self.duplicated
            or self.reordered
            or self.holes
            or self.outside
            or self.conflicting_acks
            or self.wrong_content
        )


class _Stream:
    """The rows one device applied in one conversation: runs [lo, hi) of consecutive seqs, in order."""

    __slots__ = ("connection", "earlier", "hi", "lo", "received", "windows")

    def __init__(self) -> None:
        self.lo = self.hi = 0  # the last run; empty at first
        self.earlier: list[tuple[int, int]] | None = None  # runs before it
        self.windows: tuple[tuple[int, int], ...] = ()  # memberships [from, to)
        self.connection = self.received = 0  # the newest connection, and the highest seq that came in it

    def runs(self) -> list[tuple[int, int]]:
        """All runs, ascending."""
        return [*(self.earlier or ()), *([(self.lo, self.hi)] if self.hi else ())]

    def insert(self, seq: int) -> bool:
        """Add a seq below the last run's end; False when it is there already."""
        runs = self.runs()
        at = bisect_left(runs, (seq + 1,))  # the run before `at` is the last that begins at or before seq
        if at and seq < runs[at - 1][1]:
            return False
        runs.insert(at, (seq, seq + 1))
        runs = _joined(runs)
        self.lo, self.hi = runs[-1]
        self.earlier = runs[:-1] or None
        return True


@dataclass
class History:
    """Facts of a run; ids of messages must be unique among all devices of the history."""

    _sends: dict[tuple[int, str], Sent] = field(default_factory=dict)
    _rows: dict[int, str | None] = field(default_factory=dict)  # (conv, seq) -> message id; None: membership
    _streams: dict[int, _Stream] = field(default_factory=dict)  # (device, conv)
    _acks: int = 0
    _duplicated: int = 0
    _reordered: int = 0
    _conflicting_acks: int = 0
    _wrong_content: int = 0
    _examples: list[str] = field(default_factory=list)

    def sent(self, device: int, message_id: str, conv: int) -> None:
        """The device sent a message, or sent it again."""
        if (device, message_id) not in self._sends:
            self._sends[device, message_id] = Sent(device, message_id, conv)

    def acknowledged(self, device: int, message_id: str, conv: int, seq: int) -> None:
        """The server promised delivery. May be told again; another seq is a fault."""
        send = self._sends.get((device, message_id))
        if send is None or send.conv != conv or send.seq not in (0, seq):
            self._conflicting_acks += 1
            was = f"sent to {send.conv}, acknowledged as {send.seq or 'nothing'}" if send else "never sent"
            self._example(f"ack of {message_id!r} to device {device} says {conv}/{seq}; it was {was}")
            return
        if not send.seq:
            send.seq = seq
            self._acks += 1
            self._name(conv, seq, message_id)

    def joined(self, device: int, user: int, conv: int, from_seq: int, to_seq: int | None = None) -> None:
        """The device must apply everything from `from_seq` through `to_seq` (None: to the end).

        Told once for each membership of its `user`; before or after the rows, it does not matter.
        """
        del user  # named for the reader of a test; a device has one user
        window = (from_seq, _END if to_seq is None else to_seq + 1)
        stream = self._stream(device, conv)
        if window not in stream.windows:
            stream.windows = (*stream.windows, window)

    def received(self, device: int, connection: int, conv: int, seq: int) -> None:
        """A row came on the wire. `connection` numbers the device's connections, ascending from 1.

        Only the newest connection is looked at: what an older one still brings is no news.
        """
        stream = self._stream(device, conv)
        if connection > stream.connection:
            stream.connection, stream.received = connection, seq
        elif connection == stream.connection:
            if seq > stream.received:
                stream.received = seq
            elif seq == stream.received:
                self._duplicated += 1
                self._example(f"device {device} received {conv}/{seq} twice in connection {connection}")
            else:
                self._reordered += 1
                self._example(
                    f"device {device} received {conv}/{seq} after {stream.received} in connection {connection}"
                )

    def applied(self, device: int, conv: int, seq: int, message_id: str | None) -> None:
        """The device applied a row, after its own removal of repeats; `message_id` is None for membership rows."""
        stream = self._stream(device, conv)
        if seq == stream.hi:
            stream.hi = seq + 1
        else:
            self._apply_elsewhere(stream, device, conv, seq)
        # The same as _name(): in line, as this is called for each delivery.
        if self._rows.setdefault(conv << _BITS | seq, message_id) != message_id:
            self._other_content(conv, seq, message_id)

    def merge(self, other: History) -> None:
        """Take over what another process saw. `other` is not to be used afterwards."""
        for key_of_send, send in other._sends.items():
            if self._sends.setdefault(key_of_send, send) is not send:
                if send.seq:
                    self.acknowledged(send.device, send.id, send.conv, send.seq)
            elif send.seq:
                self._acks += 1
                self._name(send.conv, send.seq, send.id)
        for key, message_id in other._rows.items():
            self._name(key >> _BITS, key & _LOW, message_id)
        for key, stream in other._streams.items():
            self._merge_stream(key, stream)
        self._duplicated += other._duplicated
        self._reordered += other._reordered
        self._conflicting_acks += other._conflicting_acks
        self._wrong_content += other._wrong_content
        for text in other._examples:
            self._example(text)

    def acknowledged_seqs(self) -> dict[int, list[int]]:
        """Conversation -> seqs of its acknowledged messages, ascending."""
        seqs: dict[int, list[int]] = defaultdict(list)
        for send in self._sends.values():
            if send.seq:
                seqs[send.conv].append(send.seq)
        for of_conv in seqs.values():
            of_conv.sort()
        return seqs

    def first_applied(self, device: int, conv: int) -> int | None:
        """The lowest seq the device applied in the conversation; None when it applied none."""
        stream = self._streams.get(device << _BITS | conv)
        runs = stream.runs() if stream else ()
        return runs[0][0] if runs else None

    def judge(self) -> Verdict:
        """Whether the promise was kept, from all that was told."""
        examples = list(self._examples)
        acknowledged = self.acknowledged_seqs()
        expected = applied = holes = outside = 0
        for key, stream in self._streams.items():
            if not stream.windows:
                continue
            device, conv = key >> _BITS, key & _LOW
            windows, runs, owed = _joined(stream.windows), stream.runs(), acknowledged.get(conv, ())
            common = list(_intersection(windows, runs))
            stream_expected, stream_applied = _count(owed, windows), _count(owed, common)
            skipped = _skipped(windows, common)
            stream_outside = _size(runs) - _size(common)
            expected += stream_expected
            applied += stream_applied
            holes += _size(skipped)
            outside += stream_outside
            if len(examples) < MAX_EXAMPLES:
                examples += _words(device, conv, owed, windows, common, skipped, stream_outside)
        twice = self._stored_twice()
        examples += twice
        return Verdict(
            sent=len(self._sends),
            acknowledged=self._acks,
            unacknowledged=len(self._sends) - self._acks,
            expected=expected,
            applied=applied,
            lost=expected - applied,
            duplicated=self._duplicated + len(twice),
            reordered=self._reordered,
            holes=holes,
            outside=outside,
            conflicting_acks=self._conflicting_acks,
            wrong_content=self._wrong_content,
            examples=examples[:MAX_EXAMPLES],
        )

    def _stream(self, device: int, conv: int) -> _Stream:
        key = device << _BITS | conv
        return self._streams.get(key) or self._streams.setdefault(key, _Stream())

    def _apply_elsewhere(self, stream: _Stream, device: int, conv: int, seq: int) -> None:
        """A row that is not the next one of its stream: the first, one after a gap, a late one or a repeat."""
        if seq > stream.hi:
            if stream.hi:
                stream.earlier = [*(stream.earlier or ()), (stream.lo, stream.hi)]
            stream.lo, stream.hi = seq, seq + 1
        elif stream.insert(seq):
            self._reordered += 1
            self._example(f"device {device} applied {conv}/{seq} after a later row")
        else:
            self._duplicated += 1
            self._example(f"device {device} applied {conv}/{seq} twice")

    def _merge_stream(self, key: int, stream: _Stream) -> None:
        mine = self._streams.setdefault(key, stream)
        if mine is stream:
            return
        mine.windows = tuple(dict.fromkeys((*mine.windows, *stream.windows)))
        if not mine.hi:
            mine.lo, mine.hi, mine.earlier = stream.lo, stream.hi, stream.earlier
            return
        for lo, hi in stream.runs():
            for seq in range(lo, hi):
                if seq == mine.hi:
                    mine.hi += 1
                else:
                    self._apply_elsewhere(mine, key >> _BITS, key & _LOW, seq)

    def _name(self, conv: int, seq: int, message_id: str | None) -> None:
        if self._rows.setdefault(conv << _BITS | seq, message_id) != message_id:
            self._other_content(conv, seq, message_id)

    def _other_content(self, conv: int, seq: int, message_id: str | None) -> None:
        self._wrong_content += 1
        first = self._rows[conv << _BITS | seq]
        self._example(f"{conv}/{seq} is {first!r} to one and {message_id!r} to another")

    def _stored_twice(self) -> list[str]:
        """A retry that became a second row breaks "once" for every device, though each row came once."""
        seen: dict[str, int] = {}
        found = []
        for key, message_id in self._rows.items():
            if message_id is not None and seen.setdefault(message_id, key) != key:
                first = seen[message_id]
                places = f"{first >> _BITS}/{first & _LOW} and {key >> _BITS}/{key & _LOW}"
                found.append(f"message {message_id!r} is stored twice: {places}")
        return found

    def _example(self, text: str) -> None:
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(text)


_Runs = Iterable[tuple[int, int]]


def _joined(runs: _Runs) -> list[tuple[int, int]]:
    """Ascending runs in which what touches or overlaps is one."""
    out: list[tuple[int, int]] = []
    for lo, hi in sorted(runs):
        if out and lo <= out[-1][1]:
            out[-1] = (out[-1][0], max(hi, out[-1][1]))
        else:
            out.append((lo, hi))
    return out


def _intersection(left: _Runs, right: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for lo, hi in left:
        for other_lo, other_hi in right:
            if lo < other_hi and other_lo < hi:
                yield max(lo, other_lo), min(hi, other_hi)


def _skipped(windows: _Runs, common: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of the windows lies below the highest row applied in them and was not applied."""
    gaps = []
    highest = common[-1][1] if common else 0
    for lo, hi in windows:
        at = lo
        for run_lo, run_hi in [run for run in common if lo <= run[0] < hi] + [(min(hi, highest), 0)]:
            if run_lo > at:
                gaps.append((at, run_lo))
            at = run_hi
    return gaps


def _size(runs: _Runs) -> int:
    return sum(hi - lo for lo, hi in runs)


def _count(seqs: Iterable[int], runs: _Runs) -> int:
    ascending = seqs if isinstance(seqs, list) else list(seqs)
    return sum(bisect_left(ascending, hi) - bisect_left(ascending, lo) for lo, hi in runs)


def _words(
    device: int,
    conv: int,
    owed: Iterable[int],
    windows: _Runs,
    common: list[tuple[int, int]],
    skipped: list[tuple[int, int]],
    outside: int,
) -> list[str]:
    """The faults of one device in one conversation."""
    inside = [seq for lo, hi in windows for seq in owed if lo <= seq < hi]
    lost = [seq for seq in inside if not any(lo <= seq < hi for lo, hi in common)][:MAX_EXAMPLES]
    found = [f"device {device} never applied {conv}/{seq}, which was acknowledged" for seq in lost]
    found += [f"device {device} skipped {conv}/{lo} to {hi - 1}" for lo, hi in skipped]
    if outside:
        found.append(f"device {device} applied {outside} rows of {conv} from outside its membership")
    return found
