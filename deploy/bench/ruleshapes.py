"""The rules that sloth and pyrra would have for an SLO of `slos`, to load beside ours; pure.

Only the shapes: names, expressions, labels and groups as their generators arrange them,
written anew here, so that the same Prometheus can say what each costs.

- *sloth*, as its examples are generated at commit 0e395d81, default plugins: three groups without an interval
  of their own, so Prometheus' evaluation_interval holds. The period is the mean of the
  recorded 5m ratios.
- *pyrra*, by its `slo/rules.go` at commits da6836b and 00b38d0, ratio indicator whose
  errors are a label of the total, without generic rules: an increase over the whole
  period from raw samples in a group of 150 s (for 28 to 35 days), burn rates and four
  alerts in one of 30 s. Its windows are the fractions of the period that are 5m, 1h, …
  of 28 days, rounded to minutes.
- *pyrra, subquery*: the same with `performanceOverAccuracy`, which adds up recorded 5m
  increases instead.
"""

from __future__ import annotations

from itertools import chain

from deploy.bench.slos import METRIC, PERIOD, TARGET
from monitoring.maths.durations import Duration
from monitoring.rules.model import Alert, Group, Recording

SLOTH_RATIO = "slo:sli_error:ratio_rate5m"
PYRRA_INCREASE = "bench_requests:increase5m"

_SLOTH_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
_SLOTH_ALERTS = (
    ("page", (("14.4", "5m", "1h"), ("6", "30m", "6h"))),
    ("ticket", (("3", "2h", "1d"), ("1", "6h", "3d"))),
)
_PYRRA_FACTORS = (("critical", 14), ("critical", 7), ("warning", 2), ("warning", 1))
_PYRRA_OF_28_DAYS = (("2m", "5m", "1h"), ("15m", "30m", "6h"), ("1h", "2h", "1d"), ("3h", "6h", "4d"))
"""`for`, short and long window of each alert."""


def sloth_labels(slo: str) -> dict[str, str]:
    """What every series of an SLO carries."""
    return {"sloth_id": f"bench-{slo}", "sloth_service": "bench", "sloth_slo": slo}


def pyrra_labels(slo: str, subquery: bool) -> dict[str, str]:
    """The same; the two variants must not record one series twice."""
    return {"slo": f"{slo}-subquery" if subquery else slo, "tenant": slo}


def sloth(slo: str, evaluation_interval: Duration) -> list[Group]:
    """Eight ratios, seven figures about the SLO, two alerts."""
    labels = sloth_labels(slo)
    own = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    budget = f"(1-{TARGET})"

    def recording(name: str, expr: str, **more: str) -> Recording:
        return Recording(name, expr, labels | more)

    def ratio(window: str) -> Recording:
        bad, every = _rate(slo, window, ',code=~"5.."'), _rate(slo, window)
        return recording(f"slo:sli_error:ratio_rate{window}", f"({bad})\n/\n({every})\n", sloth_window=window)

    def burning(factor: str, short: str, long: str) -> str:
        above = [
            f"max(slo:sli_error:ratio_rate{window}{{{own}}} > ({factor} * {budget})) without (sloth_window)"
            for window in (short, long)
        ]
        return "(\n    " + "\n    and\n    ".join(above) + "\n)"

    period = (
        f"sum_over_time({SLOTH_RATIO}{{{own}}}[{PERIOD}])\n/ ignoring (sloth_window)\n"
        f"count_over_time({SLOTH_RATIO}{{{own}}}[{PERIOD}])\n"
    )
    on_slo = "/ on(sloth_id, sloth_slo, sloth_service) group_left"
    figures = (
        recording("slo:objective:ratio", f"vector({TARGET})"),
        recording("slo:error_budget:ratio", f"vector(1-{TARGET})"),
        recording("slo:time_period:days", "vector(30)"),
        recording("slo:current_burn_rate:ratio", f"{SLOTH_RATIO}{{{own}}}\n{on_slo}\nslo:error_budget:ratio{{{own}}}"),
        recording(
            "slo:period_burn_rate:ratio",
            f"slo:sli_error:ratio_rate{PERIOD}{{{own}}}\n{on_slo}\nslo:error_budget:ratio{{{own}}}",
        ),
        recording("slo:period_error_budget_remaining:ratio", f"1 - slo:period_burn_rate:ratio{{{own}}}"),
        recording("sloth_slo_info", "vector(1)", sloth_mode="cli-gen-prom", sloth_spec="prometheus/v1"),
    )
    alerts = tuple(
        Alert(
            "HighErrorRate",
            "\nor\n".join(burning(*windows) for windows in pairs),
            {"sloth_severity": severity},
            {"title": f"({severity}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} burns too fast"},
        )
        for severity, pairs in _SLOTH_ALERTS
    )
    whole = recording(f"slo:sli_error:ratio_rate{PERIOD}", period, sloth_window=PERIOD)
    return [
        Group(f"sloth-slo-sli-recordings-{slo}", evaluation_interval, (*map(ratio, _SLOTH_WINDOWS), whole)),
        Group(f"sloth-slo-meta-recordings-{slo}", evaluation_interval, figures),
        Group(f"sloth-slo-alerts-{slo}", evaluation_interval, alerts),
    ]


def pyrra(slo: str, *, subquery: bool = False) -> list[Group]:
    """The increase over the period, one alert when it is absent; seven burn rates, four alerts."""
    labels = pyrra_labels(slo, subquery)
    own = f'slo="{labels["slo"]}",tenant="{slo}"'
    raw = f'{METRIC}{{tenant="{slo}"}}'
    windows = [(_scaled(hold), _scaled(short), _scaled(long)) for hold, short, long in _PYRRA_OF_28_DAYS]
    whole = f"bench_requests:increase{PERIOD}"
    if subquery:
        increases = [
            Recording(PYRRA_INCREASE, f"sum by (code) (increase({raw}[5m]))", labels),
            Recording(whole, f"sum by (code) (sum_over_time({PYRRA_INCREASE}{{{own}}}[{PERIOD}:5m]))", labels),
        ]
    else:
        increases = [Recording(whole, f"sum by (code) (increase({raw}[{PERIOD}]))", labels)]
    absent = Alert("SLOMetricAbsent", f"absent({raw}) == 1", labels | {"severity": "critical"}, {}, windows[0][0])
    burn_rates = [
        Recording(
            f"bench_requests:burnrate{window}",
            f'sum(rate({METRIC}{{code=~"5..",tenant="{slo}"}}[{window}])) / sum(rate({raw}[{window}]))',
            labels,
        )
        for window in sorted(set(chain.from_iterable((short, long) for _, short, long in windows)))
    ]
    alerts = [
        Alert(
            "ErrorBudgetBurn",
            f"bench_requests:burnrate{short}{{{own}}} > ({factor} * (1-{TARGET})) and "
            f"bench_requests:burnrate{long}{{{own}}} > ({factor} * (1-{TARGET}))",
            labels | {"severity": severity, "short": str(short), "long": str(long)},
            {},
            hold,
        )
        for (severity, factor), (hold, short, long) in zip(_PYRRA_FACTORS, windows, strict=True)
    ]
    return [
        Group(f"{labels['slo']}-increase", Duration(150), (*increases, absent)),
        Group(labels["slo"], Duration(30), (*burn_rates, *alerts)),
    ]


def _rate(slo: str, window: str, more: str = "") -> str:
    return f'sum(rate({METRIC}{{tenant="{slo}"{more}}}[{window}]))'


def _scaled(of_28_days: str) -> Duration:
    seconds = Duration.parse(of_28_days) * Duration.parse(PERIOD) / Duration.parse("28d")
    return Duration(60 * round(seconds / 60))
