"""The history checker: a right history is fine; one thing wrong, and the verdict names it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.load.history import History, Verdict


@dataclass(frozen=True)
class Row:
    seq: int
    message_id: str | None  # None: a membership row
    sender: int


@dataclass(frozen=True)
class Run:
    """A right run: conversations with their members' devices, and the log of each."""

    members: dict[int, list[int]]
    logs: dict[int, list[Row]]

    def views(self) -> dict[tuple[int, int], list[Row]]:
        """What each (device, conv) applies."""
        return {(device, conv): list(self.logs[conv]) for conv, devices in self.members.items() for device in devices}


@st.composite
def runs(draw: st.DrawFn) -> Run:
    members, logs = {}, {}
    for conv in range(1, draw(st.integers(1, 3)) + 1):
        devices = sorted(draw(st.sets(st.integers(1, 5), min_size=1, max_size=4)))
        start = draw(st.integers(1, 4))
        log = []
        for seq in range(start, start + draw(st.integers(3, 8))):
            membership = draw(st.integers(0, 4)) == 0 and seq > start
            log.append(Row(seq, None if membership else f"m{conv}-{seq}", draw(st.sampled_from(devices))))
        members[conv], logs[conv] = devices, log
    return Run(members, logs)


def told(run: Run, views: dict[tuple[int, int], list[Row]], processes: int = 1) -> History:
    """The history of a run; each device belongs to one of several processes, merged in the end."""
    parts = [History() for _ in range(processes)]
    for conv, log in run.logs.items():
        for row in log:
            if row.message_id is not None:
                parts[row.sender % processes].sent(row.sender, row.message_id, conv)
                parts[row.sender % processes].acknowledged(row.sender, row.message_id, conv, row.seq)
    for (device, conv), rows in views.items():
        part = parts[device % processes]
        for row in rows:
            part.applied(device, conv, row.seq, row.message_id)
        part.joined(device, device, conv, run.logs[conv][0].seq)
    whole = History()
    for part in parts:
        whole.merge(pickle.loads(pickle.dumps(part)))  # noqa: S301  as it travels between processes
    return whole


def judged(run: Run, views: dict[tuple[int, int], list[Row]], processes: int = 1) -> Verdict:
    return told(run, views, processes).judge()


@given(runs(), st.integers(1, 3))
def test_a_right_history_is_fine(run: Run, processes: int):
    verdict = judged(run, run.views(), processes)
    messages = {conv: sum(row.message_id is not None for row in log) for conv, log in run.logs.items()}
    assert verdict.ok and not verdict.examples
    assert verdict.sent == verdict.acknowledged == sum(messages.values())
    assert verdict.expected == verdict.applied == sum(messages[conv] * len(run.members[conv]) for conv in messages)


@given(runs(), st.integers(1, 3), st.data())
def test_a_row_never_applied_is_lost_and_a_hole(run: Run, processes: int, data: st.DataObject):
    views = run.views()
    view = views[data.draw(st.sampled_from(sorted(views)))]
    at = data.draw(st.integers(0, len(view) - 1))
    last, gone = at == len(view) - 1, view.pop(at)
    verdict = judged(run, views, processes)
    assert verdict.lost == (gone.message_id is not None)
    assert verdict.holes == (not last)
    assert verdict.ok == (last and gone.message_id is None)  # nobody promised a membership row yet


@given(runs(), st.integers(1, 3), st.data())
def test_a_row_applied_again_is_a_duplicate(run: Run, processes: int, data: st.DataObject):
    views = run.views()
    view = views[data.draw(st.sampled_from(sorted(views)))]
    at = data.draw(st.integers(0, len(view) - 1))
    view.insert(data.draw(st.integers(at + 1, len(view))), view[at])
    verdict = judged(run, views, processes)
    assert (verdict.duplicated, verdict.lost, verdict.reordered) == (1, 0, 0)


@given(runs(), st.integers(1, 3), st.data())
def test_swapped_rows_are_reordered(run: Run, processes: int, data: st.DataObject):
    views = run.views()
    view = views[data.draw(st.sampled_from(sorted(views)))]
    at = data.draw(st.integers(0, len(view) - 2))
    view[at], view[at + 1] = view[at + 1], view[at]
    verdict = judged(run, views, processes)
    assert (verdict.reordered, verdict.lost, verdict.duplicated, verdict.holes) == (1, 0, 0, 0)


@given(runs(), st.integers(1, 3), st.data())
def test_another_message_under_the_same_seq_is_wrong_content(run: Run, processes: int, data: st.DataObject):
    views = run.views()
    view = views[data.draw(st.sampled_from(sorted(views)))]
    # A membership row that nobody else saw would contradict nothing; a message has its ack.
    at = data.draw(st.sampled_from([i for i, row in enumerate(view) if row.message_id is not None]))
    view[at] = replace(view[at], message_id="somebody else's")
    verdict = judged(run, views, processes)
    assert verdict.wrong_content >= 1 and not verdict.ok


@given(runs(), st.integers(1, 3), st.data())
def test_a_second_ack_with_another_seq_conflicts(run: Run, processes: int, data: st.DataObject):
    history = told(run, run.views(), processes)
    conv = data.draw(st.sampled_from(sorted(run.logs)))
    row = data.draw(st.sampled_from([row for row in run.logs[conv] if row.message_id is not None]))
    history.acknowledged(row.sender, row.message_id, conv, row.seq)
    assert history.judge().ok, "the same ack again is fine"
    history.acknowledged(row.sender, row.message_id, conv, row.seq + 1)
    assert history.judge().conflicting_acks == 1


def test_an_ack_of_what_was_never_sent_conflicts():
    history = History()
    history.acknowledged(1, "a", 1, 1)
    assert history.judge().conflicting_acks == 1


def test_a_message_stored_twice_is_a_duplicate():
    """A retry that became a second row is in order and dense, and still wrong."""
    history = History()
    history.sent(1, "a", 7)
    history.acknowledged(1, "a", 7, 1)
    history.joined(1, 1, 7, 1)
    history.applied(1, 7, 1, "a")
    history.applied(1, 7, 2, "a")
    verdict = history.judge()
    assert verdict.duplicated == 1
    assert verdict.examples == ["message 'a' is stored twice: 7/1 and 7/2"]


def test_a_device_that_got_nothing_at_all_lost_everything():
    history = History()
    history.sent(1, "a", 7)
    history.acknowledged(1, "a", 7, 3)
    history.joined(2, 2, 7, 1)
    verdict = history.judge()
    assert (verdict.expected, verdict.lost) == (1, 1)
    assert verdict.examples == ["device 2 never applied 7/3, which was acknowledged"]


def test_what_was_never_acknowledged_may_be_missing():
    history = History()
    history.sent(1, "a", 7)
    history.joined(2, 2, 7, 1)
    verdict = history.judge()
    assert verdict.ok
    assert (verdict.sent, verdict.unacknowledged) == (1, 1)


def test_membership_bounds_what_is_owed():
    """Who left and came back is owed nothing in between, and must not see it."""
    history = History()
    for seq in range(1, 10):
        history.sent(1, f"m{seq}", 7)
        history.acknowledged(1, f"m{seq}", 7, seq)
    history.joined(2, 2, 7, 2, 4)
    history.joined(2, 2, 7, 8)
    for seq in (2, 3, 4, 8, 9):
        history.applied(2, 7, seq, f"m{seq}")
    verdict = history.judge()
    assert verdict.ok
    assert verdict.expected == 5
    history.applied(3, 7, 5, "m5")
    assert history.judge().ok, "a device without a known membership is judged by order alone"
    history.applied(2, 7, 10, None)
    history.applied(2, 7, 1, "m1")
    assert history.judge().outside == 1


def test_a_hole_at_the_end_of_an_earlier_membership_is_seen():
    history = History()
    history.joined(2, 2, 7, 1, 3)
    history.joined(2, 2, 7, 8)
    for seq in (1, 2, 8):
        history.applied(2, 7, seq, None)
    verdict = history.judge()
    assert verdict.holes == 1
    assert verdict.examples == ["device 2 skipped 7/3 to 3"]


@pytest.mark.parametrize(
    ("wire", "duplicated", "reordered"),
    [
        ([(1, 5), (1, 6), (2, 5), (2, 6)], 0, 0),  # a new connection may bring again what the old one brought
        ([(1, 5), (1, 6), (2, 6), (1, 7), (2, 7)], 0, 0),  # the old one's last words
        ([(1, 5), (1, 5)], 1, 0),
        ([(1, 6), (1, 5)], 0, 1),
    ],
)
def test_within_one_connection_nothing_comes_twice_or_out_of_order(wire, duplicated, reordered):
    history = History()
    for connection, seq in wire:
        history.received(1, connection, 7, seq)
    verdict = history.judge()
    assert (verdict.duplicated, verdict.reordered) == (duplicated, reordered)


def test_the_same_device_in_two_histories_is_one():
    """A process that took over a device: its rows go on where the other's ended."""
    first, second = History(), History()
    first.joined(1, 1, 7, 1)
    for seq in (1, 2):
        first.applied(1, 7, seq, None)
    for seq in (3, 4):
        second.applied(1, 7, seq, None)
    first.merge(second)
    assert first.judge().ok
    again = History()
    again.applied(1, 7, 4, None)
    first.merge(again)
    assert first.judge().duplicated == 1


def test_examples_are_few_and_in_words():
    history = History()
    history.joined(2, 2, 7, 1)
    for seq in range(1, 100):
        history.sent(1, f"m{seq}", 7)
        history.acknowledged(1, f"m{seq}", 7, seq)
    verdict = history.judge()
    assert verdict.lost == 99
    assert len(verdict.examples) == 20
