"""sloth's specs: `version: prometheus/v1`, and the same as a Kubernetes object.

Field names are those of https://github.com/slok/sloth; the Kubernetes form spells them
in camelCase. Their period is 30 days, unless the one AlertWindows object beside them
says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from monitoring.errors import OutOfRangeError
from monitoring.maths.burn import burn_factor
from monitoring.maths.durations import Duration
from monitoring.spec import extensions, indicators, names, slos, windows
from monitoring.spec.indicators import Asked
from monitoring.spec.model import AlertTexts, Condition, Service, SimpleSli, Slo
from monitoring.spec.openslo import Description, Name
from monitoring.spec.references import Library
from monitoring.spec.windows import Period
from monitoring.yamltree import AsWritten, Node, Place

VERSION = "prometheus/v1"
WINDOWS_VERSION = "alertWindows/v1"
"""The older form of AlertWindows: its fields at the top of the document."""
API_VERSION = "sloth.slok.dev/v1"
LEVELS = ("PrometheusServiceLevel", "ManagedPrometheusServiceLevel")
"""Kinds of the Kubernetes form; the second asks for rules of Google's service, and has the same fields."""

_PLUGINS = "plugins are programs of sloth, which are not run here; their effect is left out"


class Events(msgspec.Struct):
    error_query: str
    total_query: str


class Raw(msgspec.Struct):
    error_ratio_query: str


class Sli(msgspec.Struct):
    events: Events | None = None
    raw: Raw | None = None
    plugin: Node | None = None


class Alert(msgspec.Struct):
    disable: bool = False
    labels: dict[str, AsWritten] = {}
    annotations: dict[str, AsWritten] = {}


class Alerting(msgspec.Struct):
    name: str | None = None
    labels: dict[str, AsWritten] = {}
    annotations: dict[str, AsWritten] = {}
    page_alert: Alert = msgspec.field(default_factory=Alert)
    ticket_alert: Alert = msgspec.field(default_factory=Alert)


class Objective(msgspec.Struct):
    name: Name
    objective: Decimal
    sli: Sli
    alerting: Alerting = msgspec.field(default_factory=Alerting)
    description: Description = ""
    labels: dict[str, Node] = {}
    plugins: Node | None = None


class Spec(msgspec.Struct):
    service: Name
    slos: tuple[Objective, ...]
    labels: dict[str, Node] = {}
    slo_plugins: Node | None = None


class KubernetesObject(msgspec.Struct, rename="camel"):
    """`spec` is decoded once more, since its names are spelled another way."""

    metadata: Node
    spec: Node


class Window(msgspec.Struct, rename="camel"):
    error_budget_percent: Decimal
    short_window: AsWritten
    long_window: AsWritten


class Pair(msgspec.Struct):
    quick: Window
    slow: Window


class WindowsSpec(msgspec.Struct, rename="camel"):
    slo_period: AsWritten
    page: Pair
    ticket: Pair


class AlertWindows(msgspec.Struct):
    spec: WindowsSpec
    metadata: Node | None = None


@dataclass(frozen=True)
class Found:
    """A spec with the place of its fields, and how their names are spelled."""

    spec: Spec
    place: Place
    spell: Callable[[str], str]


def camel(name: str) -> str:
    """How the Kubernetes form spells a field.

    >>> camel("error_ratio_query")
    'errorRatioQuery'
    """
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


@dataclass(frozen=True)
class Policy:
    """The period of sloth's specs, and their alerts if not the usual four."""

    document: WindowsSpec | None = None
    place: Place | None = None

    def period(self) -> Period | None:
        """Rolling; None when refused."""
        if self.document is None or self.place is None:
            return windows.DEFAULT_PERIOD, None
        return windows.rolling(self.place.at("sloPeriod"), self.document.slo_period)

    def conditions(self, off: frozenset[str]) -> tuple[Condition, ...] | None:
        """One for each tier that is not `off`; None: the usual tiers."""
        period = self.period()
        if self.document is None or self.place is None or period is None:
            return None
        spec, here = self.document, self.place
        tiers = [("page", "quick", spec.page.quick), ("page", "slow", spec.page.slow)]
        tiers += [("ticket", "quick", spec.ticket.quick), ("ticket", "slow", spec.ticket.slow)]
        made = [
            _condition(here.at(severity, pace), f"{severity}-{pace}", severity, window, period[0])
            for severity, pace, window in tiers
            if f"{severity}-{pace}" not in off
        ]
        return tuple(condition for condition in made if condition)


def _condition(place: Place, name: str, severity: str, window: Window, period: Duration) -> Condition | None:
    long = windows.told(place.at("longWindow"), window.long_window, windows.duration)
    short = windows.told(place.at("shortWindow"), window.short_window, windows.duration)
    if long is None or short is None:
        return None
    if short >= long:
        place.at("shortWindow").error(f"expected less than the long window of {long}, found {short}")
    try:
        factor = burn_factor(window.error_budget_percent.scaleb(-2), int(long), int(period))
    except OutOfRangeError as error:
        place.error(str(error))
        return None
    return Condition(name, severity, factor, long, short, file=place.notes.file, line=place.line)


def build(library: Library, found: Found, policy: Policy) -> tuple[Slo, ...]:
    """The SLOs of a spec; those that need a plugin are refused, or left out."""
    spec, place, spell = found.spec, found.place, found.spell
    declared = library.service(spec.service)
    service = Service(spec.service, (declared.metadata.display_name if declared else None) or spec.service)
    shared = names.labels(place.at("labels"), spec.labels)
    if spec.slo_plugins is not None:
        place.at(spell("slo_plugins")).warn(
            "plugins are programs of sloth, which are not run here; their effect is left out"
        )
    if not spec.slos:
        place.at("slos").error("expected at least one SLO")
    made = [
        _slo(found, policy, service, shared, objective, place.at("slos", i)) for i, objective in enumerate(spec.slos)
    ]
    return tuple(slo for slo in made if slo)


def _slo(
    found: Found, policy: Policy, service: Service, shared: Mapping[str, str], objective: Objective, place: Place
) -> Slo | None:
    spell = found.spell
    if objective.plugins is not None:
        place.at("plugins").warn(_PLUGINS)
    slo_id = names.slo_id(place.at("name"), names.slug(f"{service.name}-{objective.name}"))
    goal = slos.percentage(place.at("objective"), objective.objective)
    labels = dict(shared) | names.labels(place.at("labels"), objective.labels)
    _check_name(objective.alerting, place.at("alerting"))
    sli = _sli(objective.sli, place.at("sli"), spell)
    period = policy.period()
    if slo_id is None or goal is None or sli is None or period is None:
        return None
    alerting = objective.alerting
    off = _switched_off(alerting)
    return Slo(
        name=slo_id,
        display_name=f"{service.display_name}: {objective.name}",
        description=objective.description,
        service=service,
        target=goal,
        period=period[0],
        sli=sli,
        runbook=slo_id,
        dashboard=None,
        threshold_window=None,
        min_bad_events=extensions.DEFAULT_MIN_BAD_EVENTS,
        disabled_tiers=off,
        conditions=policy.conditions(off),
        texts=_texts(alerting, place.at("alerting"), spell),
        labels=labels,
        file=place.notes.file,
        line=place.line,
    )


def _check_name(alerting: Alerting, place: Place) -> None:
    """sloth refuses alerts without a name; ours have one of their own to fall back to."""
    if alerting.name == "":
        place.at("name").error("expected the name of the alerts, found none")
    elif alerting.name is None and not (alerting.page_alert.disable and alerting.ticket_alert.disable):
        place.doubt("the field 'name' is missing, which sloth needs for alerts", "they are named after the SLO")


def _switched_off(alerting: Alerting) -> frozenset[str]:
    off = [
        severity
        for severity, alert in (("page", alerting.page_alert), ("ticket", alerting.ticket_alert))
        if alert.disable
    ]
    return frozenset(tier for tier in extensions.TIER_NAMES if tier.split("-")[0] in off)


def _texts(alerting: Alerting, place: Place, spell: Callable[[str], str]) -> AlertTexts:
    page, ticket = place.at(spell("page_alert"), "labels"), place.at(spell("ticket_alert"), "labels")
    return AlertTexts(
        name=alerting.name,
        labels=_named(place.at("labels"), alerting.labels),
        annotations=_named(place.at("annotations"), alerting.annotations),
        page_labels=_named(page, alerting.page_alert.labels),
        page_annotations=_named(page, alerting.page_alert.annotations),
        ticket_labels=_named(ticket, alerting.ticket_alert.labels),
        ticket_annotations=_named(ticket, alerting.ticket_alert.annotations),
    )


def _named(place: Place, texts: Mapping[str, AsWritten]) -> dict[str, str]:
    """Names of labels and annotations as Prometheus takes them; others are refused, since sloth passes them on."""
    for name in texts:
        if names.label_name(name) != name:
            place.at(name).error(f"{name!r} is no name for a label; expected letters, digits and _")
    return {name: str(text) for name, text in texts.items()}


def _sli(sli: Sli, place: Place, spell: Callable[[str], str]) -> SimpleSli | None:
    given = [name for name, value in (("events", sli.events), ("raw", sli.raw), ("plugin", sli.plugin)) if value]
    if len(given) != 1:
        place.error(f"expected exactly one of events, raw and plugin, found {' and '.join(given) or 'none'}")
        return None
    if sli.plugin is not None:
        place.at("plugin").doubt("SLI plugins are Go programs of sloth, which are not run here", "the SLO is left out")
        return None
    if sli.raw is not None:
        raw = _ask(place.at("raw", spell("error_ratio_query")), sli.raw.error_ratio_query)
        return indicators.of_raw(raw, success=False) if raw else None
    assert sli.events is not None  # noqa: S101  exactly one is given
    here = place.at("events")
    total = _ask(here.at(spell("total_query")), sli.events.total_query)
    bad = _ask(here.at(spell("error_query")), sli.events.error_query)
    return indicators.of_events(total, None, bad, None)


def _ask(place: Place, text: str) -> Asked | None:
    asked = indicators.ask(place, text)
    if asked and not asked.written.has_placeholder:
        asked.place.doubt("expected {{.window}} in place of a range", "every range stands for the window")
    return asked
