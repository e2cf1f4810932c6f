"""`python -m monitoring oncall`: the process that takes alerts, keeps incidents and calls people; and its commands."""

from __future__ import annotations

import logging
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import gevent
from apscheduler.schedulers.background import BackgroundScheduler
from gevent.pywsgi import WSGIServer

from monitoring.errors import ConfigError, Mistake
from monitoring.oncall.dispatch import Dispatcher
from monitoring.oncall.drills import Drills
from monitoring.oncall.messenger import MessengerWay
from monitoring.oncall.metrics import OncallMetrics
from monitoring.oncall.people import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, People, Role
from monitoring.oncall.settings import NOBODY, Settings, load
from monitoring.oncall.sources import Sources
from monitoring.oncall.store import Store
from monitoring.oncall.trial import Trial, TrialError
from monitoring.oncall.watch import Heartbeat, Watch
from monitoring.oncall.ways import ChatWay, HookWay, MailWay, Way
from monitoring.oncall.web import create_app

MIN_SECRET_CHARS = 16
FIRST_PERSON = "oncall"
SEND_EVERY_S = 1
WATCH_EVERY_S = 5
CONNECT_EVERY_S = 3
KEPT_S = 400 * 86_400
"""Incidents that are over, and what was said and done: a year and a month."""

_DATABASE = click.option(
    "--database", required=True, type=click.Path(path_type=Path, dir_okay=False), help="SQLite file; made on first use."
)


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9095, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--database", type=click.Path(path_type=Path, dir_okay=False), help="SQLite file; made on first use.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Bearer token that the webhook asks for.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help=f"Password of '{FIRST_PERSON}', an admin who is there from the first start on.",
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="oncall.yaml: who is called for what. Without it incidents are kept and shown, and nobody is called.",
)
@click.option(
    "--deployments",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Journal of `event deploy`, read at each scrape: /metrics then has monitoring_deploy_timestamp_seconds.",
)
@click.option(
    "--maintenance",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The maintenance file of monitoring.yaml, read each time the page is shown: it says what is agreed on.",
)
@click.pass_context
def oncall(
    context: click.Context,
    host: str,
    port: int,
    database: Path | None,
    token_file: Path | None,
    password_file: Path | None,
    settings_file: Path | None,
    deployments: Path | None,
    maintenance: Path | None,
) -> None:
    """Receive Alertmanager's notifications at /alertmanager, keep incidents, call people, and show it all at /.

    Runs until SIGTERM. Needs nothing but its own SQLite file.
    """
    if context.invoked_subcommand is not None:
        return
    for name, value in (("--database", database), ("--token-file", token_file), ("--password-file", password_file)):
        if value is None:
            raise click.UsageError(f"Missing option '{name}'.")
    assert database and token_file and password_file  # noqa: S101  looked at just now
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a slow way is still being tried is no news
    settings = load(settings_file) if settings_file else NOBODY
    store = Store(database)
    token, password = _secret(token_file), _secret(password_file)
    people = People(store, time.time)
    if people.check(FIRST_PERSON, password) is None:
        people.put(FIRST_PERSON, password, Role.ADMIN, "its password file")
    watch = Watch(store, settings, Sources(settings))
    app = create_app(store, token, settings, deployments, maintenance, lambda: watch.glance)
    scheduler = _work(store, settings, watch, app.extensions["numbers"])
    server = WSGIServer((host, port), app, log=None)
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, server.stop)
    scheduler.start()
    server.serve_forever()
    scheduler.shutdown(wait=False)


def _work(store: Store, settings: Settings, watch: Watch, numbers: OncallMetrics) -> BackgroundScheduler:
    """What goes on beside the server, in threads of its own: each kind of work never twice at once."""
    ways = ways_of(settings, store)
    dispatcher = Dispatcher(store, settings, ways, numbers.message)
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    scheduler.add_job(dispatcher.escalate, "interval", seconds=SEND_EVERY_S)
    for by in (*ways, None):
        scheduler.add_job(dispatcher.send, "interval", (by,), seconds=SEND_EVERY_S)
    scheduler.add_job(watch.run, "interval", seconds=WATCH_EVERY_S, next_run_time=datetime.now(UTC))
    for way in ways.values():
        if isinstance(way, MessengerWay):
            scheduler.add_job(way.run, "interval", seconds=CONNECT_EVERY_S, next_run_time=datetime.now(UTC))
    for forget in (lambda: store.forget(time.time() - KEPT_S), lambda: Drills(store, settings).forget(time.time())):
        scheduler.add_job(forget, "interval", hours=24, next_run_time=datetime.now(UTC))
    if settings.heartbeat:
        heartbeat = Heartbeat(settings, numbers.heartbeat)
        every_s = int(settings.heartbeat.every)
        scheduler.add_job(heartbeat.run, "interval", seconds=every_s, next_run_time=datetime.now(UTC))
    return scheduler


def ways_of(settings: Settings, store: Store) -> dict[str, Way]:
    """Each way of oncall.yaml, ready to speak."""
    found: dict[str, Way] = {}
    for name, way in settings.ways.items():
        if way.mail:
            found[name] = MailWay(settings, way.mail)
        elif way.chat:
            found[name] = ChatWay(settings, way.chat)
        elif way.hook:
            found[name] = HookWay(settings, way.hook)
        elif way.messenger:
            found[name] = MessengerWay(settings, way.messenger, store)
    return found


@oncall.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Say what FILE, an oncall.yaml, means: who is on call now and next, and who hears of what."""
    settings, now = load(file), datetime.now(UTC)
    for name, rotation in settings.rotations.items():
        click.echo(f"{name}:")
        for start, end, person in rotation.turns(now, 4):
            click.echo(f"  {start:%a %Y-%m-%d %H:%M} to {end:%a %Y-%m-%d %H:%M %Z}  {person}")
    for severity, chain in settings.chains.items():
        for step in chain:
            click.echo(f"{severity}: after {step.after_s} s {', '.join(step.tell)} by {', '.join(step.by)}")


@oncall.command()
@_DATABASE
@click.argument("name")
@click.option("--role", type=click.Choice([role.name.lower() for role in Role]), default="responder", show_default=True)
@click.option("--remove", is_flag=True, help="Take the account away.")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="Else it is asked for.")
def person(database: Path, name: str, role: str, remove: bool, password_file: Path | None) -> None:
    """Add somebody who may sign in to the page, change their role and password, or take them away."""
    people = People(Store(database), time.time)
    if remove:
        if not people.remove(name, "the command line"):
            raise click.ClickException(f"there is no {name}")
        return
    password = (
        _secret(password_file) if password_file else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise click.ClickException(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    people.put(name, password, Role[role.upper()], "the command line")


@oncall.command()
@click.option("--alertmanager", required=True, help="Its address, for example http://127.0.0.1:9093.")
@click.option("--url", default="http://127.0.0.1:9095", show_default=True, help="Where on-call listens.")
@click.option("--name", default=FIRST_PERSON, show_default=True, help="Who looks: an account of on-call.")
@click.option("--password-file", required=True, type=click.Path(path_type=Path), help="Their password.")
@click.option("--call", metavar="SEVERITY", help="Call people, as for an incident of this severity: page or ticket.")
@click.option("--within", default=300.0, show_default=True, help="Seconds for the arrival, and again for the end.")
def test(alertmanager: str, url: str, name: str, password_file: Path, call: str | None, within: float) -> None:
    """Send a test alert through Alertmanager, and wait until on-call has told of it and of its end.

    It is a drill, told by the ways that `drills` of oncall.yaml names. With --call it is an incident, and people hear.
    """
    trial = Trial(alertmanager, url, (name, _secret(password_file)), within)
    try:
        arrived_s, ended_s = trial.call(call) if call else trial.drill()
    except TrialError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{'arrived' if call else 'told'} after {arrived_s:.1f} s")
    click.echo(f"{'resolved' if call else 'its end told'} after {ended_s:.1f} s")


def _secret(path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise ConfigError([Mistake(str(path), 1, f"cannot be read: {error.strerror}")]) from None
    if len(secret) < MIN_SECRET_CHARS:
        raise ConfigError([Mistake(str(path), 1, f"a secret needs at least {MIN_SECRET_CHARS} characters")])
    return secret
