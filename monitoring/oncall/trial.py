"""A test alert through the real Alertmanager, and back: the whole way but Prometheus, timed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from monitoring.errors import MonitoringError

ALERT = "OnCallTest"
LOOK_EVERY_S = 0.5
TIMEOUT_S = 10.0


class TrialError(MonitoringError):
    """It did not arrive, or did not end."""


class Trial:
    """One alert with labels of its own, so that it disturbs no other."""

    def __init__(self, alertmanager: str, oncall: str, auth: tuple[str, str], within_s: float) -> None:
        self._alertmanager, self._oncall = alertmanager.rstrip("/"), oncall.rstrip("/")
        self._auth, self._within_s = auth, within_s
        self._labels: dict[str, str] = {}
        self._began = datetime.now(UTC)

    def fire(self, severity: str) -> float:
        """Seconds until on-call has it. Raises TrialError."""
        self._labels = {"alertname": ALERT, "severity": severity, "trial": uuid.uuid4().hex}
        self._began = datetime.now(UTC)
        # Longer than anybody waits for it: should this program die, it ends by itself.
        self._post(self._began + timedelta(seconds=2 * self._within_s))
        return self._wait("arrive", lambda states: bool(states))

    def end(self) -> float:
        """Seconds until on-call believes that it is over. Raises TrialError."""
        self._post(datetime.now(UTC))
        return self._wait("be resolved", lambda states: states == ["resolved"])

    def _post(self, ends_at: datetime) -> None:
        alert = {
            "labels": self._labels,
            "annotations": {"summary": "This is a test of the way an alert takes. Nothing is wrong."},
            "startsAt": self._began.isoformat(),
            "endsAt": ends_at.isoformat(),
        }
        try:
            requests.post(f"{self._alertmanager}/api/v2/alerts", json=[alert], timeout=TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            raise TrialError(f"Alertmanager did not take it: {error}") from None

    def _wait(self, what: str, is_so: Callable[[list[str]], bool]) -> float:
        began = time.monotonic()
        while time.monotonic() - began < self._within_s:
            if is_so(self._states()):
                return time.monotonic() - began
            time.sleep(LOOK_EVERY_S)
        raise TrialError(f"it did not {what} within {self._within_s:.0f} s")

    def _states(self) -> list[str]:
        """The state of its incident; an empty list before there is one."""
        try:
            answer = requests.get(f"{self._oncall}/api/incidents", auth=self._auth, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise TrialError(f"on-call did not answer: {error}") from None
        found: list[dict[str, Any]] = answer.json()
        # Alertmanager may know external labels besides.
        return [one["state"] for one in found if one["labels"].get("trial") == self._labels["trial"]]
