"""The objects of all files by kind and name, and what one object means by another's name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from monitoring.spec.openslo import (
    ConditionDocument,
    DataSourceDocument,
    Document,
    IndicatorDocument,
    PolicyDocument,
    ServiceDocument,
    SloDocument,
    TargetDocument,
)
from monitoring.yamltree import Place, missing

D = TypeVar("D", bound=Document)


@dataclass
class Library:
    """Every OpenSLO object that was read, in the order of reading."""

    _found: dict[tuple[str, str], tuple[Document, Place]] = field(default_factory=dict)
    _names: dict[str, list[str]] = field(default_factory=dict)
    _used: set[tuple[str, str]] = field(default_factory=set)

    def add(self, kind: str, document: Document, place: Place) -> None:
        """Take in an object; a second one of the same kind and name is refused, with both places."""
        key = kind, document.metadata.name
        if key in self._found:
            place.at("metadata", "name").error(f"{kind} {key[1]!r} exists already, in {self._found[key][1]}")
        else:
            self._found[key] = document, place
            self._names.setdefault(kind, []).append(key[1])

    def slos(self) -> Iterator[tuple[SloDocument, Place]]:
        """Every SLO with its place."""
        for document, place in self._found.values():
            if isinstance(document, SloDocument):
                yield document, place

    def names(self, kind: str) -> list[str]:
        """Every name of a kind."""
        return self._names.get(kind, [])

    def service(self, name: str) -> ServiceDocument | None:
        """The Service of this name, if there is one."""
        found = self._found.get(("Service", name))
        return found[0] if found and isinstance(found[0], ServiceDocument) else None

    def indicator(self, place: Place, name: str) -> tuple[IndicatorDocument, Place] | None:
        """The SLI that `place` refers to; None when refused."""
        return self._get(place, "SLI", name, IndicatorDocument)

    def policy(self, place: Place, name: str) -> tuple[PolicyDocument, Place] | None:
        """The AlertPolicy that `place` refers to; None when refused."""
        return self._get(place, "AlertPolicy", name, PolicyDocument)

    def condition(self, place: Place, name: str) -> tuple[ConditionDocument, Place] | None:
        """The AlertCondition that `place` refers to; None when refused."""
        return self._get(place, "AlertCondition", name, ConditionDocument)

    def target(self, place: Place, name: str) -> tuple[TargetDocument, Place] | None:
        """The AlertNotificationTarget that `place` refers to; None when refused."""
        return self._get(place, "AlertNotificationTarget", name, TargetDocument)

    def source_type(self, place: Place, name: str) -> str | None:
        """The type of the DataSource that `place` refers to; None when refused."""
        found = self._get(place, "DataSource", name, DataSourceDocument)
        return found[0].spec.type if found else None

    def indicators(self) -> Iterator[tuple[IndicatorDocument, Place]]:
        """Every SLI with its place."""
        for document, place in self._found.values():
            if isinstance(document, IndicatorDocument):
                yield document, place

    def unused_policies(self) -> Iterator[tuple[PolicyDocument, Place]]:
        """AlertPolicies that no SLO refers to."""
        for key, (document, place) in self._found.items():
            if isinstance(document, PolicyDocument) and key not in self._used:
                yield document, place

    def _get(self, place: Place, kind: str, name: str, of: type[D]) -> tuple[D, Place] | None:
        document, where = self._found.get((kind, name), (None, place))
        self._used.add((kind, name))
        if isinstance(document, of):
            return document, where
        place.error(f"dangling reference: {missing(kind, name, self.names(kind))}")
        return None
