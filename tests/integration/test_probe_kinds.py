"""Every kind of probe against real nodes: well, refused, and told apart from the prober's own faults."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.client.api import Api, ApiError
from monitoring.probes.failures import Deadline, Wrong
from monitoring.probes.journal import read
from monitoring.probes.judging import Judge
from monitoring.probes.kinds import Probe
from monitoring.probes.kinds.http import Health, Keys, Login, Media
from monitoring.probes.kinds.sockets import Broadcast, Call, CatchUp, Link, ReadSync, Revoke, Two
from monitoring.probes.members import Member
from monitoring.probes.metrics import ProbeMetrics
from tests.support.people import PASSWORD
from tests.support.probing import probing, write_settings
from tests.support.servers import ADMIN_TOKEN, eventually, running_node

TIMEOUT_S = 20.0
KINDS: dict[str, Callable[[Member, Member], Probe]] = {
    "health": lambda one, _: Health([one.api.base_url]),
    "login": lambda one, _: Login(one),
    "keys": Keys,
    "media": Media,
    "catch_up": lambda one, other: CatchUp(Two(one, other)),
    "read_sync": lambda one, other: ReadSync(Two(one, other)),
    "revoke": lambda one, _: Revoke(one),
    "link": lambda one, _: Link(one),
    "call": lambda one, other: Call(Two(one, other)),
    "broadcast": lambda one, other: Broadcast([one, other], ADMIN_TOKEN),
}


def counts(metrics: ProbeMetrics, kind: str) -> dict[str, float]:
    """How runs of a kind ended, and why they failed, where that is not zero."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    wanted = ("messenger_probe_runs_total", "messenger_probe_failures_total", "messenger_probe_own_faults_total")
    found = {
        s.labels.get("reason") or s.labels["outcome"]: s.value
        for s in samples
        if s.name in wanted and s.labels["probe"] == kind
    }
    return {key: value for key, value in found.items() if value}


def run(metrics: ProbeMetrics, kind: str, probe: Probe, *members: Member) -> dict[str, float]:
    """Once; everything that was counted of it so far."""

    def forget() -> None:
        for member in members:
            member.forget()

    Judge(metrics).run(kind, probe, Deadline(time.time() + TIMEOUT_S), forget)
    return counts(metrics, kind)


def test_every_kind_goes_well_again_and_again_and_fails_where_nobody_is(database_url: str, tmp_path: Path) -> None:
    probes: dict[str, tuple[Probe, Member, Member]] = {}
    metrics = ProbeMetrics()
    with running_node(database_url, tmp_path / "log", MEDIA_DIR=str(tmp_path / "media")) as node:
        for kind, make in KINDS.items():
            one, other = (Member(node.api, f"{kind}-{n}", PASSWORD) for n in (1, 2))
            probes[kind] = make(one, other), one, other
        for turn, (kind, (probe, *members)) in product((1, 2), probes.items()):
            assert run(metrics, kind, probe, *members) == {"ok": turn}, kind
        for kind in ("login", "revoke", "link"):
            _, one, _ = probes[kind]
            assert len(one.api.devices(one.device())) == 1, f"{kind} leaves devices behind"
        assert len(list((tmp_path / "media" / "objects").rglob("*"))) < 6, "one object a day, in its folders"
        # Whoever was signed out from outside signs in anew.
        probe, one, other = probes["read_sync"]
        for account in (one.new_device("another"), other.new_device("another")):
            member = one if account.name == one.name else other
            for device in member.api.devices(account):
                if not device["current"]:
                    member.api.revoke(account, device["id"])
        assert run(metrics, "read_sync", probe, one, other) == {"ok": 2, "failed": 1, "auth": 1}
        assert run(metrics, "read_sync", probe, one, other) == {"ok": 3, "failed": 1, "auth": 1}
    for kind, (probe, *members) in probes.items():
        before = counts(metrics, kind).get("failed", 0)
        assert run(metrics, kind, probe, *members) | {"auth": 0} == {
            "ok": 3 if before else 2, "failed": before + 1, "tcp": 1, "auth": 0,
        }, kind  # fmt: skip


class _Breaks:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, _deadline: Deadline) -> float:
        raise self._error


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OSError(errno.EMFILE, "too many open files"), {"resources": 1}),
        (ApiError(429, "too_many", "wait a minute"), {"limited": 1}),
        (AttributeError("a mistake in the prober"), {"bug": 1}),
        (ConnectionResetError(), {"failed": 1, "tcp": 1}),
        (Wrong("the same key twice"), {"failed": 1, "wrong": 1}),
        (TimeoutError(), {"failed": 1, "timeout": 1}),
    ],
)
def test_what_is_the_probers_own_fault_is_no_failure(error: Exception, found: dict[str, int]) -> None:
    assert run(ProbeMetrics(), "media", _Breaks(error)) == found


def test_canaries_take_every_way_between_nodes_and_settings_change_without_a_start(
    shared_database_url: str, tmp_path: Path
) -> None:
    with (
        running_node(shared_database_url, tmp_path / "a.log") as a,
        running_node(shared_database_url, tmp_path / "b.log") as b,
    ):
        nodes = {"a": a.api.base_url, "b": b.api.base_url}
        settings = write_settings(
            tmp_path, a.api.base_url, {"canary": {"every": "1s"}}, nodes=nodes, journal={"folder": "canaries"}
        )
        with probing(settings) as prober:

            def delivered(source: str, target: str) -> float:
                route = {"source": source, "target": target}
                # Without Redis nodes hear of each other by the log, a second later.
                ends = [
                    prober.counted("messenger_probe_canaries_total", outcome=o, **route) for o in ("delivered", "late")
                ]
                return sum(ends)

            eventually(lambda: min(delivered(*route) for route in product("ab", "ab")) >= 2, within_s=40)
            assert prober.counted("messenger_probe_canaries_total", outcome="lost") == 0
            assert prober.counted("messenger_probe_runs_total") == 0
            assert {entry.kind for entry, _ in read(tmp_path / "canaries")} >= {"sent", "end"}

            def change(**more: Any) -> None:
                settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | more))

            change(probes={"health": {"every": "1s"}})
            eventually(lambda: prober.counted("messenger_probe_runs_total", probe="health", outcome="ok") >= 2)
            settled = [delivered(*route) for route in product("ab", "ab")]
            change(probes={"health": {"every": "often"}})
            eventually(lambda: prober.counted("messenger_probe_settings_loaded") == 0)
            before = prober.counted("messenger_probe_runs_total", probe="health")
            eventually(lambda: prober.counted("messenger_probe_runs_total", probe="health") > before)
            assert "probes.yaml:" in settings.with_suffix(".log").read_text()
            change(probes={"canary": {"every": "1s"}}, jitter=0)
            eventually(lambda: "takes a new start" in settings.with_suffix(".log").read_text())
            assert [delivered(*route) for route in product("ab", "ab")] == settled
            assert Api(a.api.base_url).call("GET", "/health/ready") is not None
