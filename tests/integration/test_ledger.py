"""The ledger of canaries in a real PostgreSQL, from a real prober that is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from monitoring.probes.archive import count, count_journal, upload
from monitoring.probes.journal import Entry, Journal, read
from tests.support.probing import probing, write_settings
from tests.support.repository import ROOT
from tests.support.servers import eventually, running_node

ALWAYS = (0.0, 4e9)
NOW = time.time()


def test_what_is_uploaded_is_there_once_whoever_uploads_and_whatever_fails(
    empty_database_url: str, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "a", file_bytes=20_000)
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(500)]
    for one in ids[:300]:
        journal.write(Entry("sent", one, NOW))
        journal.write(Entry("end", one, NOW + 1, "delivered", 0.1))
    with pytest.raises(psycopg2.Error):
        upload("postgresql://postgres@127.0.0.1:1/nowhere", "a", tmp_path / "a")
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: upload(empty_database_url, "a", tmp_path / "a"), range(4))) == 300
    for one in ids[300:]:
        journal.write(Entry("end", one, NOW + 2, "lost"))
    assert upload(empty_database_url, "a", tmp_path / "a") == 200
    other = Journal(tmp_path / "b")
    other.write(Entry("odd", ids[0], NOW + 1, "duplicate"))
    assert upload(empty_database_url, "b", tmp_path / "b") == 1
    assert count(empty_database_url, *ALWAYS).by_outcome == {"delivered": 300, "duplicate": 1, "lost": 200}
    assert count(empty_database_url, NOW + 1, NOW + 2).by_outcome == {"delivered": 300, "duplicate": 1}


def test_a_prober_that_is_killed_loses_no_canary_and_all_who_count_agree(
    shared_database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "ledger-url").write_text(empty_database_url)
    folder = tmp_path / "journal"
    journal = {"folder": "journal", "ledger_url_file": "ledger-url"}
    with running_node(shared_database_url, tmp_path / "node.log") as node:
        settings = write_settings(tmp_path, node.api.base_url, {"canary": {"every": "1s"}}, journal=journal)

        def ended() -> int:
            return count_journal((entry for entry, _ in read(folder)), *ALWAYS).by_outcome.get("delivered", 0)

        with probing(settings):
            eventually(ended, lambda done: done >= 2)
        Journal(folder).write(Entry("sent", "00000000-0000-0000-0000-000000000001", 1.0))  # and then it was killed
        before = count_journal((entry for entry, _ in read(folder)), *ALWAYS)
        with probing(settings) as prober:
            eventually(ended, lambda done: done >= before.good + 2)
            eventually(lambda: count(empty_database_url, *ALWAYS).good >= before.good + 2, within_s=30)
            exposed = prober.counted("messenger_probe_canaries_total", outcome="delivered")
            journalled = count_journal((entry for entry, _ in read(folder)), *ALWAYS)
        assert 0 <= journalled.good - before.good - exposed <= 1, "one may have ended between the two looks"
        assert journalled.by_outcome["abandoned"] == 1
        upload(empty_database_url, "here", folder)
        whole = count_journal((entry for entry, _ in read(folder)), *ALWAYS)
        assert count(empty_database_url, *ALWAYS) == whole
        command = [sys.executable, "-m", "monitoring", "ledger", "--ledger", str(tmp_path / "ledger-url")]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert f"of {whole.total} were good" in told
