"""A database is backed up, lost and brought back: people go on, and nothing that was taken back returns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from app import config, migrations
from app.backups import archive, programs
from app.backups.restore import restore
from app.backups.take import take
from app.config import Config
from app.errors import BackupError
from deploy.stack import database
from monitoring.client.api import ApiError
from tests.support.people import listening, register
from tests.support.repository import ROOT
from tests.support.secure import Talker
from tests.support.servers import Node, eventually, node_environ, running_node
from tests.support.sql import execute, rows


class House:
    """A messenger's database, and where its backups and revocations are."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.backups, self.revocations = folder / "backups", folder / "revocations"
        self.backups.mkdir()
        self.more = {"BACKUP_DIR": str(self.backups), "REVOCATIONS_DIR": str(self.revocations), "BACKUP_KEEP": "2"}

    @property
    def config(self) -> Config:
        return config.load({"DATABASE_URL": self.url} | self.more)

    @contextmanager
    def node(self) -> Iterator[Node]:
        with running_node(self.url, self.folder / "node.log", **self.more) as node:
            yield node

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environ = node_environ(self.url, **self.more)
        done = [sys.executable, "-m", "app", *command]
        return subprocess.run(done, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    def ok(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode in (1, 2), done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    @property
    def archives(self) -> list[Path]:
        return sorted(self.backups.glob("*.dump"))

    @property
    def name(self) -> str:
        return str(psycopg2.extensions.parse_dsn(self.url)["dbname"])


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    found = House(database_url, tmp_path)
    yield found
    maintenance = str(psycopg2.extensions.make_dsn(database_url, dbname="postgres"))
    for (name,) in rows(maintenance, "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{found.name}_%",)):
        execute(maintenance, f"DROP DATABASE {name} WITH (FORCE)")


def test_a_restored_messenger_goes_on_and_takes_back_nothing_that_was_revoked(house: House) -> None:
    with house.node() as node:
        api = node.api
        ann, bob = Talker(api, register(api, "ann")), Talker(api, register(api, "bob"))
        lost = api.login(ann.account.name, "correct horse battery", "MOBILE", "a lost phone")
        conv = api.create_conversation(ann.account, [bob.account.name])
        ann.say(conv, "before")
        bob.read_text("before")
        house.ok("backup")
        ann.say(conv, "after the backup")
        bob.read_text("after the backup")
        api.revoke(ann.account, lost.device)
        used = bob.account.refresh_token
        api.refresh(bob.account)
        keys_before = rows(house.url, "SELECT count(*) FROM one_time_keys")[0][0]
        assert keys_before
        epoch = rows(house.url, "SELECT epoch_name()")[0][0]
        mine = rows(house.url, "SELECT client_id, body FROM messages WHERE kind = 0 ORDER BY seq")[-1]
        ann.close()
        bob.close()
    said = house.ok("restore", str(house.archives[0]), "--replace", house.name)
    assert "1 devices revoked again" in said
    assert f"as {house.name}_before_" in said
    assert rows(house.url, "SELECT count(*) FROM one_time_keys") == [(0,)]
    assert rows(house.url, "SELECT count(*) FROM messages WHERE xid <> '0'") == [(0,)], "else every poll reads them all"
    with house.node() as node:
        api = node.api
        for token in (used, bob.account.refresh_token):
            with pytest.raises(ApiError):
                api.call("POST", "/auth/refresh", {"refresh_token": token})
        with pytest.raises(ApiError) as refused:
            api.devices(lost)
        assert refused.value.code == "device_revoked"
        with listening(api, bob.account, {conv: 4}, epoch=epoch) as at_bob:  # he had read more than there is
            assert at_bob.next("resync")["epoch"] != epoch
            with listening(api, ann.account, epoch=epoch) as at_ann:
                at_ann.socket.send_message(conv, mine[1], mine[0])  # what the database has lost of hers, as it was
                seq = at_ann.next("ack", id=mine[0])["seq"]
                at_bob.next("message", conv=conv, seq=seq, id=mine[0])
                at_ann.socket.send_message(conv, mine[1], mine[0])
                eventually(lambda: len(at_ann.events("ack", id=mine[0])) == 2)
        again = Talker(api, api.login(bob.account.name, "correct horse battery"))
        eventually(lambda: rows(house.url, "SELECT count(*) FROM one_time_keys")[0][0])
        again.close()
    assert rows(house.url, "SELECT count(*) FROM messages WHERE client_id = %s", (mine[0],)) == [(1,)]


def test_nothing_happens_unless_all_is_well(house: House) -> None:
    house.ok("backup")
    (path,) = house.archives
    assert path.stat().st_mode & 0o777 == 0o600
    assert "whole" in house.ok("restore", "--check", str(path))
    before = rows(house.url, "SELECT epoch_name()")
    assert "is not empty; --replace" in house.refused("restore", str(path))
    assert "--replace: is 'another'" in house.refused("restore", str(path), "--replace", "another")
    with house.node() as node:
        assert "stop the nodes" in house.refused("restore", str(path), "--replace", house.name)
        eventually(lambda: node.metric("messenger_backup_timestamp_seconds") > 0)
    good = path.read_bytes()
    for bad, problem in ((good[:-10], "bytes, and"), (good[:-1] + b"x", "SHA-256")):
        path.write_bytes(bad)
        assert problem in house.refused("restore", str(path), "--replace", house.name)
    path.write_bytes(good)
    path.with_suffix(".json").rename(house.backups / "elsewhere")
    assert "nobody knows whether" in house.refused("restore", str(path), "--replace", house.name)
    (house.backups / "elsewhere").rename(path.with_suffix(".json"))
    house.revocations.mkdir()
    (house.revocations / "node1.jsonl").write_text('{"device": 1, "at": 5.0}\n{"device": "x"}\n{"dev')
    assert "node1.jsonl:2: no revocation" in house.refused("restore", str(path), "--replace", house.name)
    assert rows(house.url, "SELECT epoch_name()") == before


def test_a_restore_that_cannot_take_the_name_leaves_what_was_there(house: House) -> None:
    take(house.config)
    maintenance = str(psycopg2.extensions.make_dsn(house.url, dbname="postgres"))
    execute(maintenance, f"CREATE DATABASE {house.name}_before_20300101_000000")  # the name that the old one would get
    before = rows(house.url, "SELECT epoch_name()")
    with pytest.raises(BackupError, match="already exists"):
        restore(house.config, house.archives[0], house.name, 1_893_456_000.0)
    assert rows(house.url, "SELECT epoch_name()") == before
    query = "SELECT datname FROM pg_database WHERE datname LIKE %s"
    assert rows(maintenance, query, (f"{house.name}_restored%",)) == []


def test_old_archives_go_and_what_is_not_ours_stays(house: House) -> None:
    (house.backups / "messenger-mine.dump").write_bytes(b"PGDMP by hand")
    (house.backups / "messenger-mine.json").write_text("a note of mine")
    (house.backups / "messenger-20300101T000000Z.dump.part").write_bytes(b"of a backup that was killed")
    taken = [take(house.config, 1_893_456_000.0 + day * 86_400)[0] for day in range(4)]
    assert [one.file for one in archive.manifests(house.backups)] == [one.file for one in taken[2:]]
    assert {path.name for path in house.archives} == {"messenger-mine.dump", *(one.file for one in taken[2:])}
    assert not list(house.backups.glob("*.part"))
    assert taken[-1].migrations[-1].startswith("0008")
    with (house.backups / ".lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another backup is being taken" in house.refused("backup")


def test_a_backup_that_fails_leaves_nothing(house: House) -> None:
    gone = config.load({"DATABASE_URL": "postgresql://messenger:geheim@127.0.0.1:1/x"} | house.more)
    with pytest.raises(BackupError) as failed:
        take(gone)
    assert "cannot be reached" in str(failed.value)
    assert "geheim" not in str(failed.value)
    house.more["BACKUP_DIR"] = str(house.folder / "nowhere")
    assert "BACKUP_DIR: there is no folder" in house.refused("backup")
    assert [path.name for path in house.backups.iterdir()] == [".lock"]


def test_a_database_that_was_recovered_to_a_moment_is_made_fit(tmp_path: Path) -> None:
    """WAL is archived, a base backup taken, and PostgreSQL itself recovers: docs/backups.md has the same commands."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    wal = tmp_path / "wal"
    wal.mkdir()
    wal.chmod(0o777)
    server = database.start(
        tmp_path / "postgres", {"archive_mode": "on", "archive_command": f"test ! -f {wal}/%f && cp %p {wal}/%f"}
    )
    base = tmp_path / "base"
    try:
        url = server.get_uri()
        migrations.up(config.load({"DATABASE_URL": url}))
        epoch = rows(url, "SELECT epoch_name()")
        programs.run("pg_basebackup", f"--pgdata={base}", "--checkpoint=fast", "--wal-method=none",
                     server=18, env=programs.environment(url))  # fmt: skip
        execute(url, "INSERT INTO users (name, password_hash) VALUES ('kept', 'x')")
        (moment,) = rows(url, "SELECT clock_timestamp()::text")[0]
        execute(url, "DELETE FROM users")  # the mistake
        execute(url, "SELECT pg_switch_wal()")
        done = "SELECT last_archived_wal FROM pg_stat_archiver WHERE failed_count = 0 AND archived_count > 0"
        eventually(lambda: rows(url, done) and len(list(wal.iterdir())) >= 2)
    finally:
        server.stop()
    with (base / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = 'cp {wal}/%f %p'\nrecovery_target_time = '{moment}'\n"
                   "recovery_target_action = promote\narchive_mode = off\n")  # fmt: skip
    (base / "recovery.signal").touch()
    for path in base.glob(".s.PGSQL.*"):
        path.unlink()  # this server keeps its socket in the folder of its data
    shutil.copystat(tmp_path / "postgres", base)
    if os.getuid() == 0:
        owner = (tmp_path / "postgres").stat()
        for path in (base, *base.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    recovered = database.start(base)
    try:
        url = recovered.get_uri()
        eventually(lambda: rows(url, "SELECT pg_is_in_recovery()") == [(False,)])
        assert rows(url, "SELECT name FROM users") == [("kept",)]
        environ = node_environ(url)
        done = [sys.executable, "-m", "app", "restore", "--after-recovery"]
        ended = subprocess.run(done, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        assert "without REVOCATIONS_DIR" in ended.stderr
        assert rows(url, "SELECT epoch_name()") != epoch
        assert rows(url, "SELECT count(*) FROM device_lists WHERE xid <> '0'") == [(0,)]
    finally:
        recovered.stop()
