"""Calls between browsers: real WebRTC over loopback, a made-up camera and microphone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Node, eventually
from tests.support.web import Human, human

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

Nodes = tuple[Node, Node]
People = tuple[Human, Human, Human]
FOCUSED = "(document.activeElement.closest('button, input, a') || {textContent: ''}).textContent.trim()"
PLAYS = "video => video.readyState >= 2 && video.currentTime > 0"


@pytest.fixture(scope="module")
def people(talking_browser: Browser, nodes: Nodes) -> Iterator[People]:
    """Ann, Bob, and Bob's second device, on two nodes."""
    urls = [node.api.base_url for node in nodes]
    with human(talking_browser, urls[0]) as ann, human(talking_browser, urls[1]) as bob:
        ann.register("ann")
        bob.register("bob")
        with human(talking_browser, urls[0]) as tablet:
            tablet.sign_in(bob.name)
            ann.begin(bob.name)
            ann.write("can we talk?")
            ann.is_marked("can we talk?", "Delivered")
            yield ann, bob, tablet


def ringing(someone: Human) -> Locator:
    return someone.page.get_by_role("dialog", name="Call with").or_(
        someone.page.get_by_role("dialog", name="Video call with")
    )


@contextmanager
def says(someone: Human, words: str) -> Iterator[None]:
    """In the block their page shows these words, for however short a time."""
    script = """words => {
        window.shown = false;
        const look = () => { window.shown ||= document.body.innerText.includes(words); };
        window.looker = new MutationObserver(look);
        window.looker.observe(document.body, { subtree: true, childList: true, characterData: true });
    }"""
    someone.page.evaluate(script, words)
    yield
    eventually(lambda: someone.page.evaluate("window.shown"), within_s=60)
    someone.page.evaluate("window.looker.disconnect()")


def is_over(*everybody: Human) -> None:
    for someone in everybody:
        ringing(someone).wait_for(state="detached")


def test_every_device_rings_and_the_one_that_answers_talks(people: People) -> None:
    ann, bob, tablet = people
    ann.page.get_by_role("button", name="Video call").click()
    for one in (bob, tablet):
        ringing(one).get_by_text("wants to talk by video").wait_for()
    with says(tablet, "Answered on another device."):
        bob.page.get_by_role("button", name="Answer").click()
    for one in (ann, bob):
        one.page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
        shown = one.page.locator("video.theirs")
        eventually(lambda shown=shown: shown.evaluate(PLAYS))
    is_over(tablet)
    bob.page.get_by_role("button", name="Mute", exact=True).click()
    bob.page.get_by_role("button", name="Unmute").wait_for()
    ann.page.get_by_role("button", name="Hang up").click()
    is_over(ann, bob)


def test_who_declines_stops_it_everywhere(people: People) -> None:
    ann, bob, tablet = people
    ann.page.get_by_role("button", name="Call", exact=True).click()
    ringing(bob).get_by_text("is calling").wait_for()
    bob.page.keyboard.press("Enter")  # whoever is typing does not answer by it
    assert ringing(bob).get_by_text("is calling").is_visible()
    with says(ann, "Declined."):
        tablet.page.get_by_role("button", name="Decline").click()
    is_over(ann, bob, tablet)


def test_a_call_is_above_an_open_dialog_and_holds_the_keyboard(people: People) -> None:
    ann, bob, tablet = people
    bob.page.get_by_role("button", name="New conversation").click()
    bob.page.get_by_label("With whom").fill("some")
    ann.page.get_by_role("button", name="Call", exact=True).click()
    ringing(bob).get_by_text("is calling").wait_for()
    for _ in range(3):
        bob.page.keyboard.press("Escape")
    bob.page.keyboard.type("body")
    focused = set()
    for _ in range(6):
        bob.page.keyboard.press("Tab")
        focused.add(bob.page.evaluate(FOCUSED))
    assert focused - {""} == {"Decline", "Answer"}
    bob.page.get_by_role("button", name="Answer").click()
    bob.page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
    bob.page.get_by_role("button", name="Hang up").click()
    is_over(ann, bob, tablet)
    bob.page.keyboard.type("body")
    assert bob.page.get_by_label("With whom").input_value() == "somebody", "the keyboard is where it was"
    bob.page.keyboard.press("Escape")


def test_who_gives_up_stops_the_ringing(people: People) -> None:
    ann, bob, tablet = people
    ann.page.get_by_role("button", name="Call", exact=True).click()
    for one in (bob, tablet):
        ringing(one).wait_for()
    ann.page.get_by_role("button", name="Hang up").click()
    is_over(ann, bob, tablet)


def test_two_who_call_each_other_have_one_call(people: People) -> None:
    ann, bob, tablet = people
    bob.open(ann.name)
    ann.page.get_by_role("button", name="Call", exact=True).click(no_wait_after=True)
    bob.page.get_by_role("button", name="Call", exact=True).click(no_wait_after=True, force=True)
    asked = [one.page.get_by_role("button", name="Answer") for one in (ann, bob)]
    (answers,) = eventually(lambda: [button for button in asked if button.is_visible()])
    answers.click()
    for one in (ann, bob):
        one.page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
    ann.page.get_by_role("button", name="Hang up").click()
    is_over(ann, bob, tablet)


def test_a_call_without_a_microphone_says_so(browser: Browser, nodes: Nodes, people: People) -> None:
    _, bob, _ = people
    with human(browser, nodes[0].api.base_url) as carl:
        carl.register("carl")
        carl.begin(bob.name)
        carl.page.get_by_role("button", name="Call", exact=True).click()
        carl.page.get_by_text("There is no microphone or camera.").wait_for()
        is_over(carl)
