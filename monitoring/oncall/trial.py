"""A test alert through the real Alertmanager, and back: the whole way but Prometheus, timed.

A drill goes the ways that `drills` of oncall.yaml names, and calls nobody. A call is an incident like any other.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from monitoring.errors import MonitoringError
from monitoring.oncall import drills

ALERT = "OnCallTest"
LOOK_EVERY_S = 0.5
TIMEOUT_S = 10.0
NOT_FOUND = 404


class TrialError(MonitoringError):
    """It did not arrive, or did not end."""


class Trial:
    """One alert with labels of its own, so that it disturbs no other."""

    def __init__(self, alertmanager: str, oncall: str, auth: tuple[str, str], within_s: float) -> None:
        self._alertmanager, self._oncall = alertmanager.rstrip("/"), oncall.rstrip("/")
        self._auth, self._within_s = auth, within_s
        self._id = uuid.uuid4().hex
        self._labels: dict[str, str] = {}
        self._began = datetime.now(UTC)

    def drill(self) -> tuple[float, float]:
        """Seconds until it was told, and from there until its end was. Raises TrialError."""
        told = self._fire({"alertname": drills.ALERT, "severity": "none"}, self._drill_told("told_at"))
        return told, self._end(self._drill_told("end_told_at"))

    def call(self, severity: str) -> tuple[float, float]:
        """Seconds until on-call has it, which calls people, and from there until it believes that it is over."""
        there = self._fire({"alertname": ALERT, "severity": severity}, lambda: bool(self._states()))
        return there, self._end(lambda: self._states() == ["resolved"])

    def _fire(self, labels: dict[str, str], is_so: Callable[[], bool]) -> float:
        self._labels = labels | {"trial": self._id}
        self._began = datetime.now(UTC)
        # Longer than anybody waits for it: should this program die, it ends by itself.
        self._post(self._began + timedelta(seconds=2 * self._within_s))
        return self._wait("arrive", is_so)

    def _end(self, is_so: Callable[[], bool]) -> float:
        self._post(datetime.now(UTC))
        return self._wait("end", is_so)

    def _post(self, ends_at: datetime) -> None:
        alert = {
            "labels": self._labels,
            "annotations": {
                "summary": "This is a test of the way an alert takes. Nothing is wrong.",
                drills.ID: self._id,
            },
            "startsAt": self._began.isoformat(),
            "endsAt": ends_at.isoformat(),
        }
        try:
            requests.post(f"{self._alertmanager}/api/v2/alerts", json=[alert], timeout=TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            raise TrialError(f"Alertmanager did not take it: {error}") from None

    def _wait(self, what: str, is_so: Callable[[], bool]) -> float:
        began = time.monotonic()
        while time.monotonic() - began < self._within_s:
            if is_so():
                return time.monotonic() - began
            time.sleep(LOOK_EVERY_S)
        problems = (self._ask(f"/api/drills/{self._id}") or {}).get("problems")
        raise TrialError(f"it did not {what} within {self._within_s:.0f} s{f': {problems}' if problems else ''}")

    def _drill_told(self, when: str) -> Callable[[], bool]:
        return lambda: bool((self._ask(f"/api/drills/{self._id}") or {}).get(when))

    def _states(self) -> list[str]:
        """The state of its incident; an empty list before there is one."""
        # Alertmanager may know external labels besides.
        found = self._ask("/api/incidents") or []
        return [one["state"] for one in found if one["labels"].get("trial") == self._id]

    def _ask(self, path: str) -> Any:
        """What on-call says; None when it knows of nothing."""
        try:
            answer = requests.get(self._oncall + path, auth=self._auth, timeout=TIMEOUT_S)
            if answer.status_code == NOT_FOUND:
                return None
            answer.raise_for_status()
        except requests.RequestException as error:
            raise TrialError(f"on-call did not answer: {error}") from None
        return answer.json()
