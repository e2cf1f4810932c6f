"""A client process of the load tool: an engine, and the parent's commands over a pipe.

Commands: ("traffic", sends per second, seconds), ("tally",) and ("stop",). The answer to `tally` is a
Tally, to `stop` a Result; nothing else is ever said.
"""

from __future__ import annotations

import gc
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from monitoring.load.client import State
from monitoring.load.engine import Engine
from monitoring.load.history import History
from monitoring.load.plan import Shard
from monitoring.load.tally import Tally


@dataclass(frozen=True, slots=True)
class Result:
    """What a client process knows in the end."""

    tally: Tally
    history: History
    absent: frozenset[int]
    """Devices that never were signed in, or must not come back: nothing is owed to them."""


class Worker:
    """The engine and its pipe."""

    def __init__(self, shard: Shard, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self.engine = Engine(shard, self._on_command, pipe.fileno())

    def _on_command(self) -> None:
        try:
            command = self._pipe.recv()
        except EOFError:  # the parent is gone
            self.engine.stop()
            return
        if command[0] == "traffic":
            # What lives now lives to the end; and the engine makes no cycles, so nothing is there to be collected.
            gc.freeze()
            self.engine.start_traffic(command[1], command[2])
        elif command[0] == "tally":
            self._pipe.send(self.engine.snapshot())
        else:
            tally = self.engine.snapshot()
            absent = frozenset(
                client.person.device for client in self.engine.clients if not client.came or client.state is State.GONE
            )
            self.engine.stop()
            self._pipe.send(Result(tally, self.engine.history, absent))


def main(pipe: Connection[Any, Any]) -> None:
    """The process's entry; the shard is the first thing that comes over the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    gc.disable()
    Worker(pipe.recv(), pipe).engine.run()
