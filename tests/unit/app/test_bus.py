"""What travels between nodes, what waits, and which shards are in trouble; no Redis needed."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ConversationId, UserId
from app.domain.log import Kind
from app.errors import ConfigError
from app.metrics import PATHS, Metrics
from app.realtime.bus.backlog import MAX_BATCH, MAX_BATCH_BYTES, Backlog
from app.realtime.bus.endpoint import RedisCluster, SingleRedis, endpoint_of
from app.realtime.bus.handover import hand_on, row, wanted_by
from app.realtime.bus.redis_bus import RedisBus
from app.realtime.bus.wire import Audience, BusFrame, Reader, encode
from app.realtime.fanout import Fanout
from app.realtime.faults import Faults
from app.realtime.hub import Hub, Sequenced

REASONS = ("batch", "version", "frame")


def frame_of(key: int = 7, seq: int = 1, path: str = "message", frame: bytes = b"{}", age_s: float = 0.0) -> BusFrame:
    return BusFrame(path, Audience.CONVERSATION, key, seq, Kind.MESSAGE, 3, time.time() - age_s, frame)


def reader(metrics: Metrics, *keys: int) -> Reader:
    """Of node "here", where only these conversations have listeners."""
    return Reader("here", lambda audience, key: audience == Audience.EVERYBODY or key in keys, metrics)


def unreadable(metrics: Metrics) -> list[float]:
    return [metrics.counter("messenger_bus_unreadable_total", reason).value for reason in REASONS]


# --- what travels ----------------------------------------------------------------------------------------


def test_frames_with_listeners_arrive_as_they_were_in_their_order() -> None:
    frames = [frame_of(key, seq) for seq in (1, 2) for key in (7, 8, 2**53 - 1)]
    everybody = BusFrame("broadcast", Audience.EVERYBODY, 0, 0, Kind.MESSAGE, 0, 1.5, b"all")
    heard = reader(Metrics(), 7, 2**53 - 1).read(encode("there", [*frames, everybody]))
    assert heard == [frame for frame in frames if frame.key != 8] + [everybody]


def test_what_nobody_here_listens_to_is_not_even_decoded() -> None:
    metrics = Metrics()
    broken = msgspec.msgpack.encode((1, "there", [8 << 2], ["not a frame"]))
    assert reader(metrics, 7).read(broken) == []
    assert unreadable(metrics) == [0, 0, 0]
    assert reader(metrics, 8).read(broken) == []
    assert unreadable(metrics) == [0, 0, 1]


def test_a_node_passes_over_its_own_batches_and_no_others() -> None:
    metrics = Metrics()
    assert reader(metrics, 7).read(encode("here", [frame_of()])) == []
    assert len(reader(metrics, 7).read(encode("here2", [frame_of()]))) == 1
    assert len(reader(metrics, 7).read(encode("her", [frame_of()]))) == 1
    assert unreadable(metrics) == [0, 0, 0]


@pytest.mark.parametrize(
    ("batch", "counted"),
    [
        ((2, "there", [28], [["message", 0, 7, 1, 0, 3, 1.0, b""]]), [0, 1, 0]),
        ((1, "there", [28, 28], [["message", 0, 7, 1, 0, 3, 1.0, b""]]), [1, 0, 0]),
        ((1, "there"), [1, 0, 0]),
        ((1, "there", [28], [["a path of tomorrow", 0, 7, 1, 0, 3, 1.0, b""]]), [0, 0, 1]),
        ((1, "there", [28], [["message", 0, 7, 1, 99, 3, 1.0, b""]]), [0, 0, 1]),
        ((1, "there", [28], [["message", 9, 7, 1, 0, 3, 1.0, b""]]), [0, 0, 1]),
        ((1, "there", [28], [["message", 0, 7]]), [0, 0, 1]),
    ],
)
def test_what_this_version_cannot_read_is_counted(batch: tuple[object, ...], counted: list[float]) -> None:
    metrics = Metrics()
    assert reader(metrics, 7).read(msgspec.msgpack.encode(batch)) == []
    assert unreadable(metrics) == counted


def test_one_strange_frame_does_not_take_the_others_with_it() -> None:
    known, strange = frame_of(seq=1), frame_of(path="a path of tomorrow")
    assert reader(Metrics(), 7).read(encode("there", [strange, known])) == [known]


def test_a_later_version_may_append_fields_to_a_frame() -> None:
    longer = msgspec.msgpack.encode((1, "there", [28], [["message", 0, 7, 1, 0, 3, 1.0, b"x", 0, False, "new"]]))
    (frame,) = reader(Metrics(), 7).read(longer)
    assert frame.frame == b"x"


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: encode("there", [])[:-2] + tail)))
def test_garbage_is_counted_and_never_raises(data: bytes) -> None:
    metrics = Metrics()
    for frame in reader(metrics, 0, 7).read(data):
        assert frame.path in PATHS


def test_garbage_nested_deeper_than_any_stack_is_only_garbage() -> None:
    metrics = Metrics()
    assert reader(metrics, 7).read(b"\x94\x01\xa1x\x91\x1c\x91" + b"\x91" * 100_000) == []
    assert unreadable(metrics) == [1, 0, 0]


def test_the_way_between_nodes_is_measured_for_each_path_and_never_negative() -> None:
    metrics = Metrics()
    late, early = frame_of(path="typing", age_s=0.3), frame_of(path="read", age_s=-600)
    reader(metrics, 7).read(encode("there", [late, early]))
    typing, read = (metrics.histogram("messenger_fanout_stage_seconds", p, "relay") for p in ("typing", "read"))
    assert (sum(typing.counts), sum(read.counts)) == (1, 1)
    assert typing.total >= 0.3
    assert read.total == 0


# --- entering and leaving a node ---------------------------------------------------------------------------


def test_a_hub_wants_what_it_could_hand_on() -> None:
    metrics = Metrics()
    wanted = wanted_by(Hub(metrics, Faults(metrics, allowed=False)))
    assert wanted(Audience.EVERYBODY, 0)
    assert not wanted(Audience.CONVERSATION, 7)
    assert not wanted(Audience.USER, 7)
    assert not wanted(Audience.DEVICE, 7)


def test_a_row_of_the_log_crosses_unchanged() -> None:
    event = Sequenced(ConversationId(7), 5, Kind.JOINED, UserId(3), 1.5, b"frame")
    seen: list[object] = []

    class Recorder(Hub):
        def deliver(self, event: Sequenced) -> bool:
            seen.append(event)
            return True

    metrics = Metrics()
    recorder = Recorder(metrics, Fanout(metrics, Faults(metrics, allowed=False)))
    hand_on(recorder, reader(metrics, 7).read(encode("there", [row(event)])))
    assert seen == [event]


# --- what waits --------------------------------------------------------------------------------------------


def seqs(batch: list[tuple[float, BusFrame]]) -> list[int]:
    return [frame.seq for _, frame in batch]


def test_the_oldest_makes_room() -> None:
    backlog = Backlog(max_frames=3, max_bytes=100)
    assert [frame.seq for frame in backlog.put([frame_of(seq=n) for n in range(5)])] == [0, 1]
    dropped = backlog.put([frame_of(seq=5, frame=b"x" * 97)])
    assert [frame.seq for frame in dropped] == [2, 3]  # two bytes each: one of the old ones still fits
    assert seqs(backlog.take()) == [4, 5]


def test_a_batch_is_bounded_in_frames_and_bytes_and_one_frame_always_fits() -> None:
    backlog = Backlog()
    backlog.put([frame_of(seq=n) for n in range(MAX_BATCH + 1)])
    assert [len(backlog.take()), len(backlog.take()), len(backlog.take())] == [MAX_BATCH, 1, 0]
    backlog.put([frame_of(seq=n, frame=b"x" * (MAX_BATCH_BYTES // 2)) for n in range(3)])
    backlog.put([frame_of(seq=3, frame=b"x" * (MAX_BATCH_BYTES + 1))])
    assert [seqs(backlog.take()) for _ in range(3)] == [[0, 1], [2], [3]]


def test_what_could_not_be_sent_is_sent_first() -> None:
    backlog = Backlog()
    backlog.put([frame_of(seq=1), frame_of(seq=2)])
    taken = backlog.take()
    backlog.put([frame_of(seq=3)])
    backlog.put_back(taken)
    assert seqs(backlog.take()) == [1, 2, 3]


def test_waiting_ends_when_there_is_something() -> None:
    backlog = Backlog()
    assert not backlog.wait(0.0)
    backlog.put([frame_of()])
    assert backlog.wait(0.0)
    assert len(backlog.clear()) == 1
    assert not backlog.wait(0.0)


# --- shards ------------------------------------------------------------------------------------------------


def redis_bus(shards: int, metrics: Metrics) -> RedisBus:
    return RedisBus("redis://127.0.0.1:1/0", shards, "here", lambda _frames: None, lambda _to, _key: True, metrics)


def test_while_redis_is_away_frames_are_dropped_at_once_and_counted() -> None:
    metrics = Metrics()
    bus = redis_bus(1, metrics)
    bus.publish([frame_of(), frame_of()])
    assert metrics.counter("messenger_bus_dropped_total").value == 2
    assert not bus.connected
    assert bus.problem() == "other nodes are heard through the log only: not connected yet"


def test_the_scheme_tells_a_cluster_from_one_redis() -> None:
    assert isinstance(endpoint_of("unix:///run/redis.sock"), SingleRedis)
    assert isinstance(endpoint_of("rediss://:pw@one:6379/0"), SingleRedis)
    assert isinstance(endpoint_of("rediss+cluster://one:7000/0?ssl_cert_reqs=none"), RedisCluster)
    assert isinstance(endpoint_of("redis+cluster://user:p%40ss@one:7000,[::1]:7001"), RedisCluster)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@one:6379/0?no_such_option=1",
        "redis://:hunter2@one:6379/0?socket_timeout=hunter2",
        "redis://:hunter2@one:hunter2/0",
        "redis+cluster://:hunter2@one:7000?no_such_option=1",
        "redis+cluster://:hunter2@one:99999",
    ],
)
def test_a_url_that_the_client_does_not_understand_is_a_mistake_of_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_URL") as caught:
        endpoint_of(url)
    assert "hunter2" not in str(caught.value)
