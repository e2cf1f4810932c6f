"""`make bench`: `python -m deploy.bench [NAME …]`, each benchmark in a fresh process, one table each.

It measures and prints. A figure that misses its mark is no failure of the run; a benchmark that breaks is.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deploy.bench import children
from deploy.bench import size as sizes
from deploy.bench.report import Figure, table

BENCHMARKS = {
    "memory": "memory",
    "delivery": "delivery",
    "metrics-cost": "metrics_cost",
    "yield": "yielding",
    "connects": "connects",
    "sends": "sends",
}
"""What `make bench` runs, in this order: name and module."""
ON_REQUEST = {"seed": "seed", "devices": "devices", "web": "web", "probing": "probing"}
LIMIT_S = 600.0


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*BENCHMARKS, *ON_REQUEST]))
@click.option("--json", "output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
@click.option("--size", default=sizes.FULL, show_default=True, type=click.IntRange(4), help="Connections.")
@click.option("--here", is_flag=True, hidden=True, help="Run in this process.")
def main(names: tuple[str, ...], output: Path | None, size: int, here: bool) -> None:
    """Measure NAMES, or everything but `seed`; exit status 1 when a benchmark breaks."""
    children.end_on_sigterm()
    if here:
        _measure(names[0], size, output)
        return
    results: dict[str, Any] = {}
    broken = [name for name in names or BENCHMARKS if not _apart(name, size, results)]
    if output:
        output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


def _measure(name: str, size: int, output: Path | None) -> None:
    module = importlib.import_module(f"deploy.bench.{(BENCHMARKS | ON_REQUEST)[name]}")
    figures: list[Figure] = module.run(sizes.of(size))
    print(table(module.TITLE, figures), flush=True)
    if output:
        output.write_text(json.dumps([asdict(figure) for figure in figures]))


def _apart(name: str, size: int, results: dict[str, Any]) -> bool:
    """Run one in a process of its own, whose heap no other has shaped; whether it came to its end."""
    with tempfile.TemporaryDirectory(prefix="messenger-bench-") as folder:
        output = Path(folder) / "figures"
        command = [sys.executable, "-m", "deploy.bench", "--here", "--json", str(output), "--size", str(size), name]
        if children.run(command, LIMIT_S) != 0:
            return False
        results[name] = json.loads(output.read_text())
    print(flush=True)
    return True


if __name__ == "__main__":
    main()
