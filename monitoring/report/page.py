"""The report as one page: no script, nothing fetched, everything from outside escaped."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitoring.prometheus import shown
from monitoring.report import plots, words
from monitoring.report.figures import Figures


def page(every: Sequence[Figures], made_at: float, source: str) -> str:
    """The HTML; `source` is the Prometheus that was asked."""
    environment = Environment(
        loader=PackageLoader("monitoring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": shown.percent,
        "number": shown.number,
        "plain_time": lambda at: shown.shown_time(at).removesuffix(" UTC"),
        "urgency": words.urgency,
        "time": shown.shown_time,
        "lasted": shown.shown_length,
        "verdict": words.verdict,
        "coverage": words.coverage_words,
        "recorded": words.recorded_words,
        "restarts": words.restart_words,
        "burn_down": lambda told: Markup(plots.burn_down(told)),  # noqa: S704  the plots escape what they show
        "error_ratio": lambda told: Markup(plots.error_ratio(told)),  # noqa: S704
    }
    return environment.get_template("report.html").render(every=every, made_at=made_at, source=source)
