"""What Prometheus and Alertmanager say when they are asked: which alerts there are, and which are silenced."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from monitoring.errors import MonitoringError
from monitoring.oncall.settings import Settings, Source
from monitoring.oncall.silence import Silence

TIMEOUT_S = 5.0


class SourceError(MonitoringError):
    """It gave no answer that can be used: then nothing is believed that it alone could confirm."""


class Sources:
    """Both, by their HTTP APIs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def alerts(self) -> list[dict[str, str]]:
        """The labels of every alert that fires in Prometheus, without external labels. Raises SourceError."""
        found = self._ask(self._settings.prometheus, "/api/v1/alerts")
        try:
            return [dict(alert["labels"]) for alert in found["data"]["alerts"] if alert["state"] == "firing"]
        except (KeyError, TypeError):
            raise SourceError("Prometheus answered something else than its alerts") from None

    def values(self, query: str, label: str) -> dict[str, float]:
        """An instant query's values by one of their labels. Raises SourceError."""
        found = self._ask(self._settings.prometheus, f"/api/v1/query?query={quote(query)}")
        try:
            return {row["metric"][label]: float(row["value"][1]) for row in found["data"]["result"]}
        except (KeyError, TypeError, ValueError):
            raise SourceError("Prometheus answered something else than values") from None

    def silenced(self) -> set[str]:
        """The fingerprints of the alerts that a silence covers now. Raises SourceError."""
        found = self._ask(self._settings.alertmanager, "/api/v2/alerts?active=false&inhibited=false&silenced=true")
        try:
            return {alert["fingerprint"] for alert in found if alert["status"]["silencedBy"]}
        except (KeyError, TypeError):
            raise SourceError("Alertmanager answered something else than its alerts") from None

    def silences(self) -> list[Silence]:
        """Every silence that is in force or will be. Raises SourceError."""
        found = self._ask(self._settings.alertmanager, "/api/v2/silences")
        kept = ("matchers", "startsAt", "endsAt", "createdBy", "comment")
        try:
            return [
                Silence(one["id"], one["endsAt"], {key: one[key] for key in kept})
                for one in found
                if one["status"]["state"] != "expired"
            ]
        except (KeyError, TypeError):
            raise SourceError("Alertmanager answered something else than its silences") from None

    def silence(self, body: dict[str, Any]) -> str:
        """Make a silence; its id. Raises SourceError."""
        answer = self._ask(self._settings.alertmanager, "/api/v2/silences", body)
        return str(answer.get("silenceID", ""))

    def expired(self) -> set[str]:
        """The ids of silences that Alertmanager remembers as over. Raises SourceError."""
        found = self._ask(self._settings.alertmanager, "/api/v2/silences")
        return {one["id"] for one in found if one["status"]["state"] == "expired"}

    def _ask(self, source: Source | None, path: str, body: object = None) -> Any:
        if source is None:
            raise SourceError("not in oncall.yaml")
        url = f"{source.url.rstrip('/')}{path}"
        try:
            headers = {}
            if source.credentials_file:
                headers["Authorization"] = f"Bearer {self._settings.secret(source.credentials_file)}"
            answer = requests.request("POST" if body else "GET", url, json=body, headers=headers, timeout=TIMEOUT_S)
            answer.raise_for_status()
            return answer.json()
        except (OSError, ValueError) as error:
            raise SourceError(f"{source.url}: {type(error).__name__}") from None
