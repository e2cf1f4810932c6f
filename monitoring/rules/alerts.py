"""Alerts of one SLO: the burn-rate tiers, and the direct alert where one is declared.

Both compare recorded ratios, so what a person sees on the board is what alerted. The
guard asks for a minimum of BAD events, never of events: one failed canary two minutes
after a start does not page, and an outage at low traffic does. While the short window
still holds maintenance nothing fires: what was agreed on is not news, and what begins
afterwards is seen as soon as that window holds nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitoring.maths.burn import error_budget
from monitoring.maths.decimals import percent, plain
from monitoring.maths.durations import Duration
from monitoring.promql import Matcher, Selector
from monitoring.rules import names, sli
from monitoring.rules.model import Alert
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import Burn
from monitoring.signals import deploys
from monitoring.spec.model import Slo
from monitoring.spec.targets import notify_label

_QUORUM = 2
_LATELY_S = 86400
"""A deployment is named in an alert for a day."""


def burn_alert(slo: Slo, burn: Burn, profile: Profile, *, maintained: bool = False) -> Alert:
    """Fires when both windows are strictly above the tier's threshold and enough events were bad."""
    long, short = profile.window(burn.long), profile.window(burn.short)
    limit = plain(burn.threshold)
    return Alert(
        alert=slo.texts.name or f"{_camel(slo.name)}BudgetBurn",
        expr=(
            f"{names.of(names.errors_ratio(long), slo.name)} > {limit}\n"
            f"and\n{names.of(names.errors_ratio(short), slo.name)} > {limit}"
            f"{_guard(slo, long)}{_quorum(slo, burn.severity, short, limit)}{_outside(slo, short, maintained)}"
        ),
        hold=profile.hold(burn.hold) if burn.hold else None,
        labels=_labels(slo, burn.severity, "burnrate", (*burn.notify, *slo.notify)) | {"tier": _literal(burn.name)},
        annotations=_annotations(
            slo,
            profile,
            burn.severity,
            f": the error budget burns {_too_fast(burn)} ({_literal(burn.name)})",
            f"{_sentence(burn.description)}{{{{ $value | humanizePercentage }}}} of all {_unit(slo)} were bad "
            f"over the last {long}, which is {_burning(slo, long)} times the pace that the budget allows; "
            f"this alert fires above {percent(burn.threshold)}. {_outlook(slo, profile, burn.long)}",
        ),
    )


def threshold_alert(slo: Slo, nominal: Duration, profile: Profile, *, maintained: bool = False) -> Alert:
    """Fires when more than the budget's share of events was bad over the declared window.

    It holds for one scrape: a scrape may fall between counting what is owed and
    counting that it was delivered, and the next one puts that right.
    """
    window, limit = profile.window(nominal), error_budget(slo.target)
    return Alert(
        alert=f"{_camel(slo.name)}Threshold",
        expr=(
            f"{names.of(names.errors_ratio(window), slo.name)} > {plain(limit)}"
            f"{_guard(slo, window)}{_quorum(slo, 'page', window, plain(limit))}{_outside(slo, window, maintained)}"
        ),
        hold=profile.scrape_interval,
        labels=_labels(slo, "page", "threshold", slo.notify) | {"tier": "threshold"},
        annotations=_annotations(
            slo,
            profile,
            "page",
            " misses its objective right now",
            f"{{{{ $value | humanizePercentage }}}} of all {_unit(slo)} were bad over the last {window}; "
            f"no more than {percent(limit)} may be. {_outlook(slo, profile, nominal)}",
        ),
    )


def _guard(slo: Slo, window: Duration) -> str:
    if not sli.is_counted(slo):
        return ""
    ratio, events = (names.of(name(window), slo.name) for name in (names.errors_ratio, names.events_increase))
    # Products of extrapolated floats may come to 2.9999999999; rounding is finer than any true difference.
    return f"\nand\nround({ratio} * {events}, 0.001) >= {slo.min_bad_events}"


def _quorum(slo: Slo, severity: str, window: Duration, limit: str) -> str:
    """One place may have trouble of its own: a page waits for a second one that sees it."""
    if slo.quorum is None or severity != "page":
        return ""
    return f"\nand on ()\n{sli.seen_by(slo, slo.quorum, window, limit, _QUORUM)}"


def _outside(slo: Slo, window: Duration, maintained: bool) -> str:
    if not maintained:
        return ""
    return f"\nunless\nmax_over_time({names.of(names.MAINTENANCE, slo.name)}[{window}])"


def _labels(slo: Slo, severity: str, kind: str, notify: tuple[str, ...]) -> dict[str, str]:
    texts = slo.texts
    own = {"page": texts.page_labels, "ticket": texts.ticket_labels}.get(severity, {})
    fixed = {"slo_id": slo.name, "service": _literal(slo.service.name), "kind": kind}
    heard = notify_label(notify, send_resolved=slo.send_resolved)
    theirs = {name: _literal(value) for name, value in slo.labels.items()}
    return {**theirs, **texts.labels, "severity": _literal(severity), **own, **fixed, **heard}


def _annotations(slo: Slo, profile: Profile, severity: str, summary: str, now: str) -> dict[str, str]:
    texts = slo.texts
    own: Mapping[str, str] = {"page": texts.page_annotations, "ticket": texts.ticket_annotations}.get(severity, {})
    links = {"runbook_url": profile.runbook(slo.runbook)}
    if slo.dashboard:
        links["dashboard_url"] = profile.dashboard(slo.dashboard)
    objective = f" Objective: {_sentence(slo.description).rstrip()}" if slo.description else ""
    told = {"summary": f"{_literal(slo.display_name)}{summary}", "description": f"{now}{objective}{_deployed(slo)}"}
    return {**told, **links, **texts.annotations, **own}


def _unit(slo: Slo) -> str:
    return "slices of time" if slo.slices else "samples" if sli.is_sampled(slo) else "events"


def _burning(slo: Slo, window: Duration) -> str:
    return _asked("%.1f", f"{names.of(names.errors_ratio(window), slo.name)} / {plain(error_budget(slo.target))}")


def _too_fast(burn: Burn) -> str:
    return "faster than it may" if burn.factor == 1 else f"more than {plain(burn.factor)} times as fast as it may"


def _outlook(slo: Slo, profile: Profile, nominal: Duration) -> str:
    """What is left of the budget, and until when at the window's pace."""
    left = names.of(names.BUDGET_REMAINING, slo.name)
    ratio = names.of(names.errors_ratio(profile.window(nominal)), slo.name)
    budget, length = plain(error_budget(slo.target)), int(profile.window(slo.period))
    percent_left = _asked("%.1f", f"100 * {left}")
    lasting = f"{left} * {length} * {budget} / {ratio} and {left} > 0"
    pace = f"{{{{ range query `{lasting}` }}}}, gone in {{{{ .Value | humanizeDuration }}}} at this pace{{{{ end }}}}"
    return f"Budget left: {percent_left} %{pace}."


def _deployed(slo: Slo) -> str:
    """The last deployment of the service, if there was one lately: it is the first suspect."""
    deployed = Selector(deploys.DEPLOYED.name, (Matcher("service", "=", slo.service.name),))
    last = f"time() - topk(1, {deployed} > time() - {_LATELY_S})"
    last = last.replace("`", r"\x60")  # which would end the template's own quotes
    what = " Last deployment: {{ .Labels.version }} to {{ .Labels.environment }} by {{ .Labels.author }}"
    return f"{{{{ range query `{last}` }}}}{what}, {{{{ .Value | humanizeDuration }}}} ago.{{{{ end }}}}"


def _asked(form: str, query: str) -> str:
    return f'{{{{ range query `{query}` }}}}{{{{ printf "{form}" .Value }}}}{{{{ end }}}}'


def _sentence(text: str) -> str:
    """A person's words as a sentence of their own, with a space behind; nothing stays nothing."""
    text = _literal(text.strip())
    return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} " if text else ""


def _literal(text: str) -> str:
    """A person's words, which Prometheus must not take for a template."""
    return text.replace("{{", '{{ "{{" }}')


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[-.|/\\\\_]", name))
