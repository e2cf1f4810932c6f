"""Talking in the browser: two people, two nodes, real Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from deploy.bench.web import FILL
from monitoring.client.api import Api
from tests.support.people import register
from tests.support.secure import Talker
from tests.support.servers import ADMIN_TOKEN, Node, eventually
from tests.support.web import PASSWORD, Human, human

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Nodes = tuple[Node, Node]


def sockets(nodes: Nodes) -> float:
    return sum(node.metric("ws_connections_active") for node in nodes)


def picture(color: str = "teal") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 200), color).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def ann_and_bob(browser: Browser, nodes: Nodes) -> Iterator[tuple[Human, Human]]:
    """Signed in once for the file: passwords are slow to check, as they should be."""
    one, two = nodes
    with human(browser, one.api.base_url) as ann, human(browser, two.api.base_url) as bob:
        ann.register("ann")
        bob.register("bob")
        yield ann, bob


def test_two_people_talk_and_see_what_became_of_each_message(ann_and_bob: tuple[Human, Human]) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name)
    ann.write("hello bob", "are you there?")
    ann.is_marked("are you there?", "Delivered")
    row = bob.row(ann.name)
    row.get_by_text("are you there?").wait_for()
    assert row.locator(".unread").inner_text().split() == ["2", "unread"]
    bob.open(ann.name)
    bob.sees("hello bob", "are you there?")
    ann.is_marked("hello bob", "Read")
    bob.row(ann.name).locator(".unread").wait_for(state="detached")

    bob.page.get_by_placeholder("Write a message").press_sequentially("so")
    ann.page.locator(".writing", has_text=f"{bob.name} is writing").wait_for()
    bob.write("so I am: https://example.com/a?b=c")
    ann.page.locator(".message a[href='https://example.com/a?b=c']").wait_for()
    assert ann.page.locator(".log .day").all_inner_texts() == ["Today"]
    ann.page.locator(".chat-header").get_by_text("online").wait_for()


def test_a_group_says_who_wrote_and_counts_who_is_there(ann_and_bob: tuple[Human, Human], nodes: Nodes) -> None:
    ann, bob = ann_and_bob
    away = register(nodes[0].api, "carl")
    ann.begin(bob.name, away.name, title="Planning")
    ann.write("shall we?")
    bob.open("Planning")
    bob.sees("shall we?")
    assert bob.page.locator(".sender").all_inner_texts() == [ann.name]
    bob.page.locator(".chat-header").get_by_text("3 people, 2 online").wait_for()
    ann.is_marked("shall we?", "Sent")  # one of them has no device that is connected
    bob.page.get_by_role("button", name="About this conversation").click()
    bob.page.get_by_role("button", name="Leave").click()
    bob.row("Planning").wait_for(state="detached")
    ann.page.locator(".event", has_text=f"{bob.name} left").wait_for()


def test_files_are_encrypted_before_they_leave_and_pictures_are_shown(
    ann_and_bob: tuple[Human, Human], tmp_path: Path
) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name)
    chooser = ann.page.locator("input[type=file]")
    chooser.set_input_files({"name": "sea.png", "mimeType": "image/png", "buffer": picture()})
    bob.open(ann.name)
    shown = bob.page.locator("img[alt='sea.png']")
    shown.wait_for()
    assert shown.evaluate("img => img.decode().then(() => [img.naturalWidth, img.naturalHeight])") == [320, 200]
    chooser.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"between us"})
    with bob.page.expect_download() as saved:
        bob.page.get_by_role("button", name="notes.txt").click()
    saved.value.save_as(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_bytes() == b"between us"
    chooser.set_input_files({"name": "page.html", "mimeType": "text/html", "buffer": b"<script>1</script>"})
    bob.page.get_by_role("button", name="page.html").wait_for()
    chooser.set_input_files({"name": "empty.txt", "mimeType": "text/plain", "buffer": b""})
    ann.page.get_by_role("alert").get_by_text("empty.txt is empty.").wait_for()


def test_a_picture_of_oneself_is_seen_by_others(ann_and_bob: tuple[Human, Human]) -> None:
    ann, bob = ann_and_bob
    ann.page.get_by_role("button", name="Settings").click()
    ann.page.locator("input[type=file]").set_input_files(
        {"name": "me.png", "mimeType": "image/png", "buffer": picture()}
    )
    ann.page.locator(".who img.avatar").wait_for()
    bob.begin(ann.name)
    seen = bob.row(ann.name).locator("img.avatar")
    seen.wait_for()
    eventually(lambda: seen.evaluate("img => img.naturalWidth") == 96)


def test_search_finds_what_this_device_holds_and_goes_there(ann_and_bob: tuple[Human, Human]) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name)
    ann.write("the Key is under the mat", "the cat is on it")
    ann.is_marked("the cat is on it", "Delivered")
    bob.page.get_by_role("searchbox").fill("kEY IS")
    bob.page.get_by_text("0 conversations, 1 messages").wait_for()
    bob.page.locator(".conversations a", has_text="the Key is under the mat").click()
    bob.page.locator(".found-row", has_text="the Key is under the mat").wait_for()


def test_a_message_that_is_refused_says_so_and_can_be_tried_again(
    ann_and_bob: tuple[Human, Human], nodes: Nodes
) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name)
    for node in nodes:
        node.api.call("POST", "/test/faults", {"refuse_sends": True}, ADMIN_TOKEN)
    ann.write("try me")
    ann.is_marked("try me", "Waiting")
    for node in nodes:
        node.api.call("POST", "/test/faults", {"refuse_sends": False}, ADMIN_TOKEN)
    ann.is_marked("try me", "Delivered")  # by itself: the node had said that it will pass
    bob.open(ann.name)
    bob.page.get_by_role("button", name="About this conversation").click()
    bob.page.get_by_role("button", name="Leave").click()
    bob.row(ann.name).wait_for(state="detached")
    nodes[0].api.call("POST", f"/api/conversations/{conv_of(ann)}/members", {"members": [bob.name]}, ann.token())
    ann.page.locator(".event", has_text=f"{bob.name} is here now").nth(1).wait_for()
    ann.write("back again")
    bob.open(ann.name)
    bob.sees("back again")
    assert bob.texts()[-2:] == ["try me", "back again"]


def conv_of(someone: Human) -> int:
    return int(someone.page.url.split("#/c/")[1])


def test_what_comes_while_nobody_looks_is_announced(ann_and_bob: tuple[Human, Human]) -> None:
    ann, bob = ann_and_bob
    ann.context.grant_permissions(["notifications"])
    ann.begin(bob.name)
    ann.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    ann.page.evaluate(HIDE)
    bob.begin(ann.name)
    bob.write("psst")
    announced = eventually(lambda: ann.page.evaluate(ANNOUNCED))
    assert announced == [[bob.name, f"{bob.name}: psst"]]
    ann.page.reload()
    ann.is_in()


HIDE = """() => {
  Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
ANNOUNCED = """() => navigator.serviceWorker.ready.then((worker) => worker.getNotifications())
  .then((all) => all.map((one) => [one.title, one.body]))"""


def test_a_long_conversation_is_drawn_in_part_and_walked_to_its_beginning(ann_and_bob: tuple[Human, Human]) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name, title="Long")
    conv, users = conv_of(ann), {"self": 1, "other": 2}
    ann.page.evaluate(FILL, {"conv": conv, "count": 900} | users)
    ann.page.reload()
    ann.page.locator("li[data-seq='900']").wait_for()
    walk = """() => new Promise((done) => {
      const box = document.querySelector('.log');
      let most = 0, steps = 0;
      const step = () => {
        most = Math.max(most, box.querySelectorAll('[data-seq]').length);
        if (box.querySelector("[data-seq='3']") || steps++ > 3000) return done([most, steps]);
        box.scrollTop -= 500;
        requestAnimationFrame(step);
      };
      step();
    })"""
    most, steps = ann.page.evaluate(walk)
    assert most <= 240 and steps < 3000
    shown = ann.page.locator(".log [data-seq]").evaluate_all("rows => rows.map((row) => Number(row.dataset.seq))")
    assert shown == list(range(shown[0], shown[0] + len(shown)))
    ann.page.get_by_role("button", name="To the newest message").click()
    ann.page.locator("li[data-seq='900']").wait_for()


def test_two_tabs_are_one_device_with_one_socket(ann_and_bob: tuple[Human, Human], nodes: Nodes) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name)
    before = sockets(nodes)
    first = ann.page
    ann.new_tab()
    ann.open(bob.name)
    ann.write("from the second tab")
    ann.is_marked("from the second tab", "Delivered")
    first.locator("li.message", has_text="from the second tab").wait_for()
    assert sockets(nodes) == before == 2
    first.close()  # it held the connection
    bob.open(ann.name)
    bob.write("still there?")
    ann.sees("still there?")
    eventually(lambda: sockets(nodes) == 2)


def test_a_browser_and_a_python_client_read_each_other(ann_and_bob: tuple[Human, Human], nodes: Nodes) -> None:
    """Two implementations of the encryption: matrix-sdk-crypto and vodozemac under our own machine."""
    ann, _ = ann_and_bob
    api: Api = nodes[1].api
    carl = Talker(api, register(api, "carl"))
    try:
        ann.begin(carl.account.name)
        ann.write("read this")
        received = carl.read_text("read this")
        carl.say(received.conv, "I did")
        ann.sees("I did")
        assert ann.page.locator(".log", has_text="not encrypted").count() == 0
        assert carl.device.failures == []
        assert carl.device.socket is not None
        carl.device.socket.send_message(received.conv, "no secret")
        ann.message("no secret").get_by_text("not encrypted").wait_for(state="attached")
    finally:
        carl.close()


def test_a_message_that_is_too_long_is_refused_before_it_is_sent(ann_and_bob: tuple[Human, Human]) -> None:
    ann, bob = ann_and_bob
    ann.begin(bob.name)
    fits = "\u6f22" * 10_000  # three bytes each
    ann.write(fits)
    ann.is_marked(fits, "Sent")
    ann.write("\u6f22" * 11_000)
    ann.page.get_by_role("alert").get_by_text("This is too long for one message: 33 kB of at most 32 kB.").wait_for()


def test_a_tab_learns_that_another_one_signed_in_and_out(browser: Browser, nodes: Nodes) -> None:
    with human(browser, nodes[0].api.base_url) as ann:
        ann.go()
        first = ann.page
        ann.page = ann.context.new_page()
        ann.register("ann")
        first.get_by_role("button", name="New conversation").wait_for()
        first.get_by_role("button", name="Settings").click()
        first.get_by_role("button", name="Sign out").click()
        first.get_by_role("button", name="Sign out and erase").click()
        for tab in (first, ann.page):
            tab.get_by_role("tab", name="Sign in").wait_for()
        assert sum(ann.stored().values()) == 0


def test_a_name_that_is_taken_or_a_wrong_password_is_said_where_it_is_typed(browser: Browser, nodes: Nodes) -> None:
    with human(browser, nodes[0].api.base_url) as ann:
        name = ann.register("ann")
        with human(browser, nodes[0].api.base_url) as other:
            other.go()
            other.page.get_by_role("tab", name="Register").click()
            other.page.get_by_label("Name").fill(name)
            other.page.get_by_label("Password").fill(PASSWORD)
            other.page.get_by_role("button", name="Register", exact=True).click()
            other.page.get_by_role("alert").wait_for()
            other.problems.clear()  # the browser itself notes the 409
            other.page.get_by_role("tab", name="Sign in").click()
            other.page.get_by_label("Name").fill(name)
            other.page.get_by_label("Password").fill("not the one")
            other.page.get_by_role("button", name="Sign in", exact=True).click()
            other.page.get_by_role("alert").wait_for()
