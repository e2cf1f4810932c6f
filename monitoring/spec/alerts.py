"""AlertPolicies, their conditions and whom they tell.

A policy's condition takes the place of our four tiers. OpenSLO has one window for a
condition; the short one, which lets an alert end soon after its cause, is a twelfth
of it, as in the SRE Workbook, ch. 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from monitoring.errors import OutOfRangeError
from monitoring.spec import windows
from monitoring.spec.model import Condition
from monitoring.spec.openslo import ConditionEntry, PolicyEntry, PolicySpec, TargetEntry, TargetSpec
from monitoring.spec.references import Library
from monitoring.yamltree import Place

SHORT_DIVISOR = 12


@dataclass(frozen=True)
class Target:
    """Someone who hears alerts: a name, and by which way, such as slack."""

    name: str
    way: str
    description: str = ""


@dataclass(frozen=True)
class Alerting:
    """What the policies of an SLO come to."""

    conditions: tuple[Condition, ...] = ()
    targets: tuple[Target, ...] = ()
    no_data: bool = False
    resolved: bool = False

    @property
    def notify(self) -> tuple[str, ...]:
        """The names of the targets."""
        return tuple(target.name for target in self.targets)


def read(library: Library, entries: Iterable[PolicyEntry], place: Place) -> Alerting:
    """All policies of an SLO together; what is wrong with them is noted."""
    alerting = Alerting()
    for i, entry in enumerate(entries):
        found = _policy(library, entry, place.at(i))
        if found is not None:
            alerting = _merged(alerting, _one(library, *found), place.at(i))
    return alerting


def check_unused(library: Library) -> None:
    """Policies that no SLO refers to still have a shape; what they refer to only matters once they are used."""
    for document, place in library.unused_policies():
        _one_condition(document.spec, place.at("spec"))
        _some_target(document.spec, place.at("spec"))
        place.warn(f"no SLO uses the AlertPolicy {document.metadata.name!r}")


def _policy(library: Library, entry: PolicyEntry, place: Place) -> tuple[PolicySpec, Place] | None:
    if entry.alert_policy_ref is not None:
        if entry.spec or entry.metadata:
            place.error("expected either alertPolicyRef or a whole policy, found both")
        found = library.policy(place.at("alertPolicyRef"), entry.alert_policy_ref)
        return (found[0].spec, found[1].at("spec")) if found else None
    if entry.spec is None or entry.metadata is None:
        place.error("expected alertPolicyRef, or a policy with kind, metadata and spec")
        return None
    return entry.spec, place.at("spec")


def _one(library: Library, spec: PolicySpec, place: Place) -> Alerting:
    _some_target(spec, place)
    listed = place.at("notificationTargets")
    targets = [_target(library, entry, listed.at(i)) for i, entry in enumerate(spec.notification_targets)]
    known = tuple(target for target in targets if target)
    conditions: tuple[Condition, ...] = ()
    if _one_condition(spec, place):
        condition = _condition(library, spec.conditions[0], place.at("conditions", 0))
        if condition and spec.alert_when_breaching:
            conditions = (replace(condition, notify=tuple(target.name for target in known)),)
    return Alerting(conditions, known, spec.alert_when_no_data, spec.alert_when_resolved)


def _one_condition(spec: PolicySpec, place: Place) -> bool:
    if len(spec.conditions) != 1:
        place.at("conditions").error(f"expected exactly one condition, found {len(spec.conditions)}")
        return False
    entry, here = spec.conditions[0], place.at("conditions", 0)
    if entry.condition_ref is None and (entry.spec is None or entry.metadata is None):
        here.error("expected conditionRef, or a condition with kind, metadata and spec")
        return False
    if entry.operator:
        here.at("operator").warn("has no effect on a single condition")
    return True


def _some_target(spec: PolicySpec, place: Place) -> None:
    here = place.at("notificationTargets")
    if not spec.notification_targets:
        here.error("expected at least one target")
    for i, entry in enumerate(spec.notification_targets):
        if entry.target_ref is None and (entry.spec is None or entry.metadata is None):
            here.at(i).error("expected targetRef, or a target with kind, metadata and spec")


def _target(library: Library, entry: TargetEntry, place: Place) -> Target | None:
    if entry.target_ref is not None:
        if entry.spec or entry.metadata:
            place.error("expected either targetRef or a whole target, found both")
        found = library.target(place.at("targetRef"), entry.target_ref)
        return target(entry.target_ref, found[0].spec) if found else None
    return target(entry.metadata.name, entry.spec) if entry.metadata and entry.spec else None


def target(name: str, spec: TargetSpec) -> Target:
    """A notification target as plain values."""
    return Target(name, spec.target, spec.description)


def _condition(library: Library, entry: ConditionEntry, place: Place) -> Condition | None:
    if entry.condition_ref is not None:
        if entry.spec or entry.metadata:
            place.error("expected either conditionRef or a whole condition, found both")
        found = library.condition(place.at("conditionRef"), entry.condition_ref)
        if found is None:
            return None
        spec, metadata, where = found[0].spec, found[0].metadata, found[1]
    else:
        if entry.spec is None or entry.metadata is None:
            return None  # noted by _one_condition
        spec, metadata, where = entry.spec, entry.metadata, place
    here = where.at("spec", "condition")
    burn = spec.condition
    if burn.op in ("lt", "lte"):
        here.at("op").doubt(f"{burn.op} would alert while the budget burns slower than {burn.threshold}", "read as gt")
    if burn.threshold <= 0:
        here.at("threshold").error(f"expected a burn rate above 0, found {burn.threshold}")
    try:
        hold = windows.hold(burn.alert_after)
    except OutOfRangeError as error:
        here.at("alertAfter").error(str(error))
        return None
    long = windows.told(here.at("lookbackWindow"), burn.lookback_window, windows.duration)
    if long is None:
        return None
    return Condition(
        name=metadata.name,
        severity=spec.severity,
        factor=burn.threshold,
        long=long,
        short=long.divided(SHORT_DIVISOR),
        hold=hold,
        description=spec.description,
        file=here.notes.file,
        line=here.line,
    )


def _merged(first: Alerting, second: Alerting, place: Place) -> Alerting:
    """Both together; a condition that both have tells the targets of both."""
    conditions = {condition.name: condition for condition in first.conditions}
    for condition in second.conditions:
        known = conditions.get(condition.name)
        if known is None:
            conditions[condition.name] = condition
        elif replace(known, notify=()) == replace(condition, notify=()):
            notify = tuple(dict.fromkeys((*known.notify, *condition.notify)))
            conditions[condition.name] = replace(known, notify=notify)
        else:
            place.error(f"another condition of this SLO is named {condition.name!r} too, {known.file}:{known.line}")
    return Alerting(
        tuple(conditions.values()),
        tuple({target.name: target for target in (*first.targets, *second.targets)}.values()),
        first.no_data or second.no_data,
        first.resolved or second.resolved,
    )
