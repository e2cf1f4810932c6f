"""Requests of many tenants as counters that depend on nothing but the time: scraped now, written down for the past.

A scrape and the history of the same tenant join without a step, so rates over the seam are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from deploy.bench import ruleshapes
from deploy.bench.slos import METRIC
from monitoring.rules import names

LABELS = {"job": "bench", "instance": "exporter"}
PODS = ("a", "b")

_SERVICE = {"service": "bench"}
_SLICE_S, _PYRRA_S = 300, 150


@dataclass(frozen=True)
class Tenant:
    """`rate` is requests per second and pod; `bad` the share of them with an error."""

    name: str
    rate: float
    bad: float

    def counters(self) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and growth per second of each series."""
        for pod in PODS:
            for code, share in (("200", 1 - self.bad), ("500", self.bad)):
                yield {"tenant": self.name, "code": code, "pod": pod}, self.rate * share


def tenants(count: Sequence[str]) -> list[Tenant]:
    """Most are well; every tenth burns its budget ten times too fast."""
    return [Tenant(name, 5 + i % 7, 0.01 if i % 10 == 9 else 0.0005) for i, name in enumerate(count)]


def exposition(some: Iterable[Tenant], since_start_s: float) -> bytes:
    """What a scrape finds so long after the start of the history."""
    lines, moment = [f"# TYPE {METRIC} counter"], since_start_s - _late_s(int(since_start_s))
    for tenant in some:
        lines += [f"{_series(METRIC, labels)} {int(rate * moment)}" for labels, rate in tenant.counters()]
    return ("\n".join(lines) + "\n").encode()


def history(some: Iterable[Tenant], start_s: int, end_s: int, step_s: int) -> Iterator[str]:
    """OpenMetrics text from `start_s` up to `end_s`: the counters, and what each rule set would have recorded by then.

    Each yield is one series. Recorded are only those that rules read over the whole period.
    """
    moments = [(t, t - start_s - _late_s(t - start_s)) for t in range(start_s, end_s, step_s)]
    for tenant in some:
        for labels, rate in tenant.counters():
            name = _series(METRIC, labels | LABELS)
            yield "".join(f"{name} {int(rate * moment)} {t}\n" for t, moment in moments)
        for name, value, every_s in _recorded(tenant, step_s):
            some_of_them = moments[:: every_s // step_s]
            yield "".join(f"{name} {value * (1 + (t - start_s - m) / 100)!r} {t}\n" for t, m in some_of_them)
    yield "# EOF\n"


def _late_s(moment_s: int) -> int:
    """Uneven traffic: 0 to 14 seconds, less than a scrape, so that counters still only grow.

    Samples in even steps would take no room in a block and be read for nothing.
    """
    return (max(moment_s, 0) * 2654435761 % 2**32) * 15 >> 32


def _recorded(tenant: Tenant, step_s: int) -> Iterator[tuple[str, float, int]]:
    all_events = tenant.rate * len(PODS) * _SLICE_S
    ours = _SERVICE | {"slo_id": tenant.name}
    yield _series(names.SLICE_EVENTS, ours), all_events, _SLICE_S
    yield _series(names.SLICE_ERRORS, ours), all_events * tenant.bad, _SLICE_S
    sloths = ruleshapes.sloth_labels(tenant.name) | {"sloth_window": "5m"}
    yield _series(ruleshapes.SLOTH_RATIO, sloths), tenant.bad, step_s
    pyrras = ruleshapes.pyrra_labels(tenant.name, subquery=True)
    for code, share in (("200", 1 - tenant.bad), ("500", tenant.bad)):
        yield _series(ruleshapes.PYRRA_INCREASE, pyrras | {"code": code}), all_events * share, _PYRRA_S


def _series(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{key}={chr(34)}{value}{chr(34)}' for key, value in sorted(labels.items()))}}}"
