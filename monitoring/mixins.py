"""What belongs to one service beside its SLOs: its own alerts, its boards, the jobs they read.

A config names the mixins it wants; a service without one still gets rules and alerts
from its specs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from monitoring.boards import devices, fanout, host, nginx, node, oncall, overview, postgres, probes, redis
from monitoring.boards.model import Board
from monitoring.rules import platform
from monitoring.rules.model import RuleFile
from monitoring.rules.profile import Profile
from monitoring.signals import host as host_signals
from monitoring.signals import messenger
from monitoring.signals import nginx as nginx_signals
from monitoring.signals import postgres as postgres_signals
from monitoring.signals import redis as redis_signals
from monitoring.spec.model import Slo


@dataclass(frozen=True)
class Mixin:
    """`alerts(profile, service)` and each of `boards`, called with the SLOs, are pure; None has no alerts."""

    jobs: tuple[str, ...]
    alerts: Callable[[Profile, str], RuleFile] | None
    boards: tuple[Callable[[Sequence[Slo]], Board], ...]


MIXINS: Mapping[str, Mixin] = {
    "messenger": Mixin(
        (messenger.JOB, messenger.PROBE_JOB),
        platform.messenger,
        (overview.board, fanout.board, devices.board, probes.board, oncall.board, node.board),
    ),
    "postgres": Mixin((postgres_signals.JOB,), None, (postgres.board,)),
    "redis": Mixin((redis_signals.JOB,), None, (redis.board,)),
    "nginx": Mixin((nginx_signals.JOB,), None, (nginx.board,)),
    "host": Mixin((host_signals.JOB,), None, (host.board,)),
}
