"""The benchmark of rules, without its minutes: what it loads is right, and it adds up rightly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.bench import requests_made, rules, slos
from monitoring.maths.durations import Duration
from monitoring.rules.model import Group, Recording
from tests.support.binaries import require

NAMES = slos.names(10)


def test_prometheus_accepts_every_rule_set(tmp_path: Path) -> None:
    sets = rules.rule_sets(tmp_path / "project", NAMES)
    files = rules.write_rules(tmp_path, sets)
    done = subprocess.run(
        [require("promtool"), "check", "rules", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Counted in what the two generators write for one ratio SLO; ours are 22 and a direct alert for every second.
    counts = {name: sum(len(group.rules) for group in groups) / len(NAMES) for name, groups in sets.items()}
    assert counts[rules.SLOTH] == 17
    assert counts[rules.PYRRA] == 13
    assert counts[rules.SUBQUERY] == 14


def test_pyrras_windows_are_fractions_of_the_period(tmp_path: Path) -> None:
    groups = rules.rule_sets(tmp_path / "project", NAMES)[rules.PYRRA]
    recorded = [rule.record for group in groups[:2] for rule in group.rules if isinstance(rule, Recording)]
    windows = ["5m", "32m", "1h4m", "2h9m", "6h26m", "1d1h43m", "4d6h51m"]
    assert recorded == ["bench_requests:increase30d", *(f"bench_requests:burnrate{window}" for window in windows)]


def test_history_and_scrapes_are_one_counter() -> None:
    (tenant,) = requests_made.tenants(NAMES[:1])
    past = [line.split() for line in "".join(requests_made.history([tenant], 0, 3600, 15)).splitlines()]
    labels, last, at_s = [line for line in past if line[0].startswith(slos.METRIC)][239]
    values = [int(line[1]) for line in past if line[0] == labels]
    assert values == sorted(values)
    assert at_s == "3585"
    now = requests_made.exposition([tenant], 3600).decode().splitlines()[1]
    assert now.startswith(f'{slos.METRIC}{{code="200",pod="a",tenant="tenant-0000"}} ')
    assert int(last) <= int(now.split()[1]) <= int(last) + 30 * tenant.rate


def test_an_evaluation_counts_once_and_a_cost_is_its_share_of_the_interval() -> None:
    found = rules.Evaluations()
    group = '{rule_group="/x/ours.yml;slo/tenant-0000/quick"}'
    for at_s, seconds in ((100, 0.3), (100, 0.3), (160, 0.1), (220, 0.2)):
        found.read(
            f"prometheus_rule_group_last_evaluation_timestamp_seconds{group} {at_s}\n"
            f"prometheus_rule_group_last_duration_seconds{group} {seconds}\n"
            f"prometheus_rule_evaluation_failures_total{group} 2\n"
        )
    assert found.durations_s["ours", "slo/tenant-0000/quick"] == [0.3, 0.1, 0.2]
    assert found.failures == 2
    sets = {rules.OURS: [Group("slo/tenant-0000/quick", Duration(60), (Recording("a", "x[30d]"),))]}
    cost = rules.cost(found, sets, rules.OURS, ["tenant-0000"])
    assert (cost.rules, cost.once_s) == (1, 0.2)
    assert cost.share == cost.period_share == pytest.approx(0.2 / 60)
