"""The k6 script speaks the messenger's protocol: its frames go through the server's own decoder, and back.

k6 itself is not needed: the part that builds and reads frames runs under node, and the script is linked
against a stand-in of k6's modules, so that a name that does not exist is found.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.protocol import wire
from app.protocol.frames import MAX_MESSAGE_BYTES
from tests.support.binaries import require
from tests.support.repository import ROOT

K6 = ROOT / "monitoring/load/k6"

RUN = """
import * as frames from './frames.js';
import fs from 'node:fs';
const calls = JSON.parse(fs.readFileSync(0, 'utf8'));
const cursors = new frames.Cursors(1);
const answers = calls.map(([name, ...args]) => name in frames ? frames[name](...args) : cursors[name](...args));
console.log(JSON.stringify(answers));
"""

LINK = """
globalThis.__ENV = { VUS: '3', TOKENS_FILE: 'tokens' };
globalThis.open = () => '{"user":1,"device":2,"conversations":[3],"token":"t"}\\n';
const script = await import('./messenger.js');
console.log(JSON.stringify({ options: script.options, names: Object.keys(script) }));
"""

STAND_IN = {
    "execution": "export default { vu: { idInTest: 1 }, test: { abort() {} } };",
    "data": "export class SharedArray { constructor(name, make) { return make(); } }",
    "metrics": "class M { add() {} } export { M as Counter, M as Rate, M as Trend };",
    "timers": "export const clearInterval = 0, setInterval = 0, setTimeout = 0;",
    "websockets": "export class WebSocket {}",
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The scripts where node takes them as modules."""
    for path in K6.glob("*.js"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def node(folder: Path, program: str, stdin: str = "") -> Any:
    """What a program printed, read as JSON."""
    command = [require("node"), "--input-type=module", "--eval", program]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def answers(folder: Path, *calls: list[Any]) -> list[Any]:
    """The answers of frames.js (or of one Cursors of user 1) to calls [name, *arguments]."""
    told = node(folder, RUN, json.dumps(calls))
    assert isinstance(told, list)
    return told


def said(event: wire.ServerEvent) -> dict[str, Any]:
    """An event as a client reads it from the server's frame."""
    frame = wire.frame(event)
    assert len(frame) < MAX_MESSAGE_BYTES
    read: dict[str, Any] = json.loads(frame[frame.index(b"{") :])
    return read


def test_every_frame_the_script_builds_is_what_the_server_reads(scripts: Path) -> None:
    built = answers(
        scripts,
        ["hello", "a.b.c"],
        ["hello", "a.b.c", {"7": 3}, "an-epoch"],
        ["send", "id-1", 7, 'quotes " and \\ and ü and \n'],
        ["delivered", {"7": 4, "8": 1}],
    )
    assert [wire.decode(text) for text in built] == [
        wire.Hello("a.b.c"),
        wire.Hello("a.b.c", {7: 3}, "an-epoch"),
        wire.Send("id-1", 7, 'quotes " and \\ and ü and \n'),
        wire.Delivered({7: 4, 8: 1}),
    ]


def test_no_other_frames_are_built(scripts: Path) -> None:
    names = node(scripts, "console.log(JSON.stringify(Object.keys(await import('./frames.js'))))")
    assert set(names) == {"hello", "send", "delivered", "isRow", "Cursors"}


def test_rows_of_the_log_are_told_from_other_events(scripts: Path) -> None:
    rows = [wire.Message(7, 3, "a", 1, 2, 1.5, "x"), wire.Member(7, 4, 1, "left", 1.5)]
    others = [
        wire.Welcome(1, 2, "e", 25, 1.5),
        wire.Ack("a", 7, 3, 1.5),
        wire.Receipt(7, 1, 3),
        wire.ReadMark(7, 1, 3),
        wire.TypingEvent(7, 1),
        wire.Device(2, "revoked"),
        wire.Synced(),
        wire.DeviceLists([1], []),
        wire.KeyCounts({}, []),
        wire.ToDevice(1, 2, 3, "x", msgspec.Raw(b"{}")),
        wire.LinkEvent(1, "claimed"),
        wire.CallAck("a", 7, 1),
        *(kind(seq=1, call="a", conv=7, user=1, device=2, version="1", age_ms=3) for kind in wire.CALL_EVENTS.values()),
        wire.Resync("e"),
        wire.Broadcast("b", 1.5, "x"),
        wire.Drain(100),
        wire.ErrorEvent("internal", "x"),
    ]
    kinds = {*wire.ServerEvent.__subclasses__(), *wire.CallEvent.__subclasses__()} - {wire.CallEvent}
    assert {type(event) for event in rows + others} == kinds
    told = answers(scripts, *(["isRow", said(event)] for event in rows + others))
    assert told == [True] * len(rows) + [False] * len(others)


def test_cursors_follow_the_protocol(scripts: Path) -> None:
    def message(seq: int) -> list[Any]:
        return ["apply", said(wire.Message(7, seq, "a", 1, 2, 1.5, "x"))]

    def came_back(user: int, seq: int) -> list[Any]:
        return ["apply", said(wire.Member(7, seq, user, "joined", 1.5))]

    steps = [
        (["take"], None),
        (message(5), True),  # the server's stored cursor was 4
        (message(6), True),
        (message(6), False),
        (message(8), False),
        (["take"], {"7": 6}),
        (["take"], None),
        (came_back(2, 9), False),  # somebody else
        (came_back(1, 9), True),
        (message(10), True),
        (["take"], {"7": 10}),
    ]
    assert answers(scripts, *(call for call, _ in steps)) == [wanted for _, wanted in steps]


def test_the_script_links_and_has_the_checklists_thresholds(scripts: Path) -> None:
    package = scripts / "node_modules/k6"
    package.mkdir(parents=True)
    for name, text in STAND_IN.items():
        (package / f"{name}.js").write_text(text)
    exports = {f"./{name}": f"./{name}.js" for name in STAND_IN}
    (package / "package.json").write_text(json.dumps({"type": "module", "exports": exports}))
    told = node(scripts, LINK)
    assert set(told["names"]) == {"default", "options", "setup"}
    assert told["options"]["thresholds"] == {"messenger_fanout_ms": ["p(95)<250"], "messenger_errors": ["rate<0.01"]}
    assert told["options"]["scenarios"]["devices"]["vus"] == 3
