"""`python -m deploy.rolling`: replace nodes one after the other, so that nobody notices.

A node is drained (SIGTERM; docs/faults.md says how it goes away), gone, started, ready; only then the next one has its
turn. It begins only when all are ready, stops at the first that does not come back, and leaves the others as they are.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import click
import psutil

from deploy.cluster import cluster
from deploy.freeze import FreezeError, default_file, holding
from deploy.stack.settings import StackError
from deploy.stack.wait import answers

READY_S = 90.0
GONE_S = 60.0
LOOK_S = 0.1
EXIT_STOPPED, EXIT_MISTAKE = 1, 2


class RollError(Exception):
    """The roll cannot begin, or ended half-way; the text names the node."""


class Replaceable(Protocol):
    """A node, however it is run."""

    @property
    def name(self) -> str:
        """For people."""

    def ready(self) -> bool:
        """Whether it wants connections."""

    def replace(self) -> None:
        """End it in good order; when this returns it is gone, and another one is on its way up."""


def roll(nodes: Sequence[Replaceable], say: Callable[[str], None], ready_s: float = READY_S) -> None:
    """Replace each; raises RollError when one is not ready before, or does not become ready within `ready_s` after."""
    if away := [node.name for node in nodes if not node.ready()]:
        raise RollError(f"{', '.join(away)}: not ready, so nothing was begun; another one may not go away now")
    for node in nodes:
        began = time.monotonic()
        try:
            node.replace()
        except TimeoutError as error:
            raise RollError(f"{node.name}: {error}; the others were left as they are") from error
        gone_s = time.monotonic() - began
        deadline = time.monotonic() + ready_s
        while not node.ready():
            if time.monotonic() > deadline:
                raise RollError(f"{node.name}: not ready within {ready_s:.0f} s; the others were left as they are")
            time.sleep(LOOK_S)
        say(f"{node.name}: gone and started after {gone_s:.1f} s, ready after {time.monotonic() - began:.1f} s")


@dataclass(frozen=True)
class Local:
    """A node of `make cluster`, whose supervisor starts what has ended."""

    name: str
    url: str
    state: Path

    def ready(self) -> bool:
        """Whether it wants connections."""
        return answers(f"{self.url}/health/ready")

    def replace(self) -> None:
        """SIGTERM, until the state file names another process. Raises TimeoutError."""
        before = self._pid()
        if before is not None and psutil.pid_exists(before):
            os.kill(before, signal.SIGTERM)
        deadline = time.monotonic() + GONE_S
        while self._pid() in (None, before):
            if time.monotonic() > deadline:
                raise TimeoutError(f"was not started anew within {GONE_S:.0f} s")
            time.sleep(LOOK_S)

    def _pid(self) -> int | None:
        told = {node["name"]: node["pid"] for node in json.loads(self.state.read_text())["nodes"]}
        pid: int | None = told[self.name]
        return pid


@dataclass(frozen=True)
class Commanded:
    """A node elsewhere, which a command restarts: `systemctl restart` returns when the old one is gone."""

    name: str
    """host:port"""
    command: str

    def ready(self) -> bool:
        """Whether it wants connections."""
        return answers(f"http://{self.name}/health/ready")

    def replace(self) -> None:
        """Run the command. Raises RollError when it fails."""
        host, _, port = self.name.rpartition(":")
        words = [word.replace("{host}", host).replace("{port}", port) for word in shlex.split(self.command)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RollError(f"{self.name}: {shlex.join(words)} ended with {done.returncode}: {done.stderr.strip()}")


@click.command()
@click.option("--cluster", "local", is_flag=True, help="The nodes of `make cluster` here (RUN_DIR says where it is).")
@click.option("--restart", help="Command that restarts one node; {host} and {port} are put in.")
@click.option("--restart-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A file with that command.")  # fmt: skip
@click.option("--freeze", "freeze_file", type=click.Path(dir_okay=False, path_type=Path), default=default_file,
              help="What `deploy.freeze` wrote.")  # fmt: skip
@click.option("--despite-freeze", is_flag=True, help="For a rollback: that must go on.")
@click.argument("nodes", nargs=-1)
def main(
    local: bool,
    restart: str | None,
    restart_file: Path | None,
    freeze_file: Path,
    despite_freeze: bool,
    nodes: tuple[str, ...],
) -> None:
    """Replace NODES (host:port) one after the other; the next only when the one before is ready.

    \\b
    python -m deploy.rolling --cluster
    python -m deploy.rolling --restart 'ssh {host} sudo systemctl restart messenger@{port}' node1:3001 node2:3001

    Exit status: 0 all were replaced, 1 deploys are frozen or it was stopped at a node, 2 a mistake.
    """
    if restart_file and not restart:
        restart = restart_file.read_text().strip()
    if local == bool(restart) or bool(nodes) == local:
        raise click.UsageError("expected either --cluster, or --restart and nodes")
    try:
        freeze = None if despite_freeze else holding(freeze_file, datetime.fromtimestamp(time.time(), UTC))
    except FreezeError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_STOPPED)
    if freeze:
        click.echo(f"{freeze}; a rollback says --despite-freeze", err=True)
        sys.exit(EXIT_STOPPED)
    found: Sequence[Replaceable]
    try:
        found = _local() if local else [Commanded(name, restart or "") for name in nodes]
    except (OSError, StackError) as error:
        click.echo(f"no cluster: {error}; does `make cluster` run?", err=True)
        sys.exit(EXIT_MISTAKE)
    try:
        roll(found, click.echo)
    except RollError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_STOPPED)


def _local() -> list[Local]:
    state = cluster.state_file(cluster.settings(os.environ))
    return [Local(node["name"], node["url"], state) for node in json.loads(state.read_text())["nodes"]]


if __name__ == "__main__":
    main()
