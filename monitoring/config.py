"""monitoring.yaml: the only interface of whoever wants rules, alerts and boards.

`load` reads and checks it; all mistakes are raised together with their lines. The
keys are explained in monitoring/monitoring.yaml. Paths resolve against the folder of
the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from monitoring.errors import ConfigError, Mistake
from monitoring.maths.durations import Duration
from monitoring.mixins import MIXINS
from monitoring.paths import shown
from monitoring.rules.profile import Profile
from monitoring.yamltree import Node, Notes, decode, dotted, one_document

_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Name = Annotated[str, msgspec.Meta(pattern=f"^{_NAME}$", examples=["shop-2"])]
Url = Annotated[str, msgspec.Meta(pattern="^https?://[^ ]+$", examples=["http://oncall:8080/alerts"])]
Folder = Annotated[str, msgspec.Meta(pattern="^https?://[^ ]+/$", examples=["https://docs.example/runbooks/"])]
Target = Annotated[str, msgspec.Meta(pattern=r"^[^/ ]+:[0-9]+$", examples=["shop1:8080"])]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Address = Annotated[
    str, msgspec.Meta(pattern=r"^[^@ ,]+@[^@ ,]+(, *[^@ ,]+@[^@ ,]+)*$", examples=["shop@mail.example"])
]

ONCALL = "oncall"
RESERVED = (ONCALL, "watchdog", "page", "ticket")
"""Receivers that are always there; a named one is called otherwise."""

_INLINE_SECRETS = {
    "api_url": "api_url_file",
    "auth_password": "auth_password_file",
    "credentials": "credentials_file",
    "password": "auth_password_file",
    "routing_key": "routing_key_file",
    "service_key": "routing_key_file",
    "token": "credentials_file",
}
"""What somebody may try to write into the file, and the key that names a file instead."""


class Kubernetes(msgspec.Struct):
    """Where the same goes as PrometheusRule and ConfigMap objects, and how those are labelled."""

    folder: str
    namespace: str = "monitoring"
    labels: dict[str, str] = {}


class Outputs(msgspec.Struct):
    """Folders that are generated."""

    alerts: str
    dashboards: str
    kubernetes: Kubernetes | None = None
    proofs: bool = False
    """Whether promtool tests of each SLO's alerts are written too."""


class Links(msgspec.Struct):
    """Where people read runbooks and see boards; both end in a slash."""

    runbooks: Folder
    dashboards: Folder


class PrometheusSettings(msgspec.Struct):
    """How this environment's Prometheus runs; the file holds the bearer token, or the password of `username`."""

    url: Url
    retention: Duration
    resend_delay: Duration = Duration(15)
    credentials_file: str | None = None
    username: str | None = None


class AlertmanagerSettings(msgspec.Struct):
    """Where Alertmanager listens and how it groups."""

    targets: tuple[Target, ...]
    group_wait: Duration = Duration(30)
    group_interval: Duration = Duration(300)
    repeat_interval: Duration = Duration(4 * 3600)
    watchdog_interval: Duration = Duration(60)


class Receiver(msgspec.Struct):
    """A webhook; the file holds the bearer token that it asks for."""

    url: Url
    credentials_file: str | None = None


class Slack(msgspec.Struct):
    """A channel of Slack, or of what takes its webhooks; the file holds the webhook's URL, which is its secret."""

    api_url_file: Text
    channel: Text


class Email(msgspec.Struct):
    """Mail in plain text; `smarthost` is host:port, the file holds the password of `auth_username`."""

    to: Address
    sender: Address = msgspec.field(name="from")
    smarthost: Target
    auth_username: Text | None = None
    auth_password_file: Text | None = None
    require_tls: bool = True


class PagerDuty(msgspec.Struct):
    """A PagerDuty service by its Events API v2; the file holds the integration's key."""

    routing_key_file: Text


class NamedReceiver(msgspec.Struct):
    """One more way to reach people: exactly one of these."""

    webhook: Receiver | None = None
    slack: Slack | None = None
    email: Email | None = None
    pagerduty: PagerDuty | None = None


class Receivers(msgspec.Struct):
    """Who hears alerts; without `watchdog`, on-call hears the Watchdog too."""

    oncall: Receiver
    watchdog: Receiver | None = None
    named: dict[str, NamedReceiver] = msgspec.field(default_factory=dict)
    pages: tuple[str, ...] = (ONCALL,)
    tickets: tuple[str, ...] = (ONCALL,)
    page_severities: tuple[Text, ...] = ("page",)

    @property
    def names(self) -> tuple[str, ...]:
        """Every receiver that pages, tickets and specs may name."""
        return (ONCALL, *self.named)


class Grafana(msgspec.Struct):
    """Where Grafana finds the board files on its own machine."""

    dashboards_path: str = "/var/lib/grafana/dashboards"


class Environment(msgspec.Struct):
    """One place where the service runs."""

    scrape_interval: Duration
    evaluation_interval: Duration
    jobs: dict[str, tuple[Target, ...]]
    prometheus: PrometheusSettings
    alertmanager: AlertmanagerSettings
    receivers: Receivers
    window_divisor: Positive = 1
    grafana: Grafana = msgspec.field(default_factory=Grafana)
    outputs: Outputs | None = None
    """In place of the file's own, so that one environment does not overwrite what another generated."""


class File(msgspec.Struct):
    """The file as it is written."""

    service: Name
    specs: tuple[str, ...]
    outputs: Outputs
    links: Links
    environments: dict[str, Environment]
    mixins: tuple[Name, ...] = ()
    maintenance: Text | None = None
    deployments: Text = "deployments.jsonl"


@dataclass(frozen=True)
class Config:
    """The file as one environment sees it: paths resolved, nothing left to look up."""

    path: Path
    file: File
    node: Node
    environment_name: str
    environment: Environment

    @property
    def specs(self) -> tuple[Path, ...]:
        """The spec files and folders."""
        return tuple(self.resolve(spec) for spec in self.file.specs)

    @property
    def maintenance(self) -> Path | None:
        """The file of maintenance spans; None when there is none."""
        return self.resolve(self.file.maintenance) if self.file.maintenance else None

    @property
    def outputs(self) -> Outputs:
        """The folders that are generated for this environment."""
        return self.environment.outputs or self.file.outputs

    @property
    def alerts_folder(self) -> Path:
        """Where rules, Prometheus' and Alertmanager's configuration go."""
        return self.resolve(self.outputs.alerts)

    @property
    def dashboards_folder(self) -> Path:
        """Where boards and Grafana's provisioning go."""
        return self.resolve(self.outputs.dashboards)

    @property
    def deployments(self) -> Path:
        """The journal of deploys."""
        return self.resolve(self.file.deployments)

    @property
    def kubernetes_folder(self) -> Path | None:
        """Where Kubernetes objects go, if they are wanted."""
        kubernetes = self.outputs.kubernetes
        return self.resolve(kubernetes.folder) if kubernetes else None

    @property
    def profile(self) -> Profile:
        """What the rules must know of the environment."""
        environment, links = self.environment, self.file.links
        return Profile(
            environment.scrape_interval,
            environment.evaluation_interval,
            environment.window_divisor,
            links.runbooks,
            links.dashboards,
        )

    def resolve(self, path: str) -> Path:
        """A path of the file, against the file's own folder."""
        return (self.path.parent / path).resolve()

    def mistake(self, message: str, *path: str | int) -> ConfigError:
        """A mistake found later, at the line of a key of this environment."""
        full = ("environments", self.environment_name, *path)
        return ConfigError([Mistake(shown(self.path), self.node.line_of(*full), f"{dotted(full)}: {message}")])


def load(path: Path, environment_name: str | None) -> Config:
    """Read and check the file, for its first environment when none is named. Raises ConfigError with every mistake."""
    notes = Notes(shown(path))
    file, node = _read(path, notes)
    environment_name = environment_name or next(iter(file.environments if file else ()), "")
    if file and node:
        _check(file, node, notes)
        if environment_name not in file.environments:
            known = ", ".join(file.environments) or "none"
            message = f"environments: no environment {environment_name!r}; there is {known}"
            notes.add(node.line_of("environments"), message)
    if notes.mistakes or not file or not node:
        raise ConfigError(notes.mistakes)
    return Config(path.resolve(), file, node, environment_name, file.environments[environment_name])


def _read(path: Path, notes: Notes) -> tuple[File | None, Node | None]:
    node = one_document(path, notes)
    if node is None:
        return None, None
    _refuse_secrets(node, notes)
    return decode(node, File, notes), node


def _refuse_secrets(node: Node, notes: Notes, path: tuple[str | int, ...] = ()) -> None:
    """A file that is reviewed and stored holds no secret; its value is not repeated here either."""
    if isinstance(node.value, tuple):
        for i, item in enumerate(node.value):
            _refuse_secrets(item, notes, (*path, i))
    elif isinstance(node.value, dict):
        for key, child in node.value.items():
            if "receivers" in path and key in _INLINE_SECRETS and not isinstance(child.value, dict):
                message = f"no secret is written here; name a file that holds it with `{_INLINE_SECRETS[key]}`"
                notes.add(node.key_lines[key], f"{dotted((*path, key))}: {message}")
            _refuse_secrets(child, notes, (*path, key))


def _check(file: File, node: Node, notes: Notes) -> None:
    """What the shape alone does not say."""
    for i, mixin in enumerate(file.mixins):
        if mixin not in MIXINS:
            message = f"mixins[{i}]: no mixin {mixin!r}; there is {', '.join(MIXINS)}"
            notes.add(node.line_of("mixins", i), message)
    for name, environment in file.environments.items():
        where = ("environments", name)
        if environment.prometheus.username and not environment.prometheus.credentials_file:
            path = (*where, "prometheus", "username")
            notes.add(node.line_of(*path), f"{dotted(path)}: its password is missing; expected credentials_file too")
        for job in _needed_jobs(file):
            if not environment.jobs.get(job):
                message = f"{dotted((*where, 'jobs'))}: the mixins need a job {job!r} with targets"
                notes.add(node.line_of(*where, "jobs"), message)
        if not environment.alertmanager.targets:
            path = (*where, "alertmanager", "targets")
            notes.add(node.line_of(*path), f"{dotted(path)}: without a target no alert leaves Prometheus")
        _check_receivers(environment.receivers, node, (*where, "receivers"), notes)


def _check_receivers(receivers: Receivers, node: Node, where: tuple[str, ...], notes: Notes) -> None:
    def note(message: str, *path: str | int) -> None:
        notes.add(node.line_of(*where, *path), f"{dotted((*where, *path))}: {message}")

    for key, heard in (("pages", receivers.pages), ("tickets", receivers.tickets)):
        if not heard:
            note("without a receiver nobody hears them", key)
        for i, name in enumerate(heard):
            if name not in receivers.names:
                note(f"no receiver {name!r}; there is {', '.join(receivers.names)}", key, i)
            elif name in heard[:i]:
                note(f"{name!r} stands here twice", key, i)
    if not receivers.page_severities:
        note("without a severity nothing pages", "page_severities")
    webhooks: list[tuple[tuple[str, ...], Receiver | None]] = [
        ((ONCALL,), receivers.oncall),
        (("watchdog",), receivers.watchdog),
    ]
    for name, one in receivers.named.items():
        if name in RESERVED or not re.fullmatch(_NAME, name):
            note(f"expected a-z, 0-9 and -, and none of {', '.join(RESERVED)}", "named", name)
        ways = [way for way in one.__struct_fields__ if getattr(one, way)]
        if len(ways) != 1:
            note(f"expected exactly one of {', '.join(one.__struct_fields__)}", "named", name)
        if one.email and bool(one.email.auth_username) != bool(one.email.auth_password_file):
            note("expected auth_username and auth_password_file, or neither", "named", name, "email")
        webhooks.append((("named", name, "webhook"), one.webhook))
    for path, webhook in webhooks:
        if webhook and "@" in urlsplit(webhook.url).netloc:
            note("no secret is written here; name a file that holds it with `credentials_file`", *path, "url")


def _needed_jobs(file: File) -> list[str]:
    return [job for mixin in file.mixins if mixin in MIXINS for job in MIXINS[mixin].jobs]
