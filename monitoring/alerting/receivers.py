"""`receivers` of alertmanager.yml: what the config says, in the words of Alertmanager 0.25.

Every secret is a file that Alertmanager reads itself; 0.25 can do so for all that is
offered here. Mail is plain text: whatever an alert's label holds, there is no HTML to
break out of. Messages are in messages.tmpl.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Any

from monitoring.alerting import matchers
from monitoring.config import ONCALL, Config, Email, PagerDuty, Receiver, Slack
from monitoring.generatedyaml import made_from

TEMPLATES = "messages.tmpl"
"""The file of message templates, beside alertmanager.yml."""


def templates() -> bytes:
    """The content of that file."""
    text = resources.files(__package__).joinpath(TEMPLATES).read_text(encoding="utf-8")
    return f"{{{{/* {made_from('monitoring/alerting')} */}}}}\n{text}".encode()


def need_templates(config: Config) -> bool:
    """Whether somebody hears alerts by something else than a webhook, which takes them as they are."""
    return any(not named.webhook for named in config.environment.receivers.named.values())


def receiver(name: str, config: Config, members: Iterable[str], send_resolved: bool = True) -> dict[str, Any]:
    """One receiver that tells all of `members`, names of the config; each is told apart from the others.

    On-call always hears of the end: that is how it knows that an incident is over.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for member in members:
        key, integration = _integration(config, member)
        found.setdefault(key, []).append(integration | {"send_resolved": send_resolved or member == ONCALL})
    return {"name": name} | found


def webhook(config: Config, to: Receiver) -> dict[str, Any]:
    """The integration `webhook_configs` takes."""
    integration: dict[str, Any] = {"url": to.url}
    if to.credentials_file:
        credentials = {"type": "Bearer", "credentials_file": str(config.resolve(to.credentials_file))}
        integration["http_config"] = {"authorization": credentials}
    return integration


def _integration(config: Config, member: str) -> tuple[str, dict[str, Any]]:
    if member == ONCALL:
        return "webhook_configs", webhook(config, config.environment.receivers.oncall)
    named = config.environment.receivers.named[member]
    if named.slack:
        return "slack_configs", _slack(config, named.slack)
    if named.email:
        return "email_configs", _email(config, named.email)
    if named.pagerduty:
        return "pagerduty_configs", _pagerduty(config, named.pagerduty)
    assert named.webhook  # noqa: S101  the config was checked for exactly one
    return "webhook_configs", webhook(config, named.webhook)


def _slack(config: Config, slack: Slack) -> dict[str, Any]:
    return {
        "api_url_file": str(config.resolve(slack.api_url_file)),
        "channel": slack.channel,
        "title": '{{ template "slo.slack.title" . }}',
        # Alertmanager would link to itself, and here has no page to show.
        "title_link": "",
        "text": '{{ template "slo.slack.text" . }}',
        "fallback": '{{ template "slo.subject" . }}',
        "footer": "",
    }


def _email(config: Config, email: Email) -> dict[str, Any]:
    account: dict[str, Any] = {}
    if email.auth_username and email.auth_password_file:
        password = str(config.resolve(email.auth_password_file))
        account = {"auth_username": email.auth_username, "auth_password_file": password}
    return {
        "to": email.to,
        "from": email.sender,
        "smarthost": email.smarthost,
        **account,
        "require_tls": email.require_tls,
        "headers": {"Subject": '{{ template "slo.subject" . }}'},
        "html": "",
        "text": '{{ template "slo.text" . }}',
    }


def _pagerduty(config: Config, pagerduty: PagerDuty) -> dict[str, Any]:
    # A group may hold a page and tickets of one SLO; the worst of them counts.
    paging = " ".join(f'"{matchers.escaped(one)}"' for one in config.environment.receivers.page_severities)
    severity = (
        '{{ $worst := "warning" }}{{ range .Alerts }}'
        f'{{{{ if eq .Labels.severity {paging} }}}}{{{{ $worst = "critical" }}}}{{{{ end }}}}'
        "{{ end }}{{ $worst }}"
    )
    return {
        "routing_key_file": str(config.resolve(pagerduty.routing_key_file)),
        "description": '{{ template "slo.subject" . }}',
        "severity": severity,
        "details": {"alerts": '{{ template "slo.text" . }}'},
    }
