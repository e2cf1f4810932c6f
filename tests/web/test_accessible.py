"""Every view, in light and dark, on a phone and a desk: axe finds nothing serious, the keyboard reaches everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.people import register
from tests.support.repository import ROOT
from tests.support.secure import Talker
from tests.support.servers import Node, eventually
from tests.support.web import DESK, PHONE, Human, human
from tests.web.test_on_call import incident

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOCUSED = """() => {
  const here = document.activeElement;
  return (here.ariaLabel || here.name || here.placeholder || here.textContent || '').trim();
}"""
AXE = ROOT / "app/web/node_modules/axe-core/axe.min.js"


def faults(someone: Human) -> list[str]:
    """What axe finds that is serious or worse, in the tab that is looked at."""
    if not someone.page.evaluate("() => 'axe' in window"):
        someone.page.evaluate(AXE.read_text())
    found: dict[str, Any] = someone.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {node['html'][:120]} {node['any'][0]['message'] if node['any'] else ''}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_axe_itself_finds_a_fault_that_was_planted(browser: Browser, nodes: tuple[Node, Node]) -> None:
    with human(browser, nodes[0].api.base_url) as someone:
        someone.go()
        someone.page.get_by_role("tab", name="Sign in").wait_for()
        someone.page.evaluate("() => document.body.append(document.createElement('button'))")
        assert any("button-name" in fault for fault in faults(someone))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_no_view_has_a_serious_fault(
    browser: Browser, nodes: tuple[Node, Node], scheme: str, size: dict[str, int]
) -> None:
    api = nodes[1].api
    bob = Talker(api, register(api, "bob"))
    try:
        with human(browser, nodes[0].api.base_url, color_scheme=scheme, viewport=size) as ann:
            seen: dict[str, list[str]] = {}
            ann.go()
            for name in ("Register", "Link this device", "Sign in"):
                ann.page.get_by_role("tab", name=name).click()
                seen[name] = faults(ann)
            ann.register("ann")
            seen["empty list"] = faults(ann)
            ann.page.get_by_role("button", name="New conversation").click()
            ann.page.get_by_label("With whom").wait_for()
            seen["new conversation"] = faults(ann)
            ann.page.keyboard.press("Escape")
            ann.begin(bob.account.name)
            ann.write("hello")
            conv = bob.read_text("hello").conv
            bob.say(conv, "hello back")
            bob.next("ack", id=bob.device.say(conv, incident("firing")))
            ann.page.get_by_role("article").wait_for()
            seen["conversation"] = faults(ann)
            ann.page.get_by_role("button", name="About this conversation").click()
            ann.page.get_by_role("dialog").wait_for()
            seen["about"] = faults(ann)
            ann.page.keyboard.press("Escape")
            ann.go("#/")
            ann.page.get_by_role("searchbox").fill("hello")
            ann.page.get_by_text("2 messages").wait_for()
            seen["search"] = faults(ann)
            ann.go("#/devices")
            ann.page.locator(".badge").wait_for()
            seen["devices"] = faults(ann)
            ann.page.get_by_role("button", name="Link a device").click()
            ann.page.get_by_role("img", name="QR code").wait_for()
            seen["link"] = faults(ann)
            ann.page.keyboard.press("Escape")
            ann.go("#/settings")
            ann.page.get_by_role("heading", name="Settings").wait_for()
            seen["settings"] = faults(ann)
            assert {view: found for view, found in seen.items() if found} == {}
            assert len(seen) == 11
    finally:
        bob.close()


def test_everything_can_be_done_by_keyboard(browser: Browser, nodes: tuple[Node, Node]) -> None:
    name = register(nodes[0].api, "bob").name
    with human(browser, nodes[0].api.base_url) as ann:
        ann.register("ann")
        keyboard = ann.page.keyboard

        def focus(label: str) -> None:
            """Go on by Tab until this has the focus."""
            for _ in range(40):
                keyboard.press("Tab")
                now = ann.page.evaluate(FOCUSED)
                if now.startswith(label):
                    return
            raise AssertionError(f"{label} is not reached by Tab")

        focus("New conversation")
        keyboard.press("Enter")
        ann.page.get_by_label("With whom").wait_for()
        focus("members")
        keyboard.type(name)
        keyboard.press("Enter")
        ann.page.locator(".chat-header h2", has_text=name).wait_for()
        focus(f"Message to {name}")
        keyboard.type("no mouse needed")
        keyboard.press("Shift+Enter")
        keyboard.type("second line")
        keyboard.press("Enter")
        ann.page.locator("li.message .words", has_text="no mouse needed").wait_for()
        eventually(ann.texts, lambda texts: texts == ["no mouse needed\nsecond line"])
        focus("Messages")  # the log can be scrolled by keys
        focus("Devices")
        keyboard.press("Enter")
        ann.page.get_by_role("heading", name="Devices").wait_for()
