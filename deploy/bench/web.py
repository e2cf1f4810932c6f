"""What somebody at a browser waits for: two nodes, Redis, headless Chromium, everything on the same machine.

The pages themselves say when something is shown (a MutationObserver, by the clock all of them share). Median, least and
greatest of all rounds; p95 where it says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.bench.node import bed, redis, running
from deploy.bench.report import Figure, Spread, percentile, spread
from deploy.bench.size import Size
from monitoring.preview.shots import CHROMIUM, CHROMIUM_FLAGS, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TITLE = "The web client in Chromium"
PASSWORD = "only for the benchmark"  # noqa: S105
WATCH = """() => {
  window.shown = {};
  const now = () => performance.timeOrigin + performance.now();
  const look = () => {
    for (const one of document.querySelectorAll('.words')) window.shown[one.textContent] ??= now();
    if (!document.querySelector('.unread')) window.allRead ??= now(); else window.allRead = undefined;
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  document.addEventListener('keydown', (event) => event.key === 'Enter' && (window.pressed = now()), true);
}"""
FILL = """({ conv, count, self, other }) => new Promise((done) => {
  indexedDB.open('messenger').onsuccess = ({ target }) => {
    const db = target.result, tx = db.transaction(['messages', 'conversations'], 'readwrite');
    const start = Date.now() / 1000 - count * 60, rows = tx.objectStore('messages');
    for (let seq = 3; seq <= count; seq += 1) {
      const text = `Message ${seq}: ` + 'words and more words '.repeat(seq % 7);
      const sender = seq % 3 ? other : self;
      const content = { kind: 'text', text };
      rows.put({ conv, seq, id: `m${seq}`, sender, device: 0, ts: start + seq * 60, content });
    }
    tx.objectStore('conversations').get(conv).onsuccess = ({ target }) => {
      const one = target.result;
      const last = { seq: count, ts: start + count * 60, sender: other, text: '' };
      Object.assign(one, { head: count, read: count, last });
      tx.objectStore('conversations').put(one);
    };
    tx.oncomplete = () => { db.close(); done(); };
  };
})"""
SCROLL = """async ({ ms, step }) => {
  const box = document.querySelector('.log'), frames = [];
  let rows = 0, before = performance.now();
  const until = before + ms;
  while (before < until) {
    box.scrollTop -= step;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
    rows = Math.max(rows, document.querySelectorAll('.log li').length);
  }
  return { frames, rows, from: Number(box.dataset.from) };
}"""


@contextmanager
def filmed(browser: Browser, film: Path | None = None) -> Iterator[Browser]:
    """Another Chromium beside `browser`, with a microphone, and a camera that sees this film (or a test picture)."""
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    flags += [f"--use-file-for-fake-video-capture={film}"] if film else []
    program = shutil.which(CHROMIUM[0])
    other = browser.browser_type.launch(executable_path=program, args=[*CHROMIUM_FLAGS, *flags])
    try:
        yield other
    finally:
        other.close()


class Tab:
    """A signed-in person's page, and what it loaded over the network."""

    def __init__(self, browser: Browser, url: str, **settings: Any) -> None:
        """`settings` are those of the browser's profile, in place of a desk's."""
        desk = {"viewport": {"width": 1100, "height": 760}, "locale": "en-GB"}
        self.context = browser.new_context(**(desk | settings))
        self.page: Page = self.context.new_page()
        self.url = url
        self.loaded_bytes = 0
        protocol = self.context.new_cdp_session(self.page)
        protocol.send("Network.enable")
        protocol.on("Network.loadingFinished", self._loaded)

    def _loaded(self, event: dict[str, Any]) -> None:
        self.loaded_bytes += int(event["encodedDataLength"])

    def sign_in(self, name: str, how: str) -> None:
        """`Register` or `Sign in`; until the connection is live."""
        self.page.goto(self.url)
        self.page.get_by_role("tab", name=how).click()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name=how, exact=True).click()
        self.live()
        self.page.evaluate(WATCH)

    def live(self) -> None:
        """Until everything missed has come."""
        self.page.locator(".sidebar .connection.hidden", has_text="Connected.").wait_for(state="attached")

    def write(self, text: str) -> float:
        """Send, and when Enter was pressed (ms)."""
        self.page.get_by_placeholder("Write a message").fill(text)
        self.page.get_by_placeholder("Write a message").press("Enter")
        return float(self.page.evaluate("() => window.pressed"))

    def shown(self, text: str) -> float:
        """When these words were shown (ms); waits for them."""
        self.page.wait_for_function("text => window.shown[text]", arg=text)
        return float(self.page.evaluate("text => window.shown[text]", text))


def run(size: Size) -> list[Figure]:
    """Loads, messages, read markers, and a conversation of many messages."""
    rounds = size.rounds * 7
    with ExitStack() as stack:
        made = stack.enter_context(bed())
        url = stack.enter_context(redis(made))
        nodes = stack.enter_context(running(made, 2, REDIS_URL=url, AUTH_ATTEMPTS_PER_MINUTE="100000"))
        browser = stack.enter_context(chromium())
        one, two = (f"http://127.0.0.1:{node.port}/" for node in nodes)
        ann, tablet, bob = Tab(browser, one), Tab(browser, two), Tab(browser, two)
        figures = _loads(browser, one)
        ann.sign_in("ann", "Register")
        bob.sign_in("bob", "Register")
        tablet.sign_in("ann", "Sign in")
        ann.page.get_by_role("button", name="New conversation").click()
        ann.page.get_by_label("With whom").fill("bob")
        ann.page.get_by_role("button", name="Begin").click()
        ann.write("begin")
        bob.page.locator(".conversations a").click()
        bob.shown("begin")
        took = [_message(bob, ann, f"to ann {number}") for number in range(rounds)]
        figures.append(Figure("message, Enter until shown in the other browser", "ms", spread(took)))
        figures.append(Figure("the same, p95", "ms", _one(percentile(took, 0.95))))
        read = [_read(bob, ann, tablet, f"read {number}") for number in range(rounds)]
        figures.append(Figure("shown on one device until read on the other, p95", "ms", _one(percentile(read, 0.95))))
        figures += _long(ann, 50_000 if rounds > 50 else 2_000)
    return figures


def _one(value: float) -> Spread:
    return Spread(value, value, value)


def _message(sender: Tab, reader: Tab, text: str) -> float:
    pressed = sender.write(text)
    return reader.shown(text) - pressed


def _read(sender: Tab, reader: Tab, other: Tab, text: str) -> float:
    """From a message being shown on the device that reads it until the other device shows nothing unread."""
    sender.write(text)
    shown = reader.shown(text)
    other.page.wait_for_function("() => window.allRead")
    return max(0.0, float(other.page.evaluate("() => window.allRead")) - shown)


def _loads(browser: Browser, url: str) -> list[Figure]:
    tab = Tab(browser, url)
    figures = []

    def measure(name: str, act: Callable[[], object], ready: str) -> None:
        tab.loaded_bytes = 0
        began = tab.page.evaluate("() => performance.timeOrigin + performance.now()")
        act()
        tab.page.locator(ready).first.wait_for()
        took = tab.page.evaluate("() => performance.timeOrigin + performance.now()") - began
        tab.page.wait_for_timeout(1_500)
        figures.append(Figure(f"{name}, time", "ms", _one(took)))
        figures.append(Figure(f"{name}, over the network", "bytes", _one(tab.loaded_bytes)))

    measure("first load, until one can sign in", lambda: tab.page.goto(url), "button[role=tab]")
    tab.loaded_bytes = 0
    tab.page.get_by_role("tab", name="Register").click()
    tab.page.get_by_label("Name").fill("loads")
    tab.page.get_by_label("Password").fill(PASSWORD)
    register = tab.page.get_by_role("button", name="Register", exact=True)
    measure("signing in for the first time, until live", register.click, ".sidebar .connection.hidden")
    tab.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    tab.page.reload()
    tab.live()
    tab.page.wait_for_timeout(1_000)
    measure("repeated load, until the list is shown", tab.page.reload, ".sidebar")
    tab.context.close()
    return figures


def _long(tab: Tab, count: int) -> list[Figure]:
    page = tab.page
    conv = int(page.url.rsplit("/", 1)[1])
    page.evaluate(FILL, {"conv": conv, "count": count, "self": 1, "other": 2})
    page.goto(f"{tab.url}#/devices")
    page.reload()
    page.locator(".badge").wait_for()
    began = page.evaluate("() => performance.now()")
    page.goto(f"{tab.url}#/c/{conv}")
    page.locator(f"li[data-seq='{count}']").wait_for()
    opened = page.evaluate("() => performance.now()") - began
    walked = page.evaluate(SCROLL, {"ms": 6_000, "step": 120})
    frames: list[float] = walked["frames"]
    page.get_by_role("searchbox").fill(f"Message {count // 2}:")
    began = page.evaluate("() => performance.now()")
    page.get_by_text("1 messages").wait_for()
    searched = page.evaluate("() => performance.now()") - began
    name = f"{count:,} messages"
    return [
        Figure(f"{name}, opened", "ms", _one(opened)),
        Figure(f"{name}, time of a frame while scrolling", "ms", spread(frames)),
        Figure("the same, p95", "ms", _one(percentile(frames, 0.95))),
        Figure("rows in the page at most", "", _one(walked["rows"])),
        Figure("rows walked in six seconds", "", _one(count - walked["from"])),
        Figure(f"{name}, searched", "ms", _one(searched)),
    ]
