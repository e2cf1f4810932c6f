"""People at browsers: real Chromium, the built client, real nodes."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zxingcpp
from PIL import Image

from tests.support.servers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

PASSWORD = "correct horse battery"
DESK = {"width": 1100, "height": 760}
PHONE = {"width": 390, "height": 780}
WITHIN_MS = 20_000
# Browsers say by themselves that a server could not be reached; what the page did about it is what tests look at.
NETWORK = ("net::ERR_", "WebSocket connection to", "Failed to load resource: the server responded with a status of 401")
MARKS = ["Waiting", "Sent", "Delivered", "Read"]
_numbers = itertools.count()


class Human:
    """Somebody at a browser of their own; `page` is the tab they look at, `problems` what the page complained of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.problems: list[str] = []
        context.set_default_timeout(WITHIN_MS)
        context.on("page", self._watch)
        self.name = ""
        self.page = context.pages[0] if context.pages else context.new_page()
        if context.pages and not self.page.url.startswith("about:"):
            self._watch(self.page)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in NETWORK):
            self.problems.append(text)

    def go(self, path: str = "") -> None:
        """Open the client, or a place in it."""
        self.page.goto(f"{self.url}/{path}")

    def register(self, name: str) -> str:
        """A new person, signed in; their name, which nobody else has."""
        self.name = f"{name}{next(_numbers)}"
        self.go()
        self.page.get_by_role("tab", name="Register").click()
        self._fill_in("Register")
        return self.name

    def sign_in(self, name: str) -> None:
        """A person that exists, on a new device."""
        self.name = name
        self.go()
        self._fill_in("Sign in")

    def _fill_in(self, button: str) -> None:
        self.page.get_by_label("Name").fill(self.name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name=button, exact=True).click()
        self.is_in()

    def is_in(self) -> None:
        """Wait until the list of conversations is there and the connection is live."""
        self.page.get_by_role("button", name="New conversation").wait_for()
        self.is_live()

    def is_live(self) -> None:
        """Wait until this tab knows that everything missed has come."""
        self.page.locator(".sidebar .connection.hidden", has_text="Connected.").wait_for(state="attached")

    def is_installed(self) -> None:
        """Wait until the service worker has what the page needs."""
        self.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        wanted = "() => caches.keys().then((names) => names.filter((name) => /precache/.test(name)).length)"
        eventually(lambda: self.page.evaluate(wanted))
        self.page.reload()  # so that the worker brings the page, and sees the encryption being fetched
        self.is_in()
        eventually(lambda: self.page.evaluate("() => caches.has('wasm')"))

    def begin(self, *names: str, title: str | None = None) -> None:
        """A conversation with these people, opened."""
        self.page.get_by_role("button", name="New conversation").click()
        self.page.get_by_label("With whom").fill(", ".join(names))
        if title:
            self.page.get_by_label("Title").fill(title)
        self.page.get_by_role("button", name="Begin").click()
        self._is_open(title or ", ".join(sorted(names)))

    def open(self, title: str) -> None:
        """A conversation of the list."""
        self.row(title).click()
        self._is_open(title)

    def _is_open(self, title: str) -> None:
        self.page.locator(".chat-header h2", has_text=title).wait_for()
        self.page.get_by_placeholder("Write a message").wait_for()

    def row(self, title: str) -> Locator:
        """A conversation in the list."""
        return self.page.locator(".conversations a", has=self.page.locator(".title", has_text=title))

    def write(self, *texts: str) -> None:
        """Write and send, one after the other."""
        for text in texts:
            self.page.get_by_placeholder("Write a message").fill(text)
            self.page.get_by_placeholder("Write a message").press("Enter")

    def message(self, text: str) -> Locator:
        """One message of the open conversation, on its way or not."""
        return self.page.locator("li.message", has=self.page.get_by_text(text, exact=True))

    def sees(self, *texts: str) -> None:
        """Wait until these messages are shown."""
        for text in texts:
            self.message(text).wait_for()

    def is_marked(self, text: str, mark: str) -> None:
        """Wait until one's own message has come this far: Waiting, Sent, Delivered or Read."""
        enough = ", ".join(f'.mark[title="{further}"]' for further in MARKS[MARKS.index(mark) :])
        self.message(text).locator(enough).wait_for()

    def texts(self) -> list[str]:
        """The words of everything shown of the open conversation, in order, once it is drawn."""
        return eventually(self.page.locator("li.message .words").all_inner_texts)

    def devices(self) -> None:
        """Open the page of devices."""
        self.page.get_by_role("button", name="Devices").first.click()
        self.page.get_by_role("heading", name="Devices").wait_for()

    def device(self, name: str) -> Locator:
        """A device in the list."""
        return self.page.locator(".devices > li", has_text=name)

    def stored(self) -> dict[str, int]:
        """How much is in each of the client's stores."""
        counted: dict[str, int] = self.page.evaluate(COUNT)
        return counted

    def token(self) -> str:
        """The access token that the client holds."""
        account: dict[str, Any] = self.page.evaluate(ACCOUNT, {})
        return str(account["access_token"])

    def let_token_expire(self) -> None:
        """As if it had been got long ago."""
        self.page.evaluate(ACCOUNT, {"expires_at": 0})

    def new_tab(self) -> Page:
        """Another tab of the same browser, which is looked at from now on."""
        self.page = self.context.new_page()
        self.go()
        self.is_in()
        return self.page


ACCOUNT = """(change) => new Promise((done) => { indexedDB.open('messenger').onsuccess = ({ target }) => {
  const db = target.result, store = db.transaction('meta', 'readwrite').objectStore('meta');
  store.get('account').onsuccess = ({ target }) => {
    const changed = { ...target.result, ...change };
    store.put(changed, 'account').onsuccess = () => { db.close(); done(changed); };
  }; }; })"""
COUNT = """() => new Promise((done, fail) => {
  const opening = indexedDB.open('messenger');
  opening.onerror = () => fail(opening.error);
  opening.onsuccess = async () => {
    const db = opening.result, counted = {};
    for (const name of db.objectStoreNames) {
      counted[name] = await new Promise((one) => {
        const asked = db.transaction(name).objectStore(name).count();
        asked.onsuccess = () => one(asked.result);
      });
    }
    db.close();
    done(counted);
  };
})"""


@contextmanager
def human(browser: Browser, url: str, **more: Any) -> Iterator[Human]:
    """Somebody with a browser profile of their own; whatever their page complained of fails the test."""
    settings = {"viewport": DESK, "locale": "en-GB", "timezone_id": "UTC"} | more
    context = browser.new_context(**settings)
    someone = Human(context, url)
    try:
        yield someone
    finally:
        context.close()
    assert someone.problems == [], someone.problems


def qr_text(picture: bytes) -> str:
    """What the QR code in a picture says; read from its pixels."""
    found = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    assert len(found) == 1, f"{len(found)} codes in the picture"
    return str(found[0].text)


def as_camera(picture: bytes, path: Path) -> None:
    """A film of one picture, as Chromium's fake camera reads it (Y4M, 4:2:0)."""
    size = 640, 480
    still = Image.new("RGB", size, "white")
    shown = Image.open(io.BytesIO(picture)).convert("RGB")
    shown.thumbnail((420, 420))
    still.paste(shown, ((size[0] - shown.width) // 2, (size[1] - shown.height) // 2))
    luma, blue, red = still.convert("YCbCr").split()
    half = size[0] // 2, size[1] // 2
    frame = luma.tobytes() + blue.resize(half).tobytes() + red.resize(half).tobytes()
    path.write_bytes(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + frame) * 2)
