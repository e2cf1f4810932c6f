"""Bulk making of people: what is minted works, and nothing is overwritten."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

from monitoring.client.api import Account
from tests.support.people import listening
from tests.support.repository import ROOT
from tests.support.servers import node_environ, running_node


def seed(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "seed", *arguments]
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_seeded_devices_can_talk(database_url: str, tmp_path: Path) -> None:
    environ, tokens = node_environ(database_url), tmp_path / "tokens"
    done = seed(environ, "--devices", "30", "--conversations", "4", "--size", "3", "--tokens", str(tokens))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in tokens.read_text().splitlines()]
    assert len({line["device"] for line in lines}) == 30
    assert {len(set(line["conversations"])) for line in lines} == {4}
    conv = lines[0]["conversations"][0]
    members = [line for line in lines if conv in line["conversations"]]
    assert len(members) == 3
    with running_node(database_url, tmp_path / "log") as node:
        accounts = [Account("", line["user"], line["device"], line["token"], "") for line in members]
        with listening(node.api, accounts[0]) as one, listening(node.api, accounts[1]) as two:
            one.send(conv, "minted")
            assert two.next("message", conv=conv)["body"] == "minted"


def test_a_token_file_is_never_overwritten_and_production_is_spared(database_url: str, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("precious")
    refused = seed(node_environ(database_url), "--devices", "1", "--tokens", str(tokens))
    assert refused.returncode == 2
    assert tokens.read_text() == "precious"
    production = {"APP_ENV": "production", "REDIS_URL": "redis://127.0.0.1:1/0", "CORS_ORIGIN": "https://x.example.com"}
    environ = node_environ(database_url, **production)
    assert seed(environ, "--devices", "1", "--tokens", str(tmp_path / "new")).returncode == 2
    assert not (tmp_path / "new").exists()
