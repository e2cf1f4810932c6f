"""On-call's memory: a SQLite file of its own, because it must work when the messenger's database does not.

Whatever happens to an incident, the line of its timeline and the notifications that follow from it are written in one
transaction: a kill in between leaves nothing half done. Notifications are then sent from the outbox, and may be sent
again after a kill, always with the same event id. Write-ahead logging lets the page read while something is written.

A connection is opened for each use, which SQLite makes cheap. Everything here may raise sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.oncall.incidents import Happened, State, Told, due_steps
from monitoring.oncall.schedule import people_of
from monitoring.oncall.settings import Settings
from monitoring.oncall.silence import Silence
from monitoring.oncall.webhook import Alert

SCHEMA = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
ITSELF = "on-call"
"""Who did what nobody did."""
OWN = "own:"
"""How the keys of incidents begin that on-call itself opens; no fingerprint looks like it."""
WAY = f"{OWN}way-"
"""And of those that a way of telling people does not work."""
_NAMESPACE = uuid.UUID("6f1c2d5e-3d0b-4d62-9c55-0c1b7a5f9e11")

_INSERT_EVENT = """
INSERT INTO events (received_at, receiver, status, fingerprint, starts_at, ends_at, labels, annotations)
SELECT :received_at, :receiver, :status, :fingerprint, :starts_at, :ends_at, :labels, :annotations
WHERE (:status, :starts_at) IS NOT (
    SELECT status, starts_at FROM events WHERE fingerprint = :fingerprint AND receiver = :receiver
    ORDER BY id DESC LIMIT 1
)
"""
_LATEST = "SELECT received_at, receiver, status, starts_at, labels, annotations FROM events ORDER BY id DESC LIMIT ?"
_FIRING = """
SELECT count(*) FROM (
    SELECT status, row_number() OVER (PARTITION BY fingerprint ORDER BY id DESC) AS nth FROM events WHERE receiver != ?
) WHERE nth = 1 AND status = 'firing'
"""
_OPEN = "SELECT * FROM incidents WHERE key = ? AND state != 'resolved'"
_LAST = "SELECT * FROM incidents WHERE key = ? ORDER BY id DESC LIMIT 1"
_INSERT_INCIDENT = """
INSERT INTO incidents (event, key, severity, title, summary, labels, annotations, starts_at, state, opened_at, seen_at)
VALUES (:event, :key, :severity, :title, :summary, :labels, :annotations, :starts_at, 'firing', :now, :now)
"""
_INSERT_LINE = "INSERT INTO timeline (incident, at, who, what, text) VALUES (?, ?, ?, ?, ?)"
_INSERT_NOTIFICATION = """
INSERT INTO outbox (event, incident, cause, way, person, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (event) DO NOTHING
"""
_DUE = """
SELECT o.*, i.event AS incident_event, i.title, i.summary, i.severity, i.state, i.labels, i.annotations, i.opened_at
FROM outbox o JOIN incidents i ON i.id = o.incident
WHERE o.sent_at IS NULL AND o.given_up_at IS NULL AND o.due_at <= :now AND o.way = ifnull(:way, o.way)
    -- That it is over must not be told before that it began, which waits to be tried again.
    AND NOT EXISTS (
        SELECT 1 FROM outbox e WHERE e.incident = o.incident AND e.way = o.way AND e.person = o.person AND e.id < o.id
            AND e.sent_at IS NULL AND e.given_up_at IS NULL AND e.due_at > :now
    )
ORDER BY o.id LIMIT :limit
"""
_TOLD_BEFORE = "SELECT DISTINCT way, person FROM outbox WHERE incident = ? ORDER BY way, person"


@dataclass(frozen=True, slots=True)
class Event:
    """An alert that began to fire or was resolved; `received_at` in Unix seconds."""

    received_at: float
    receiver: str
    status: str
    starts_at: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it stands; times in Unix seconds, None where it did not happen."""

    id: int
    event: str
    key: str
    severity: str
    title: str
    summary: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    state: State
    opened_at: float
    seen_at: float
    acknowledged_at: float | None
    acknowledged_by: str | None
    resolved_at: float | None
    resolved_by: str | None
    doubted_at: float | None
    absent_since: float | None
    steps_taken: int
    silenced: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline; `at` in Unix seconds."""

    at: float
    who: str
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Notification:
    """Somebody to be told of an incident by one way; `event` is the same however often it is tried."""

    id: int
    event: str
    incident: int
    incident_event: str
    cause: str
    way: str
    person: str
    tries: int
    title: str
    summary: str
    severity: str
    state: State
    labels: dict[str, str]
    annotations: dict[str, str]
    opened_at: float


class Store:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path, timeout=5.0)) as conn:
            conn.execute("PRAGMA journal_mode = WAL")
            conn.executescript(SCHEMA)

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that can write; nobody else writes meanwhile."""
        with closing(sqlite3.connect(self._path, timeout=5.0, isolation_level=None)) as conn:
            conn.row_factory = sqlite3.Row
            conn.execute("PRAGMA foreign_keys = ON")
            conn.execute("PRAGMA synchronous = FULL")  # what was answered 200 must survive a power cut
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield conn
            except BaseException:
                conn.execute("ROLLBACK")
                raise
            conn.execute("COMMIT")

    # --- what Alertmanager says --------------------------------------------------------------------------

    def add(self, receiver: str, alerts: Sequence[Alert], now: float, *, incidents: bool = True) -> list[Alert]:
        """Keep the alerts of one notification, all or none, and what follows of them; returns those that were news.

        Alertmanager repeats itself and retries; an alert whose last word was the same (status and start) is not news.
        The last word and not any: an alert that was resolved and fires again with its old start, as after a broken
        connection to Prometheus, is news.
        """
        with self.connect() as conn:
            new = [alert for alert in alerts if conn.execute(_INSERT_EVENT, _row(receiver, alert, now)).rowcount]
            for alert in alerts if incidents else ():
                self._apply(conn, alert, now)
            return new

    def _apply(self, conn: sqlite3.Connection, alert: Alert, now: float) -> None:
        found = conn.execute(_OPEN, (alert.fingerprint,)).fetchone()
        if alert.status == "resolved":
            if found and found["doubted_at"] is None:
                conn.execute("UPDATE incidents SET doubted_at = ? WHERE id = ?", (now, found["id"]))
                _tell(conn, found["id"], now, "alertmanager", Happened.DOUBTED, "Alertmanager says that it is over")
        elif found:
            if found["starts_at"] != alert.starts_at:
                _tell(conn, found["id"], now, "alertmanager", Happened.SEEN_AGAIN, f"with the start {alert.starts_at}")
            conn.execute(
                "UPDATE incidents SET starts_at = ?, seen_at = ?, doubted_at = NULL, absent_since = NULL WHERE id = ?",
                (alert.starts_at, now, found["id"]),
            )
        elif not self._was_closed_by_hand(conn, alert):
            title = alert.labels.get("alertname", "alert without a name")
            _open(conn, alert.fingerprint, title, alert.annotations.get("summary", ""), alert.labels,
                  alert.annotations, alert.starts_at, now)  # fmt: skip

    @staticmethod
    def _was_closed_by_hand(conn: sqlite3.Connection, alert: Alert) -> bool:
        """Somebody resolved it, and Alertmanager repeats the same alert: it is not opened again for that."""
        last = conn.execute(_LAST, (alert.fingerprint,)).fetchone()
        return bool(last) and last["resolved_by"] != ITSELF and last["starts_at"] == alert.starts_at

    # --- what on-call itself notices ------------------------------------------------------------------------

    def open_own(self, name: str, title: str, summary: str, now: float, severity: str = "page") -> None:
        """An incident of on-call's own, unless it is open already."""
        with self.connect() as conn:
            if not conn.execute(_OPEN, (OWN + name,)).fetchone():
                _open(conn, OWN + name, title, summary, {"alertname": title, "severity": severity}, {},
                      datetime.fromtimestamp(now).astimezone().isoformat(), now)  # fmt: skip

    def close_own(self, name: str, why: str, now: float) -> None:
        """That is over, if it was open."""
        with self.connect() as conn:
            found = conn.execute(_OPEN, (OWN + name,)).fetchone()
            if found:
                _resolve(conn, found["id"], ITSELF, why, now)

    def confirm(self, incident: int, why: str, now: float) -> None:
        """It is over, and that is certain."""
        with self.connect() as conn:
            _resolve(conn, incident, ITSELF, why, now)

    def absent(self, incident: int, since: float) -> None:
        """Prometheus does not know the alert since then (Unix seconds)."""
        with self.connect() as conn:
            conn.execute("UPDATE incidents SET absent_since = ? WHERE id = ?", (since, incident))

    def present(self, incident: int) -> None:
        """Prometheus knows the alert, so nothing about it is doubted."""
        with self.connect() as conn:
            conn.execute("UPDATE incidents SET absent_since = NULL, doubted_at = NULL WHERE id = ?", (incident,))

    def silenced(self, incident: int, silenced: bool, now: float) -> None:
        """Whether a silence of Alertmanager covers it: then nobody is called for it."""
        with self.connect() as conn:
            changed = conn.execute(
                "UPDATE incidents SET silenced = ? WHERE id = ? AND silenced != ? AND state != 'resolved'",
                (silenced, incident, silenced),
            )
            if changed.rowcount:
                _tell(
                    conn,
                    incident,
                    now,
                    "alertmanager",
                    Happened.SILENCED,
                    "silenced" if silenced else "no longer silenced",
                )

    def watchdog_heard_at(self) -> float | None:
        """When the Watchdog was last heard, repeats included (Unix seconds); None: never."""
        with self.connect() as conn:
            row = conn.execute("SELECT heard_at FROM watchdog").fetchone()
            return float(row[0]) if row else None

    def heard_watchdog(self, now: float) -> None:
        """Alertmanager said that Prometheus lives."""
        with self.connect() as conn:
            conn.execute("INSERT OR REPLACE INTO watchdog (id, heard_at) VALUES (1, ?)", (now,))

    def silences(self) -> list[Silence]:
        """Those that were in force when Alertmanager was last asked."""
        with self.connect() as conn:
            rows = conn.execute("SELECT id, ends_at, body FROM silences").fetchall()
        return [Silence(row["id"], row["ends_at"], json.loads(row["body"])) for row in rows]

    def keep_silences(self, silences: Sequence[Silence]) -> None:
        """These are in force now, and no others."""
        with self.connect() as conn:
            conn.execute("DELETE FROM silences")
            rows = [(one.id, one.ends_at, json.dumps(one.body)) for one in silences]
            conn.executemany("INSERT INTO silences (id, ends_at, body) VALUES (?, ?, ?)", rows)

    # --- what people do ---------------------------------------------------------------------------------------

    def acknowledge(self, incident: int, who: str, now: float) -> bool:
        """Somebody takes it; whether that was news."""
        with self.connect() as conn:
            changed = conn.execute(
                "UPDATE incidents SET state = 'acknowledged', acknowledged_at = ?, acknowledged_by = ?"
                " WHERE id = ? AND state = 'firing'",
                (now, who, incident),
            )
            if changed.rowcount:
                _tell(conn, incident, now, who, Happened.ACKNOWLEDGED)
                _tell_again(conn, incident, "acknowledged", now)
            return bool(changed.rowcount)

    def resolve(self, incident: int, who: str, now: float) -> bool:
        """Somebody says that it is over, whatever Alertmanager says; whether that was news."""
        with self.connect() as conn:
            return _resolve(conn, incident, who, "", now)

    def note(self, incident: int, who: str, text: str, now: float) -> bool:
        """Something worth knowing later; False when there is no such incident."""
        with self.connect() as conn:
            if not conn.execute("SELECT 1 FROM incidents WHERE id = ?", (incident,)).fetchone():
                return False
            _tell(conn, incident, now, who, Happened.NOTED, text)
            return True

    # --- who is told --------------------------------------------------------------------------------------------

    def escalate(self, settings: Settings, now: float) -> int:
        """Put into the outbox whoever is due to hear of an open incident; how many that are."""
        moment = datetime.fromtimestamp(now).astimezone()
        put = 0
        with self.connect() as conn:
            for row in conn.execute("SELECT * FROM incidents WHERE state = 'firing'").fetchall():
                chain = settings.chain(row["severity"])
                told = Told(State(row["state"]), row["opened_at"], row["steps_taken"], bool(row["silenced"]))
                steps = due_steps(told, chain, now)
                for number in steps:
                    people = people_of(chain[number].tell, settings.rotations, moment)
                    ways = _working(chain[number].by, row["key"], settings)
                    pairs = [(way, who) for way in ways for who in settings.addressed(way, people)]
                    put += sum(_notify(conn, row, f"step {number + 1}", way, who, now) for way, who in pairs)
                    _tell(conn, row["id"], now, ITSELF, Happened.ESCALATED,
                          f"step {number + 1} of {len(chain)}: {', '.join(people)} by {', '.join(ways)}")  # fmt: skip
                if steps:
                    conn.execute("UPDATE incidents SET steps_taken = ? WHERE id = ?", (steps.stop, row["id"]))
        return put

    def instead(self, notification: Notification, pairs: Iterable[tuple[str, str]], now: float) -> int:
        """Tell it by other (way, person), because this way does not work; how many were put."""
        with self.connect() as conn:
            row = conn.execute("SELECT * FROM incidents WHERE id = ?", (notification.incident,)).fetchone()
            cause = f"{notification.cause}, since {notification.way} does not work"
            return sum(_notify(conn, row, cause, way, person, now) for way, person in pairs)

    def due(self, now: float, way: str | None = None, limit: int = 500) -> list[Notification]:
        """What is to be sent now, by one way or by all, oldest first."""
        with self.connect() as conn:
            return [_notification(row) for row in conn.execute(_DUE, {"now": now, "way": way, "limit": limit})]

    def sent(self, notifications: Sequence[Notification], now: float) -> None:
        """They reached the way they were to go."""
        with self.connect() as conn:
            for one in notifications:
                changed = conn.execute("UPDATE outbox SET sent_at = ? WHERE id = ? AND sent_at IS NULL", (now, one.id))
                if changed.rowcount:
                    _tell(conn, one.incident, now, ITSELF, Happened.NOTIFIED, f"{_whom(one)} ({one.cause})")

    def failed(self, notifications: Sequence[Notification], problem: str, again_at: float | None, now: float) -> None:
        """They did not; to be tried again at a time (Unix seconds), or never."""
        with self.connect() as conn:
            for one in notifications:
                conn.execute(
                    "UPDATE outbox SET tries = tries + 1, due_at = coalesce(?, due_at), given_up_at = ?, problem = ?"
                    " WHERE id = ?",
                    (again_at, None if again_at else now, problem, one.id),
                )
                if one.tries == 0 or again_at is None:
                    _tell(conn, one.incident, now, ITSELF, Happened.NOT_NOTIFIED, f"{_whom(one)}: {problem}")

    def forget(self, before: float) -> None:
        """Housekeeping: what was over by then (Unix seconds), and who did what before."""
        old = "SELECT id FROM incidents WHERE resolved_at < ?"
        with self.connect() as conn:
            for statement in (
                f"DELETE FROM timeline WHERE incident IN ({old})",  # noqa: S608
                f"DELETE FROM outbox WHERE incident IN ({old})",  # noqa: S608
                "DELETE FROM incidents WHERE resolved_at < ?",
                "DELETE FROM events WHERE received_at < ?",
                "DELETE FROM audit WHERE at < ?",
            ):
                conn.execute(statement, (before,))

    # --- what is shown --------------------------------------------------------------------------------------------

    def incidents(self, limit: int, *, open_only: bool = False) -> list[Incident]:
        """Open ones first, then the newest."""
        where = "WHERE state != 'resolved'" if open_only else ""
        query = f"SELECT * FROM incidents {where} ORDER BY state = 'resolved', id DESC LIMIT ?"  # noqa: S608
        with self.connect() as conn:
            return [_incident(row) for row in conn.execute(query, (limit,))]

    def incident(self, incident: int) -> tuple[Incident, list[Line]] | None:
        """One incident and its timeline."""
        with self.connect() as conn:
            row = conn.execute("SELECT * FROM incidents WHERE id = ?", (incident,)).fetchone()
            lines = conn.execute("SELECT at, who, what, text FROM timeline WHERE incident = ? ORDER BY id", (incident,))
            return (_incident(row), [Line(*line) for line in lines]) if row else None

    def by_event(self, event: str) -> int | None:
        """The id of the incident that cards and mails call so."""
        with self.connect() as conn:
            row = conn.execute("SELECT id FROM incidents WHERE event = ?", (event,)).fetchone()
            return int(row[0]) if row else None

    def latest(self, limit: int) -> list[Event]:
        """What Alertmanager said, newest first."""
        with self.connect() as conn:
            rows = conn.execute(_LATEST, (limit,)).fetchall()
        return [
            Event(at, receiver, status, starts_at, json.loads(labels), json.loads(annotations))
            for at, receiver, status, starts_at, labels, annotations in rows
        ]

    def firing_count(self, leave_out_receiver: str) -> int:
        """How many alerts are firing, by Alertmanager's last word."""
        with self.connect() as conn:
            return int(conn.execute(_FIRING, (leave_out_receiver,)).fetchone()[0])

    def open_count(self) -> int:
        """How many incidents are open."""
        with self.connect() as conn:
            return int(conn.execute("SELECT count(*) FROM incidents WHERE state != 'resolved'").fetchone()[0])

    def unsent_count(self) -> int:
        """How many notifications wait to be sent."""
        with self.connect() as conn:
            query = "SELECT count(*) FROM outbox WHERE sent_at IS NULL AND given_up_at IS NULL"
            return int(conn.execute(query).fetchone()[0])


def _open(
    conn: sqlite3.Connection, key: str, title: str, summary: str, labels: dict[str, str],
    annotations: dict[str, str], starts_at: str, now: float,
) -> None:  # fmt: skip
    values = {
        "event": str(uuid.uuid4()),
        "key": key,
        "severity": labels.get("severity", "other"),
        "title": title,
        "summary": summary,
        "labels": json.dumps(labels, sort_keys=True),
        "annotations": json.dumps(annotations, sort_keys=True),
        "starts_at": starts_at,
        "now": now,
    }
    made = conn.execute(_INSERT_INCIDENT, values).lastrowid
    _tell(conn, made or 0, now, ITSELF if key.startswith(OWN) else "alertmanager", Happened.OPENED, summary)


def _resolve(conn: sqlite3.Connection, incident: int, who: str, why: str, now: float) -> bool:
    changed = conn.execute(
        "UPDATE incidents SET state = 'resolved', resolved_at = ?, resolved_by = ?, doubted_at = NULL"
        " WHERE id = ? AND state != 'resolved'",
        (now, who, incident),
    )
    if changed.rowcount:
        _tell(conn, incident, now, who, Happened.RESOLVED, why)
        _tell_again(conn, incident, "resolved", now)
    return bool(changed.rowcount)


def _tell(conn: sqlite3.Connection, incident: int, at: float, who: str, what: Happened, text: str = "") -> None:
    conn.execute(_INSERT_LINE, (incident, at, who, what, text))


def _tell_again(conn: sqlite3.Connection, incident: int, cause: str, now: float) -> None:
    """Whoever was told of it hears how it goes on, by the same ways."""
    row = conn.execute("SELECT * FROM incidents WHERE id = ?", (incident,)).fetchone()
    for way, person in conn.execute(_TOLD_BEFORE, (incident,)).fetchall():
        _notify(conn, row, cause, way, person, now)


def _notify(conn: sqlite3.Connection, incident: sqlite3.Row, cause: str, way: str, person: str, now: float) -> int:
    # The same cause always gives the same id, so nothing is put twice.
    event = str(uuid.uuid5(_NAMESPACE, "/".join((incident["event"], cause, way, person))))
    return conn.execute(_INSERT_NOTIFICATION, (event, incident["id"], cause, way, person, now)).rowcount


def _working(ways: Sequence[str], key: str, settings: Settings) -> Sequence[str]:
    """That a way fails is told by the others."""
    if not key.startswith(WAY):
        return ways
    failing = key.removeprefix(WAY)
    return [way for way in ways if way != failing] or settings.others(failing)


def _whom(one: Notification) -> str:
    return f"{one.person} by {one.way}" if one.person else one.way


def _row(receiver: str, alert: Alert, now: float) -> dict[str, object]:
    return {
        "received_at": now,
        "receiver": receiver,
        "status": alert.status,
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "labels": json.dumps(alert.labels, sort_keys=True),
        "annotations": json.dumps(alert.annotations, sort_keys=True),
    }


def _incident(row: sqlite3.Row) -> Incident:
    found: dict[str, Any] = {key: row[key] for key in Incident.__slots__}
    labels, annotations = json.loads(row["labels"]), json.loads(row["annotations"])
    return Incident(**found | {
        "labels": labels, "annotations": annotations, "state": State(row["state"]), "silenced": bool(row["silenced"])
    })  # fmt: skip


def _notification(row: sqlite3.Row) -> Notification:
    found: dict[str, Any] = {key: row[key] for key in Notification.__slots__}
    labels, annotations = json.loads(row["labels"]), json.loads(row["annotations"])
    return Notification(**found | {"labels": labels, "annotations": annotations, "state": State(row["state"])})
