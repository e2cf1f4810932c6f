"""How people are told: mail, a chat's webhook, a webhook of one's own. The messenger has a file of its own.

A way takes a batch, all for one person or for everybody who listens there, and either delivers it or raises
`WayError`. Each message carries the ids of what it tells of, so whoever hears it twice can see that.
"""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Protocol

import msgspec
import requests

from monitoring.errors import MonitoringError
from monitoring.oncall.settings import Chat, Hook, Mail, Settings
from monitoring.oncall.store import Notification

TIMEOUT_S = 10.0
SHOWN = 20
"""Incidents that one message tells of in words; of the others it tells the number."""


class WayError(MonitoringError):
    """A way did not take a message; it may the next time."""


PEOPLE_REST_S = 20.0
"""So long after a message people get the next one by the same way."""
MACHINES_REST_S = 1.0


class Way(Protocol):
    """Something that brings a batch to one person, or to everybody who listens there when `person` is empty."""

    rest_s: float
    """After a message the next one waits for so long, and takes along whatever became due."""

    def tell(self, person: str, batch: Sequence[Notification]) -> None:
        """Raises WayError when it was not taken."""


class MailWay:
    """A message by SMTP, to the person's address."""

    rest_s = PEOPLE_REST_S

    def __init__(self, settings: Settings, mail: Mail) -> None:
        self._settings, self._mail = settings, mail

    def tell(self, person: str, batch: Sequence[Notification]) -> None:
        """One mail for the batch; its Message-ID is made of the first event's id, so servers can drop a second one."""
        host, _, port = self._mail.smarthost.rpartition(":")
        message = EmailMessage()
        message["From"] = self._mail.sender
        message["To"] = self._settings.people[person].mail or ""
        message["Subject"] = subject(batch)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{batch[0].event}@on-call>" if batch else make_msgid()
        message["X-Event-Ids"] = " ".join(one.event for one in batch)
        message.set_content(words(batch, self._settings.page_url))
        try:
            with smtplib.SMTP(host, int(port), timeout=TIMEOUT_S) as server:
                if self._mail.starttls:
                    server.starttls()
                if self._mail.username:
                    server.login(self._mail.username, self._settings.secret(self._mail.password_file or ""))
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise WayError(f"{self._mail.smarthost}: {_short(error)}") from None


class ChatWay:
    """A message to a channel of Slack, or of what takes its incoming webhooks."""

    rest_s = PEOPLE_REST_S

    def __init__(self, settings: Settings, chat: Chat) -> None:
        self._settings, self._chat = settings, chat

    def tell(self, person: str, batch: Sequence[Notification]) -> None:  # noqa: ARG002  everybody there
        """One message for the batch."""
        text = f"*{subject(batch)}*\n{words(batch, self._settings.page_url)}"
        try:
            url = self._settings.secret(self._chat.url_file)
        except OSError as error:
            raise WayError(f"{self._chat.url_file}: {error.strerror}") from None
        _post(url, {"text": text}, {}, "the chat")  # its address is a secret


class HookWay:
    """JSON to an address, for other machines."""

    rest_s = MACHINES_REST_S

    def __init__(self, settings: Settings, hook: Hook) -> None:
        self._settings, self._hook = settings, hook

    def tell(self, person: str, batch: Sequence[Notification]) -> None:  # noqa: ARG002  everybody there
        """One call for the batch: `{"version": 1, "notifications": [...]}`."""
        headers = {}
        try:
            if self._hook.credentials_file:
                headers["Authorization"] = f"Bearer {self._settings.secret(self._hook.credentials_file)}"
        except OSError as error:
            raise WayError(f"{self._hook.credentials_file}: {error.strerror}") from None
        told = [
            {
                "event": one.event,
                "incident": one.incident_event,
                "cause": one.cause,
                "state": one.state,
                "severity": one.severity,
                "title": one.title,
                "summary": one.summary,
                "labels": one.labels,
                "opened_at": one.opened_at,
            }
            for one in batch
        ]
        _post(self._hook.url, {"version": 1, "notifications": told}, headers, self._hook.url)


def _post(url: str, body: object, headers: dict[str, str], name: str) -> None:
    headers = {"Content-Type": "application/json", **headers}
    try:
        answer = requests.post(
            url, msgspec.json.encode(body), headers=headers, timeout=TIMEOUT_S, allow_redirects=False
        )
    except (requests.RequestException, ValueError) as error:
        raise WayError(f"{name}: {type(error).__name__}") from None  # an error's text repeats the address
    if not 200 <= answer.status_code < 300:
        raise WayError(f"{name}: answered {answer.status_code}")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def subject(batch: Sequence[Notification]) -> str:
    """One line for a batch.

    >>> subject([])
    'nothing'
    """
    if not batch:
        return "nothing"
    first = batch[0]
    more = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
    return f"[{first.state.upper()}] {first.title}{more}"


def words(batch: Sequence[Notification], page_url: str) -> str:
    """What happened, for people, each incident in a paragraph with its id."""
    parts = [_paragraph(one, page_url) for one in batch[:SHOWN]]
    if len(batch) > SHOWN:
        parts.append(f"And {len(batch) - SHOWN} more; all are on the page of on-call.")
    return "\n\n".join(parts) + "\n"


def _paragraph(one: Notification, page_url: str) -> str:
    began = datetime.fromtimestamp(one.opened_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    lines = [f"{one.title}: {one.state}, {one.severity}, since {began} ({one.cause})"]
    lines += [one.summary] if one.summary else []
    lines += [one.annotations[key] for key in ("description",) if one.annotations.get(key)]
    lines += [f"Runbook: {one.annotations['runbook_url']}"] if one.annotations.get("runbook_url") else []
    lines += [f"Dashboard: {one.annotations['dashboard_url']}"] if one.annotations.get("dashboard_url") else []
    lines += [f"Incident: {page_url.rstrip('/')}/incidents/{one.incident}"] if page_url and one.incident else []
    return "\n".join([*lines, f"Event {one.event}"])
