"""`python -m monitoring verify`: a cluster in, the filled checklist out; its exit status is the sign-off."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from monitoring.errors import ConfigError, Mistake
from monitoring.files import replace
from monitoring.prometheus.client import QUERY_TIMEOUT_S, Client
from monitoring.verify import checklist, checks, render, signing
from monitoring.verify.checklist import Result
from monitoring.verify.evidence import Evidence, Where

FOLDER = Path("verified")
RUN, LIST, PAGE = "checklist.json", "checklist.md", "checklist.html"
MB = 1024 * 1024

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_FOLDER = click.option(
    "--out", "folder", default=FOLDER, show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help=f"Where {RUN}, {LIST} and {PAGE} are written.",
)  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--url", help="The messenger as people reach it, for example https://chat.example.com.")
@click.option("--metrics-url", "metrics_urls", multiple=True, help="A node's /metrics; once for each node.")
@click.option("--prometheus", help="Prometheus, for targets and for what panels show.")
@click.option("--alertmanager", help="Alertmanager, which is sent a test alert.")
@click.option("--oncall", help="On-call, which must tell of it.")
@click.option("--oncall-name", default="oncall", show_default=True, help="Somebody with an account there.")
@click.option("--password-file", type=_FILE, help="Their password.")
@click.option("--env-file", type=_FILE, help="The settings of the nodes, for `app preflight`.")
@click.option("--nginx-conf", type=_FILE, help="What nginx runs with.")
@click.option(
    "--logs", type=click.Path(path_type=Path, file_okay=False, exists=True), help="The folder of their *.log."
)
@click.option("--node-url", "node_urls", multiple=True, help="A node itself, past nginx; twice or more.")
@click.option("--board", type=_FILE, help="The dashboard as JSON.")
@click.option(
    "--probe-token-file", type=_FILE, help="PROBE_TOKEN of the nodes: keeps our people out of users' figures."
)
@click.option("--single-load", type=_FILE, help="What `monitoring load --json` wrote of one node.")
@click.option("--multi-load", type=_FILE, help="What it wrote of all nodes through nginx.")
@_FOLDER
@click.pass_context
def verify(
    ctx: click.Context,
    url: str | None,
    metrics_urls: tuple[str, ...],
    prometheus: str | None,
    alertmanager: str | None,
    oncall: str | None,
    oncall_name: str,
    password_file: Path | None,
    env_file: Path | None,
    nginx_conf: Path | None,
    logs: Path | None,
    node_urls: tuple[str, ...],
    board: Path | None,
    probe_token_file: Path | None,
    single_load: Path | None,
    multi_load: Path | None,
    folder: Path,
) -> None:
    """Hold the deployment checklist against a cluster: each box ticked, failed, not run, or a person's, with evidence.

    What is not named is not looked at, and its boxes say so. Nothing is changed but for two people who are made,
    talk to each other and link devices, and a test alert that calls nobody.

    Exit status: 0 all that a program can tick is ticked, 1 a box failed or was not run, 2 a mistake in the command.
    """
    if ctx.invoked_subcommand:
        return
    if not url:
        raise click.UsageError("--url names the messenger")
    evidence = Evidence(
        Where(
            url=url.rstrip("/"),
            metrics_urls=metrics_urls,
            prometheus=Client(prometheus, None, QUERY_TIMEOUT_S) if prometheus else None,
            alertmanager=alertmanager,
            oncall=oncall,
            oncall_login=(oncall_name, _line(password_file)) if password_file else None,
            env_file=env_file,
            nginx_conf=nginx_conf,
            logs=logs,
            node_urls=[one.rstrip("/") for one in node_urls],
            board=board,
            probe_token=_line(probe_token_file) if probe_token_file else None,
            single_load=single_load,
            multi_load=multi_load,
        )
    )
    found: dict[str, Result] = {}

    def check(name: str) -> Result:
        if name not in found:
            found[name] = checks.run(name, evidence)
            click.echo(f"{found[name].state:<14} {name}: {found[name].evidence}", err=True)
        return found[name]

    parts = [
        render.FilledPart(
            part.title, [(one.title, [checklist.fill(box, check) for box in one.boxes]) for one in part.sections]
        )
        for part in checklist.read()
    ]
    run = render.as_json(parts, datetime.now(UTC).isoformat(timespec="seconds"), machine(), url)
    write(folder, run)
    click.echo(", ".join(f"{count} {state}" for state, count in run["counts"].items()) + f"; {folder / PAGE}")
    sys.exit(0 if render.good(run) else 1)


@verify.command()
@click.option("--role", required=True, type=click.Choice(list(signing.ROLES)), help="Whose signature it is.")
@click.option("--name", required=True, help="Who signs.")
@_FOLDER
def sign(role: str, name: str, folder: Path) -> None:
    """Stand for the checklist in --out, by name and date; one signature a role, under this run and no other."""
    run = signing.sign(signing.load(folder / RUN), role, name, datetime.now(UTC))
    write(folder, run)
    signed = [one.role for one in signing.valid(run)]
    missing = ", ".join(one for one in signing.ROLES if one not in signed) or "nobody"
    click.echo(f"signed as {role} by {name.strip()}; missing: {missing}")


def write(folder: Path, run: dict[str, Any]) -> None:
    """All three, each whole or not at all. Raises CannotWriteError."""
    folder.mkdir(parents=True, exist_ok=True)
    signing.save(folder / RUN, run)
    replace(folder / LIST, render.markdown(run).encode())
    replace(folder / PAGE, render.page(run).encode())


def machine() -> str:
    """What this ran on: system, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MB
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, {memory:,} MB"


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError([Mistake(str(path), None, f"cannot be read: {error.strerror}")]) from None
