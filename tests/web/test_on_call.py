"""Incidents in the on-call conversation: an ordinary encrypting device tells, people act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.people import register
from tests.support.secure import Talker
from tests.support.servers import Node, eventually
from tests.support.web import human

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def incident(state: str, **more: Any) -> dict[str, Any]:
    told = {
        "id": "inc-7",
        "title": "Fan-out is slow",
        "severity": "page",
        "state": state,
        "summary": "p95 is 410 ms, the target 250 ms",
        "links": [
            {"name": "Runbook", "url": "https://example.com/runbook"},
            {"name": "no", "url": "javascript:alert(1)"},
        ],
    }
    return {"msgtype": "messenger.incident", "body": f"{state}: Fan-out is slow", "incident": told | more}


def test_an_incident_is_a_card_that_is_acknowledged_and_resolved(browser: Browser, nodes: tuple[Node, Node]) -> None:
    api = nodes[1].api
    bot = Talker(api, register(api, "oncall"))
    try:
        with human(browser, nodes[0].api.base_url) as ann:
            ann.register("ann")
            ann.begin(bot.account.name, title="On call")
            ann.write("hello bot")
            conv = bot.read_text("hello bot").conv
            bot.next("ack", id=bot.device.say(conv, incident("firing")))
            card = ann.page.get_by_role("article", name="Incident: Fan-out is slow")
            card.wait_for()
            assert "p95 is 410 ms, the target 250 ms" in card.inner_text()
            assert card.get_by_role("link").all_inner_texts() == ["Runbook"]
            card.get_by_role("button", name="Acknowledge").click()
            action = bot.read_text("acknowledge").content
            assert (action["msgtype"], action["incident"]) == ("messenger.incident_action", "inc-7")
            ann.page.locator(".event", has_text="acknowledged the incident").wait_for()

            bot.next("ack", id=bot.device.say(conv, incident("acknowledged")))
            latest = card.last
            eventually(lambda: card.count() == 2)
            assert latest.get_by_role("button").all_inner_texts() == ["Resolve"]
            latest.get_by_role("button", name="Resolve").click()
            assert bot.read_text("resolve").content["action"] == "resolve"
            bot.next("ack", id=bot.device.say(conv, incident("resolved")))
            eventually(lambda: card.count() == 3)
            assert card.last.get_by_role("button").count() == 0
    finally:
        bot.close()
