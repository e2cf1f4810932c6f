"""Without a network, and with servers and browsers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from deploy.stack.wait import answers
from monitoring.client.api import Api
from monitoring.preview.shots import CHROMIUM_FLAGS
from tests.support.binaries import require
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port, node_environ
from tests.support.sql import execute
from tests.support.web import DESK, Human, human

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route


END_TOKENS = """DELETE FROM refresh_tokens t USING devices d, users u
    WHERE d.id = t.device_id AND u.id = d.user_id AND u.name = '%s'"""


@dataclass
class Mortal:
    """A node that can be killed and started again where it was."""

    environ: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['PORT']}"

    def start(self) -> None:
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "app", "serve"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=output, stderr=output)
        eventually(lambda: answers(f"{self.url}/health/ready"))

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def node(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    port = str(free_port())
    ports = {"PORT": port, "METRICS_PORT": str(free_port()), "NODE_ID": f"node-{port}"}
    mortal = Mortal(node_environ(shared_database_url, **ports), tmp_path_factory.mktemp("mortal") / "log")
    mortal.start()
    yield mortal
    mortal.kill()


@pytest.fixture
def pair(browser: Browser, node: Mortal) -> Iterator[tuple[Human, Human]]:
    """Ann and Bob, in one conversation that both have open."""
    with human(browser, node.url) as ann, human(browser, node.url) as bob:
        ann.register("ann")
        bob.register("bob")
        ann.begin(bob.name)
        ann.write("first")
        bob.open(ann.name)
        bob.sees("first")
        yield ann, bob


def test_without_a_network_everything_here_is_shown_and_what_is_written_waits(pair: tuple[Human, Human]) -> None:
    ann, bob = pair
    ann.is_installed()
    ann.context.set_offline(True)
    ann.page.locator(".sidebar").get_by_text("Offline.").wait_for()
    ann.page.reload()
    ann.row(bob.name).wait_for()
    ann.open(bob.name)
    ann.sees("first")
    ann.write("one", "two", "three")
    ann.is_marked("three", "Waiting")
    ann.page.locator(".sidebar").get_by_text("Offline. 3 waiting to be sent.").wait_for()
    ann.page.reload()  # what waits is on the disk
    ann.sees("first", "one", "two", "three")
    bob.write("while you were away")
    bob.is_marked("while you were away", "Sent")
    ann.context.set_offline(False)
    ann.is_marked("three", "Delivered")
    ann.sees("while you were away")
    bob.sees("one", "two", "three")
    assert bob.texts() == ann.texts() == ["first", "while you were away", "one", "two", "three"]
    assert ann.stored()["outbox"] == 0


def test_a_file_chosen_without_a_network_arrives_later(pair: tuple[Human, Human]) -> None:
    ann, bob = pair
    ann.is_installed()
    ann.context.set_offline(True)
    ann.page.locator(".sidebar").get_by_text("Offline.").wait_for()
    file = {"name": "dark.txt", "mimeType": "text/plain", "buffer": b"chosen in the dark"}
    ann.page.locator("input[type=file]").set_input_files(file)
    ann.page.locator("li.waiting", has_text="dark.txt").wait_for()
    ann.page.reload()
    ann.page.locator("li.waiting", has_text="dark.txt").wait_for()
    ann.context.set_offline(False)
    with bob.page.expect_download() as saved:
        bob.page.get_by_role("button", name="dark.txt").click()
    assert Path(saved.value.path()).read_bytes() == b"chosen in the dark"
    assert bob.page.get_by_role("button", name="dark.txt").count() == 1


def test_a_token_that_ran_out_while_the_server_was_away_is_renewed_when_it_is_back(
    pair: tuple[Human, Human], node: Mortal
) -> None:
    ann, bob = pair
    ann.is_installed()
    node.kill()
    ann.let_token_expire()
    ann.page.reload()
    ann.sees("first")
    ann.write("held back")
    ann.is_marked("held back", "Waiting")
    node.start()
    ann.is_marked("held back", "Delivered")
    bob.sees("held back")
    assert bob.texts() == ann.texts() == ["first", "held back"]


def test_a_refresh_whose_answer_is_lost_signs_nobody_out(pair: tuple[Human, Human]) -> None:
    ann, bob = pair
    answers: list[int] = []

    def lose(route: Route) -> None:
        answers.append(route.fetch().status)
        route.abort()

    ann.page.route("**/auth/refresh", lose, times=1)
    ann.context.set_offline(True)
    ann.let_token_expire()
    ann.write("held back")
    ann.context.set_offline(False)
    ann.is_marked("held back", "Delivered")
    assert answers == [200]
    bob.sees("held back")


def test_who_was_signed_out_signs_in_again_and_finds_everything(
    pair: tuple[Human, Human], shared_database_url: str
) -> None:
    """As after a month away: the tokens are no good any more, but nobody revoked the device."""
    ann, bob = pair
    ann.context.set_offline(True)
    ann.write("never sent")
    ann.let_token_expire()
    execute(shared_database_url, END_TOKENS % ann.name)
    ann.context.set_offline(False)
    ann.page.get_by_text("This device is signed out. Sign in again").wait_for()
    assert ann.stored()["messages"] > 0
    bob.write("while you were out")
    ann.sign_in(ann.name)
    ann.open(bob.name)
    ann.sees("first", "never sent")
    bob.sees("never sent")
    assert bob.texts() == ["first", "while you were out", "never sent"]
    assert ann.texts() == ["first", "never sent"], "what was written for the device that it was cannot be read"

    ann.let_token_expire()
    execute(shared_database_url, END_TOKENS % ann.name)
    ann.page.reload()
    ann.page.get_by_text("This device is signed out. Sign in again").wait_for()
    ann.register("zoe")
    assert ann.stored()["messages"] == 0


def test_a_server_that_is_killed_while_people_write_loses_and_repeats_nothing(
    pair: tuple[Human, Human], node: Mortal
) -> None:
    ann, bob = pair
    said = {ann.name: ["first"], bob.name: []}
    for number in range(24):
        someone = ann if number % 2 else bob
        someone.write(f"{someone.name} {number}")
        said[someone.name].append(f"{someone.name} {number}")
        if number % 8 == 3:
            node.kill()
        if number % 8 == 6:
            node.start()
    for someone in pair:
        someone.is_live()
        someone.sees(said[ann.name][-1], said[bob.name][-1])
        eventually(someone.stored, lambda stores: stores["outbox"] == 0)
    texts = eventually(lambda: (ann.texts(), bob.texts()), lambda both: both[0] == both[1] and len(both[0]) == 25)[0]
    for someone in pair:
        assert [text for text in texts if text in said[someone.name]] == said[someone.name]


def is_browser(command: list[str], folder: Path) -> bool:
    """Whether this is the browser with that profile, and none of its own processes."""
    return f"--user-data-dir={folder}" in command and not any(part.startswith("--type=") for part in command)


def test_what_was_written_survives_a_browser_that_is_killed(browser: Browser, node: Mortal, tmp_path: Path) -> None:
    program = require("chromium")
    folder = tmp_path / "profile"

    def opened() -> tuple[Human, psutil.Process]:
        context = browser.browser_type.launch_persistent_context(
            str(folder), executable_path=program, args=list(CHROMIUM_FLAGS), viewport=DESK, locale="en-GB"
        )
        (root,) = (one for one in psutil.Process().children(recursive=True) if is_browser(one.cmdline(), folder))
        return Human(context, node.url), root

    with human(browser, node.url) as bob:
        bob.register("bob")
        ann, process = opened()
        ann.register("ann")
        ann.begin(bob.name)
        ann.write("before")
        bob.open(ann.name)
        bob.sees("before")
        name = ann.name
        ann.context.set_offline(True)
        ann.page.locator(".sidebar").get_by_text("Offline.").wait_for()
        ann.write("written in the dark", "and this")
        ann.is_marked("and this", "Waiting")
        ann.page.wait_for_timeout(500)  # browsers write to the disk in a moment, not at once
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        ann, process = opened()
        try:
            ann.go()
            ann.open(bob.name)
            bob.sees("written in the dark", "and this")
            ann.is_marked("and this", "Delivered")
            assert ann.texts() == bob.texts() == ["before", "written in the dark", "and this"]
        finally:
            ann.context.close()
        assert Api(node.url).login(name, "correct horse battery").user > 0
