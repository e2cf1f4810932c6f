"""A real Alertmanager for the tests, and places where its notifications end."""

from __future__ import annotations

import base64
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from monitoring.alerting.alertmanager import arguments
from tests.support.binaries import require
from tests.support.servers import eventually, free_port


@dataclass
class Sink:
    """What was posted: (path, body, Authorization header), in order; and the paths that were asked for."""

    url: str
    posts: list[tuple[str, Any, str]] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    """While it is not set, what is posted is taken and not answered."""

    def bodies(self, path: str) -> list[Any]:
        """What came to one path."""
        return [body for at, body, _ in self.posts if at == path]

    def heard(self, path: str, status: str = "firing") -> set[str]:
        """The names of the alerts that a webhook at `path` was told of."""
        return {a["labels"]["alertname"] for b in self.bodies(path) for a in b["alerts"] if a["status"] == status}


@contextmanager
def http_sink() -> Iterator[Sink]:
    """Takes every POST."""
    sink = Sink("")
    sink.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sink.gets.append(self.path)
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sink.posts.append((self.path, body, self.headers.get("Authorization", "")))
            sink.answers.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_request(self, *_: Any) -> None:
            """Silent."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # an Alertmanager that was killed
                super().handle_error(*_)

    server = Server(("127.0.0.1", 0), Handler)
    sink.url = f"http://127.0.0.1:{server.server_port}"
    yield from _serving(server, sink)


@dataclass
class Mailbox:
    """Mails that came, and the (user, password) of each."""

    address: str
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def mail_sink() -> Iterator[Mailbox]:
    """Takes every mail: as much of RFC 5321 as Alertmanager speaks, with AUTH PLAIN (RFC 4954)."""
    box = Mailbox("")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 sink")
            while line := self.rfile.readline().strip().decode():
                verb = line.split(" ")[0].upper()
                if verb == "EHLO":
                    self.say("250-sink", "250 AUTH PLAIN")
                elif verb == "AUTH":
                    _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                    box.logins.append((user, password))
                    self.say("235 welcome")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = list(iter(self.rfile.readline, b".\r\n"))
                    mail = message_from_bytes(b"".join(lines), policy=policy.default)
                    assert isinstance(mail, EmailMessage)
                    box.mails.append(mail)
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    box.address = f"127.0.0.1:{server.server_address[1]}"
    yield from _serving(server, box)


def _serving(server: Any, what: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield what
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Alertmanager:
    """A running Alertmanager that says in its log why it tells nobody."""

    url: str
    folder: Path
    log: Path

    def post(self, *alerts: Mapping[str, Any]) -> None:
        """Alerts that fire from now on: {"labels": …, "annotations": …}."""
        answer = requests.post(f"{self.url}/api/v2/alerts", json=list(alerts), timeout=5)
        assert answer.status_code == 200, answer.text

    def suppressed(self) -> set[str]:
        """The names of the alerts that another one inhibits now."""
        alerts = requests.get(f"{self.url}/api/v2/alerts", timeout=5).json()
        return {a["labels"]["alertname"] for a in alerts if a["status"]["inhibitedBy"]}

    def muted(self) -> int:
        """How often a group was due and a time interval kept it quiet, as the log says."""
        return self.log.read_text().count("route is within mute time")

    def reload(self, files: Mapping[str, bytes]) -> None:
        """Another configuration, as an operator brings it."""
        _write(self.folder, files)
        answer = requests.post(f"{self.url}/-/reload", timeout=5)
        assert answer.status_code == 200, answer.text


@contextmanager
def running_alertmanager(folder: Path, files: Mapping[str, bytes]) -> Iterator[Alertmanager]:
    """Alertmanager with these files; killed at the end."""
    folder.mkdir(exist_ok=True)
    _write(folder, files)
    address, log = f"127.0.0.1:{free_port()}", folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                require("alertmanager"),
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--log.level=debug",
                *arguments(),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        found = Alertmanager(f"http://{address}", folder, log)
        try:
            eventually(lambda: process.poll() is not None or _ready(found.url))
            assert process.poll() is None, log.read_text()
            yield found
        finally:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=1).ok
    except requests.ConnectionError:
        return False


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)
