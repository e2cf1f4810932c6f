"""The page of devices, line by line of the checklist: linking, the list, read state, revocation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.bench.web import filmed
from tests.support.servers import Node, eventually
from tests.support.sql import execute
from tests.support.web import DESK, PASSWORD, PHONE, Human, as_camera, human, qr_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Nodes = tuple[Node, Node]
ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/140.0 Mobile Safari/537.36"


@pytest.fixture
def ann(browser: Browser, nodes: Nodes) -> Iterator[Human]:
    with human(browser, nodes[0].api.base_url) as someone:
        someone.register("ann")
        yield someone


def offer(someone: Human) -> tuple[bytes, str]:
    """A link, offered: the picture of its QR code, and the code to type."""
    someone.devices()
    someone.page.get_by_role("button", name="Link a device").click()
    shown = someone.page.get_by_role("img", name="QR code of the link")
    shown.wait_for()
    return shown.screenshot(), someone.page.locator("output.code").inner_text()


def type_code(new: Human, code: str) -> None:
    """Choose to link the new device, and type the code that the other one shows."""
    new.go()
    new.page.get_by_role("tab", name="Link this device").click()
    new.page.get_by_label("or type its code").fill(code)
    new.page.get_by_role("button", name="Go on").click()


def confirm(someone: Human, new: Human) -> None:
    """Both show the same code; it is confirmed, and the new device is signed in."""
    theirs = new.page.locator("output.comparison").inner_text()
    ours = someone.page.locator("output.comparison")
    ours.wait_for()
    assert re.fullmatch(r"\d{3} ?\d{3}", theirs)
    assert ours.inner_text() == theirs
    someone.page.get_by_role("button", name="Yes, the codes are equal").click()
    new.is_in()
    someone.page.get_by_role("button", name="Done").click()


def link(someone: Human, new: Human) -> None:
    _, code = offer(someone)
    type_code(new, code)
    confirm(someone, new)


def test_a_device_is_linked_by_its_qr_code_read_by_a_camera(
    ann: Human, browser: Browser, nodes: Nodes, tmp_path: Path
) -> None:
    """The code is looked at as a phone would: pixels into a film, the film into the other browser's camera."""
    picture, code = offer(ann)
    assert qr_text(picture) not in (code, "")
    countdown = ann.page.get_by_role("timer")
    first = countdown.inner_text()
    assert re.search(r"It works for (5:00|4:5\d)$", first)
    eventually(countdown.inner_text, lambda now: now != first)
    as_camera(picture, tmp_path / "camera.y4m")
    with (
        filmed(browser, tmp_path / "camera.y4m") as phones,
        human(phones, nodes[1].api.base_url, viewport=PHONE, user_agent=ANDROID) as phone,
    ):
        phone.go()
        phone.page.get_by_role("tab", name="Link this device").click()
        phone.page.get_by_role("button", name="Scan its QR code").click()
        phone.page.locator("output.comparison").wait_for()
        confirm(ann, phone)
        row = ann.device("Chrome on Android")
        row.wait_for()
        assert row.locator(".device-icon").get_attribute("data-type") == "MOBILE"


def test_a_device_is_linked_by_a_typed_code_and_reads_what_was_said_before(
    ann: Human, browser: Browser, nodes: Nodes
) -> None:
    with human(browser, nodes[1].api.base_url) as bob, human(browser, nodes[1].api.base_url) as second:
        bob.register("bob")
        ann.begin(bob.name)
        ann.write("before you came")
        bob.open(ann.name)
        bob.write("I remember")
        ann.sees("I remember")
        link(ann, second)
        second.open(bob.name)
        second.sees("before you came", "I remember")
        bob.write("and after")
        second.sees("and after")
        second.write("from the new one")
        bob.sees("from the new one")
        ann.open(bob.name)
        ann.sees("and after", "from the new one")
        assert ann.texts() == second.texts() == ["before you came", "I remember", "and after", "from the new one"]


def test_a_link_that_is_completed_while_the_other_device_is_away_still_brings_the_history(
    ann: Human, browser: Browser, nodes: Nodes
) -> None:
    with human(browser, nodes[1].api.base_url) as bob, human(browser, nodes[1].api.base_url) as second:
        bob.register("bob")
        ann.begin(bob.name)
        ann.write("before you came")
        ann.is_marked("before you came", "Delivered")
        _, code = offer(ann)
        type_code(second, code)
        ann.page.locator("output.comparison").wait_for()
        second.context.set_offline(True)
        ann.page.get_by_role("button", name="Yes, the codes are equal").click()
        ann.page.locator("dialog button.primary:not(:disabled)").wait_for()
        ann.context.set_offline(True)
        ann.page.reload(wait_until="commit")
        second.context.set_offline(False)
        second.is_in()
        second.open(bob.name)
        second.page.get_by_text("The key of this message has not come yet.").wait_for()
        ann.context.set_offline(False)
        ann.go()
        ann.is_in()
        second.sees("before you came")


def test_the_list_says_what_each_device_is_and_when_it_was_seen(
    ann: Human, nodes: Nodes, shared_database_url: str
) -> None:
    for kind, name in (("MOBILE", "Old phone"), ("DESKTOP", "Tower")):
        nodes[0].api.login(ann.name, PASSWORD, kind, name)
    seen = "UPDATE devices SET last_seen_at = now() - interval '3 hours' WHERE name = 'Old phone'"
    execute(shared_database_url, seen)
    ann.devices()
    icons = {
        row.locator("strong").inner_text(): row.locator(".device-icon").get_attribute("data-type")
        for row in eventually(lambda: ann.page.locator(".devices > li").all(), lambda rows: len(rows) == 3)
    }
    assert {icons["Old phone"], icons["Tower"]} == {"MOBILE", "DESKTOP"}
    assert [row.inner_text() for row in ann.page.locator(".badge").all()] == ["Current"]
    current = ann.page.locator(".devices > li", has=ann.page.locator(".badge"))
    assert "this device" in current.inner_text()
    assert re.search(r"last seen (3 hours ago|yesterday at)", ann.device("Old phone").inner_text())

    ann.device("Tower").get_by_role("button", name="Rename").click()
    ann.page.get_by_label("Name of the device").fill("Desk in the attic")
    ann.page.get_by_role("button", name="Save").click()
    ann.device("Desk in the attic").wait_for()


def test_read_state_follows_to_the_other_device(ann: Human, browser: Browser, nodes: Nodes) -> None:
    with human(browser, nodes[1].api.base_url) as bob, human(browser, nodes[1].api.base_url) as second:
        bob.register("bob")
        bob.begin(ann.name)
        link(ann, second)
        bob.write("unread on both")
        for one in (ann, second):
            assert one.row(bob.name).locator(".unread").inner_text().split()[0] == "1"
        ann.open(bob.name)
        ann.sees("unread on both")
        second.row(bob.name).locator(".unread").wait_for(state="detached")
        bob.is_marked("unread on both", "Read")


def test_a_revoked_device_is_signed_out_and_erased_and_unlisted(ann: Human, browser: Browser, nodes: Nodes) -> None:
    with human(browser, nodes[1].api.base_url, viewport=DESK) as second, human(browser, nodes[1].api.base_url) as bob:
        bob.register("bob")
        ann.begin(bob.name)
        ann.write("ours")
        link(ann, second)
        second.open(bob.name)
        second.sees("ours")
        assert second.stored()["messages"] > 0
        token = second.token()
        ann.devices()
        row = ann.page.locator(".devices > li", has_not=ann.page.locator(".badge"))
        row.get_by_role("button", name="Revoke").click()
        ann.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        row.wait_for(state="detached")
        second.page.get_by_text("This device was revoked. Everything on it was erased.").wait_for()
        eventually(second.stored, lambda stores: sum(stores.values()) == 0)
        names = second.page.evaluate("() => indexedDB.databases().then((all) => all.map((one) => one.name))")
        assert [name for name in names if "keys" in name] == []
        second.page.reload()
        second.page.get_by_role("tab", name="Sign in").wait_for()
        with pytest.raises(Exception, match="401"):
            nodes[1].api.call("GET", "/api/devices", token=token)
        ann.page.get_by_role("button", name="Devices").first.click()
        assert ann.page.locator(".devices > li").count() == 1


def test_a_device_revoked_while_away_is_erased_on_return(ann: Human, browser: Browser, nodes: Nodes) -> None:
    with human(browser, nodes[1].api.base_url) as second:
        link(ann, second)
        second.context.set_offline(True)
        second.page.locator(".sidebar").get_by_text("Offline.").wait_for()
        row = ann.page.locator(".devices > li", has_not=ann.page.locator(".badge"))
        row.get_by_role("button", name="Revoke").click()
        ann.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        row.wait_for(state="detached")
        second.context.set_offline(False)
        second.page.get_by_text("This device was revoked. Everything on it was erased.").wait_for()
        eventually(second.stored, lambda stores: sum(stores.values()) == 0)


def test_a_link_that_is_refused_or_wrong_or_has_run_out_is_said_so(ann: Human, browser: Browser, nodes: Nodes) -> None:
    with human(browser, nodes[1].api.base_url) as new:
        _, code = offer(ann)
        type_code(new, "WRONG-CODE")
        new.page.get_by_role("alert").wait_for()
        new.problems.clear()  # the browser itself notes the 404
        type_code(new, code)
        new.page.locator("output.comparison").wait_for()
        ann.page.get_by_role("button", name="No, refuse").click()
        new.page.get_by_role("alert").get_by_text("The other device refused.").wait_for()
