"""The pure parts of the load tool: latency buckets, frames, the plan, the schedule and the report's limits."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import wire as server
from app.protocol.frames import Decoder, Opcode
from monitoring.__main__ import main
from monitoring.load import plan, report, wire
from monitoring.load.command import load
from monitoring.load.history import History
from monitoring.load.latency import Latencies
from monitoring.load.nodes import Node, parse
from monitoring.load.plan import LoadError, Person, Shard, Sizes
from monitoring.load.run import Options, Outcome
from monitoring.load.tally import Tally
from monitoring.load.traffic import Traffic
from tests.support.repository import ROOT

# --- latencies ---------------------------------------------------------------------------------------

seconds = st.floats(1e-5, 900.0)


@given(st.lists(seconds, min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_right_to_two_percent(values: list[float], share: float):
    spread = Latencies()
    for value in values:
        spread.record(value)
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert spread.quantile(share) == pytest.approx(exact, rel=0.02)


@given(st.lists(seconds), st.lists(seconds))
def test_merged_latencies_are_those_of_all_values(left: list[float], right: list[float]):
    parts, whole = [Latencies(), Latencies()], Latencies()
    for part, values in zip(parts, (left, right), strict=True):
        for value in values:
            part.record(value)
            whole.record(value)
    parts[0].merge(parts[1])
    assert parts[0] == whole


def test_odd_values_are_counted_and_break_nothing():
    spread = Latencies()
    for value in (-0.5, 0.0, 1e9):
        spread.record(value)
    assert spread.count == 3
    assert spread.quantile(0.5) == pytest.approx(1e-5, rel=0.05)
    assert spread.quantile(1.0) == 1e9
    assert Latencies().quantile(0.95) is None


# --- frames ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1000, 65_535, 65_536])
def test_the_server_reads_our_frames(size: int):
    payload = bytes(at % 251 for at in range(size))
    assert [event.data for event in Decoder().feed(wire.frame(payload, 0x82))] == [payload]


def test_the_server_understands_our_commands():
    frames = [
        wire.hello("a.b.c", {7: 3}, "epoch"),
        wire.hello("a.b.c", {}, None),
        wire.send("id-1", 7, "xxx"),
        wire.delivered({7: 4, 8: 1}),
    ]
    events = list(Decoder().feed(b"".join(frames)))
    assert [server.decode(event.text) for event in events] == [
        server.Hello("a.b.c", {7: 3}, "epoch"),
        server.Hello("a.b.c"),
        server.Send("id-1", 7, "xxx"),
        server.Delivered({7: 4, 8: 1}),
    ]
    (goodbye,) = Decoder().feed(wire.close(1000))
    assert (goodbye.opcode, goodbye.code) == (Opcode.CLOSE, 1000)


SAID = [
    (server.Welcome(1, 2, "e", 25, 1.5), wire.Welcome("e")),
    (server.Ack("a", 7, 3, 1.5), wire.Ack("a", 7, 3)),
    (server.Message(7, 3, "a", 1, 2, 1.5, "ü" * 200), wire.Message(7, 3, "a", 1.5)),
    (server.Member(7, 4, 1, "left", 1.5), wire.Member(7, 4, 1, "left")),
    (server.Receipt(7, 1, 3), wire.Receipt()),
    (server.ReadMark(7, 1, 3), wire.ReadMark()),
    (server.TypingEvent(7, 1), wire.Typing()),
    (server.Device(2, "revoked"), wire.Device()),
    (server.Synced("7"), wire.Synced()),
    (server.DeviceLists([1], []), wire.DeviceLists()),
    (server.KeyCounts({}, []), wire.Keys()),
    (server.ToDevice(1, 2, 3, "x", msgspec.Raw(b"{}")), wire.ToDevice()),
    (server.LinkEvent(1, "claimed"), wire.Link()),
    (server.CallAck("a", 7, 1), wire.CallAck()),
    *(
        (kind(seq=1, call="a", conv=7, user=1, device=2, version="1", age_ms=3), wire.CALLS[verb]())
        for verb, kind in server.CALL_EVENTS.items()
    ),
    (server.Resync("e"), wire.Resync("e")),
    (server.Broadcast("b", 1.5, "x"), wire.Broadcast()),
    (server.Drain(100), wire.Drain(100)),
    (server.ErrorEvent("unavailable", "x", "a", 50), wire.Error("unavailable", "a", 50)),
]


def test_we_understand_everything_the_server_says():
    kinds = {*server.ServerEvent.__subclasses__(), *server.CallEvent.__subclasses__()} - {server.CallEvent}
    assert {type(event) for event, _ in SAID} == kinds
    for event, wanted in SAID:
        ((first, payload),), rest = wire.split(server.frame(event))
        assert (first, rest) == (wire.TEXT, b"")
        assert wire.event(payload) == wanted


@given(st.lists(st.integers(0, len(SAID) - 1), max_size=8), st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(which: list[int], data: st.DataObject):
    frames = [server.frame(SAID[at][0]) for at in which]
    stream = b"".join(frames)
    got, rest = [], b""
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        new, rest = wire.split(rest + stream[:cut])
        got += new
        stream = stream[cut:]
    assert rest == b""
    assert [wire.event(payload) for _, payload in got] == [SAID[at][1] for at in which]


def test_a_refused_upgrade_says_why():
    assert wire.upgraded(b"HTTP/1.1 101 Switching") is None
    with pytest.raises(wire.ProtocolError, match="503 Service Unavailable"):
        wire.upgraded(b"HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\n")
    with pytest.raises(wire.ProtocolError):
        wire.event(b'{"type":"unheard"}')


# --- the plan ----------------------------------------------------------------------------------------


def tokens_file(folder: Path, *conversations: list[int]) -> Path:
    path = folder / "tokens"
    lines = [
        {"user": n, "device": 100 + n, "conversations": convs, "token": "t"} for n, convs in enumerate(conversations, 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_people_are_read_and_conversations_counted(tmp_path: Path):
    path = tokens_file(tmp_path, [7, 8], [7], [7, 8, 9])
    people, seats = plan.read_people(path, 2)
    assert [(p.user, p.device, list(p.conversations)) for p in people] == [(1, 101, [7, 8]), (2, 102, [7])]
    assert [seats[conv] for conv in (7, 8, 9)] == [3, 2, 1]


def test_what_is_wrong_with_a_tokens_file_is_told(tmp_path: Path):
    with pytest.raises(LoadError, match="has 1 devices, --connections asks for 2"):
        plan.read_people(tokens_file(tmp_path, [7]), 2)
    with pytest.raises(LoadError, match=r"tokens:1: this device has no conversation"):
        plan.read_people(tokens_file(tmp_path, []), 1)
    (tmp_path / "tokens").write_text("hello\n")
    with pytest.raises(LoadError, match=r"tokens:1: is no line of `app seed`"):
        plan.read_people(tmp_path / "tokens", 1)
    with pytest.raises(LoadError, match="No such file"):
        plan.read_people(tmp_path / "missing", 1)


@given(st.dictionaries(st.integers(1, 99), st.integers(1, 5)))
def test_sizes_answer_as_the_mapping_they_were_made_of(counts: dict[int, int]):
    sizes = Sizes.of(counts)
    assert {conv: sizes[conv] for conv in counts} == counts


@pytest.mark.parametrize("text", ["", "2", "2:x", "0:1", "2:0", "2:-1", "2:nan", "2:inf"])
def test_a_wrong_distribution_is_refused(text: str):
    with pytest.raises(LoadError, match="expected MEMBERS:SHARE"):
        plan.size_shares(text)


@pytest.mark.parametrize("url", ["http://127.0.0.1/ws", "ws:///ws", "ws://host:x/ws", "127.0.0.1:3001"])
def test_a_wrong_url_is_refused(url: str):
    with pytest.raises(LoadError, match="expected for example ws://"):
        plan.target(url)


def test_too_few_processes_are_refused():
    with pytest.raises(LoadError, match="at least 6"):
        plan.process_count(100_000, 5, 20_000)


def test_source_addresses_vary_in_the_third_octet():
    """As nginx's ip_hash looks at no more than that."""
    networks = Counter(plan.source_address(number).rsplit(".", 1)[0] for number in range(100_000))
    assert len(networks) > 390
    assert max(networks.values()) <= 2


# --- the schedule ------------------------------------------------------------------------------------


def shard(people: list[Person], members: dict[int, int], sizes: dict[int, float]) -> Shard:
    return Shard(
        index=0, first=0, people=people, targets=[], connect_rate_per_s=1, in_flight=1, body="", run="r-",
        members=Sizes.of(members), heads=None, share=1.0, sizes=sizes,
    )  # fmt: skip


def test_sends_are_due_at_their_times_however_late_one_looks():
    person = Person(1, 2, array("q", [7]), "t")
    traffic = Traffic(shard([person], {7: 1}, {}), rate_per_s=10, begin=100.0, duration_s=1.0)
    assert [due.at for due in traffic.due(100.25)] == pytest.approx([100.0, 100.1, 100.2])
    assert traffic.wait_s(100.25) == pytest.approx(0.05)
    assert len(list(traffic.due(200.0))) == 7
    assert list(traffic.due(300.0)) == []
    assert traffic.wait_s(300.0) == math.inf


def test_sends_follow_the_wanted_sizes():
    people = [Person(1, 1, array("q", [7, 8]), "t"), Person(2, 2, array("q", [7, 9]), "t")]
    traffic = Traffic(shard(people, {7: 2, 8: 1, 9: 3}, {3: 1.0}), rate_per_s=100, begin=0.0, duration_s=1.0)
    assert {(due.place, due.conv) for due in traffic.due(1.0)} == {(1, 9)}


# --- the figures -------------------------------------------------------------------------------------


def test_tallies_of_processes_add_up():
    one, two = Tally(sends=1, ramp=(5.0, 7.0)), Tally(sends=2, ramp=(6.0, 9.0))
    one.error_frames["busy"] += 1
    two.error_frames["busy"] += 2
    two.fanout.record(0.1)
    one.add(two)
    assert (one.sends, one.error_frames, one.fanout.count, one.ramp_s) == (3, {"busy": 3}, 1, 4.0)
    assert one.errors == 3
    assert Tally().ramp_s == 0.0


def told(p95: float | None = 10.0, loss: float = 0.0, errors: float = 0.0, **history: int) -> dict[str, object]:
    return {
        "fanout_ms": {"p95": p95},
        "loss_rate": loss,
        "error_rate": errors,
        "history": dict.fromkeys(report.FAULTS, 0) | history,
    }


NONE = report.Limits(None, None, None)


@pytest.mark.parametrize(
    ("figures", "limits", "missed"),
    [
        (told(), NONE, []),
        (told(), report.Limits(10.0, 0.0, 0.0), []),
        (told(), report.Limits(0.0, None, None), ["fan-out p95 is 10.0 ms, the limit is 0 ms"]),
        (told(p95=None), report.Limits(250.0, None, None), ["fan-out p95 is not measured, the limit is 250 ms"]),
        (told(errors=0.02), report.Limits(None, None, 0.01), ["error rate is 2.0000%, the limit is 1.0000%"]),
        (told(loss=0.5, lost=1, holes=1), NONE, ["lost: 1", "holes: 1"]),
        (told(loss=0.0005, lost=1, holes=1), report.Limits(None, 0.001, None), []),
        (told(loss=0.5, lost=1), report.Limits(None, 0.001, None), ["loss rate is 50.0000%, the limit is 0.1000%"]),
        (told(duplicated=1), report.Limits(None, 0.001, None), ["duplicated: 1"]),
    ],
)
def test_limits(figures, limits, missed):
    assert report.missed(figures, limits) == missed


def test_series_are_read_from_an_exposition():
    text = '# TYPE a gauge\nprocess_cpu_seconds_total 1.5\nx{y="z"} 1\nprocess_resident_memory_bytes 1e+06\n'
    assert parse(text) == {"process_cpu_seconds_total": 1.5, "process_resident_memory_bytes": 1e6}


def outcome() -> Outcome:
    """A run in which nothing happened."""
    options = Options(
        targets=[], people=[], seats=Sizes(0, {}), fresh=False, duration_s=1, rate_per_s=1, body_bytes=0, sizes={},
        metrics_urls=[], processes=1, connect_rate_per_s=1,
    )  # fmt: skip
    return Outcome(
        options=options, tally=Tally(), processes=[Tally()], verdict=History().judge(), nodes=[Node("http://x")],
        connected=0, traffic_s=1.0, drain_s=0.0,
    )  # fmt: skip


def test_a_run_in_which_nothing_happened_is_reported():
    said = report.text(report.figures(outcome()))
    assert "p95 latency: not measured" in said
    assert "CPU per node: not measured" in said


def keys(value: object) -> Iterator[str]:
    """All keys in nested JSON that are names; those of counts by reason or code are empty here."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_every_json_key_option_and_setting_is_documented():
    page = (ROOT / "docs/load.md").read_text()
    missing = {key for key in keys(report.figures(outcome())) if f"`{key}`" not in page}
    assert not missing
    options = {name for option in load.params for name in option.opts}
    assert {name for name in options if f"`{name}`" not in page} == set()
    script = (ROOT / "monitoring/load/k6/messenger.js").read_text()
    settings = set(re.findall(r"__ENV\.(\w+)", script))
    assert settings == set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))


# --- the command line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--url", "http://x"], "expected for example ws://"),
        (["--duration", "soon"], "is no duration"),
        (["--sizes", "50:1"], "no conversation with 50 members"),
        (["--connections", "9"], "seed more"),
        (["--rate", "0"], "Invalid value for '--rate'"),
        (["--max-loss", "2"], "Invalid value for '--max-loss'"),
    ],
)
def test_a_mistake_in_the_options_is_status_2(tmp_path: Path, options: list[str], word: str):
    path = tokens_file(tmp_path, [7], [7])
    given = {"--url": "ws://127.0.0.1:1/ws", "--tokens": str(path), "--connections": "2"}
    given |= dict([options])
    done = CliRunner().invoke(main, ["load", *(part for pair in given.items() for part in pair)])
    assert done.exit_code == 2
    assert word in done.output
