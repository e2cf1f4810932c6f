"""Everything that is generated: first as bytes in memory, then on disk.

`plan` decides and touches nothing but the specs it reads; `write` is the only effect.
Each output folder has a MANIFEST.sha256 of what was generated there. It is how a file
whose spec is gone is recognised: only what the manifest lists, unchanged, is removed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monitoring import kubernetes, specs
from monitoring.alerting import alertmanager, prometheus, routes
from monitoring.boards import grafana, provisioning
from monitoring.boards import slos as slo_board
from monitoring.boards.model import Board
from monitoring.config import Config
from monitoring.errors import CannotWriteError, Mistake, OutOfRangeError, SpecError
from monitoring.generatedyaml import dump, made_from
from monitoring.kubernetes import object_name
from monitoring.maths.durations import Duration
from monitoring.mixins import MIXINS
from monitoring.paths import failed
from monitoring.proofs.plan import proof_files
from monitoring.rules import data, period, platform
from monitoring.rules.build import slo_file
from monitoring.rules.model import RuleFile
from monitoring.spec.maintenance import Maintenance, load_maintenance, spans
from monitoring.spec.model import Slo

MANIFEST = "MANIFEST.sha256"


@dataclass(frozen=True)
class Plan:
    """What should be on disk. `files` has the manifests too; `rules` is what the rule files say.

    `routes` is where alerts should go, the first of `folders` the one of the alerts.
    """

    files: Mapping[Path, bytes]
    rules: tuple[RuleFile, ...]
    folders: tuple[Path, ...]
    routes: tuple[routes.Row, ...] = ()
    warnings: tuple[Mistake, ...] = ()
    """What in the specs is worth knowing, and in lenient reading what was left out."""


@dataclass(frozen=True)
class Changes:
    """How the disk differs from a plan."""

    missing: tuple[Path, ...]
    stale: tuple[Path, ...]
    orphan: tuple[Path, ...]


def plan(config: Config, *, lenient: bool = False) -> Plan:
    """All files of one environment. Raises SpecError, ConfigError, BoardError."""
    read, warnings = specs.read(config.specs, lenient=lenient)
    slos = tuple(map(_with_board, read))
    maintenances = load_maintenance(config.maintenance, slos, [config.file.service]) if config.maintenance else ()
    if unknown := alertmanager.unknown_targets(config, slos):
        raise SpecError(unknown)
    rules = _rule_files(config, slos, maintenances)
    _check_rhythm(config)
    _check_retention(config, slos)
    ways = routes.rows(config, slos, maintenances, rules)
    drawn = _boards(config, slos)
    boards = {board.uid: grafana.dashboard(board, config.profile.runbook) for board in drawn}
    files = (
        _alert_files(config, slos, maintenances, rules, ways)
        | _board_files(config, boards)
        | _import_file(config, drawn)
        | _kubernetes_files(config, rules, boards)
        | _proof_files(config, slos)
    )
    wanted = (config.alerts_folder, config.dashboards_folder, config.kubernetes_folder)
    folders = tuple(dict.fromkeys(folder for folder in wanted if folder))
    return Plan(files | _manifests(files, folders), rules, folders, ways, warnings)


def changes(wanted: Plan) -> Changes:
    """What `write` would do. Raises CannotWriteError when a folder cannot be read."""
    found = {path: _content(path) for path in wanted.files}
    return Changes(
        missing=tuple(sorted(path for path, content in found.items() if content is None)),
        stale=tuple(sorted(p for p, content in found.items() if content is not None and content != wanted.files[p])),
        orphan=tuple(sorted(_orphans(wanted))),
    )


def write(wanted: Plan) -> Changes:
    """Bring the disk to the plan; files that are right are not touched. Raises CannotWriteError."""
    todo = changes(wanted)
    # The manifests come last: whoever is stopped half-way still knows the orphans at the next run.
    renew = sorted((*todo.missing, *todo.stale), key=lambda path: (path.name == MANIFEST, path))
    try:
        for path in todo.orphan:
            path.unlink()
        for path in renew:
            _replace(path, wanted.files[path])
    except OSError as error:
        raise CannotWriteError(failed(error)) from error
    return todo


def _with_board(slo: Slo) -> Slo:
    """Alerts link to the board that the spec names, else to the one of its service."""
    return slo if slo.dashboard else replace(slo, dashboard=slo_board.uid(_service_id(slo.service.name)))


def _service_id(name: str) -> str:
    """A service's name as part of a file's name and of a uid; never that of another service."""
    made = object_name(name).replace(".", "-")  # Grafana takes no point in a uid
    if made == name and len(made) <= slo_board.MAX_SERVICE_CHARS:
        return made
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{made[: slo_board.MAX_SERVICE_CHARS - 9]}-{digest}".lstrip("-")


def _rule_files(config: Config, slos: Sequence[Slo], maintenances: Sequence[Maintenance]) -> tuple[RuleFile, ...]:
    service, profile = config.file.service, config.profile
    try:
        return (
            *_slo_files(config, slos, maintenances),
            *([data.rule_file(slos, profile)] if slos else []),
            platform.watchdog(profile, service),
            *(alerts(profile, service) for name in config.file.mixins if (alerts := MIXINS[name].alerts)),
        )
    except OutOfRangeError as error:
        raise config.mistake(str(error), "window_divisor") from error


def _slo_files(config: Config, slos: Iterable[Slo], maintenances: Sequence[Maintenance]) -> list[RuleFile]:
    files: list[RuleFile] = []
    mistakes: list[Mistake] = []
    for slo in slos:
        try:
            files.append(slo_file(slo, config.profile, spans(maintenances, slo)))
        except SpecError as error:
            mistakes += error.mistakes
        except OutOfRangeError as error:
            message = f"{error}; the window is one of {slo.name}, {slo.file}:{slo.line}"
            raise config.mistake(message, "window_divisor") from error
    if mistakes:
        raise SpecError(mistakes)
    return files


def _check_retention(config: Config, slos: Iterable[Slo]) -> None:
    periods = [config.profile.window(period.longest(slo)) for slo in slos]
    needed = Duration(max(periods, default=Duration(0)) + prometheus.RETENTION_MARGIN)
    if config.environment.prometheus.retention < needed:
        message = f"the longest SLO period needs at least {needed}, or its first slices are gone before it ends"
        raise config.mistake(message, "prometheus", "retention")


def _check_rhythm(config: Config) -> None:
    slice_ = period.SLICE.divided(config.environment.window_divisor)
    if config.environment.evaluation_interval > slice_:
        message = f"expected at most {slice_}, the length of a slice: what lies between two slices is in no budget"
        raise config.mistake(message, "evaluation_interval")


def _alert_files(
    config: Config,
    slos: Sequence[Slo],
    maintenances: Sequence[Maintenance],
    rules: Iterable[RuleFile],
    ways: Iterable[routes.Row],
) -> dict[Path, bytes]:
    folder = config.alerts_folder
    by_name = {f"rules/{one.name}.yml": dump(one.to_yaml(), made_from(one.source_name)) for one in rules}
    return {
        folder / "prometheus.yml": prometheus.configuration(config.environment, list(by_name)),
        folder / "routes.md": routes.table(config, ways),
    } | {folder / name: content for name, content in (by_name | alertmanager.files(config, slos, maintenances)).items()}


def _boards(config: Config, slos: Sequence[Slo]) -> list[Board]:
    services = {slo.service.name: slo.service for slo in slos}
    return [
        *(make(slos) for name in config.file.mixins for make in MIXINS[name].boards),
        *(
            board
            for name, service in services.items()
            for board in slo_board.boards(service, _service_id(name), _of(slos, name), config.profile)
        ),
    ]


def _of(slos: Iterable[Slo], service: str) -> tuple[Slo, ...]:
    return tuple(slo for slo in slos if slo.service.name == service)


def _board_files(config: Config, boards: Mapping[str, bytes]) -> dict[Path, bytes]:
    folder, environment = config.dashboards_folder, config.environment
    source = provisioning.datasource(environment.prometheus.url, environment.scrape_interval)
    provider = provisioning.provider(config.file.service, environment.grafana.dashboards_path)
    return {
        folder / "provisioning/datasources/prometheus.yaml": source,
        folder / f"provisioning/dashboards/{config.file.service}.yaml": provider,
    } | {folder / f"{uid}.json": board for uid, board in boards.items()}


def _import_file(config: Config, boards: Sequence[Board]) -> dict[Path, bytes]:
    """The first board once more, for those who import by hand."""
    path = config.dashboards_folder / "grafana-dashboard.json"
    return {path: provisioning.importable(boards[0], config.profile.runbook)} if boards else {}


def _kubernetes_files(config: Config, rules: Iterable[RuleFile], boards: Mapping[str, bytes]) -> dict[Path, bytes]:
    wanted, folder = config.outputs.kubernetes, config.kubernetes_folder
    if not wanted or not folder:
        return {}
    objects = {f"rules-{one.name}": kubernetes.prometheus_rule(one, wanted.namespace, wanted.labels) for one in rules}
    objects |= {
        f"dashboard-{uid}": kubernetes.config_map(uid, board, wanted.namespace, wanted.labels)
        for uid, board in boards.items()
    }
    return {folder / f"{object_name(name)}.yaml": content for name, content in objects.items()}


def _proof_files(config: Config, slos: Sequence[Slo]) -> dict[Path, bytes]:
    if not config.outputs.proofs:
        return {}
    folder = config.alerts_folder / "proofs"
    return {folder / name: body for slo in slos for name, body in proof_files(slo, config.profile).items()}


def _manifests(files: Mapping[Path, bytes], folders: Iterable[Path]) -> dict[Path, bytes]:
    return {folder / MANIFEST: _manifest(folder, files) for folder in folders}


def _manifest(folder: Path, files: Mapping[Path, bytes]) -> bytes:
    """In the format of sha256sum, which can check it too."""
    inside = sorted((p.relative_to(folder).as_posix(), content) for p, content in files.items() if folder in p.parents)
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in inside).encode()


def _orphans(wanted: Plan) -> Iterable[Path]:
    for folder in wanted.folders:
        for line in (_content(folder / MANIFEST) or b"").decode(errors="replace").splitlines():
            digest, _, name = line.partition("  ")
            path = (folder / name).resolve()
            if path in wanted.files or folder not in path.parents:
                continue
            content = _content(path)
            if content is not None and hashlib.sha256(content).hexdigest() == digest:
                yield path


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotWriteError(failed(error)) from error


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all: Prometheus may read the file at this moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
