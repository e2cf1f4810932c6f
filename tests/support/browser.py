"""A real Chromium, started once for the tests of a process, and a board as it stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from monitoring.preview.shots import READY, chromium

if TYPE_CHECKING:  # conftest imports this module, and most tests need no browser
    from playwright.sync_api import Browser, Locator, Page

DRAWN_WITHIN_MS = 20_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    with chromium() as running:
        yield running


@dataclass(frozen=True)
class BoardPage:
    """A board that is drawn; `problems` are what the page's script threw and what its policy blocked."""

    page: Page
    problems: list[str]

    @property
    def states(self) -> dict[str, str]:
        """done, empty or error, by the panel's title."""
        script = "all => all.map(one => [one.dataset.panelTitle, one.dataset.state])"
        return dict(self.page.locator("section.panel").evaluate_all(script))

    def panel(self, title: str) -> Locator:
        """One panel."""
        return self.page.locator(f'section.panel[data-panel-title="{title}"]')

    def error(self, title: str) -> str:
        """What a panel says is wrong."""
        return self.panel(title).locator(".panel-error").inner_text()

    def value_color(self, title: str) -> str:
        """The colour that the thresholds give a panel's first value, as the page tells it."""
        return self.panel(title).locator(".value").first.get_attribute("data-color") or ""

    def legend(self, title: str) -> list[str]:
        """The names in a panel's legend."""
        script = "all => all.map(one => one.dataset.name)"
        names: list[str] = self.panel(title).locator("[data-name]").evaluate_all(script)
        return names

    def drawn(self) -> None:
        """Wait until nothing is loading."""
        self.page.wait_for_function(READY, timeout=DRAWN_WITHIN_MS)


@contextmanager
def opened(browser: Browser, url: str, width: int = 1400, height: int = 1000) -> Iterator[BoardPage]:
    """A board's URL in a page of its own, drawn."""
    context = browser.new_context(viewport={"width": width, "height": height}, timezone_id="UTC", locale="en-US")
    try:
        board = BoardPage(context.new_page(), [])
        board.page.on("pageerror", lambda error: board.problems.append(str(error)))
        board.page.on(
            "console", lambda said: board.problems.append(said.text) if "Security Policy" in said.text else None
        )
        board.page.goto(url)
        board.drawn()
        yield board
    finally:
        context.close()
