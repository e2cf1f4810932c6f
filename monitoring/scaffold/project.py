"""The files of a new project: templates beside this module, filled in; pure but for reading them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import Template

from monitoring.errors import OutOfRangeError, PromqlError
from monitoring.promql import Matcher, Selector, is_counter, parse, plain_selector

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[a-z]([-a-z0-9]{0,48}[a-z0-9])?")
"""Such that YAML takes no name for something else than text."""
_TARGET = re.compile(r"[^/\s\"]+:[0-9]+")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_JOB = re.compile(r"[A-Za-z_][-A-Za-z0-9_.]*")
_BOUND = re.compile(r"[0-9]+(\.[0-9]+)?")

FILES = (
    "monitoring.yaml",
    "README.md",
    "specs/service.yaml",
    "specs/availability.yaml",
    "specs/latency.yaml",
    "runbooks/availability.md",
    "runbooks/latency.md",
    "runbooks/data-absent.md",
    "runbooks/data-implausible.md",
    "runbooks/data-stale.md",
    "runbooks/watchdog.md",
)
"""What a project starts with, relative to its folder."""


@dataclass(frozen=True)
class Project:
    """What a service says of itself; the defaults are those of a Flask shop with RED metrics."""

    service: str
    job: str
    target: str
    requests: str = "http_requests_total"
    """A counter of requests."""
    errors: str = 'status=~"5.."'
    """Which of them failed: label matchers, with commas between."""
    duration: str = "http_request_duration_seconds"
    """A histogram of how long they took; its buckets and its count are read."""
    within: str = "0.25"
    """The bound of one of its buckets, in seconds, as the service writes it."""


def files(project: Project) -> Mapping[PurePosixPath, str]:
    """The text of every file. Raises OutOfRangeError when a part of the project cannot be meant."""
    _check(project)
    job = Matcher("job", "=", project.job)
    buckets = Selector(f"{project.duration}_bucket", (job,))
    within = Selector(buckets.name, (job, Matcher("le", "=", project.within)))
    values = {
        "service": project.service,
        "job": project.job,
        "target": project.target,
        "bound": project.within,
        "requests_name": project.requests,
        "duration_name": project.duration,
        "buckets": str(buckets),
    }
    for role, query in (
        ("requests", str(Selector(project.requests, (job,)))),
        ("bad_requests", _bad(project)),
        ("quick_requests", str(within)),
        ("timed_requests", str(Selector(f"{project.duration}_count", (job,)))),
    ):
        values |= {role: query, f"{role}_yaml": _as_yaml(query)}
    return {
        PurePosixPath(name): Template((_TEMPLATES / f"{name}.template").read_text(encoding="utf-8")).substitute(values)
        for name in FILES
    }


def taken(folder: Path, names: Iterable[PurePosixPath]) -> list[Path]:
    """Those of the files that exist already, or whose folder is a file."""
    paths = [folder / name for name in names]
    below = [parent for path in paths for parent in path.parents if folder in (parent, *parent.parents)]
    in_the_way = {parent for parent in below if parent.exists() and not parent.is_dir()}
    return sorted({path for path in paths if path.exists() or path.is_symlink()} | in_the_way)


def _bad(project: Project) -> str:
    return f"{project.requests}{{{Matcher('job', '=', project.job)},{project.errors}}}"


def _as_yaml(text: str) -> str:
    """Plain where YAML reads it as it is, else in quotes."""
    return "'" + text.replace("'", "''") + "'" if ": " in text or " #" in text else text


def _check(project: Project) -> None:
    for what, value, pattern, expected in (
        ("service", project.service, _NAME, "a letter, then at most 49 of a-z, 0-9 and -, such as shop"),
        ("job", project.job, _JOB, "letters, digits, _, - and ., such as shop"),
        ("target", project.target, _TARGET, "host:port, such as shop1:8000"),
        ("requests", project.requests, _METRIC, "the name of a counter, such as http_requests_total"),
        ("duration", project.duration, _METRIC, "the name of a histogram, such as http_request_duration_seconds"),
        ("within", project.within, _BOUND, "seconds, such as 0.25"),
    ):
        if not pattern.fullmatch(value):
            raise OutOfRangeError(f"--{what}: expected {expected}, found {value!r}")
    if project.duration.endswith(("_bucket", "_count", "_sum")):
        raise OutOfRangeError(f"--duration: expected the histogram without its suffix, found {project.duration!r}")
    if "\n" in project.errors:
        raise OutOfRangeError("--errors: expected one line")
    try:
        _check_counter(project.requests)
        _check_counter(_bad(project))
    except PromqlError as error:
        raise OutOfRangeError(f"--requests, --errors: {error}") from error


def _check_counter(text: str) -> None:
    """Raises PromqlError unless this is the selector of one counter."""
    selector = plain_selector(parse(text))
    if selector is None or not is_counter(selector.name):
        raise PromqlError(f"expected the selector of one counter, such as http_requests_total, found {text!r}")
