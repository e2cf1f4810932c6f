"""CPU of one delivery: a bare loop of `send`, our hub, and plain flask-sock, taking turns.

The bare loop and the hub use the same sockets of the same process. flask-sock has a process and
clients of its own. Each delivery is the same frame, and a round is over when every reader has it.
"""

from __future__ import annotations

import _socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from app.metrics import Metrics
from app.protocol.frames import Opcode, encode
from deploy.bench import handshake, sinks
from deploy.bench.fanout import FanOut, connections, cpu_s, make_hub
from deploy.bench.report import Figure, beside
from deploy.bench.size import Size
from deploy.stack.settings import PROJECT

TITLE = "CPU per delivery in one process"
PAYLOAD = (b'{"type":"message","conv":123456,"seq":7890,"id":"0123456789abcdef","sender":1234567,"device":2345678,'
           b'"ts":1760000000.123456,"body":"0123456789abcdefghijklm"}')  # fmt: skip
FRAME = encode(Opcode.TEXT, PAYLOAD)


def run(size: Size) -> list[Figure]:
    """Interleaved rounds of all three; the first of each is thrown away."""
    count = size.listeners
    with sinks.listening(count) as (sink, socks), _flask_sock(size.flask_sock) as flask_sock:
        hub = FanOut(make_hub(Metrics()), connections(socks), count)

        def bare_us() -> float:
            return cpu_s(lambda: _bare(socks), sink, count * len(FRAME)) / count * 1e6

        def hub_us() -> float:
            return cpu_s(lambda: hub.message(FRAME), sink, count * len(FRAME)) / count * 1e6

        rounds = [_turns(bare_us, hub_us, flask_sock, n) for n in range(size.rounds + 1)][1:]
    bare, ours, plain = ([row[i] for row in rounds] for i in range(3))
    return [
        beside("hub", "µs", ours, "bare socket.send loop", bare, "≤ 1.3", "1.1"),
        beside("hub", "µs", ours, "plain flask-sock", plain, "≤ 0.7", "0.5"),
    ]


def _turns(
    bare: Callable[[], float], hub: Callable[[], float], flask_sock: Iterator[float], number: int
) -> tuple[float, float, float]:
    """One round: bare, hub, flask-sock. Bare and hub change places, so that neither always comes second."""
    if number % 2:
        ours, loop = hub(), bare()
    else:
        loop, ours = bare(), hub()
    return loop, ours, next(flask_sock)


def _bare(socks: Sequence[_socket.socket]) -> None:
    frame = FRAME
    for sock in socks:
        sock.send(frame)


@contextmanager
def _flask_sock(count: int) -> Iterator[Iterator[float]]:
    """Rounds of the same text to `count` connections of plain flask-sock: µs of its process per delivery."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.bench.plain_flask_sock"], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None  # noqa: S101  it is a pipe
    try:
        port = int(process.stdout.readline())
        with sinks.dialled(count, port, "/listen") as sink, handshake.connect(port, "/tell") as trigger:
            yield _rounds(trigger, sink, count)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _rounds(trigger: _socket.socket, sink: sinks.Sink, count: int) -> Iterator[float]:
    while True:
        wanted = sink.drained_bytes + count * len(FRAME)
        trigger.sendall(handshake.frame(PAYLOAD))
        ((_opcode, answer, _at),) = handshake.parse(trigger.recv(4096))
        sink.wait(wanted)
        yield float(answer) / count * 1e6
