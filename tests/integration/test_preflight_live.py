"""`app preflight` on a real PostgreSQL, Redis and certificate: well, and then each broken in turn."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app import config, migrations
from app.backups.take import take
from tests.support.repository import ROOT
from tests.support.servers import free_port, node_environ, running_redis


@contextmanager
def tls(folder: Path, days: int) -> Iterator[str]:
    """host:port that shows a certificate which ends in so many days, or ended so long ago."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(90)).not_valid_after(now + timedelta(days))
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    pem += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")

    def serve() -> None:
        with suppress(OSError):
            while True:
                conn, _ = server.accept()
                with suppress(OSError), context.wrap_socket(conn, server_side=True) as shown:
                    shown.recv(1)

    with create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_each_broken_part_is_named_and_the_rest_is_well(database_url: str, tmp_path: Path) -> None:
    for name in ("media", "backups", "revocations"):
        (tmp_path / name).mkdir()
    with running_redis(tmp_path) as redis_url, tls(tmp_path, 60) as well, tls(tmp_path, -1) as ended:
        environ = node_environ(
            database_url, APP_ENV="production", REDIS_URL=redis_url, CORS_ORIGIN="https://chat.example.com",
            CDN_URL="https://cdn.example.com", MEDIA_DIR=str(tmp_path / "media"), BACKUP_DIR=str(tmp_path / "backups"),
            REVOCATIONS_DIR=str(tmp_path / "revocations"), MAX_CONNECTIONS="5000",
        )  # fmt: skip
        take(config.load(environ))

        def bad(address: str = well, **changed: str) -> tuple[int, dict[str, str]]:
            command = [sys.executable, "-m", "app", "preflight", "--json", "--tls", address]
            done = subprocess.run(command, cwd=ROOT, env=environ | changed, capture_output=True, text=True, check=False)
            assert done.stdout, done.stderr
            found = {one["name"]: one["level"] for one in json.loads(done.stdout)}
            # What this machine is like is not this test's to say.
            machine = ("somaxconn", "nf_conntrack_max", "NTP", "MEDIA_DIR", "BACKUP_DIR", "memory", "max_connections")
            return done.returncode, {k: v for k, v in found.items() if v != "ok" and k not in machine}

        assert bad()[1] == {}
        assert bad(ended) == (1, {"TLS": "fail"})
        assert bad(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") == (1, {"Redis": "fail"})
        assert bad(MAX_CONNECTIONS="25000") == (1, {"descriptors": "fail"})
        assert bad(REVOCATIONS_DIR=str(tmp_path / "nowhere")) == (1, {"REVOCATIONS_DIR": "fail"})
        migrations.down(config.load({"DATABASE_URL": database_url}), 1)
        assert bad() == (1, {"migrations": "fail"})
        assert bad(DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/x") == (1, {"PostgreSQL": "fail"})
