"""The report's page: one file without script, nothing of what it shows is markup, readable for everybody."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from monitoring.deployments.journal import Deployment
from monitoring.maths.durations import Duration
from monitoring.prometheus.slices import Rhythm, Slice
from monitoring.report import plots, words
from monitoring.report.figures import Figures, Incident, Recorded, Restarts, figures
from monitoring.report.page import page
from monitoring.report.period import Span
from monitoring.report.text import text
from monitoring.spec.maintenance import Maintenance
from tests.support import slospecs

HOSTILE = '</title><script>alert(1)</script>" onload="x'
DAY = 86400.0
RHYTHM = Rhythm(Duration(300), Duration(300))


def told(folder: Path, bad: float = 0.05, name: str = "checkout", *, slices: bool = True) -> Figures:
    """A day with an incident, a deploy and maintenance, all of whose names are hostile."""
    slo = dataclasses.replace(slospecs.slo(folder), name=name, display_name=HOSTILE, description=HOSTILE)
    found = [Slice(300.0 * n, bad, 100) for n in range(1, 289) if n < 100 or n > 120] if slices else []
    incidents = [
        Incident(HOSTILE, HOSTILE, HOSTILE, "page", 30_000, 31_000, 0.5),
        Incident("A", "burnrate", "ticket-slow", "ticket", 80_000, None, None),
    ]
    at = datetime.fromtimestamp(20_000, UTC)
    deploy = Deployment(at=at, service="shop", environment="e", version=HOSTILE, author=HOSTILE, note=HOSTILE)
    span = Maintenance(HOSTILE, at, datetime.fromtimestamp(21_000, UTC), HOSTILE, HOSTILE)
    recorded = Recorded(found, incidents, [deploy], Restarts(2, 3.5), 0.4)
    return figures(slo, Span(HOSTILE, 0, DAY), RHYTHM, recorded, [span])


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_that_is_shown_becomes_markup(tmp_path: Path) -> None:
    elements = Elements(page([told(tmp_path), told(tmp_path, name="other", slices=False)], DAY, HOSTILE)).found
    assert not {tag for tag, _ in elements} & {"script", "link", "img", "iframe", "object"}
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert {a["href"] for _, a in elements if "href" in a} == {"#checkout", "#other"}
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    referred = {one for _, a in elements for one in (a.get("aria-labelledby") or "").split()}
    assert referred <= set(ids)


@pytest.mark.parametrize("draw", [plots.burn_down, plots.error_ratio])
@pytest.mark.parametrize("bad", [0.0, 0.05, 5.0, 100.0])
def test_a_plot_is_xml_and_says_what_it_shows(tmp_path: Path, draw: type, bad: float) -> None:
    svg = ET.fromstring(draw(told(tmp_path, bad)))
    assert svg.get("role") == "img"
    alternative = svg.find("desc")
    assert alternative is not None
    assert "%" in (alternative.text or "")
    for element in svg.iter():
        for name in ("x", "x1", "x2", "y", "y1", "y2", "width", "height"):
            value = float(element.get(name, "0"))
            assert 0 <= value <= plots.WIDTH, (element.tag, name, value)


def test_the_burn_down_is_drawn_from_whole_to_what_is_left(tmp_path: Path) -> None:
    """5 bad of 10,000 events at 99.9 % are half of the budget."""
    svg = ET.fromstring(plots.burn_down(told(tmp_path)))
    (line,) = (e.get("d", "") for e in svg.iter("path") if e.get("class") == "line")
    heights = [float(v) for v in re.findall(r"V([0-9.]+)", line)]
    grid = sorted({float(e.get("y1", "0")) for e in svg.iter("line") if e.get("class") == "grid"})
    whole, empty = grid[0], grid[-1]
    assert line.startswith(f"M62.0 {whole}")
    assert heights[-1] == pytest.approx((whole + empty) / 2, abs=0.2)
    assert heights == sorted(heights)


def themes(html: str) -> Iterator[dict[str, str]]:
    """The colours of the light and of the dark theme."""
    light, dark = re.findall(r":root \{ color-scheme: light dark;(.*?)\}|dark\) \{ :root \{(.*?)\}", html, re.DOTALL)
    for block in (light[0], dark[1]):
        yield dict(re.findall(r"--(\w+): (#[0-9a-f]+)", block))


def luminance(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.2."""
    digits = colour[1:] if len(colour) > 4 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_has_the_contrast_that_wcag_asks_for(tmp_path: Path) -> None:
    for colours in themes(page([told(tmp_path)], DAY, "http://p")):
        for ink, least in (
            *((name, 4.5) for name in ("ink", "soft", "good", "bad", "none", "limit")),
            *((name, 3.0) for name in ("line", "over", "page", "ticket", "deploy", "bar")),
        ):
            for ground in ("card", "ground"):
                low, high = sorted((luminance(colours[ink]), luminance(colours[ground])))
                assert (high + 0.05) / (low + 0.05) >= least, (ink, ground)


def test_the_text_says_the_same(tmp_path: Path) -> None:
    shown = text([told(tmp_path)])
    assert "attainment       99.95 % (target 99.9 %; 99.95 % with maintenance)" in shown
    assert "budget           50 % spent, 50 % left; recorded: 40 % left" in shown
    assert "267 of 288 slices of 5m (92.71 %); 4 of them in maintenance" in shown
    assert "2 counter resets; at most about 3.5 events may be uncounted" in shown
    assert "still firing (1h46m): A, ticket-slow\n" in shown


def test_a_period_of_which_nothing_was_recorded_is_no_success(tmp_path: Path) -> None:
    nothing = told(tmp_path, slices=False)
    assert words.verdict(nothing) == "no data"
    assert nothing.to_json()["met"] is None
    assert "0 of 288 slices of 5m (0 %); nothing was recorded" in text([nothing])
