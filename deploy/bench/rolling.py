"""`make bench-rolling`: replace all nodes of a cluster under load by way of nginx, and see what people notice.

Three nodes behind nginx of this machine; `python -m monitoring load` talks before, during and after. What it reports is
the result: nothing lost, and the p95 of fan-out beside the SLO of 250 ms.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from deploy.bench import children
from deploy.bench.node import free_ports
from deploy.cluster import cluster
from deploy.rolling import roll
from deploy.stack.settings import PROJECT, ClusterPorts, StackError

LIMIT_S = 600.0
PARTS = ("redis", "nginx", "node1", "node2", "node3")
BEFORE_S = 5.0
LOOK_S = 0.1


@click.command()
@click.option("--connections", default=3_000, show_default=True, type=click.IntRange(3))
@click.option(
    "--rate", default=500, show_default=True, type=click.IntRange(1), help="Sends a second, 2 deliveries each."
)
@click.option("--duration", default=45, show_default=True, type=click.IntRange(20), help="Seconds of traffic.")
def main(connections: int, rate: int, duration: int) -> None:
    """Measure; exit status of the load tool: 1 when something was lost or p95 missed the SLO."""
    children.end_on_sigterm()
    children.end_after(LIMIT_S)
    with tempfile.TemporaryDirectory(prefix="messenger-rolling-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        names = [field.upper() for field in ClusterPorts.__dataclass_fields__]
        ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        with cluster.running(cluster.settings(ports | {"RUN_DIR": f"{name}/run"}), PARTS) as made:
            sys.exit(_measure(made, Path(name), connections, rate, duration))


def _measure(made: cluster.Cluster, folder: Path, connections: int, rate: int, duration: int) -> int:
    tokens = folder / "tokens"
    app = [sys.executable, "-m", "app", "seed", "--devices", str(connections), "--conversations", "10"]
    environ = os.environ | made.child("node1").process.env
    subprocess.run([*app, "--tokens", str(tokens)], env=environ, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    words = ["--url", made.socket_url, "--tokens", str(tokens), "--connections", str(connections), "--fresh"]
    words += ["--rate", str(rate), "--duration", f"{duration}s", "--max-loss", "0", "--max-fanout-p95-ms", "250"]
    said = folder / "said"
    with (
        said.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "monitoring", "load", *words], cwd=PROJECT, stdout=output, stderr=output
        ) as load,
    ):
        while load.poll() is None and "\ntraffic" not in said.read_text():
            time.sleep(LOOK_S)
        time.sleep(BEFORE_S)
        began = time.monotonic()
        roll(list(made.nodes.values()), print)
        print(f"all {len(made.nodes)} nodes were replaced after {time.monotonic() - began:.1f} s", flush=True)
        status = load.wait()
    print(said.read_text().partition("\njudge")[2].partition("\n")[2])
    return status


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        sys.exit(f"error: {error}")
