"""Drills: alerts raised to see that alerts arrive. They are no incidents, and nobody is called for them.

A drill is known by its name, `OnCallDrill`, and by the annotation `drill`, an id that whoever raises it chooses, and by
which they ask what became of it. It is told by the ways that `drills` of oncall.yaml names, behind everything real that
waits for the same way; it is not escalated, has no timeline, opens nothing when a way fails, and is in no figure of
incidents, pages or messages. A drill's end is believed as Alertmanager says it: what is measured is that it comes.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitoring.oncall.incidents import State
from monitoring.oncall.settings import Settings
from monitoring.oncall.store import Notification, Store
from monitoring.oncall.ways import Way, WayError
from monitoring.oncall.webhook import Alert

ALERT = "OnCallDrill"
ID = "drill"
"""The annotation that names one."""
KEPT_S = 7 * 86_400
MOST = 10_000
"""Drills that are kept; more than this in a week is somebody's mistake, and the oldest are forgotten."""
AGAIN_AFTER_S = 5.0
GIVE_UP_AFTER_TRIES = 12
"""A minute: a drill that is told later has failed anyhow."""
TITLE, SUMMARY = "On-call drill", "This is a drill: it was raised to see that alerts arrive. Nothing is wrong."
_ID = re.compile(r"[\w.:-]{1,64}")
_NAMESPACE = uuid.UUID("b2a9d7ff-3a54-4a8b-9d40-53c0f2a1c1de")

_INSERT = "INSERT INTO drills (id, opened_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
_END = "UPDATE drills SET ended_at = ? WHERE id = ? AND ended_at IS NULL"
_INSERT_MESSAGE = "INSERT INTO drill_messages (event, drill, state, way, person, due_at) VALUES (?, ?, ?, ?, ?, ?)"
_DUE = """
SELECT m.*, d.opened_at FROM drill_messages m JOIN drills d ON d.id = m.drill
WHERE m.sent_at IS NULL AND m.given_up_at IS NULL AND m.due_at <= ? AND m.way = ? ORDER BY m.id LIMIT 20
"""
_FAILED = """
UPDATE drill_messages SET tries = tries + 1, due_at = ?, problem = ?,
    given_up_at = CASE WHEN tries + 1 >= ? THEN ? END
WHERE id = ?
"""
_FORGET = "DELETE FROM drills WHERE opened_at < ? OR rowid <= (SELECT max(rowid) FROM drills) - ?"


@dataclass(frozen=True, slots=True)
class Drill:
    """What became of a drill; times in Unix seconds. `told_at`: every way had taken it by then, or there is none."""

    id: str
    opened_at: float
    told_at: float | None
    ended_at: float | None
    end_told_at: float | None
    problems: dict[str, str]
    """What the ways said that did not take it."""


def is_drill(alert: Alert) -> bool:
    """Whether an alert is a drill: its name says so, and it says which one it is."""
    return alert.labels.get("alertname") == ALERT and bool(_ID.fullmatch(alert.annotations.get(ID, "")))


class Drills:
    """Drills in on-call's file, beside the incidents. Everything here may raise sqlite3.Error."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def take(self, alerts: Iterable[Alert], now: float) -> None:
        """Keep what Alertmanager says of drills, all or nothing; repeats change nothing."""
        with self._store.connect() as conn:
            for alert in alerts:
                drill = alert.annotations[ID]
                if alert.status == "firing":
                    changed = conn.execute(_INSERT, (drill, now)).rowcount
                else:
                    changed = conn.execute(_END, (now, drill)).rowcount
                if changed:
                    state = State.FIRING if alert.status == "firing" else State.RESOLVED
                    conn.executemany(_INSERT_MESSAGE, self._messages(drill, state, now))

    def _messages(self, drill: str, state: State, now: float) -> list[tuple[str, str, str, str, str, float]]:
        to = self._settings.drills
        pairs = [(way, who) for way in to.by for who in self._settings.addressed(way, to.tell)] if to else []
        return [
            (str(uuid.uuid5(_NAMESPACE, "/".join((drill, state, way, who)))), drill, state, way, who, now)
            for way, who in pairs
        ]

    def send(self, way: str, speaker: Way, now: float) -> None:
        """Send what waits for this way, one message each, until one is not taken."""
        with self._store.connect() as conn:
            due = conn.execute(_DUE, (now, way)).fetchall()
        for row in due:
            problem = ""
            try:
                speaker.tell(row["person"], [_notification(row)])
            except WayError as error:
                problem = str(error)
            with self._store.connect() as conn:
                if problem:
                    conn.execute(_FAILED, (now + AGAIN_AFTER_S, problem, GIVE_UP_AFTER_TRIES, now, row["id"]))
                    break
                conn.execute("UPDATE drill_messages SET sent_at = ? WHERE id = ?", (now, row["id"]))

    def found(self, drill: str) -> Drill | None:
        """What became of one."""
        with self._store.connect() as conn:
            row = conn.execute("SELECT * FROM drills WHERE id = ?", (drill,)).fetchone()
            messages = conn.execute("SELECT * FROM drill_messages WHERE drill = ?", (drill,)).fetchall()
        return _drill(row, messages) if row else None

    def latest(self) -> Drill | None:
        """The last one."""
        with self._store.connect() as conn:
            row = conn.execute("SELECT id FROM drills ORDER BY opened_at DESC LIMIT 1").fetchone()
        return self.found(row["id"]) if row else None

    def forget(self, now: float) -> None:
        """Housekeeping."""
        with self._store.connect() as conn:
            conn.execute(_FORGET, (now - KEPT_S, MOST))


def _drill(row: sqlite3.Row, messages: Sequence[sqlite3.Row]) -> Drill:
    def told_at(since: float | None, state: State) -> float | None:
        """When the last way took it."""
        sent = [one["sent_at"] for one in messages if one["state"] == state]
        return None if since is None or None in sent else max([since, *sent])

    problems = {one["way"]: one["problem"] for one in messages if one["problem"] and one["sent_at"] is None}
    began, over = row["opened_at"], row["ended_at"]
    return Drill(row["id"], began, told_at(began, State.FIRING), over, told_at(over, State.RESOLVED), problems)


def _notification(row: sqlite3.Row) -> Notification:
    return Notification(
        id=row["id"], event=row["event"], incident=0, incident_event=row["drill"], cause=ID, way=row["way"],
        person=row["person"], tries=row["tries"], title=TITLE, summary=SUMMARY, severity="none",
        state=State(row["state"]), labels={"alertname": ALERT}, annotations={}, opened_at=row["opened_at"],
    )  # fmt: skip
