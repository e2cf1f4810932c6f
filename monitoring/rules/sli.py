"""An SLO's measure as PromQL: how many events, and which share of them was bad; never NaN, never below 0 or above 1.

Three forms come out of whatever the spec says:

- *counted*: events over any window can be counted (an `EventSli`, or a composite of those);
- *sampled*: a rule records how bad each moment is, from 0 to 1. Of a `SampleSli` the samples are
  the events. Where slices of time are budgeted, each evaluation looks at the slice that ends
  then, and so many samples as fit into a slice count as one;
- *opaque*: a query gives a ratio and nothing to count (a `RatioSli`); it has no guard, and
  in the period each slice weighs the same.

What is missing means, for a counted SLO:

- No such metric at all: no data. A stalled exporter must not look healthy.
- Traffic, but the good series is missing: everything is bad. This is a total stall.
- Traffic, but the bad series is missing: nothing is bad.
- More good than total, as when a scrape falls between two counters: nothing is bad.
- No traffic: what the SLO's `no_traffic` says. `bad` counts a silent window, or one
  without the metric, as just as many bad events as its guard asks for.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.rules import names
from monitoring.rules.profile import Profile
from monitoring.spec.model import CompositeSli, EventSli, Part, RatioSli, SampleSli, SimpleSli, Sli, Slo


def is_sampled(slo: Slo) -> bool:
    """Whether a rule must record `slo:errors:sample` first."""
    return slo.slices is not None or isinstance(slo.sli, SampleSli)


def is_counted(slo: Slo) -> bool:
    """Whether bad events can be counted, so that the guard has something to compare."""
    return is_sampled(slo) or not isinstance(slo.sli, RatioSli)


def sample(slo: Slo, profile: Profile) -> str:
    """How bad this moment is: what `slo:errors:sample` records for a sampled SLO."""
    if slo.slices is None:
        assert isinstance(slo.sli, SampleSli)  # noqa: S101  is_sampled said so
        return _bounded(slo.sli.error)
    error = _slice_ratio(slo.sli, profile.window(slo.slices.window), profile.scrape_interval)
    if slo.slices.target is not None:
        # Extrapolation may leave a slice that just meets its target a hair below it.
        error = f"round({error}, 1e-9) > bool {plain(1 - slo.slices.target)}"
    return (
        error
        + {
            "ignore": "",
            "good": f"\nor on () 0 * {_present(slo.sli, profile.window(slo.slices.window))}",
            "bad": "\nor on () vector(1)",
        }[slo.no_traffic]
    )


def events(slo: Slo, window: Duration, profile: Profile) -> str:
    """All events over the window, without labels; for an opaque SLO 1 where there is a ratio."""
    if is_sampled(slo):
        count = f"sum(count_over_time({names.of(names.SAMPLE, slo.name)}[{window}]))"
        if slo.slices is None:
            return count
        return f"{count} * {int(profile.evaluation_interval)} / {int(profile.window(slo.slices.window))}"
    if isinstance(slo.sli, RatioSli):
        return f"0 * ({ratio(slo, window)}) + 1"
    total = _total(slo.sli, window)
    return f"{total} > 0 or on () vector({slo.min_bad_events})" if slo.no_traffic == "bad" else total


def ratio(slo: Slo, window: Duration, total: str = "") -> str:
    """Bad ÷ all events over the window, from 0 to 1; without traffic what `no_traffic` says.

    `total` is a recorded series of `events`, which saves reading the raw one again.
    """
    if is_sampled(slo):
        recorded = f"{names.of(names.SAMPLE, slo.name)}[{window}]"
        return f"sum(sum_over_time({recorded})) / sum(count_over_time({recorded}))"
    if isinstance(slo.sli, RatioSli):
        return _opaque(slo.sli, window)
    if slo.no_traffic == "bad":
        # Of the raw total: the recorded one has as many events in a silent window as the guard asks for.
        return f"{_share(slo.sli, window, _total(slo.sli, window))}\nor on () vector(1)"
    counted = f"sum({total})" if total else _total(slo.sli, window)
    share = _share(slo.sli, window, counted)
    return f"{share}\nor on () 0 * {counted}" if slo.no_traffic == "good" else share


def seen_by(slo: Slo, label: str, window: Duration, limit: str, most: int) -> str:
    """Whether `most` of those whom a label tells apart see more than the limit bad, or all where there are fewer."""
    assert isinstance(slo.sli, EventSli) and slo.sli.good  # noqa: S101  the reader said so
    good, total = (
        f"sum by ({label}) (increase({query.selectors[0]}[{window}]))" for query in (slo.sli.good, slo.sli.total)
    )
    share = f"({total} - ({good} or 0 * {total})) / ({total} > 0)"
    return f"count({share} > {limit})\n>= clamp_max(count({total} > 0), {most})"


def bad(slo: Slo, window: Duration, total: str) -> str:
    """Bad events over the window; `total` is the recorded series of `events`."""
    return f"({ratio(slo, window, total)})\n* on () sum({total})"


def surplus(slo: Slo, window: Duration, total: str) -> str | None:
    """Events that are good or bad but not in the total, which cannot be; None where it cannot be asked."""
    if is_sampled(slo) or not isinstance(slo.sli, EventSli):
        return None
    part = slo.sli.good or slo.sli.bad
    assert part  # noqa: S101  an EventSli has one of the two
    return f"clamp_min({part.over(window)} - on () sum({total}), 0) < Inf"


def _total(sli: Sli, window: Duration) -> str:
    match sli:
        case EventSli():
            # One NaN or infinity, once recorded, would be in every sum until the period is over.
            return f"({sli.total.over(window)} >= 0 < Inf)"
        case CompositeSli():
            return _weighed((part, _total(part.sli, window)) for part in sli.parts)
    raise AssertionError(f"{type(sli).__name__} has nothing to count")  # the reader refuses such composites


def _share(sli: Sli, window: Duration, total: str) -> str:
    """Bad ÷ `total`; no sample where that is 0, since 0/0 would give NaN, nor where what is bad is no number."""
    match sli:
        case EventSli(good=None, bad=bad_events) if bad_events:
            bad = f"({bad_events.over(window)} or vector(0))"
        case EventSli(good=good) if good:
            # Subtracted as whole numbers first: 1 - 95/100 would lie above 0.05.
            bad = f"({total} - ({good.over(window)} or vector(0)))"
        case CompositeSli():
            return f"{_weighed((part, _bad(part.sli, window)) for part in sli.parts)}\n/ ({total} > 0)"
        case _:
            raise AssertionError(f"{type(sli).__name__} has nothing to count")
    # A difference of counters may fall just below 0 between two scrapes.
    return f"clamp(\n  {bad}\n  / ({total} > 0),\n  0, 1\n) >= 0"


def _bad(sli: SimpleSli, window: Duration) -> str:
    total = _total(sli, window)
    return f"(({_share(sli, window, total)}) * {total} or 0 * {total})"


def _weighed(parts: Iterable[tuple[Part, str]]) -> str:
    """The sum of what is there, each part times its weight; no sample when nothing is."""
    terms = (
        f'label_replace({plain(part.weight)} * {expr}, "part", "{i}", "", "")' for i, (part, expr) in enumerate(parts)
    )
    return "sum(\n  " + "\n  or ".join(terms) + "\n)"


def _slice_ratio(sli: Sli, window: Duration, step: Duration) -> str:
    """The error ratio of one slice of time."""
    match sli:
        case EventSli():
            return _share(sli, window, _total(sli, window))
        case RatioSli():
            return _opaque(sli, window)
        case SampleSli():
            return f"avg_over_time(({_bounded(sli.error)})[{window}:{step}])"
        case CompositeSli():
            ratios = [(part, f"({_slice_ratio(part.sli, window, step)})") for part in sli.parts]
            weights = [(part, f"({expr} * 0 + 1)") for part, expr in ratios]
            return f"{_weighed(ratios)}\n/ {_weighed(weights)}"


def _opaque(sli: RatioSli, window: Duration) -> str:
    return _bounded(f"avg({sli.error.over(window)})")


def _bounded(error: str) -> str:
    """A query's own word on how bad something is, held to 0..1; NaN is not at least 0 and falls out."""
    return f"clamp({error}, 0, 1) >= 0"


def _present(sli: Sli, window: Duration) -> str:
    """Something where the SLI has data at all, traffic or not."""
    match sli:
        case EventSli():
            return sli.total.over(window)
        case RatioSli():
            return f"({_opaque(sli, window)})"
        case SampleSli():
            return f"({sli.error})"
        case CompositeSli():
            return _weighed((part, _present(part.sli, window)) for part in sli.parts)
