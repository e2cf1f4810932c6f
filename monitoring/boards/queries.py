"""What a board asks Prometheus, with its variables put in: for tests, checks and a preview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.dollars import VARIABLE, name_of

_RANGE = "30m"
"""What is shown where nobody says otherwise; boards open on it."""


@dataclass(frozen=True)
class PanelQuery:
    """One query of one panel, ready to be asked."""

    panel_title: str
    ref_id: str
    expr: str


def panel_queries(board_json: Mapping[str, Any], *, rate_interval: str, **chosen: str) -> list[PanelQuery]:
    """Every query of a dashboard, as Grafana would send it.

    `chosen` has a regular expression for each variable of the board; `rate_interval`
    is a Prometheus duration of at least four scrapes.
    """
    values = {"__range": _RANGE, **chosen, "__rate_interval": rate_interval}
    return [
        PanelQuery(panel["title"], target["refId"], substitute(target["expr"], values))
        for panel in all_panels(board_json)
        for target in panel.get("targets", ())
    ]


def all_panels(board_json: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every panel, those inside collapsed rows too."""
    return (panel for _, panel in panels_at(board_json))


def panels_at(board_json: Mapping[str, Any], pointer: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every panel with its JSON pointer; also those in rows as Grafana 4 and older wrote them."""
    for i, row in enumerate(board_json.get("rows") or ()):
        yield from panels_at(row, f"{pointer}/rows/{i}")
    for i, panel in enumerate(board_json.get("panels") or ()):
        here = f"{pointer}/panels/{i}"
        yield here, panel
        yield from panels_at(panel, here)


def substitute(expr: str, values: Mapping[str, str]) -> str:
    """The expression with the variables that have a value; others are left as they are."""
    return VARIABLE.sub(lambda found: values.get(name_of(found), found.group()), expr)
