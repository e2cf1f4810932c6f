"""The connect probe against a real node, and against everything a node may be replaced by when it is ill."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from monitoring.client.api import Api
from monitoring.probes.failures import FAILURES, Deadline, reason
from monitoring.probes.judging import Judge
from monitoring.probes.kinds.connect import PHASES, Certificate, Connect
from monitoring.probes.members import Member
from monitoring.probes.metrics import RUN_OUTCOMES, ProbeMetrics
from tests.support.people import PASSWORD
from tests.support.servers import ADMIN_TOKEN, free_port, running_node

DAY_S = 86_400


def counted(metrics: ProbeMetrics) -> dict[str, int]:
    """What is not zero, outcomes and reasons together."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    values = {
        s.labels.get("outcome") or s.labels.get("reason"): int(s.value)
        for s in samples
        if s.name.endswith(("_connects_total", "_connect_failures_total"))
    }
    return {name: values[name] for name in (*RUN_OUTCOMES, *FAILURES) if values[name]}


class Connects:
    """A person who connects, and what is counted of it."""

    def __init__(self, base_url: str, deadline_s: float = 5.0, password: str = PASSWORD) -> None:
        self.metrics, self._deadline_s = ProbeMetrics(), deadline_s
        self._member = Member(Api(base_url, deadline_s), "connector", password)
        self._connect = Connect(self._member, self.metrics.phase)

    def run(self, late_s: float = 0.0) -> dict[str, int]:
        """Once, so much later than meant; everything that was counted so far."""
        deadline = Deadline(time.time() - late_s + self._deadline_s)
        Judge(self.metrics).run("connect", self._connect, deadline, self._member.forget)
        return counted(self.metrics)


@contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """A port that takes connections and says this to each, or nothing at all; yields host:port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while answer is not None:
                    conn, _ = server.accept()
                    conn.recv(65_536)
                    conn.sendall(answer)
                    conn.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def test_a_fresh_connection_each_time_until_the_node_refuses_or_is_gone(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        connects = Connects(node.api.base_url)
        for _ in range(3):
            found = connects.run()
        assert found == {"ok": 3}
        assert node.metric("messenger_ws_connects_total", result="accepted") == 3
        phases = [f for f in connects.metrics.registry.collect() if f.name == "messenger_probe_connect_phase_seconds"]
        took = {s.labels["phase"]: s.value for s in phases[0].samples if s.name.endswith("_count")}
        assert took == {phase: 0 if phase == "tls" else 3 for phase in PHASES}
        node.api.call("POST", "/test/faults", {"refuse_connects": True}, ADMIN_TOKEN)
        assert connects.run() == {"ok": 3, "failed": 1, "upgrade": 1}
        node.api.call("POST", "/test/faults", {}, ADMIN_TOKEN)
        # Its turn was a minute ago.
        assert connects.run(late_s=60) == {"ok": 3, "failed": 2, "upgrade": 1, "timeout": 1}
        assert Connects(node.api.base_url, password="not the password").run() == {"failed": 1, "auth": 1}
    assert connects.run() == {"ok": 3, "failed": 3, "tcp": 1, "upgrade": 1, "timeout": 1}


def test_the_reason_says_how_far_it_came() -> None:
    with listener(None) as silent, listener(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as busy:
        for url, expected in (
            (f"http://127.0.0.1:{free_port()}", "tcp"),
            (f"http://{silent}", "timeout"),
            (f"https://{busy}", "tls"),
            (f"http://{busy}", "refused"),
        ):
            assert Connects(url, deadline_s=0.5).run() == {"failed": 1, expected: 1}
    with pytest.raises(OSError) as unknown:
        socket.getaddrinfo("no such name", 80)
    assert reason(unknown.value) == "dns"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 for ten days, with its key in the same file."""
    path = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=probe",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", path]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "key").read_text())
    return path


@contextmanager
def tls_server(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    conn, _ = server.accept()
                    with suppress(OSError):
                        context.wrap_socket(conn, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_the_end_of_an_accepted_certificate_is_told_and_of_no_other(certificate: Path) -> None:
    told: list[float] = []
    with tls_server(certificate) as port:
        url = f"https://127.0.0.1:{port}"
        Certificate(url, told.append).run()
        assert told == [], "nobody we know has signed it"
        Certificate(url, told.append, ssl.create_default_context(cafile=str(certificate))).run()
    (ends_at,) = told
    assert 9 * DAY_S < ends_at - time.time() <= 10 * DAY_S


def test_without_tls_no_end_of_a_certificate_is_exposed() -> None:
    def names(metrics: ProbeMetrics) -> set[str]:
        return {family.name for family in metrics.registry.collect()}

    assert names(ProbeMetrics(tls=True)) - names(ProbeMetrics()) == {
        "messenger_probe_certificate_expiry_timestamp_seconds"
    }
