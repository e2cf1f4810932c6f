"""Reads SLO specs of any format: every refusal names file, line, path and what was expected.

`read` is the way in. Syntax first (`yamltree`), then which format and shape (here),
then meaning (`slos`, `alpha`, `sloth`), once all objects of all files are known; all
mistakes of all files are raised together as one SpecError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.errors import Mistake, SpecError
from monitoring.paths import shown
from monitoring.spec import alerts, alpha, indicators, openslo, sloth
from monitoring.spec import slos as openslo_slos
from monitoring.spec.model import Service, Slo
from monitoring.spec.references import Library
from monitoring.yamltree import Node, Notes, Place, decode, documents, unknown

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 8_000_000
_HEADER = ("apiVersion", "kind")
_FORMATS = (openslo.API_VERSION, alpha.API_VERSION, sloth.API_VERSION)


@dataclass(frozen=True)
class Specs:
    """What a set of files says."""

    slos: tuple[Slo, ...]
    """By name."""
    warnings: tuple[Mistake, ...] = ()
    """By file and line: what stops nobody, but is worth knowing."""
    services: tuple[Service, ...] = ()
    targets: tuple[alerts.Target, ...] = ()
    """AlertNotificationTargets that were declared, on their own or in a policy."""


@dataclass
class _Found:
    """Documents of the right shape, before anything is made of them."""

    library: Library = field(default_factory=Library)
    alphas: list[tuple[alpha.SloDocument, Place]] = field(default_factory=list)
    sloths: list[sloth.Found] = field(default_factory=list)
    alert_windows: list[tuple[sloth.WindowsSpec, Place]] = field(default_factory=list)
    targets: list[alerts.Target] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)


def load(paths: Sequence[Path], strict: bool = True) -> tuple[Slo, ...]:
    """Every SLO in these files and directories, by name.

    Raises SpecError with all mistakes of all files.
    """
    return read(paths, strict).slos


def read(paths: Sequence[Path], strict: bool = True) -> Specs:
    """Everything in these files and directories.

    Not `strict`: what is doubtful becomes a warning, and an SLO whose queries are in
    another language than PromQL is left out. Raises SpecError with all mistakes of all files.
    """
    mistakes: list[Mistake] = []
    found = _Found()
    every_notes: list[Notes] = []
    for file in _files(paths, mistakes):
        notes = Notes(shown(file), strict)
        every_notes.append(notes)
        _read(file, notes, found)
    slos = _made(found)
    mistakes += [mistake for notes in every_notes for mistake in notes.mistakes]
    if mistakes:
        raise SpecError(dict.fromkeys(mistakes))
    warnings = dict.fromkeys(warning for notes in every_notes for warning in notes.warnings)
    return Specs(
        slos=tuple(sorted(slos, key=lambda slo: slo.name)),
        warnings=tuple(sorted(warnings, key=lambda m: (m.file, m.line or 0, m.message))),
        services=_by_name([*found.services, *(slo.service for slo in slos)]),
        targets=tuple(sorted(dict.fromkeys(found.targets), key=lambda target: target.name)),
    )


def _by_name(services: Iterable[Service]) -> tuple[Service, ...]:
    known: dict[str, Service] = {}
    for service in services:
        known.setdefault(service.name, service)
    return tuple(known[name] for name in sorted(known))


def _files(paths: Iterable[Path], mistakes: list[Mistake]) -> Iterator[Path]:
    for path in paths:
        try:
            yield from _below(path, mistakes)
        except OSError as error:
            mistakes.append(Mistake(shown(path), 1, f"cannot be read: {error.strerror}"))


def _below(path: Path, mistakes: list[Mistake]) -> list[Path]:
    """The spec files that a path stands for."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        mistakes.append(Mistake(shown(path), 1, "no such file or directory"))
        return []
    files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    if not files:  # else one wrong path would take away every rule
        mistakes.append(Mistake(shown(path), None, f"no specs in here; expected files *{' or *'.join(SUFFIXES)}"))
    return files


def _read(file: Path, notes: Notes, found: _Found) -> None:
    try:
        if file.stat().st_size > MAX_BYTES:
            notes.add(1, f"larger than {MAX_BYTES} bytes, which no spec is")
            return
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        notes.add(1, f"cannot be read: {error}")
        return
    for document in documents(text, notes):
        # OpenSLO's own examples have one document that is a list of objects.
        for node in document.value if isinstance(document.value, tuple) else (document,):
            _take(node, notes, found)


def _take(node: Node, notes: Notes, found: _Found) -> None:
    """Tell a document's format by its header and decode it."""
    if not isinstance(node.value, dict):
        notes.add(node.line, "expected a spec: a mapping with apiVersion and kind, or with version")
        return
    version, place = node.scalar("apiVersion"), Place(notes, node)
    if version is None and "version" in node.value:
        _take_sloth(node, place, found)
    elif version == openslo.API_VERSION:
        _take_openslo(node, place, found)
    elif version == alpha.API_VERSION:
        _take_alpha(node, place, found)
    elif version == sloth.API_VERSION:
        _take_kubernetes(node, place, found)
    elif isinstance(version, str) and "v2alpha" in version:
        place.at("apiVersion").error(f"{version} is a draft that still changes; expected {openslo.API_VERSION}")
    else:
        found_text = "nothing" if version is None else repr(version)
        place.at("apiVersion").error(f"expected {', '.join(_FORMATS)} or version: {sloth.VERSION}, found {found_text}")


def _kind(node: Node, place: Place, known: Iterable[str]) -> str | None:
    kind = node.scalar("kind")
    if isinstance(kind, str) and kind in known:
        return kind
    place.at("kind").error(unknown(f"kind of {node.scalar('apiVersion')}", str(kind), known))
    return None


def _take_openslo(node: Node, place: Place, found: _Found) -> None:
    kind = _kind(node, place, openslo.KINDS)
    if kind is None:
        return
    document = decode(node.without(*_HEADER), openslo.KINDS[kind], place.notes)
    if document is None:
        return
    found.library.add(kind, document, place)
    if isinstance(document, openslo.TargetDocument):
        found.targets.append(alerts.target(document.metadata.name, document.spec))
    elif isinstance(document, openslo.ServiceDocument):
        metadata = document.metadata
        found.services.append(Service(metadata.name, metadata.display_name or metadata.name))


def _take_alpha(node: Node, place: Place, found: _Found) -> None:
    kind = _kind(node, place, alpha.KINDS)
    if kind is None:
        return
    document = decode(node.without(*_HEADER), alpha.KINDS[kind], place.notes)
    if isinstance(document, alpha.SloDocument):
        found.alphas.append((document, place))
    elif isinstance(document, openslo.ServiceDocument):
        found.library.add(kind, document, place)


def _take_sloth(node: Node, place: Place, found: _Found) -> None:
    if node.scalar("version") == sloth.WINDOWS_VERSION:
        windows = decode(node.without("version"), sloth.WindowsSpec, place.notes)
        found.alert_windows += [(windows, place)] if windows else []
        return
    if node.scalar("version") != sloth.VERSION:
        place.at("version").error(f"expected {sloth.VERSION}, found {node.scalar('version')!r}")
        return
    spec = decode(node.without("version"), sloth.Spec, place.notes)
    if spec:
        found.sloths.append(sloth.Found(spec, place, str))


def _take_kubernetes(node: Node, place: Place, found: _Found) -> None:
    kind = _kind(node, place, (*sloth.LEVELS, "AlertWindows"))
    body = node.without(*_HEADER)
    if kind == "AlertWindows":
        windows = decode(body, sloth.AlertWindows, place.notes)
        found.alert_windows += [(windows.spec, place.at("spec"))] if windows else []
    elif kind is not None:
        outer = decode(body, sloth.KubernetesObject, place.notes)
        spec = decode(outer.spec, sloth.Spec, place.notes, sloth.camel, ("spec",)) if outer else None
        found.sloths += [sloth.Found(spec, place.at("spec"), sloth.camel)] if spec else []


def _made(found: _Found) -> list[Slo]:
    """The SLOs of all documents; a name that two of them have is refused."""
    every: list[Slo] = []
    first: dict[str, Slo] = {}
    policy = _sloth_policy(found)
    for indicator, place in found.library.indicators():
        indicators.check(indicator.spec, place.at("spec"))
    for document, place in found.library.slos():
        made = openslo_slos.build(found.library, document, place)
        found.targets += made.targets
        every += _unique(made.slos, place, first)
    for alpha_document, place in found.alphas:
        every += _unique(alpha.build(found.library, alpha_document, place), place, first)
    for spec in found.sloths:
        every += _unique(sloth.build(found.library, spec, policy), spec.place, first)
    alerts.check_unused(found.library)
    return every


def _sloth_policy(found: _Found) -> sloth.Policy:
    if not found.alert_windows:
        return sloth.Policy()
    for _, place in found.alert_windows[1:]:
        place.error(f"only one AlertWindows object can be in force, and there is {found.alert_windows[0][1]}")
    policy = sloth.Policy(*found.alert_windows[0])
    policy.conditions(frozenset())  # it must make sense even when no spec needs it
    return policy


def _unique(slos: Iterable[Slo], place: Place, first: dict[str, Slo]) -> Iterator[Slo]:
    for slo in slos:
        earlier = first.setdefault(slo.name, slo)
        if earlier is not slo:
            place.notes.add(
                slo.line, f"an SLO with the id {slo.name!r} exists already, in {earlier.file}:{earlier.line}"
            )
        yield slo
