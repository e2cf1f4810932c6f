"""The plots of the page, as SVG text: lines and bars from numbers, nothing else; pure.

Colours and fonts are classes of the page's own style, so that a plot follows dark mode
and print. Each plot names itself for those who do not see it; the figures that it draws
stand in the page as text too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from monitoring.prometheus.shown import percent
from monitoring.report import figures as figuring
from monitoring.report.figures import Figures

WIDTH, HEIGHT = 880, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 22, 28
_BINS = 120
_MAX_POINTS = 440
_TICKS = 6
_DAY_S = 86400
_MIN_MARK = 2.0


@dataclass(frozen=True)
class Frame:
    """Where data lie on the picture: seconds across, values up."""

    start: float
    end: float
    low: float
    high: float

    def x(self, at: float) -> float:
        """Of a moment; those outside lie on the edge."""
        share = (min(max(at, self.start), self.end) - self.start) / ((self.end - self.start) or 1)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        """Of a value; those outside lie on the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def burn_down(told: Figures) -> str:
    """The share of the budget that is left over the period, with incidents and deploys."""
    line = thinned(figuring.burn_down(told), _MAX_POINTS)
    lowest = min(value for _, value in line)
    low = -0.1 if lowest < 0 else 0.0
    frame = Frame(told.period.start, told.period.end, max(min(lowest * 1.1, low), -3.0), 1.0)
    # A step: what is left stays until the next slice is over.
    steps = [f"M{frame.x(line[0][0])} {frame.y(line[0][1])}"]
    steps += [f"H{frame.x(at)}V{frame.y(value)}" for at, value in line[1:]]
    path = "".join(steps)
    floor = frame.y(0)
    last = f"H{frame.x(line[-1][0])}V{floor}H{frame.x(line[0][0])}Z"
    parts = [
        _backdrop(told, frame),
        _y_axis(frame, _budget_ticks(frame.low)),
        f'<path class="area" d="{path}{last}"/>',
        f'<path class="line" d="{path}"/>',
        f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>',
        _marks(told, frame),
    ]
    alternative = (
        f"Error budget of {told.slo.display_name} over the period: begins at 100 %, ends at "
        f"{percent(told.adjusted.remaining, 2)}."
    )
    return _svg(f"burn-{told.slo.name}", "Error budget left", alternative, parts)


def error_ratio(told: Figures) -> str:
    """The error ratio in equal parts of the period, with the objective's limit."""
    bars = figuring.ratios(told, _BINS)
    limit = float(1 - told.slo.target)
    highest = max((ratio for _, _, ratio in bars if ratio is not None), default=0.0)
    ticks = nice_ticks(min(max(highest, limit * 1.5), 1.0))
    frame = Frame(told.period.start, told.period.end, 0.0, ticks[-1])
    parts = [_backdrop(told, frame), _y_axis(frame, ticks)]
    for start, end, ratio in bars:
        if ratio:
            left, top = frame.x(start), frame.y(ratio)
            kind = "bar over" if ratio > limit else "bar"
            width = max(frame.x(end) - left - 1, 1)
            parts.append(
                f'<rect class="{kind}" x="{left}" y="{top}" width="{width:.1f}" '
                f'height="{max(frame.y(0) - top, 0.5):.1f}"/>'
            )
    y = frame.y(limit)
    parts += [
        f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>',
        f'<text class="note" x="{WIDTH - _RIGHT - 4}" y="{y - 5}" text-anchor="end">'
        f"objective allows {percent(limit)}</text>",
        _marks(told, frame),
    ]
    worst = f"highest {percent(highest)}" if any(r is not None for _, _, r in bars) else "no traffic"
    alternative = (
        f"Error ratio of {told.slo.display_name} in {_BINS} equal parts of the period: {worst}; "
        f"the objective allows {percent(limit)} on average."
    )
    return _svg(f"ratio-{told.slo.name}", "Error ratio", alternative, parts)


def nice_ticks(highest: float) -> list[float]:
    """From 0 to at least `highest` > 0 in three to six steps of 1, 2, 2.5 or 5 times a power of ten.

    >>> [round(t, 6) for t in nice_ticks(0.047)], nice_ticks(1.0)[-1]
    ([0.0, 0.01, 0.02, 0.03, 0.04, 0.05], 1.0)
    """
    power = 10.0 ** math.floor(math.log10(highest))
    step = next(s * power for s in (0.2, 0.25, 0.5, 1, 2) if highest <= 5 * s * power * (1 + 1e-9))
    return [i * step for i in range(math.ceil(highest / step - 1e-9) + 1)]


def thinned(line: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most about `most` points of a falling line; the first, the last and each one before a step stay true.

    >>> thinned([(0, 1), (1, 1), (2, 1), (3, .5), (4, .5)], 100)
    [(0, 1), (3, 0.5), (4, 0.5)]
    """
    bends = [p for i, p in enumerate(line) if i in (0, len(line) - 1) or p[1] != line[i - 1][1]]
    if len(bends) <= most:
        return bends
    step = -(-len(bends) // most)
    kept = bends[::step]
    return kept if kept[-1] == bends[-1] else [*kept, bends[-1]]


def _svg(key: str, title: str, alternative: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{escape(key)}-t {escape(key)}-d">'
        f'<title id="{escape(key)}-t">{escape(title)}</title><desc id="{escape(key)}-d">{escape(alternative)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _backdrop(told: Figures, frame: Frame) -> str:
    """What lies behind the data: the days, spans without slices, and maintenance."""
    top, height = _TOP, HEIGHT - _TOP - _BOTTOM
    spans = [("gap", "not measured", *gap) for gap in figuring.gaps(told)]
    spans += [
        ("maintenance", f"maintenance {one.id}", one.start.timestamp(), one.end.timestamp()) for one in told.maintenance
    ]
    parts = [
        f'<rect class="{kind}" x="{frame.x(start)}" y="{top}" height="{height}" '
        f'width="{max(frame.x(end) - frame.x(start), 1):.1f}"><title>{escape(title)}</title></rect>'
        for kind, title, start, end in spans
    ]
    for i in range(_TICKS + 1):
        at = frame.start + (frame.end - frame.start) * i / _TICKS
        anchor = "start" if i == 0 else "end" if i == _TICKS else "middle"
        parts.append(
            f'<text class="tick" x="{frame.x(at)}" y="{HEIGHT - 8}" text-anchor="{anchor}">{_tick(at, frame)}</text>'
        )
    return "".join(parts)


def _marks(told: Figures, frame: Frame) -> str:
    """Incidents as bars above the data, deploys as triangles on their moment."""
    parts = []
    for one in told.incidents:
        left = frame.x(one.start)
        right = frame.x(told.period.end if one.end is None else one.end)
        kind = "page" if one.severity == "page" else "ticket"
        title = escape(f"{one.alert} {one.tier or one.kind}")
        parts.append(
            f'<rect class="incident {kind}" x="{left}" y="{6 if kind == "page" else 13}" height="5" '
            f'width="{max(right - left, _MIN_MARK):.1f}"><title>{title}</title></rect>'
        )
    for deploy in told.deployments:
        x, base = frame.x(deploy.at.timestamp()), HEIGHT - _BOTTOM
        title = escape(f"{deploy.version} deployed in {deploy.environment} by {deploy.author}")
        parts.append(
            f'<g class="deploy"><title>{title}</title><line x1="{x}" x2="{x}" y1="{_TOP}" y2="{base}"/>'
            f'<path d="M{x - 5:.1f} {base + 8}h10l-5 -8z"/></g>'
        )
    return "".join(parts)


def _y_axis(frame: Frame, values: Sequence[float]) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{frame.y(v)}" y2="{frame.y(v)}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{frame.y(v) + 4}" text-anchor="end">{_short(v)}</text>'
        for v in values
    )


def _budget_ticks(low: float) -> list[float]:
    if low >= 0:
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    step = 0.5 if low > -1 else 1.0
    below = [-step * i for i in range(1, int(-low / step) + 1)]
    return [*reversed(below), 0.0, 0.5, 1.0]


def _short(share: float) -> str:
    """
    >>> _short(0.5), _short(0.00125), _short(0)
    ('50 %', '0.125 %', '0 %')
    """
    return f"{share * 100:.3g} %"


def _tick(at: float, frame: Frame) -> str:
    form = "%b %d" if frame.end - frame.start > 4 * _DAY_S else "%b %d %H:%M"
    if frame.end - frame.start < 2 * _DAY_S:
        form = "%H:%M"
    if frame.end - frame.start < 600:
        form = "%H:%M:%S"
    return datetime.fromtimestamp(at, UTC).strftime(form)
