"""A machine: processor, memory, disks, network, and what waits for them."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.boards.model import Board, Panel, Query, Row
from monitoring.boards.parts import NODES, ONE, lines, number, used, variables
from monitoring.promql import Matcher
from monitoring.signals import host as signals
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Slo

UID = "infra-host"
_BOOK = "infrastructure"
_REAL = Scope((*NODES.matchers, Matcher("fstype", "!~", "tmpfs|ramfs|overlay|squashfs|proc|sysfs")))
"""File systems on disks."""
_WIRES = Scope((*NODES.matchers, Matcher("device", "!=", "lo")))


def board(_slos: Sequence[Slo]) -> Board:
    """The board of every machine that is scraped as one of its job."""
    return Board(
        uid=UID,
        title="Host",
        description="What the machine itself has left.",
        tags=("infrastructure",),
        variables=variables(signals.BOOTED.name, signals.JOB),
        rows=(
            Row(5, (_busy(), _memory_used(), _disk_used(), _age()), (6, 6, 6, 6), title="Now"),
            Row(8, (_cpu(), _load(), _memory()), (8, 8, 8), title="Processor and memory"),
            Row(8, (_disk_busy(), _disk_bytes(), _room()), (8, 8, 8), title="Disks"),
            Row(7, (_network(), _dropped(), _descriptors()), (8, 8, 8), title="Network and descriptors"),
        ),
    )


def _busy() -> Panel:
    idle = signals.CPU.rate(NODES, ("instance",), {"mode": "idle"})
    text = "Share of all processors that is not idle."
    share = f"1 - {idle} / {signals.CPU.rate(NODES, ('instance',))}"
    return used("host/busy", "CPU", text, Query(share, "{{instance}}"), books=(_BOOK, "loop-lag"))


def _memory_used() -> Panel:
    free, all_ = (one.sum(NODES, ("instance",)) for one in (signals.AVAILABLE, signals.MEMORY))
    text = "Memory that cannot be had without swapping. At the end the system kills the largest process."
    return used("host/memory-used", "Memory", text, Query(f"1 - {free} / {all_}", "{{instance}}"), books=(_BOOK,))


def _disk_used() -> Panel:
    by = ("instance", "mountpoint")
    share = f"max by (instance) (1 - {signals.FREE.max(_REAL, by)} / {signals.ROOM.max(_REAL, by)})"
    text = "The fullest file system. A full one ends the database."
    return used("host/disk-used", "Fullest disk", text, Query(share, "{{instance}}"), books=(_BOOK,))


def _age() -> Panel:
    text = "Time since the machine started; of several the youngest."
    query = Query(f"min(time() - {signals.BOOTED.value(NODES)})", "up")
    return number("host/age", "Running for", text, "s", query, books=("node-down",))


def _cpu() -> Panel:
    return lines(
        "host/cpu",
        "CPU by what it does",
        "Seconds a second over all processors. iowait: waits for disks. steal: another virtual machine had it.",
        "short",
        Query(signals.CPU.rate(NODES, ("mode",)), "{{mode}}"),
        stacked=True,
        books=(_BOOK,),
    )


def _load() -> Panel:
    return lines(
        "host/load",
        "Load",
        "Processes that run or wait for processor or disk, over a minute; more than there are processors is a queue.",
        "short",
        Query(signals.LOAD.max(NODES, ("instance",)), "{{instance}}"),
        books=(_BOOK,),
    )


def _memory() -> Panel:
    return lines(
        "host/memory",
        "Memory",
        "All there is, and what can be had without swapping.",
        "bytes",
        Query(signals.MEMORY.sum(NODES), "all"),
        Query(signals.AVAILABLE.sum(NODES), "available"),
        books=(_BOOK,),
    )


def _disk_busy() -> Panel:
    return lines(
        "host/disk-busy",
        "Disks busy",
        "Share of the time each disk works. Near 100 % commits wait.",
        "percentunit",
        Query(signals.DISK_BUSY.rate(NODES, ("device",)), "{{device}}"),
        maximum=ONE,
        books=(_BOOK,),
    )


def _disk_bytes() -> Panel:
    return lines(
        "host/disk-bytes",
        "Read and written",
        "Over all disks.",
        "Bps",
        Query(signals.READ.rate(NODES), "read"),
        Query(signals.WRITTEN.rate(NODES), "written"),
        books=(_BOOK,),
    )


def _room() -> Panel:
    return lines(
        "host/room",
        "Room left",
        "Of each file system on a disk.",
        "bytes",
        Query(signals.FREE.max(_REAL, ("instance", "mountpoint")), "{{instance}} {{mountpoint}}"),
        books=(_BOOK,),
    )


def _network() -> Panel:
    return lines(
        "host/network",
        "Network",
        "Over all interfaces but loopback.",
        "Bps",
        Query(signals.RECEIVED.rate(_WIRES), "received"),
        Query(signals.TRANSMITTED.rate(_WIRES), "sent"),
        books=(_BOOK,),
    )


def _dropped() -> Panel:
    return lines(
        "host/dropped",
        "Packets dropped",
        "On arrival and on departure, and processes killed for lack of memory. Zero is usual.",
        "ops",
        Query(signals.RECEIVE_DROPPED.rate(_WIRES), "on arrival"),
        Query(signals.TRANSMIT_DROPPED.rate(_WIRES), "on departure"),
        Query(signals.OUT_OF_MEMORY.rate(NODES), "killed"),
        books=(_BOOK,),
    )


def _descriptors() -> Panel:
    by = ("instance",)
    share = f"{signals.DESCRIPTORS.max(NODES, by)} / {signals.MAX_DESCRIPTORS.max(NODES, by)}"
    return lines(
        "host/descriptors",
        "Descriptors used",
        "Of all the system allows; each connection is one on its node and two in nginx.",
        "percentunit",
        Query(share, "{{instance}}"),
        books=("descriptors",),
    )
