"""What amtool cannot test: inhibition, mute intervals and messages, in a real Alertmanager.

Spans of maintenance are laid around the present moment, so nothing waits for a minute to pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring import config
from monitoring.alerting import alertmanager
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import Service, Slo
from monitoring.spec.targets import notify_label
from tests.support import monitoringconfig, slospecs
from tests.support.alertmanager import Mailbox, Sink, http_sink, mail_sink, running_alertmanager
from tests.support.servers import eventually

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with http_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with mail_sink() as mailbox:
        yield mailbox


@pytest.fixture
def found(tmp_path: Path, sink: Sink, mailbox: Mailbox) -> config.Config:
    """The config with a receiver of each kind, all of which end here, quick to tell."""
    sink.posts.clear()
    path = monitoringconfig.every_receiver(tmp_path)
    text = path.read_text()
    targets = 'targets: ["alertmanager:9093"]\n'
    quick = "".join(f"      {key}: 1s\n" for key in ("group_wait", "group_interval", "watchdog_interval"))
    for old, new in (
        ("http://oncall/alerts\n", f"{sink.url}/oncall\n"),
        ("      oncall:\n", f"      watchdog: {{url: {sink.url}/watchdog}}\n      oncall:\n"),
        ("http://hook/team", f"{sink.url}/hook"),
        ('"mail.test:587"', f'"{mailbox.address}"\n            require_tls: false'),
        (targets, targets + quick),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)
    for name, secret in (
        ("oncall.token", "token-of-on-call"),
        ("hook.token", "token-of-the-hook"),
        ("chat.url", f"{sink.url}/chat"),
        ("mail.password", "password-of-the-mail"),
        ("duty.key", "key-of-the-duty"),
    ):
        (tmp_path / name).write_text(secret)
    return config.load(path, "production")


@pytest.fixture
def slos(tmp_path: Path) -> list[Slo]:
    one = slospecs.slo(tmp_path / "specs")
    names = {"checkout": "shop", "payment": "shop", "before": "shop", "after": "shop", "mail": "mail"}
    return [replace(one, name=name, service=Service(service, service)) for name, service in names.items()]


def files(
    found: config.Config, slos: Sequence[Slo], sink: Sink, maintenances: Sequence[Maintenance] = ()
) -> dict[str, bytes]:
    """What is generated; only PagerDuty's address, which it knows by itself, is set here."""
    generated = alertmanager.files(found, slos, maintenances)
    read = yaml.safe_load(generated["alertmanager.yml"]) | {"global": {"pagerduty_url": f"{sink.url}/duty"}}
    return generated | {"alertmanager.yml": yaml.safe_dump(read).encode()}


def alert(
    name: str, severity: str, slo_id: str = "", tier: str = "", service: str = "shop", **more: str
) -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity, "slo_id": slo_id, "tier": tier, "service": service}
    return {"labels": {k: v for k, v in (labels | more).items() if v}, "annotations": {"summary": f"{name} burns"}}


def maintenance(name: str, starts_in: timedelta, ends_in: timedelta, **covered: frozenset[str]) -> Maintenance:
    now = datetime.now(UTC)
    return Maintenance(name, now + starts_in, now + ends_in, "", "", **covered)


def test_one_incident_is_told_once_and_silences_nobody_else(
    tmp_path: Path, found: config.Config, slos: list[Slo], sink: Sink
) -> None:
    quiet = [
        alert("PageSlow", "page", "checkout", "page-slow", kind="burnrate"),
        alert("TicketQuick", "ticket", "checkout", "ticket-quick", kind="burnrate"),
        alert("Own", "unheard-of", "checkout", "own", kind="burnrate"),
        alert("MailTicketSlow", "ticket", "mail", "ticket-slow", "mail", kind="burnrate"),
    ]
    loud = [
        alert("PageQuick", "page", "checkout", "page-quick", kind="burnrate"),
        alert("Direct", "page", "checkout", kind="threshold"),
        alert("DataOfCheckout", "ticket", "checkout", kind="data"),
        alert("OtherSlo", "ticket", "payment", "ticket-quick", kind="burnrate"),
        alert("OtherPageSlow", "page", "rest", "page-slow", kind="burnrate"),
        alert("MailTicketQuick", "ticket", "mail", "ticket-quick", "mail", kind="burnrate"),
        # Platform alerts have no SLO; a page of one silences no ticket of another, nor of an SLO.
        alert("NodeDown", "page", kind="platform"),
        alert("BusDisconnected", "ticket", kind="platform"),
        alert("TicketOfBefore", "ticket", "before", "ticket-slow", kind="burnrate"),
        alert("DataPage", "page", "after", kind="data"),
        alert("TicketOfAfter", "ticket", "after", "ticket-slow", kind="burnrate"),
    ]
    with running_alertmanager(tmp_path / "am", files(found, slos, sink)) as running:
        running.post(*quiet, *loud, alert("Watchdog", "none"))
        names = {one["labels"]["alertname"] for one in loud}
        eventually(lambda: sink.heard("/oncall"), lambda heard: heard >= names, within_s=10)
        assert running.suppressed() == {one["labels"]["alertname"] for one in quiet}
        # Two more rounds of every group: what is quiet stays so.
        beats = len(sink.bodies("/watchdog"))
        eventually(lambda: len(sink.bodies("/watchdog")), lambda now: now >= beats + 2, within_s=10)
        assert sink.heard("/oncall") == names
        # When the quick page is over, the slow one that still burns is told, and goes on to quiet the tickets.
        over = [one for one in loud if one["labels"].get("slo_id") == "checkout"]
        running.post(*(one | {"endsAt": datetime.now(UTC).isoformat()} for one in over))
        eventually(lambda: sink.heard("/oncall"), lambda heard: heard == names | {"PageSlow"}, within_s=10)


def test_maintenance_mutes_what_it_covers_while_it_lasts(
    tmp_path: Path, found: config.Config, slos: list[Slo], sink: Sink
) -> None:
    now = maintenance("now", -HOUR, HOUR, slos=frozenset(["checkout"]))
    spans = [
        now,
        maintenance("over", -2 * HOUR, -HOUR, slos=frozenset(["before"])),
        maintenance("later", HOUR, 2 * HOUR, slos=frozenset(["after", "checkout"])),
        maintenance("mail", -HOUR, 25 * HOUR, services=frozenset(["mail"])),
    ]
    quiet = [
        alert("Checkout", "page", "checkout", "page-quick", **notify_label(["team-hook"])),
        alert("CheckoutData", "ticket", "checkout", kind="data"),
        alert("Mail", "ticket", "mail", service="mail"),
        alert("MailDown", "page", service="mail", kind="platform"),
    ]
    loud = [
        alert("Payment", "page", "payment", "page-quick", **notify_label(["team-hook"])),
        alert("Before", "page", "before"),
        alert("After", "ticket", "after"),
        alert("NodeDown", "page", kind="platform"),
    ]
    names = {one["labels"]["alertname"] for one in loud}
    with running_alertmanager(tmp_path / "am", files(found, slos, sink, spans)) as running:
        running.post(*quiet, *loud, alert("Watchdog", "none"))
        eventually(lambda: sink.heard("/oncall"), lambda heard: heard >= names, within_s=10)
        eventually(lambda: sink.heard("/hook"), lambda heard: heard == {"Payment"}, within_s=10)
        # Each quiet group was due twice and kept back: the four alerts, and the page for the hook.
        eventually(running.muted, lambda times: times >= 10, within_s=10)
        assert sink.heard("/oncall") == names
        assert sink.heard("/hook") == {"Payment"}

        # Everything at once: only the Watchdog is heard.
        running.reload(files(found, slos, sink, [maintenance("all", -HOUR, HOUR)]))
        sink.posts.clear()
        running.post(alert("Night", "page", "payment"), alert("NodeLost", "page", kind="platform"))
        muted = running.muted()
        eventually(running.muted, lambda times: times >= muted + 10, within_s=10)
        eventually(lambda: len(sink.bodies("/watchdog")), lambda beats: beats >= 2, within_s=10)
        assert {path for path, _, _ in sink.posts} == {"/watchdog"}

        # Over: what still fires is told, and what was told on the same route before is not told again.
        running.reload(files(found, slos, sink, [maintenance("all", -2 * HOUR, -HOUR)]))
        names = {one["labels"]["alertname"] for one in quiet} | {"Night", "NodeLost"}
        eventually(lambda: sink.heard("/oncall"), lambda heard: heard >= names, within_s=10)
        assert not sink.heard("/oncall") & {"Payment", "NodeDown"}


def test_the_end_is_told_to_whom_the_slo_says_and_to_on_call(
    tmp_path: Path, found: config.Config, slos: list[Slo], sink: Sink
) -> None:
    silent = [replace(slos[0], send_resolved=False), *slos[1:]]
    some = [
        alert("Told", "page", "payment", **notify_label(["team-hook"])),
        alert("Untold", "page", "checkout", **notify_label(["team-hook"], send_resolved=False)),
    ]
    names = {one["labels"]["alertname"] for one in some}
    with running_alertmanager(tmp_path / "am", files(found, silent, sink)) as running:
        running.post(*some)
        eventually(lambda: sink.heard("/hook") & sink.heard("/oncall"), lambda heard: heard == names, within_s=10)
        running.post(*(one | {"endsAt": datetime.now(UTC).isoformat()} for one in some))
        eventually(lambda: sink.heard("/oncall", "resolved"), lambda heard: heard == names, within_s=10)
        running.post(alert("Later", "page", **notify_label(["team-hook"])))
        eventually(lambda: sink.heard("/hook"), lambda heard: "Later" in heard, within_s=10)
        eventually(lambda: sink.heard("/hook", "resolved"), lambda heard: heard == {"Told"}, within_s=10)


def test_each_receiver_is_told_in_its_own_words(
    tmp_path: Path, found: config.Config, slos: list[Slo], sink: Sink, mailbox: Mailbox
) -> None:
    """And nothing that stands in an alert is read as markup."""
    told = alert("Burn", "page", "checkout", "page-quick", **notify_label(["team-hook", "team-chat", "team-mail"]))
    told["annotations"] = {
        "summary": 'Checkout <!channel> & "friends"\nburn',
        "description": "<b>Half</b> of all orders fail; <http://evil.test|read on>.",
        "runbook_url": "https://docs.test/runbooks/checkout.md?a=1&b=2",
        "dashboard_url": "https://grafana.test/d/x|y z>",
    }
    with running_alertmanager(tmp_path / "am", files(found, slos, sink)) as running:
        running.post(told)
        for path in ("/oncall", "/hook", "/chat", "/duty"):
            eventually(lambda path=path: sink.bodies(path), within_s=10)
        eventually(lambda: mailbox.mails, within_s=10)
    tokens = {path: token for path, _, token in sink.posts}
    assert tokens["/oncall"] == "Bearer token-of-on-call"
    assert tokens["/hook"] == "Bearer token-of-the-hook"
    assert len(sink.bodies("/oncall")) == len(sink.bodies("/hook")) == 1

    (chat,) = sink.bodies("/chat")
    (message,) = chat["attachments"]
    assert chat["channel"] == "#shop"
    assert message["title"] == '[FIRING] Checkout &lt;!channel&gt; &amp; "friends" burn'
    assert message["text"].splitlines() == [
        'FIRING page: Checkout &lt;!channel&gt; &amp; "friends" burn',
        "&lt;b&gt;Half&lt;/b&gt; of all orders fail; &lt;http://evil.test|read on&gt;.",
        "<https://docs.test/runbooks/checkout.md?a=1&amp;b=2|Runbook> <https://grafana.test/d/x%7Cy%20z%3E|Dashboard>",
    ]

    (mail,) = mailbox.mails
    assert mailbox.logins == [("alerts", "password-of-the-mail")]
    assert (mail["To"], mail["From"]) == ("shop@mail.test", "alerts@mail.test")
    assert mail["Subject"] == '[FIRING] Checkout <!channel> & "friends" burn'
    assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == ["text/plain"]
    body = mail.get_body()
    assert body is not None
    for line in (
        'FIRING page: Checkout <!channel> & "friends" burn',
        "<b>Half</b> of all orders fail; <http://evil.test|read on>.",
        "SLO:       checkout",
        "Alert:     Burn (page-quick)",
        "Runbook:   https://docs.test/runbooks/checkout.md?a=1&b=2",
    ):
        assert line in body.get_content().splitlines()

    (duty,) = sink.bodies("/duty")
    assert duty["routing_key"] == "key-of-the-duty"
    assert duty["payload"]["severity"] == "critical"
    assert duty["payload"]["summary"] == '[FIRING] Checkout <!channel> & "friends" burn'
    assert "Runbook:   https://docs.test/runbooks/checkout.md?a=1&b=2" in duty["payload"]["custom_details"]["alerts"]
