"""The database pool, transactions, and the one place where driver errors are translated.

Connections are kept in a LIFO queue; who finds it empty waits, at most `WAIT_S`.
A connection whose call failed or was killed is thrown away: the server may still be
working on it, and nobody must read that answer as the reply to another question.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gevent
import gevent.monkey
import psycopg2
import psycopg2.errors
import psycopg2.extensions
from gevent.queue import Empty, LifoQueue

from app.errors import AppError, Conflict, InvalidRequest, Unavailable
from app.metrics import Metrics

Connection = psycopg2.extensions.connection
_poll = gevent.monkey.get_original("select", "poll")  # asked without waiting, so gevent has no part in it

WAIT_S = 5.0
STATEMENT_TIMEOUT_MS = 5_000
SILENCE_S = 6.0
"""A server that lives cancels a statement before this."""

# A forgotten transaction would hold back the log's horizon (its xmin) on every node.
_SERVER_SETTINGS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
)


class Silent(Unavailable):
    """The server has not answered for longer than it would itself allow."""


class Database:
    """A bounded pool. `relaxed` trades the last instants before a crash for speed
    (synchronous_commit = off): right for cursors, which clients repeat, never for messages.
    """

    def __init__(self, url: str, size: int, metrics: Metrics, *, relaxed: bool = False) -> None:
        self._url = url
        self._options = _SERVER_SETTINGS + (" -c synchronous_commit=off" if relaxed else "")
        self._free: LifoQueue[Connection | None] = LifoQueue()
        for _ in range(size):
            self._free.put(None)
        self._seconds = metrics.histogram("messenger_database_query_seconds")
        self._waiting = metrics.gauge("messenger_database_pool_waiting")
        self._connected = metrics.gauge("messenger_database_connected")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises AppError in place of psycopg2's errors, and Unavailable when the server is silent for
        longer than it would itself allow (a stopped process, a vanished host).
        """
        with self._borrowed(autocommit=False) as conn:
            yield conn
            conn.commit()

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """For exactly one statement, which commits itself: one round trip, and no lock outlives it even if this
        process is frozen the moment after it was sent. Raises like `transaction`.
        """
        with self._borrowed(autocommit=True) as conn:
            yield conn

    @contextmanager
    def _borrowed(self, *, autocommit: bool) -> Iterator[Connection]:
        started = time.perf_counter()
        conn = self._take()
        keep = False
        try:
            conn.autocommit = autocommit
            with _patience():
                yield conn
            keep = True
            self._connected.set(1)
        except psycopg2.Error as error:
            if conn.closed:  # a statement that was refused or took too long says that the server is there
                self._connected.set(0)
            raise translate(error) from error
        except AppError as error:
            if isinstance(error, Silent):
                self._connected.set(0)
            # A statement that commits itself may still be under way; nothing tells.
            keep = not autocommit and _rolled_back(conn)
            raise
        finally:
            # Whatever else ended the block (a killed greenlet) leaves the connection in an unknown state.
            self._give_back(conn if keep else None, conn)
            self._seconds.observe(time.perf_counter() - started)

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back and thrown away."""
        with suppress(Empty):
            while True:
                if (conn := self._free.get_nowait()) is not None:
                    conn.close()

    def _take(self) -> Connection:
        self._waiting.set(self._waiting.value + 1)
        try:
            conn: Connection | None = self._free.get(timeout=WAIT_S)
        except Empty:
            raise Unavailable("all database connections are in use") from None
        finally:
            self._waiting.set(self._waiting.value - 1)
        if conn is not None and _lives(conn):
            return conn
        connected = False
        try:
            with _patience():  # in green mode libpq's own connect_timeout has no effect
                conn = self._connect()
            connected = True
        except psycopg2.Error as error:
            raise Unavailable("the database cannot be reached") from error
        finally:
            if not connected:
                self._connected.set(0)
                self._free.put(None)
        return conn

    def _connect(self) -> Connection:
        return psycopg2.connect(self._url, options=self._options, application_name="messenger", connect_timeout=3)

    def _give_back(self, kept: Connection | None, conn: Connection) -> None:
        if kept is None:
            with suppress(psycopg2.Error):
                conn.close()
        self._free.put(kept)


def _lives(conn: Connection) -> bool:
    """Whether an idle connection may be used: what the server sends unasked is that it has gone."""
    if conn.closed:
        return False
    watch = _poll()
    watch.register(conn.fileno(), select.POLLIN)
    if not watch.poll(0):
        return True
    with suppress(psycopg2.Error):
        conn.close()
    return False


def _patience() -> gevent.Timeout:
    return gevent.Timeout(SILENCE_S, Silent("the database is silent"))


def _rolled_back(conn: Connection) -> bool:
    try:
        with _patience():
            conn.rollback()
    except (psycopg2.Error, Unavailable):
        return False
    return True


def translate(error: psycopg2.Error) -> AppError:
    """The error of ours that says what the driver's means."""
    if isinstance(error, psycopg2.errors.UniqueViolation):
        return Conflict()
    if isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
        return InvalidRequest("the database refused a value")
    return Unavailable("the database did not answer in time or went away")
