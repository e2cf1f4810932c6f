"""The connect probe against a real node, and against everything a node may be replaced by when it is ill."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitoring.client.api import Api
from monitoring.probes.connects import CertificateProbe, ConnectProbe, reason
from monitoring.probes.metrics import CONNECT_OUTCOMES, FAILURES, ProbeMetrics
from tests.support.people import PASSWORD
from tests.support.servers import ADMIN_TOKEN, free_port, running_node

DAY_S = 86_400


def counted(metrics: ProbeMetrics) -> dict[str, int]:
    """What is not zero, outcomes and reasons together."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    values = {
        s.labels.get("outcome") or s.labels.get("reason"): int(s.value)
        for s in samples
        if "_connect" in s.name and s.name.endswith("_total")
    }
    return {name: values[name] for name in (*CONNECT_OUTCOMES, *FAILURES) if values[name]}


def probe(base_url: str, deadline_s: float = 5.0) -> tuple[ConnectProbe, ProbeMetrics]:
    metrics = ProbeMetrics()
    return ConnectProbe(Api(base_url), "connector", PASSWORD, metrics, deadline_s), metrics


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
        connects, metrics = probe(node.api.base_url)
        for _ in range(3):
            connects.run(datetime.now(UTC))
        assert counted(metrics) == {"ok": 3}
        assert node.metric("messenger_ws_connects_total", result="accepted") == 3
        node.api.call("POST", "/test/faults", {"refuse_connects": True}, ADMIN_TOKEN)
        connects.run(datetime.now(UTC))
        assert counted(metrics) == {"ok": 3, "failed": 1, "upgrade": 1}
        node.api.call("POST", "/test/faults", {}, ADMIN_TOKEN)
        connects.run(datetime.fromtimestamp(time.time() - 60, UTC))  # its turn was a minute ago
        assert counted(metrics) == {"ok": 3, "failed": 2, "upgrade": 1, "timeout": 1}
        wrong = ProbeMetrics()
        ConnectProbe(Api(node.api.base_url), "connector", "not the password", wrong).run(datetime.now(UTC))
        assert counted(wrong) == {"failed": 1, "auth": 1}
    connects.run(datetime.now(UTC))
    assert counted(metrics) == {"ok": 3, "failed": 3, "tcp": 1, "upgrade": 1, "timeout": 1}


def test_the_reason_says_how_far_it_came() -> None:
    with listener(None) as silent, listener(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as busy:
        for url, expected in (
            (f"http://127.0.0.1:{free_port()}", "tcp"),
            (f"http://{silent}", "timeout"),
            (f"https://{busy}", "tls"),
            (f"http://{busy}", "auth"),
        ):
            connects, metrics = probe(url, deadline_s=0.5)
            connects.run(datetime.now(UTC))
            assert counted(metrics) == {"failed": 1, expected: 1}
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
        CertificateProbe(url, told.append).run()
        assert told == [], "nobody we know has signed it"
        CertificateProbe(url, told.append, ssl.create_default_context(cafile=str(certificate))).run()
    (ends_at,) = told
    assert 9 * DAY_S < ends_at - time.time() <= 10 * DAY_S


def test_without_tls_no_end_of_a_certificate_is_exposed() -> None:
    def names(metrics: ProbeMetrics) -> set[str]:
        return {family.name for family in metrics.registry.collect()}

    assert names(ProbeMetrics(tls=True)) - names(ProbeMetrics()) == {
        "messenger_probe_certificate_expiry_timestamp_seconds"
    }
