"""Ways out of a board and its panels: other boards with the same variables and time, runbooks, any address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from grafanalib import core as g

from monitoring.boards.model import RUNBOOK, Board, Link
from monitoring.errors import BoardError

Runbook = Callable[[str], str]
"""The address of a runbook by its name, as `Profile.runbook` has it."""


def of_board(board: Board, runbook: Runbook | None) -> list[Any]:
    """A menu of the boards with each of the board's tags, then its own links. Raises BoardError as `resolved`."""
    menus = [
        g.DashboardLink(title=f"Boards: {tag}", tags=[tag], asDropdown=True, includeVars=True, keepTime=True)
        for tag in board.tags
    ]
    return [*menus, *(_own(link, runbook) for link in board.links)]


def of_panel(links: Iterable[Link], runbook: Runbook | None) -> list[Any]:
    """A panel's links, in tabs of their own. Raises BoardError as `resolved`."""
    return [_link(link, runbook, targetBlank=True, includeVars=False, keepTime=False) for link in links]


def resolved(url: str, runbook: Runbook | None) -> str:
    """The address; that of the runbook if it names one. Raises BoardError when it was not said where runbooks are.

    >>> resolved("runbook:node-down", "https://docs.example/runbooks/{}.md".format)
    'https://docs.example/runbooks/node-down.md'
    """
    name = url.removeprefix(RUNBOOK)
    if name == url:
        return url
    if runbook is None:
        raise BoardError(f"a link names the runbook {name}, and it was not said where runbooks are")
    return runbook(name)


def _own(link: Link, runbook: Runbook | None) -> Any:
    board = link.url.startswith("/d/")
    return _link(link, runbook, targetBlank=not board, includeVars=board, keepTime=board)


def _link(link: Link, runbook: Runbook | None, **how: bool) -> Any:
    icon = "doc" if link.url.startswith(RUNBOOK) else "external link"
    return g.DashboardLink(title=link.title, type="link", icon=icon, uri=resolved(link.url, runbook), **how)
