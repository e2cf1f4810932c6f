"""A dashboard's JSON as its rules see it: panels, queries and variables, each with its JSON pointer.

Nothing is refused here. A value of the wrong type reads as if it were absent; the rule
`json-shape` tells of it. So every other rule can rely on types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from monitoring.lint.model import Json

_NO_DATA_PANELS = frozenset({"row", "text", "news", "dashlist", "alertlist", "welcome", "gettingstarted", "canvas"})
"""Panel types that need no query."""


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    pointer: str
    json: Json
    panel: Panel

    @property
    def ref_id(self) -> str | None:
        """Its letter."""
        return text(self.json.get("refId"))

    @property
    def expr(self) -> str | None:
        """The PromQL as it is written, variables and all; None when there is none, or it asks something else."""
        return text(self.json.get("expr")) if self.panel.board.asks_prometheus(self) else None

    @property
    def legend(self) -> str:
        """The legend's format; empty where Grafana names the series itself."""
        return text(self.json.get("legendFormat")) or ""


@dataclass(frozen=True)
class Panel:
    """One panel, wherever it lies."""

    pointer: str
    json: Json
    board: Dashboard
    row: Panel | None = None
    """The row it is nested in."""

    @property
    def type(self) -> str:
        """The plugin's id."""
        return text(self.json.get("type")) or ""

    @property
    def title(self) -> str:
        """As it is written; empty when there is none."""
        return text(self.json.get("title")) or ""

    @property
    def shows_data(self) -> bool:
        """Whether it is a panel that asks something."""
        return self.type not in _NO_DATA_PANELS

    @property
    def defaults(self) -> Json:
        """`fieldConfig.defaults`."""
        return mapping(mapping(self.json.get("fieldConfig")).get("defaults"))

    @property
    def overrides(self) -> Sequence[tuple[str, Json]]:
        """Each override with its pointer."""
        found = sequence(mapping(self.json.get("fieldConfig")).get("overrides"))
        return [(f"{self.pointer}/fieldConfig/overrides/{i}", mapping(one)) for i, one in enumerate(found)]

    @cached_property
    def targets(self) -> Sequence[Target]:
        """Its queries."""
        found = sequence(self.json.get("targets"))
        return [Target(f"{self.pointer}/targets/{i}", mapping(one), self) for i, one in enumerate(found)]


@dataclass(frozen=True)
class Variable:
    """One entry of the templating list."""

    pointer: str
    json: Json

    @property
    def name(self) -> str:
        """Without the dollar."""
        return text(self.json.get("name")) or ""

    @property
    def type(self) -> str:
        """query, custom, interval, datasource, constant, textbox, adhoc, …"""
        return text(self.json.get("type")) or ""

    @property
    def is_multiple(self) -> bool:
        """Whether several values, or all, can be chosen: it then stands for a regular expression."""
        return self.json.get("multi") is True or self.json.get("includeAll") is True


@dataclass(frozen=True)
class Dashboard:
    """A whole dashboard."""

    json: Json
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What several rules need and only one should work out; `asked.py` keeps its trees here."""

    @cached_property
    def panels(self) -> Sequence[Panel]:
        """Every panel in reading order: rows themselves, those nested in them, and those of the layout before 2018."""
        return [*self._rows(), *self._panels(self.json, "", None)]

    def _rows(self) -> Iterator[Panel]:
        for i, row in enumerate(sequence(self.json.get("rows"))):
            yield from self._panels(mapping(row), f"/rows/{i}", None)

    def _panels(self, inside: Json, pointer: str, row: Panel | None) -> Iterator[Panel]:
        for i, one in enumerate(sequence(inside.get("panels"))):
            panel = Panel(f"{pointer}/panels/{i}", mapping(one), self, row)
            yield panel
            yield from self._panels(panel.json, panel.pointer, panel)

    @cached_property
    def variables(self) -> Sequence[Variable]:
        """What can be chosen at its top."""
        found = sequence(mapping(self.json.get("templating")).get("list"))
        return [Variable(f"/templating/list/{i}", mapping(one)) for i, one in enumerate(found)]

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Names that an import by hand fills in (`__inputs`), each with its plugin's id."""
        found = [mapping(one) for one in sequence(self.json.get("__inputs"))]
        return {text(one.get("name")) or "": text(one.get("pluginId")) or "" for one in found}

    def asks_prometheus(self, target: Target) -> bool:
        """Whether a query goes to Prometheus, or to what nobody says: Loki and others write `expr` too."""
        own, panels = target.json.get("datasource"), target.panel.json.get("datasource")
        kind = self.datasource_kind(own if own is not None else panels)
        if own is not None and kind == "":
            kind = self.datasource_kind(panels)
        return kind in ("", "prometheus", "mixed")

    def datasource_kind(self, source: object) -> str:
        """The plugin behind a `datasource`, as far as the dashboard tells; "mixed" for `-- Mixed --`; else empty."""
        if isinstance(source, str):
            name = source
        else:
            if kind := text(mapping(source).get("type")):
                return "mixed" if kind == "datasource" and mapping(source).get("uid") == "-- Mixed --" else kind
            name = text(mapping(source).get("uid")) or ""
        if name == "-- Mixed --":
            return "mixed"
        bare = name.strip("$").strip("{}").split(":")[0]
        for variable in self.variables:
            if variable.name == bare and variable.type == "datasource":
                return text(variable.json.get("query")) or ""
        return self.inputs.get(bare, "")


def text(value: object) -> str | None:
    """The value when it is a string."""
    return value if isinstance(value, str) else None


def mapping(value: object) -> Json:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else ()
