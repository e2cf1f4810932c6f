"""`make healthy`: an hour of healthy traffic on the real stack, in which nobody may be called.

Windows, scrapes and waits are those of production. Ten messages a second go between the demo people, every kind of
probe runs, and drills measure how long an alert takes from a fault to the people. At the end it says what fired, who
was told of what, how canaries and drills ended, and how long drills took.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from deploy.bench import children
from deploy.bench.detection import Stack, running_stack
from deploy.bench.drills import hook

SETTLE_S = 600.0
"""More than it may last: start, and the end of the last drill."""
PRODUCTION = {
    "SCRAPE_INTERVAL": "15s",
    "WINDOW_DIVISOR": "1",
    "ALERTMANAGER_WAIT": "15s",
    "PROBE_INTERVAL_S": "5",
    "TRAFFIC_PER_S": "10",
}


def figures(stack: Stack, minutes: int) -> list[str]:
    """What Prometheus counted, a line each."""
    span = f"[{minutes}m]"

    def each(name: str, query: str, label: str) -> str:
        counts = {row["metric"].get(label, "all"): float(row["value"][1]) for row in stack.query(query)}
        return f"{name}: {', '.join(f'{value:.0f} {key}' for key, value in sorted(counts.items()) if value)}"

    drills = f'messenger_probe_run_seconds_bucket{{probe="alerts"}}{span}'
    took = {q: stack.value(f"histogram_quantile({q}, sum by (le) (increase({drills})))") for q in (0.5, 0.95)}
    return [
        each("canaries", f"sum by (outcome) (increase(messenger_probe_canaries_total{span}))", "outcome"),
        each("runs of probes", f"sum by (outcome) (increase(messenger_probe_runs_total{span}))", "outcome"),
        each(
            "the prober's own faults", f"sum by (reason) (increase(messenger_probe_own_faults_total{span}))", "reason"
        ),
        each("deliveries to people", f'sum (increase(messenger_fanout_owed_total{{path="message"}}{span}))', "all"),
        each("drills", f'sum by (outcome) (increase(messenger_probe_runs_total{{probe="alerts"}}{span}))', "outcome"),
        "drills, fault to told: "
        + ", ".join(f"p{100 * q:.0f} {s:.0f} s" for q, s in took.items() if s is not None and s == s),
    ]


@click.command()
@click.option("--minutes", default=60, show_default=True, type=click.IntRange(5, 1440), help="How long.")
def main(minutes: int) -> None:
    """Exit status 1 when an alert fired or somebody was told of one."""
    children.end_on_sigterm()
    children.end_after(minutes * 60 + SETTLE_S)
    with hook() as (url, told), tempfile.TemporaryDirectory(prefix="messenger-healthy-") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        with running_stack(Path(name) / "run", ONCALL_HOOK=url, **PRODUCTION) as stack:
            time.sleep(minutes * 60)
            fired = {
                f"{row['metric']['alertname']} {row['metric'].get('tier', '')}".strip()
                for row in stack.query(f'max_over_time(ALERTS{{alertstate="firing",severity!="none"}}[{minutes}m])')
            }
            lines = figures(stack, minutes)
    calls = sorted({alert for _, alert in told.since(0.0, ends=False)})
    print(f"{minutes} minutes of healthy traffic")
    print(
        "\n".join([f"fired: {', '.join(sorted(fired)) or 'nothing'}", f"told: {', '.join(calls) or 'nothing'}", *lines])
    )
    if fired or calls:
        sys.exit(1)


if __name__ == "__main__":
    main()
