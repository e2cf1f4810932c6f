"""From an OpenSLO v1 document, and what it refers to, to SLOs.

Several objectives of one indicator are an SLO each; objectives with indicators of
their own are a composite, which is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from monitoring.errors import OutOfRangeError
from monitoring.maths.burn import error_budget
from monitoring.spec import alerts, extensions, indicators, names, windows
from monitoring.spec.alerts import Alerting
from monitoring.spec.extensions import Extensions
from monitoring.spec.indicators import Threshold
from monitoring.spec.model import CompositeSli, EventSli, Part, Service, SimpleSli, Slices, Slo
from monitoring.spec.openslo import IndicatorDocument, Metadata, Objective, SloDocument
from monitoring.spec.references import Library
from monitoring.spec.windows import Period
from monitoring.yamltree import Place, missing

_HOUR_S = 3600


@dataclass(frozen=True)
class Made:
    """The SLOs of one document, and the notification targets that only it declares."""

    slos: tuple[Slo, ...] = ()
    targets: tuple[alerts.Target, ...] = ()


def build(library: Library, document: SloDocument, place: Place) -> Made:
    """The SLOs of a document; none when something was refused, or left out as not understood."""
    spec, here = document.spec, place.at("spec")
    extras = extensions.read(
        document.metadata.annotations, lambda key, message: place.at("metadata", "annotations", key).error(message)
    )
    alerting = alerts.read(library, spec.alert_policies, here.at("alertPolicies")) if spec.alert_policies else None
    if spec.budgeting_method is None:
        here.doubt("the field 'budgetingMethod' is missing", "Occurrences are counted")
    period = windows.period(here.at("timeWindow"), spec.time_window)
    base = basis(library, place, document.metadata, spec.service, spec.description, extras, period)
    if not spec.objectives:
        here.at("objectives").error("expected at least one objective")
    if alerting:
        base = _with_alerting(base, alerting)
    targets = alerting.targets if alerting else ()
    if any(o.indicator or o.indicator_ref is not None for o in spec.objectives):
        composite = _composite(library, document, here, base, extras)
        return Made((composite,) if composite else (), targets)
    return Made(_each(library, document, here, base, extras), targets)


def basis(
    library: Library,
    place: Place,
    metadata: Metadata,
    service: str,
    description: str,
    extras: Extensions,
    period: Period | None,
) -> Slo:
    """What all SLOs of one document share; target and SLI are still to come.

    What was refused is noted, and something stands in its place, so that it hides no other mistake.
    """
    owner = _service(library, place.at("spec", "service"), service)
    slo_id = names.slo_id(place.at("metadata", "name"), metadata.name)
    labels = names.labels(place.at("metadata", "labels"), metadata.labels)
    length, calendar = period or (windows.MAX_PERIOD, None)
    return Slo(
        name=slo_id or metadata.name,
        display_name=metadata.display_name or metadata.name,
        description=description,
        service=owner,
        target=Decimal(0),
        period=length,
        calendar=calendar,
        sli=CompositeSli(()),
        runbook=extras.runbook or slo_id or metadata.name,
        dashboard=extras.dashboard,
        threshold_window=extras.threshold_window,
        min_bad_events=extras.min_bad_events or extensions.DEFAULT_MIN_BAD_EVENTS,
        disabled_tiers=extras.disabled_tiers,
        no_traffic=extras.no_traffic,
        quorum=extras.quorum,
        labels=labels,
        file=place.notes.file,
        line=place.line,
    )


def _with_alerting(slo: Slo, alerting: Alerting) -> Slo:
    return replace(
        slo,
        conditions=alerting.conditions,
        notify=alerting.notify,
        alert_when_no_data=alerting.no_data,
        send_resolved=alerting.resolved,
    )


def _service(library: Library, place: Place, name: str) -> Service:
    """The Service of this name; where no Service is declared at all, any name is one."""
    known = library.names("Service")
    found = library.service(name)
    if found:
        return Service(name, found.metadata.display_name or name)
    if not known:
        return Service(name, name)
    place.doubt(missing("Service", name, known), "read as one that is declared elsewhere")
    return Service(name, name)


def _each(library: Library, document: SloDocument, here: Place, base: Slo, extras: Extensions) -> tuple[Slo, ...]:
    spec = document.spec
    found = _indicator(library, spec.indicator, spec.indicator_ref, here)
    made = []
    for i, objective in enumerate(spec.objectives):
        place = here.at("objectives", i)
        if objective.composite_weight is not None:
            place.at("compositeWeight").warn("has no effect without an indicator of this objective")
        goal = target(place, objective)
        cut = _slices(place, spec.budgeting_method, objective, base)
        sli = _sli(library, found, objective, place, extras) if found else None
        if sli is None or goal is None:
            continue
        if cut is None and not isinstance(sli, EventSli) and extras.no_traffic != "ignore":
            place.warn(f"{extensions.PREFIX}no-traffic has no effect: without events to count no time is without them")
        if extras.quorum and (cut or not isinstance(sli, EventSli) or not sli.is_plain):
            place.error(f"{extensions.QUORUM} needs one counter of good and one of all events, without slices of time")
        slo = replace(base, target=goal, slices=cut, sli=sli, min_bad_events=_min_bad_events(extras, cut))
        made.append(named(slo, objective.display_name, i) if len(spec.objectives) > 1 else slo)
    for i, slo in enumerate(made):
        if any(slo.name == other.name for other in made[:i]):
            here.at("objectives").error(
                f"two objectives come to the name {slo.name}; give each a displayName of its own"
            )
    return tuple(made)


def named(slo: Slo, objective: str, index: int) -> Slo:
    """One of several objectives: named after its displayName, else by its number."""
    suffix = names.slug(objective) or str(index + 1)
    return replace(
        slo,
        name=f"{slo.name}-{suffix}"[: names.MAX_NAME].rstrip("-."),
        display_name=f"{slo.display_name}: {objective or index + 1}",
    )


def _composite(library: Library, document: SloDocument, here: Place, base: Slo, extras: Extensions) -> Slo | None:
    spec = document.spec
    if extras.quorum:
        here.error(f"{extensions.QUORUM} has no meaning for a composite")
    if spec.indicator or spec.indicator_ref is not None:
        here.error("expected an indicator either of the SLO or of each objective, found both")
    parts: list[Part] = []
    cuts: list[Slices | None] = []
    for i, objective in enumerate(spec.objectives):
        place = here.at("objectives", i)
        found = _indicator(library, objective.indicator, objective.indicator_ref, place)
        sli = _sli(library, found, objective, place, extras) if found else None
        goal = target(place, objective)
        weight = Decimal(1) if objective.composite_weight is None else objective.composite_weight
        if weight <= 0:
            place.at("compositeWeight").error(f"expected a weight above 0, found {weight}")
            return None
        cuts.append(_slices(place, spec.budgeting_method, objective, base))
        if spec.budgeting_method in ("Occurrences", None) and sli is not None and not isinstance(sli, EventSli):
            place.error("a composite that counts occurrences needs events to count; use Timeslices for this indicator")
        if sli is not None and goal is not None:
            name = objective.display_name or (found[0].metadata.name if found else "") or str(i + 1)
            parts.append(Part(name, weight, goal, sli))
    if any(cut != cuts[0] for cut in cuts):
        here.at("objectives").error("a composite has one kind of slice: timeSliceWindow and timeSliceTarget must agree")
    if len(parts) < len(spec.objectives):
        return None
    total = sum((part.weight for part in parts), Decimal(0))
    mean = sum((part.weight * part.target for part in parts), Decimal(0)) / total
    least = _min_bad_events(extras, cuts[0])
    return replace(base, target=mean, slices=cuts[0], sli=CompositeSli(tuple(parts)), min_bad_events=least)


def _min_bad_events(extras: Extensions, cut: Slices | None) -> int:
    """What the spec says; unless it does, never more slices than the quickest alert's hour holds."""
    usual = extensions.DEFAULT_MIN_BAD_EVENTS
    return extras.min_bad_events or (max(1, min(usual, _HOUR_S // cut.window)) if cut else usual)


def _indicator(
    library: Library, inline: IndicatorDocument | None, reference: str | None, place: Place
) -> tuple[IndicatorDocument, Place] | None:
    if inline is not None and reference is not None:
        place.error("expected either indicator or indicatorRef, found both")
        return None
    if inline is not None:
        indicators.check(inline.spec, place.at("indicator", "spec"))
        return inline, place.at("indicator")
    if reference is not None:
        return library.indicator(place.at("indicatorRef"), reference)
    place.error("the field 'indicator' is missing, or 'indicatorRef'")
    return None


def _sli(
    library: Library,
    found: tuple[IndicatorDocument, Place],
    objective: Objective,
    place: Place,
    extras: Extensions,
) -> SimpleSli | None:
    document, where = found
    native = indicators.native(document.metadata.annotations, where.at("metadata", "annotations"))
    threshold = Threshold(place, objective.op, objective.value)
    return indicators.build(library, document.spec, where.at("spec"), threshold, native or extras.native_histogram)


def target(place: Place, objective: Objective) -> Decimal | None:
    """The share that must be good, in (0, 1); None when refused."""
    if (objective.target is None) == (objective.target_percent is None):
        place.error("expected exactly one of target and targetPercent")
        return None
    if objective.target is not None:
        if 1 < objective.target < 100:
            in_percent = f"; in percent it is written targetPercent: {objective.target}"
            place.at("target").error(f"a target lies strictly between 0 and 1, not at {objective.target}{in_percent}")
            return None
        return possible(place.at("target"), objective.target)
    return percentage(place.at("targetPercent"), objective.target_percent or Decimal(0))


def possible(place: Place, share: Decimal) -> Decimal | None:
    """The target, if there is a budget below it and something to reach; None when refused."""
    try:
        error_budget(share)
    except OutOfRangeError as error:
        place.error(str(error))
        return None
    return share


def percentage(place: Place, percent: Decimal) -> Decimal | None:
    """A target in percent as a share; None when refused."""
    if not 0 < percent < 100:
        place.error(f"a target lies strictly between 0 and 100 percent, not at {percent}")
        return None
    return percent.scaleb(-2)


def _slices(place: Place, method: str | None, objective: Objective, base: Slo) -> Slices | None:
    return slices(place, method, objective.time_slice_target, objective.time_slice_window, base)


def slices(place: Place, method: str | None, share: Decimal | None, length: str | None, base: Slo) -> Slices | None:
    """The slices of time that an objective budgets; None when it counts occurrences, or was refused."""
    if method in ("Occurrences", None):
        if share is not None or length is not None:
            place.warn("timeSliceTarget and timeSliceWindow have no effect with Occurrences")
        return None
    if length is None:
        place.error(f"the field 'timeSliceWindow' is missing, which {method} needs")
        return None
    if method == "RatioTimeslices":
        if share is not None:
            place.at("timeSliceTarget").warn("has no effect with RatioTimeslices")
        share = None
    elif share is None:
        place.error("the field 'timeSliceTarget' is missing, which Timeslices needs")
    elif not 0 < share <= 1:
        place.at("timeSliceTarget").error(f"expected a share above 0, at most 1, found {share}")
    window = windows.told(place.at("timeSliceWindow"), length, windows.slice_length)
    if window is None:
        return None
    if window >= base.period:
        place.at("timeSliceWindow").error(f"a slice of {window} does not fit a period of {base.period}")
    return Slices(window, share)
