"""Pictures of boards, taken by a headless Chromium once every panel has its answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from monitoring.errors import CannotWriteError, MissingProgramError, MonitoringError
from monitoring.files import replace
from monitoring.paths import failed, shown
from monitoring.preview.boards import Board

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # The same pixels on every machine: no hinting by screen, no scroll bar.
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
READY = """() => document.body.dataset.state === "ready"
    && ![...document.querySelectorAll("section.panel")].some((one) => (one.dataset.state ?? "loading") === "loading")
"""
"""The page has drawn every panel, whatever came of it."""
_STATES = """() => [...document.querySelectorAll("section.panel")].map((panel) => ({
    id: panel.dataset.panelId ?? "", title: panel.dataset.panelTitle ?? "", state: panel.dataset.state ?? "loading",
    message: (panel.querySelector(".panel-error")?.textContent ?? "").trim(),
}))"""


class NoBrowserError(MonitoringError):
    """Chromium is there and does not start."""


@dataclass(frozen=True)
class Look:
    """How boards are looked at. The size is in CSS pixels, `scale` how many pixels each becomes."""

    themes: Sequence[str]
    width: int
    scale: int
    timeout_s: float
    parameters: Sequence[tuple[str, str]]
    """Of the page's URL: from, to and var-NAME."""


@dataclass(frozen=True)
class Trouble:
    """A panel that shows no data because something is wrong, or a board that never came to rest."""

    uid: str
    theme: str
    panel: str
    message: str

    def __str__(self) -> str:
        return f"{self.uid} ({self.theme}): {self.panel + ': ' if self.panel else ''}{self.message}"


@dataclass(frozen=True)
class Shot:
    """One picture, and what it shows of trouble."""

    path: Path | None
    """None when none could be taken."""
    panels: int
    empty: Sequence[str]
    """Titles of panels that have an answer without data."""
    troubles: Sequence[Trouble]


def take(url: str, boards: Sequence[Board], folder: Path, look: Look) -> Iterator[Shot]:
    """A picture of each board in each theme, written as FOLDER/UID-THEME.png.

    Raises MissingProgramError, NoBrowserError, CannotWriteError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWriteError(failed(error)) from None
    with chromium() as browser:
        for board in boards:
            for theme in look.themes:
                yield _shot(browser, url, board, theme, folder / f"{board.uid}-{theme}.png", look)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless. Raises MissingProgramError that names what to install, and NoBrowserError."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise MissingProgramError(
            "pictures need playwright: pip install 'secure-messenger[shots]' (`make setup` brings it)"
        ) from None
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        raise MissingProgramError(f"{CHROMIUM[0]} is missing; `make setup` installs it (Debian package chromium)")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_FLAGS))
        except Error as error:
            raise NoBrowserError(f"{program} does not start: {error}") from None
        try:
            yield browser
        finally:
            browser.close()


def _shot(browser: Browser, url: str, board: Board, theme: str, path: Path, look: Look) -> Shot:
    from playwright.sync_api import Error
    from playwright.sync_api import TimeoutError as TimedOut

    query = urlencode([("theme", theme), ("kiosk", "1"), ("refresh", ""), *look.parameters])
    limit_ms = look.timeout_s * 1000
    context = browser.new_context(
        viewport={"width": look.width, "height": 900}, device_scale_factor=look.scale, reduced_motion="reduce",
        color_scheme="light" if theme == "light" else "dark", locale="en-US", timezone_id="UTC",
    )  # fmt: skip
    try:
        page = context.new_page()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        try:
            page.goto(f"{url}/d/{board.uid}?{query}", timeout=limit_ms)
            page.wait_for_function(READY, timeout=limit_ms)
        except TimedOut:
            said.append(f"not drawn within {look.timeout_s:g} s")
        picture = page.screenshot(full_page=True, animations="disabled", timeout=limit_ms)
        states = page.evaluate(_STATES)
    except Error as error:
        return Shot(None, 0, (), (Trouble(board.uid, theme, "", _first_line(error)),))
    finally:
        context.close()
    replace(path, picture)
    troubles = [Trouble(board.uid, theme, "", message) for message in said]
    troubles += [Trouble(board.uid, theme, _name(one), _message(one)) for one in states if _is_trouble(one)]
    return Shot(path, len(states), [one["title"] for one in states if one["state"] == "empty"], troubles)


def _is_trouble(panel: Mapping[str, str]) -> bool:
    return panel["state"] in ("error", "loading")


def _name(panel: Mapping[str, str]) -> str:
    return f"panel {panel['id']} {panel['title']!r}"


def _message(panel: Mapping[str, str]) -> str:
    if panel["state"] == "loading":
        return "still without an answer"
    return " ".join(panel["message"].split()) or "shows an error"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def told(shot: Shot) -> str:
    """One line for a terminal."""
    if shot.path is None:
        return "no picture"
    empty = f", no data in: {', '.join(shot.empty)}" if shot.empty else ""
    return f"written: {shown(shot.path)} ({shot.panels} panels{empty})"
