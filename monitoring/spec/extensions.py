"""Our own short extensions to OpenSLO: annotations under one prefix.

They say what OpenSLO has no field for. A key under the prefix that is not listed
here is refused; keys of other tools are left alone. docs/slos.md explains each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration
from monitoring.spec.model import NoTraffic
from monitoring.yamltree import unknown

PREFIX = "monitoring/"
NATIVE_HISTOGRAM = f"{PREFIX}native-histogram"
"""The one key that an SLI may have too."""
QUORUM = f"{PREFIX}quorum"
DEFAULT_MIN_BAD_EVENTS = 3
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

TIER_NAMES = ("page-quick", "page-slow", "ticket-quick", "ticket-slow")
"""The burn-rate alerts of every SLO, the most urgent first."""


@dataclass(frozen=True)
class Extensions:
    """What the annotations of one SLO say."""

    runbook: str | None = None
    dashboard: str | None = None
    threshold_window: Duration | None = None
    min_bad_events: int | None = None
    disabled_tiers: frozenset[str] = frozenset()
    no_traffic: NoTraffic = "ignore"
    native_histogram: bool = False
    quorum: str | None = None


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise OutOfRangeError(f"expected a whole number of events, at least 1, found {text!r}")
    return int(text)


def _tiers(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(","))
    if unknown := sorted(names.difference(TIER_NAMES)):
        raise OutOfRangeError(f"no tier is named {', '.join(unknown)}; there are {', '.join(TIER_NAMES)}")
    return names


def _no_traffic(text: str) -> str:
    if text not in get_args(NoTraffic):
        raise OutOfRangeError(f"expected one of {', '.join(get_args(NoTraffic))}, found {text!r}")
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise OutOfRangeError(f"expected the name of a label, found {text!r}")
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("true", "false"):
        raise OutOfRangeError(f"expected true or false, found {text!r}")
    return text == "true"


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    f"{PREFIX}runbook": ("runbook", str),
    f"{PREFIX}dashboard": ("dashboard", str),
    f"{PREFIX}threshold-window": ("threshold_window", Duration.parse),
    f"{PREFIX}min-bad-events": ("min_bad_events", _at_least_one),
    f"{PREFIX}disabled-tiers": ("disabled_tiers", _tiers),
    f"{PREFIX}no-traffic": ("no_traffic", _no_traffic),
    QUORUM: ("quorum", _label),
    NATIVE_HISTOGRAM: ("native_histogram", _yes_or_no),
}

KEYS = tuple(_READERS)
"""Every annotation key that is understood."""


def read(annotations: Mapping[str, str], note: Callable[[str, str], None]) -> Extensions:
    """The extensions among `annotations`; `note(key, message)` hears of each that is wrong."""
    found: dict[str, Any] = {}
    for key, value in annotations.items():
        if not key.startswith(PREFIX):
            continue
        if key not in _READERS:
            note(key, unknown("annotation", key, KEYS))
            continue
        name, reader = _READERS[key]
        try:
            found[name] = reader(str(value))
        except OutOfRangeError as error:
            note(key, str(error))
    return Extensions(**found)
