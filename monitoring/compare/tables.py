"""What differs between two sets of SLOs, in figures and in a verdict; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from monitoring.explain.tables import Detection, Explanation, queries
from monitoring.explain.wording import number, share, spoken
from monitoring.maths.decimals import percent, plain
from monitoring.maths.durations import Duration
from monitoring.spec.model import Calendar, CompositeSli, Condition, Service, Slices, Slo

RATIOS = (Decimal(1), Decimal("0.5"), Decimal("0.1"))
"""The failures whose detection is told before and after."""

OUTAGE = Duration.parse("5m")
"""The total outage whose least visible traffic is told."""

_PLACE = ("file", "line")


@dataclass(frozen=True)
class Row:
    """One thing, before and after."""

    what: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        """Whether it changed."""
        return self.before != self.after


@dataclass(frozen=True)
class Change:
    """One SLO whose spec says something else than before."""

    name: str
    verdict: str
    spec: tuple[Row, ...]
    """What was written differently."""
    effect: tuple[Row, ...]
    """What follows from it, the unchanged too."""
    alerts_added: tuple[str, ...]
    alerts_removed: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Everything that differs; all three empty when nothing does."""

    added: tuple[Explanation, ...]
    removed: tuple[Explanation, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare(old: Sequence[Explanation], new: Sequence[Explanation]) -> Difference:
    """What became of each SLO; they are told apart by name."""
    before, after = _by_name(old), _by_name(new)
    return Difference(
        added=tuple(one for name, one in after.items() if name not in before),
        removed=tuple(one for name, one in before.items() if name not in after),
        changed=tuple(
            change
            for name, one in after.items()
            if name in before and (change := _change(before[name], one)) is not None
        ),
    )


def _by_name(some: Sequence[Explanation]) -> Mapping[str, Explanation]:
    return {one.slo.name: one for one in some}


def _change(old: Explanation, new: Explanation) -> Change | None:
    spec = tuple(_spec_rows(old.slo, new.slo))
    if not spec:
        return None
    before, after = ({alert.name for alert in one.alerts} for one in (old, new))
    return Change(
        name=new.slo.name,
        verdict=verdict(old, new),
        spec=spec,
        effect=tuple(_effect_rows(old, new)),
        alerts_added=tuple(alert.name for alert in new.alerts if alert.name not in before),
        alerts_removed=tuple(alert.name for alert in old.alerts if alert.name not in after),
    )


def _spec_rows(old: Slo, new: Slo) -> Iterator[Row]:
    """Only what differs; where a spec stands is no part of what it says."""
    yield from _differing(Row("target", percent(old.target), percent(new.target)))
    yield from _differing(Row("period", str(old.period), str(new.period)))
    before, after = dict(queries(old)), dict(queries(new))
    for role in dict.fromkeys([*before, *after]):
        yield from _differing(Row(f"query: {role}", before.get(role, "–"), after.get(role, "–")))
    before, after = _part_targets(old), _part_targets(new)
    for part in dict.fromkeys([*before, *after]):
        yield from _differing(Row(f"target of the part {part}", before.get(part, "–"), after.get(part, "–")))
    for field in dataclasses.fields(Slo):
        if field.name in (*_PLACE, "sli", "target", "period"):
            continue
        one, other = getattr(old, field.name), getattr(new, field.name)
        if _placeless(one) != _placeless(other):
            yield Row(field.name.replace("_", " "), _shown(one), _shown(other))


def _part_targets(slo: Slo) -> dict[str, str]:
    parts = slo.sli.parts if isinstance(slo.sli, CompositeSli) else ()
    return {part.name: percent(part.target) for part in parts}


def _differing(row: Row) -> Iterator[Row]:
    if row.differs:
        yield row


def _placeless(value: Any) -> Any:
    if isinstance(value, Condition):
        return dataclasses.replace(value, file="", line=1)
    return tuple(map(_placeless, value)) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case Service():
            return value.name if value.name == value.display_name else f"{value.name} ({value.display_name})"
        case Condition():
            hold = f" for {value.hold}" if value.hold else ""
            windows = f"{value.long}, {value.short}"
            return f"{value.name}: {value.severity} above {plain(value.factor)} over {windows}{hold}"
        case Calendar():
            return f"{value.count} {value.unit} from {value.anchor.isoformat()} ({value.time_zone})"
        case Slices():
            return f"slices of {value.window}" + (f", good from {percent(value.target)} on" if value.target else "")
        case Decimal():
            return plain(value)
        case Mapping():
            return ", ".join(f"{key}={_shown(one)}" for key, one in value.items()) or "–"
        case frozenset():
            return ", ".join(sorted(map(str, value))) or "–"
        case tuple():
            return "; ".join(map(_shown, value)) or "–"
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return "; ".join(f"{name}: {_shown(getattr(value, name))}" for name in names if getattr(value, name)) or "–"
    return str(value)


def _effect_rows(old: Explanation, new: Explanation) -> Iterator[Row]:
    def row(what: str, of: Any) -> Row:
        return Row(what, of(old), of(new))

    yield row("error budget", lambda one: share(one.budget))
    yield row("budget as total outage", lambda one: f"{spoken(one.outage_budget_s)} in {one.slo.period}")
    for ratio in RATIOS:
        yield row(f"{share(ratio)} bad pages after", lambda one, r=ratio: _page(one.first_page(r)))
    for ratio in RATIOS:
        yield row(f"{share(ratio)} bad: that page resets after", lambda one, r=ratio: _reset(one.first_page(r)))
    for ratio in RATIOS:
        yield row(f"{share(ratio)} bad: first alert of any kind after", lambda one, r=ratio: _page(_first(one, r)))
    yield row("pages within 5m only from", _pages_from)
    yield row("shares that never page, up to", lambda one: share(one.blind.never))
    yield row("events an hour to see an outage of 5m", _least_traffic)
    yield row("recorded series", lambda one: f"{one.cost.series:,}")
    yield row("alert rules", lambda one: f"{one.cost.alert_rules:,}")
    yield row("rule evaluations an hour", lambda one: f"{one.cost.evaluations_per_hour:,}")


def _page(page: Detection | None) -> str:
    return "never" if page is None else f"{spoken(page.detect_s)} ({page.alert})"


def _reset(page: Detection | None) -> str:
    return "–" if page is None else spoken(page.reset_s)


def _first(one: Explanation, ratio: Decimal) -> Detection | None:
    found = [one.detection(alert.name, ratio) for alert in one.alerts]
    heard = [detection for detection in found if detection.felt_s is not None]
    return min(heard, key=lambda detection: detection.felt_s or 0, default=None)


def _pages_from(one: Explanation) -> str:
    if one.blind.never is None:
        return "no page at all"
    return "not even a total outage" if one.blind.above is None else f"{share(one.blind.above)} bad on"


def _least_traffic(one: Explanation) -> str:
    if one.events_per_s is not None or not one.counted or not one.alerts:
        return "–"
    return number(Decimal(one.slo.min_bad_events) * 3600 / OUTAGE)


def verdict(old: Explanation, new: Explanation) -> str:
    """In plain words whether the objective and its alerts got stricter or looser."""
    stricter: list[str] = []
    looser: list[str] = []
    if new.budget != old.budget:
        amount = (
            f"the error budget goes from {share(old.budget)} to {share(new.budget)} "
            f"({spoken(old.outage_budget_s)} to {spoken(new.outage_budget_s)} of total outage)"
        )
        (stricter if new.budget < old.budget else looser).append(amount)
    for ratio in RATIOS:
        before, after = _felt(old, ratio), _felt(new, ratio)
        if before != after:
            sooner = before is None or (after is not None and after < before)
            what = "a total outage" if ratio == 1 else f"a failure of {share(ratio)}"
            told = f"{what} pages {'sooner' if sooner else 'later'} ({_at(old, ratio)} → {_at(new, ratio)})"
            (stricter if sooner else looser).append(told)
    names = [{alert.name for alert in one.alerts} for one in (old, new)]
    stricter += [f"{name} alerts now" for name in sorted(names[1] - names[0])]
    looser += [f"{name} alerts no more" for name in sorted(names[0] - names[1])]
    if new.slo.min_bad_events != old.slo.min_bad_events:
        fewer = new.slo.min_bad_events < old.slo.min_bad_events
        least = f"an alert asks for {new.slo.min_bad_events} bad events instead of {old.slo.min_bad_events}"
        (stricter if fewer else looser).append(least)
    if new.slo.quorum != old.slo.quorum:
        (looser if new.slo.quorum else stricter).append(f"a page waits for {new.slo.quorum or 'no'} quorum")
    return " ".join([_sentence(stricter, looser), *_other(old, new)])


def _sentence(stricter: list[str], looser: list[str]) -> str:
    if stricter and looser:
        return f"Stricter in that {'; '.join(stricter)}. Looser in that {'; '.join(looser)}."
    if stricter or looser:
        return f"{'Stricter' if stricter else 'Looser'}: {'; '.join(stricter or looser)}."
    return "Neither stricter nor looser."


def _other(old: Explanation, new: Explanation) -> Iterator[str]:
    """What no figure can weigh."""
    if old.slo.sli != new.slo.sli or old.slo.slices != new.slo.slices:
        yield "It counts something else than before, so figures before and after the change do not compare."
    if old.slo.period != new.slo.period or old.slo.calendar != new.slo.calendar:
        yield "What was spent is counted over another period from now on."
    if old.slo.no_traffic != new.slo.no_traffic:
        yield f"Without traffic it now takes the moment as: {new.slo.no_traffic}."


def _felt(one: Explanation, ratio: Decimal) -> Decimal | None:
    page = one.first_page(ratio)
    return page.felt_s if page else None


def _at(one: Explanation, ratio: Decimal) -> str:
    page = one.first_page(ratio)
    return spoken(page.detect_s) if page else "never"
