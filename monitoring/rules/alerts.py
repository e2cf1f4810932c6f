"""Alerts of one SLO: the burn-rate tiers, and the direct alert where one is declared.

Both compare recorded ratios, so what a person sees on the board is what alerted. The
guard asks for a minimum of BAD events, never of events: one failed canary two minutes
after a start does not page, and an outage at low traffic does.
"""

from __future__ import annotations

from monitoring.maths.burn import error_budget, time_to_exhaustion_s
from monitoring.maths.decimals import percent, plain
from monitoring.maths.durations import Duration
from monitoring.rules import names
from monitoring.rules.model import Alert
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import Burn
from monitoring.spec.model import Slo


def burn_alert(slo: Slo, burn: Burn, profile: Profile) -> Alert:
    """Fires when both windows are strictly above the tier's threshold and enough events were bad."""
    long, short = profile.window(burn.long), profile.window(burn.short)
    limit = plain(burn.threshold)
    exhaustion = Duration(time_to_exhaustion_s(burn.factor, slo.period))
    factor = plain(burn.factor)
    return Alert(
        alert=f"{_camel(slo.name)}BudgetBurn",
        expr=(
            f"{names.of(names.errors_ratio(long), slo.name)} > {limit}\n"
            f"and\n{names.of(names.errors_ratio(short), slo.name)} > {limit}\n"
            f"and\n{_guard(slo, long)}"
        ),
        labels=_labels(slo, burn.severity, "burnrate") | {"tier": burn.name},
        annotations=_annotations(
            slo,
            profile,
            f"{slo.display_name}: error budget burn rate above {factor} ({burn.name})",
            f"{{{{ $value | humanizePercentage }}}} of all events were bad over the last {long}; above "
            f"{percent(burn.threshold)} a whole {slo.period} budget is gone within {exhaustion}.",
        ),
    )


def threshold_alert(slo: Slo, nominal: Duration, profile: Profile) -> Alert:
    """Fires when more than the budget's share of events was bad over the declared window.

    It holds for one scrape: a scrape may fall between counting what is owed and
    counting that it was delivered, and the next one puts that right.
    """
    window, limit = profile.window(nominal), error_budget(slo.target)
    return Alert(
        alert=f"{_camel(slo.name)}Threshold",
        expr=f"{names.of(names.errors_ratio(window), slo.name)} > {plain(limit)}\nand\n{_guard(slo, window)}",
        hold=profile.scrape_interval,
        labels=_labels(slo, "page", "threshold"),
        annotations=_annotations(
            slo,
            profile,
            f"{slo.display_name} misses its objective right now",
            f"{{{{ $value | humanizePercentage }}}} of all events were bad over the last {window}; "
            f"no more than {percent(limit)} may be.",
        ),
    )


def _guard(slo: Slo, window: Duration) -> str:
    # Sums of extrapolated floats may come to 2.9999999999; rounding is finer than any true difference.
    return f"round({names.of(names.errors_increase(window), slo.name)}, 0.001) >= {slo.min_bad_events}"


def _labels(slo: Slo, severity: str, kind: str) -> dict[str, str]:
    return {"slo_id": slo.name, "service": slo.service.name, "severity": severity, "kind": kind}


def _annotations(slo: Slo, profile: Profile, summary: str, now: str) -> dict[str, str]:
    budget = names.of(names.BUDGET_REMAINING, slo.name)
    left = f'{{{{ range query `100 * {budget}` }}}}{{{{ printf "%.1f" .Value }}}} %{{{{ end }}}}'
    links = {"runbook_url": profile.runbook(slo.runbook)}
    if slo.dashboard:
        links["dashboard_url"] = profile.dashboard(slo.dashboard)
    return {"summary": summary, "description": f"{now} Objective: {slo.description} Budget left: {left}."} | links


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
