"""The command line of the messenger.

What one command needs is imported by it: a node that serves has no use for the migrations' library in its memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from dotenv import dotenv_values

from app import __version__, config
from app.errors import AppError, ConfigError
from app.metrics import Metrics, registry_of

EXIT_CONFIG = 2
EXIT_FAILED = 1


@contextmanager
def reporting() -> Iterator[None]:
    """Turn our errors into one line each and an exit status: 2 for configuration, 1 for the rest."""
    try:
        yield
    except ConfigError as error:
        for mistake in error.mistakes:
            click.echo(f"error: {mistake}", err=True)
        sys.exit(EXIT_CONFIG)
    except AppError as error:
        click.echo(f"error: {error.message}", err=True)
        sys.exit(EXIT_FAILED)


def _load(env_file: Path | None) -> config.Config:
    # What is set in the environment itself wins over the file.
    from_file = {k: v for k, v in dotenv_values(env_file).items() if v is not None} if env_file else {}
    return config.load({**from_file, **os.environ})


@click.group()
@click.version_option(__version__)
@click.option("--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Read settings from this file; the environment wins over it.")  # fmt: skip
@click.pass_context
def main(context: click.Context, env_file: Path | None) -> None:
    """The messenger. Settings come from the environment; .env.production.example explains each."""
    context.obj = env_file


@main.command()
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Node processes that share PORT; worker i has METRICS_PORT + i. SIGHUP replaces them one by one.",
)
@click.option("--worker-of", type=int, hidden=True, help="The supervisor's process id; for workers only.")  # fmt: skip
@click.pass_obj
def serve(env_file: Path | None, workers: int, worker_of: int | None) -> None:
    """Serve HTTP, WebSockets and metrics until SIGTERM."""
    with reporting():
        settings = _load(env_file)
        if workers > 1:
            from app.workers import supervise

            sys.exit(supervise(settings, workers, _own_command(env_file)))
        from app.server import serve as run

        run(settings, worker_of)


def _own_command(env_file: Path | None) -> list[str]:
    """How a worker is started: as this process was, with no `--workers`."""
    return [sys.executable, "-m", "app", *(["--env-file", str(env_file)] if env_file else []), "serve"]


@main.group()
def migrate() -> None:
    """Bring the database's schema up or down."""


without_backup_option = click.option(
    "--without-backup", is_flag=True, help="Production only: go on although there is no fresh backup."
)


@migrate.command("up")
@without_backup_option
@click.pass_obj
def migrate_up(env_file: Path | None, without_backup: bool) -> None:
    """Apply what is pending. In production a backup younger than an hour must lie in BACKUP_DIR."""
    from app import migrations

    with reporting():
        _echo_steps("applied", migrations.up(_load(env_file), without_backup=without_backup))


@migrate.command("down")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1), help="How many steps to take back.")
@without_backup_option
@click.pass_obj
def migrate_down(env_file: Path | None, count: int, without_backup: bool) -> None:
    """Take back the last steps, and with them what they stored; in production wants a backup like `up`."""
    from app import migrations

    with reporting():
        _echo_steps("taken back", migrations.down(_load(env_file), count, without_backup=without_backup))


@migrate.command("status")
@click.pass_obj
def migrate_status(env_file: Path | None) -> None:
    """List every step and whether the database has it; exit status 1 while some are pending."""
    from app import migrations

    with reporting():
        steps = migrations.status(_load(env_file))
    for step in steps:
        click.echo(f"{'applied' if step.applied else 'pending'}  {step.name}")
    sys.exit(0 if all(step.applied for step in steps) else EXIT_FAILED)


def _echo_steps(verb: str, names: list[str]) -> None:
    for name in names:
        click.echo(f"{verb}  {name}")
    if not names:
        click.echo("nothing to do")


@main.command()
@click.option(
    "--connections", type=click.IntRange(1), help="Planned for one node process; MAX_CONNECTIONS unless said."
)
@click.option("--processes", default=3, show_default=True, type=click.IntRange(1), help="Node processes, all together.")
@click.option("--tls", metavar="HOST:PORT", help="Where people connect; its certificate is looked at.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def preflight(env_file: Path | None, connections: int | None, processes: int, tls: str | None, as_json: bool) -> None:
    """Say whether this machine is fit to serve with these settings: each line what was found, why it matters, and how
    to mend it. Exit status 1 when something is not.
    """
    import msgspec

    from app.preflight import facts, findings

    with reporting():
        settings = _load(env_file)
        plan = findings.Plan(connections or settings.max_connections, processes)
        found = findings.judge(settings, facts.gather(settings, tls), plan)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    for one in () if as_json else found:
        click.echo(f"{one.level.upper():<5} {one.name:<18} {one.found}")
        if one.level != "ok":
            click.echo(f"{'':<24} {one.why}: {one.mend}")
    sys.exit(EXIT_FAILED if any(one.level == "fail" for one in found) else 0)


@main.command()
@click.pass_obj
def backup(env_file: Path | None) -> None:
    """Take a backup into BACKUP_DIR, and remove those that are more than BACKUP_KEEP."""
    from app.backups import take

    with reporting():
        manifest, removed = take.take(_load(env_file))
    click.echo(f"taken    {manifest.file}, {manifest.size_bytes} bytes, sha256 {manifest.sha256}")
    for one in removed:
        click.echo(f"removed  {one.file}")


@main.command()
@click.argument("archive", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", metavar="NAME", help="The name of the database, when it is not empty; it is kept beside.")
@click.option("--check", is_flag=True, help="Only say whether the archive is whole, and what it holds.")
@click.option("--after-recovery", is_flag=True, help="No archive: PostgreSQL itself has recovered to a moment.")
@click.pass_obj
def restore(
    env_file: Path | None, archive: Path | None, replace: str | None, check: bool, after_recovery: bool
) -> None:
    """Bring ARCHIVE back as the database of DATABASE_URL, with a new epoch; the nodes must be stopped.

    Devices sign in anew, upload new keys, and send again what the database has lost of their messages. What was revoked
    stays revoked (REVOCATIONS_DIR).
    """
    from app.backups import archive as archives
    from app.backups import restore as restoring

    if (archive is None) is not after_recovery:
        raise click.UsageError("Name an ARCHIVE, or say --after-recovery.")
    with reporting():
        if check and archive:
            manifest = archives.manifest_of(archive)
            archives.require_whole(archive, manifest)
            click.echo(f"whole  {manifest.file}, PostgreSQL {manifest.postgresql}, {manifest.migrations[-1]}")
            return
        settings = _load(env_file)
        done = restoring.restore(settings, archive, replace)[1] if archive else restoring.after_recovery(settings)
    click.echo(f"restored  epoch {done.epoch}; {done.revoked_again} devices revoked again")
    if done.kept_as:
        click.echo(f"kept      what was there before, as {done.kept_as}")
    if not settings.revocations_dir:
        click.echo(
            "warning: without REVOCATIONS_DIR devices that were revoked since the backup are signed in again", err=True
        )


@main.command()
@click.option("--output", default=".env.production", show_default=True, type=click.Path(path_type=Path))
def secrets(output: Path) -> None:
    """Write .env.production with fresh strong secrets (mode 600); never overwrites."""
    with reporting():
        config.write_secrets(output)
    click.echo(f"{output} written; replace the example addresses, passwords and origins in it")


@main.command()
@click.option("--devices", required=True, type=click.IntRange(1, 1_000_000), help="People to make, one device each.")
@click.option("--tokens", required=True, type=click.Path(path_type=Path), help="New file for one JSON line a device.")
@click.option("--conversations", default=1, show_default=True, type=click.IntRange(1, 1_000), help="For each device.")
@click.option("--size", default=2, show_default=True, type=click.IntRange(1, 10_000), help="Members of a conversation.")
@click.option("--token-ttl", default=86_400, show_default=True, type=click.IntRange(60), help="Seconds.")
@click.option("--allow-production", is_flag=True, help="Make load people in a production database.")
@click.pass_obj
def seed(
    env_file: Path | None,
    devices: int,
    tokens: Path,
    conversations: int,
    size: int,
    token_ttl: int,
    allow_production: bool,
) -> None:
    """Mint people, devices, conversations and tokens in bulk, for load tools."""
    from app import seeding

    with reporting():
        settings = _load(env_file)
        if settings.production and not allow_production:
            raise ConfigError(["APP_ENV: is production; --allow-production makes load people there all the same"])
        made = seeding.seed(settings, seeding.Plan(devices, conversations, size, token_ttl), tokens)
    click.echo(f"{devices} devices and {made} conversations made; tokens in {tokens}")


@main.command()
def openapi() -> None:
    """Print the OpenAPI document of the HTTP API, without a server or a database."""
    import msgspec

    from app.factory import create_node
    from app.http.contract import document

    # No setting changes what is promised, and a node connects to nothing before it runs.
    node = create_node(config.load({"DATABASE_URL": "postgresql:///"}))
    click.echo(msgspec.json.format(msgspec.json.encode(document(node.app)), indent=2).decode())


@main.command()
def metrics() -> None:
    """Print the registry in the text exposition format, without a server."""
    from prometheus_client import generate_latest

    click.echo(generate_latest(registry_of(Metrics())).decode(), nl=False)
