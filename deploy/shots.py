"""`python -m deploy.shots FOLDER`: pictures of every view of the web client, light and dark, on a desk and on a phone.

Real nodes, real people: what is in the pictures was written by clients and read by Chromium.
"""

from __future__ import annotations

import io
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from deploy.bench.node import bed, redis, running
from deploy.bench.web import PASSWORD, Tab, filmed
from monitoring.client.api import Api
from monitoring.client.secure import SecureDevice
from monitoring.preview.shots import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, ViewportSize

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
SIZES: dict[str, ViewportSize] = {"desk": {"width": 1100, "height": 720}, "phone": {"width": 390, "height": 760}}
INCIDENT = {
    "id": "inc-7",
    "title": "FanoutLatencyThreshold",
    "severity": "page",
    "state": "firing",
    "summary": "p95 of fan-out is 410 ms, the objective 250 ms.",
    "links": [
        {"name": "Runbook", "url": "https://example.com/runbook"},
        {"name": "Board", "url": "https://example.com"},
    ],
}


class Others:
    """Who is in the pictures beside the one who looks."""

    def __init__(self, api: Api, names: list[str]) -> None:
        self.devices = {name: SecureDevice(api, api.register(name, PASSWORD)) for name in names}
        for one in self.devices.values():
            one.connect()

    def say(self, name: str, conv: int, *texts: str | dict[str, Any]) -> None:
        """One after the other."""
        for text in texts:
            told = {"msgtype": "m.text", "body": text} if isinstance(text, str) else text
            self.devices[name].say(conv, told)
            time.sleep(0.3)


class Looking:
    """One who looks at everything, in one size and theme, and takes pictures."""

    def __init__(self, browser: Browser, api: Api, folder: Path, size: str, theme: Theme) -> None:
        self.api = api
        self.name = f"ann-{size}-{theme}"
        self.size = size
        self._path = folder, f"{size}-{theme}.webp"
        look: dict[str, Any] = {"viewport": SIZES[size], "device_scale_factor": 1.5, "color_scheme": theme}
        self.tab = Tab(browser, f"{api.base_url}/", timezone_id="UTC", **look)
        self.page = self.tab.page

    def shot(self, name: str) -> None:
        """What the page shows now."""
        self.page.wait_for_timeout(400)
        folder, rest = self._path
        path = folder / f"{name}-{rest}"
        Image.open(io.BytesIO(self.page.screenshot())).save(path, "WEBP", quality=82, method=6)
        print(path)

    def go(self, place: str, until: str) -> None:
        """To a place in the client, until something is shown."""
        self.page.goto(f"{self.tab.url}#/{place}")
        self.page.locator(until).first.wait_for()

    def come_in(self) -> None:
        """Register; the way in is the first picture."""
        self.page.goto(self.tab.url)
        self.shot("sign-in")
        self.tab.sign_in(self.name, "Register")

    def begin(self, others: Others) -> list[int]:
        """Two more devices and three conversations in which something was said: with Bob, a group, on call."""
        account = self.api.login(self.name, PASSWORD, "MOBILE", "Pixel 8")
        self.api.login(self.name, PASSWORD, "DESKTOP", "Desk at work")
        people = ((["bob"], None), (["bob", "carla"], "Climbing on Sunday"), (["oncall"], "On call"))
        bob, group, oncall = (self.api.create_conversation(account, names, title) for names, title in people)
        self.page.locator(".conversations a").nth(2).wait_for()
        others.say("carla", group, "who brings the rope?", "I have two")
        others.say("oncall", oncall, {"msgtype": "messenger.incident", "body": "firing", "incident": INCIDENT})
        others.say("bob", bob, "did you see the sunrise?", "I took a picture of it")
        return [bob, group, oncall]

    def talk(self, bob: int, others: Others) -> None:
        """A conversation with all that can be in it."""
        self.go(f"c/{bob}", "textarea")
        self.tab.write("not yet, show me")
        self.page.locator(".mark[title=Delivered]").wait_for()
        others.devices["bob"].read(bob, 5)
        self.tab.write("and the notes, please: https://example.com/notes")
        sky = io.BytesIO()
        Image.linear_gradient("L").resize((640, 360)).save(sky, "PNG")
        file: FilePayload = {"name": "sky.png", "mimeType": "image/png", "buffer": sky.getvalue()}
        self.page.locator("input[type=file]").set_input_files(file)
        self.page.locator(".picture img").wait_for()
        self.page.locator(".mark.pending").wait_for(state="detached")
        self.shot("conversation")

    def look_around(self, oncall: int) -> None:
        """The other places."""
        self.go("", ".conversations a")
        self.shot("list")
        self.page.get_by_role("searchbox").fill("rope")
        self.page.get_by_text("1 messages").wait_for()
        self.shot("search")
        self.page.get_by_role("searchbox").fill("")
        self.go(f"c/{oncall}", "article")
        self.shot("incident")
        self.go("devices", ".badge")
        self.shot("devices")
        self.page.get_by_role("button", name="Link a device").click()
        self.page.get_by_role("img", name="QR code").wait_for()
        self.shot("link")
        self.page.keyboard.press("Escape")
        self.go("settings", "#settings-title")
        self.shot("settings")

    def call_and_lose_the_network(self, bob: int) -> None:
        """What is not always there."""
        self.go(f"c/{bob}", "textarea")
        self.page.get_by_role("button", name="Call", exact=True).click()
        self.page.get_by_text("Ringing").wait_for()
        self.shot("call")
        self.page.get_by_role("button", name="Hang up").click()
        self.page.get_by_role("dialog").wait_for(state="detached")
        self.tab.context.set_offline(True)
        self.page.get_by_text("Offline.").locator("visible=true").wait_for()
        self.tab.write("written without a network")
        if self.size == "phone":
            self.go("", ".conversations a")
        self.shot("offline")
        self.tab.context.close()


def main(folder: Path) -> None:
    """All sizes and themes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        made = stack.enter_context(bed())
        url = stack.enter_context(redis(made))
        nodes = stack.enter_context(running(made, 1, REDIS_URL=url, AUTH_ATTEMPTS_PER_MINUTE="100000"))
        api = Api(f"http://127.0.0.1:{nodes[0].port}")
        others = Others(api, ["bob", "carla", "oncall"])
        browser = stack.enter_context(filmed(stack.enter_context(chromium())))
        for size in SIZES:
            for theme in THEMES:
                looking = Looking(browser, api, folder, size, theme)
                looking.come_in()
                bob, _, oncall = looking.begin(others)
                looking.talk(bob, others)
                looking.look_around(oncall)
                looking.call_and_lose_the_network(bob)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
