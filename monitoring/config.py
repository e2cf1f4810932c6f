"""monitoring.yaml: the only interface of whoever wants rules, alerts and boards.

`load` reads and checks it; all mistakes are raised together with their lines. The
keys are explained in monitoring/monitoring.yaml. Paths resolve against the folder of
the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from monitoring.errors import ConfigError, Mistake
from monitoring.maths.durations import Duration
from monitoring.mixins import MIXINS
from monitoring.paths import shown
from monitoring.rules.profile import Profile
from monitoring.yamltree import Node, Notes, decode, documents, dotted

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Url = Annotated[str, msgspec.Meta(pattern="^https?://[^ ]+$")]
Target = Annotated[str, msgspec.Meta(pattern=r"^[^/ ]+:[0-9]+$")]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Outputs(msgspec.Struct):
    """Folders that are generated."""

    alerts: str
    dashboards: str


class Links(msgspec.Struct):
    """Where people read runbooks and see boards; both end in a slash."""

    runbooks: Annotated[str, msgspec.Meta(pattern="^https?://[^ ]+/$")]
    dashboards: Annotated[str, msgspec.Meta(pattern="^https?://[^ ]+/$")]


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


class Receivers(msgspec.Struct):
    """Who hears alerts; without `watchdog`, on-call hears the Watchdog too."""

    oncall: Receiver
    watchdog: Receiver | None = None


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
    def alerts_folder(self) -> Path:
        """Where rules, Prometheus' and Alertmanager's configuration go."""
        return self.resolve(self.file.outputs.alerts)

    @property
    def dashboards_folder(self) -> Path:
        """Where boards and Grafana's provisioning go."""
        return self.resolve(self.file.outputs.dashboards)

    @property
    def maintenance(self) -> Path | None:
        """The file of maintenance spans; None when there is none."""
        return self.resolve(self.file.maintenance) if self.file.maintenance else None

    @property
    def deployments(self) -> Path:
        """The journal of deploys."""
        return self.resolve(self.file.deployments)

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
    try:
        found = documents(path.read_text(encoding="utf-8"), notes)
    except (OSError, UnicodeDecodeError) as error:
        notes.add(1, f"cannot be read: {error}")
        return None, None
    if len(found) != 1:
        if not notes.mistakes:
            notes.add(1, f"expected one YAML document, found {len(found)}")
        return None, None
    return decode(found[0], File, notes), found[0]


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


def _needed_jobs(file: File) -> list[str]:
    return [job for mixin in file.mixins if mixin in MIXINS for job in MIXINS[mixin].jobs]
