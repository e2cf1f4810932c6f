"""What can be found of a cluster from outside, each thing asked for once, when a check wants it.

A thing that was not named on the command line, or does not answer, is `Missing`: its boxes are not run, or failed.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg2
import redis
import requests
from dotenv import dotenv_values
from prometheus_client.parser import text_string_to_metric_families

from monitoring.boards.queries import panel_queries
from monitoring.client.api import Account, Api, ApiError
from monitoring.client.http import Answer, ask
from monitoring.client.secure import LinkingDevice
from monitoring.errors import MonitoringError
from monitoring.oncall.trial import Trial, TrialError
from monitoring.probes.failures import Deadline, Wrong, reason
from monitoring.probes.kinds.sockets import Link, ReadSync, Revoke, Two
from monitoring.probes.members import Member, listening, same
from monitoring.prometheus.client import Client

ANSWER_WITHIN_S = 10.0
RUN_WITHIN_S = 20.0
COMMAND_WITHIN_S = 180.0
LINK_LIVES_S = 300
ALERT_WITHIN_S = 180.0
REPORT = ("connections", "traffic", "fanout_ms", "history", "loss_rate", "error_rate", "nodes")
"""What checks read of a report of the load tool."""
TABLES = ("devices", "one_time_keys")
ERRORS = ("error", "critical")
"""Levels of log lines that somebody must look at."""


class NotGiven(MonitoringError):
    """The command line names nothing that could be asked."""


class Broken(MonitoringError):
    """What was asked did not answer, or not as it promises."""


@dataclass(frozen=True, slots=True)
class Where:
    """A cluster as it is named on the command line; None and empty: not named."""

    url: str
    metrics_urls: Sequence[str] = ()
    prometheus: Client | None = None
    alertmanager: str | None = None
    oncall: str | None = None
    oncall_login: tuple[str, str] | None = None
    env_file: Path | None = None
    nginx_conf: Path | None = None
    logs: Path | None = None
    node_urls: Sequence[str] = ()
    board: Path | None = None
    probe_token: str | None = None
    single_load: Path | None = None
    multi_load: Path | None = None


class Timed(Protocol):
    """A run of a probe's kind."""

    def run(self, deadline: Deadline) -> float:
        """Seconds it took."""


class Evidence:
    """One cluster, looked at once."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self._tried: dict[str, float | Broken] = {}

    # --- the messenger -------------------------------------------------------------------------------

    def get(self, path: str, **more: Any) -> Answer:
        """An answer of the messenger. Raises Broken when there is none."""
        return _asked(self.where.url + path, **more)

    @cached_property
    def two(self) -> Two:
        """Two people of our own, marked as probes where the token is given."""
        api = Api(self.where.url, probe_token=self.where.probe_token)
        return Two(self._member(api), self._member(api))

    def took_s(self, what: str) -> float:
        """Seconds that one of TRIED took, tried at the first call. Raises Broken with what went wrong."""
        if what not in self._tried:
            try:
                self._tried[what] = TRIED[what](self.two).run(Deadline(time.time() + RUN_WITHIN_S))
            except Exception as error:  # noqa: BLE001  whatever it is, the others are to be tried
                self._tried[what] = Broken(f"{reason(error)}: {error}" if str(error) else reason(error))
        found = self._tried[what]
        if isinstance(found, Broken):
            raise found
        return found

    @cached_property
    def nodes(self) -> Mapping[str, Mapping[str, float]]:
        """Of each node: its metrics' sums by name. Raises NotGiven or Broken."""
        if not self.where.metrics_urls:
            raise NotGiven("no --metrics-url names a node's /metrics")
        return {url: _metrics(url) for url in self.where.metrics_urls}

    # --- settings ------------------------------------------------------------------------------------

    @property
    def tls(self) -> str | None:
        """host:port whose certificate is looked at; None: people reach it without TLS."""
        parts = urlsplit(self.where.url)
        return f"{parts.hostname}:{parts.port or 443}" if parts.scheme == "https" else None

    @cached_property
    def preflight(self) -> Mapping[str, Mapping[str, str]]:
        """What `python -m app preflight` found, by name. Raises NotGiven or Broken."""
        if self.where.env_file is None:
            raise NotGiven("no --env-file names the settings of the nodes")
        words = [sys.executable, "-m", "app", "--env-file", str(self.where.env_file), "preflight", "--json"]
        if self.tls:
            words += ["--tls", self.tls]
        done = subprocess.run(  # noqa: S603  our own arguments
            words, capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False
        )
        try:
            return {finding["name"]: finding for finding in json.loads(done.stdout)}
        except ValueError:
            raise Broken(f"preflight: {done.stderr.strip() or 'said nothing'}") from None

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """The settings of the nodes. Raises NotGiven."""
        if self.where.env_file is None:
            raise NotGiven("no --env-file names the settings of the nodes")
        return {key: value for key, value in dotenv_values(self.where.env_file).items() if value is not None}

    @cached_property
    def indexed(self) -> Mapping[str, set[str]]:
        """Of each of TABLES that is there: the columns that lead an index. Raises NotGiven or Broken."""
        try:
            with (
                closing(psycopg2.connect(self.settings["DATABASE_URL"], connect_timeout=5)) as db,
                db.cursor() as cursor,
            ):
                cursor.execute(INDEXED, {"tables": list(TABLES)})
                return {table: set(columns) for table, columns in cursor.fetchall()}
        except KeyError:
            raise NotGiven("the settings have no DATABASE_URL") from None
        except psycopg2.Error as error:
            raise Broken(f"PostgreSQL: {error}") from None

    @cached_property
    def sessions(self) -> tuple[int, str]:
        """How many `device:<id>:session` are in Redis, and one of them as GET shows it. Raises NotGiven or Broken."""
        url = self.settings.get("REDIS_URL")
        if not url:
            raise NotGiven("the settings have no REDIS_URL")
        try:
            with closing(redis.Redis.from_url(url, socket_timeout=5, decode_responses=True)) as client:
                keys = list(client.scan_iter("device:*:session", count=1_000))
                return len(keys), f"{keys[0]}: {client.get(keys[0])!s}" if keys else ""
        except redis.RedisError as error:
            raise Broken(f"Redis: {error}") from None

    @cached_property
    def nginx(self) -> str:
        """The configuration of nginx. Raises NotGiven or Broken."""
        if self.where.nginx_conf is None:
            raise NotGiven("no --nginx-conf")
        try:
            return self.where.nginx_conf.read_text()
        except (OSError, ValueError) as error:
            raise Broken(f"{self.where.nginx_conf}: {error}") from None

    @cached_property
    def log_errors(self) -> tuple[int, Sequence[str]]:
        """Lines of JSON in the folder of logs, and those of them that are errors. Raises NotGiven or Broken."""
        if self.where.logs is None:
            raise NotGiven("no --logs names the folder of logs")
        lines, errors = 0, list[str]()
        try:
            for path in sorted(self.where.logs.glob("*.log")):
                for line in path.read_text(errors="replace").splitlines():
                    found = _json_line(line)
                    lines += found is not None
                    if found and str(found.get("level", "")).lower() in ERRORS:
                        errors.append(f"{path.name}: {found.get('event', line)}")
        except OSError as error:
            raise Broken(f"{error.filename}: {error.strerror}") from None
        if not lines:
            raise Broken(f"{self.where.logs}: no line of JSON in any *.log")
        return lines, errors

    def headers(self, path: str, **asked: str) -> Mapping[str, str]:
        """What the messenger says of a path beside its content; names in small letters. Raises Broken."""
        try:
            with requests.get(self.where.url + path, headers=asked, timeout=ANSWER_WITHIN_S, stream=True) as answer:
                return {name.lower(): value for name, value in answer.headers.items()}
        except requests.RequestException as error:
            raise Broken(f"{path}: {error}") from None

    def between_nodes_s(self) -> float:
        """Seconds of a message from somebody on the first node to somebody on the second. Raises NotGiven or Broken."""
        if len(self.where.node_urls) < 2:
            raise NotGiven("no two --node-url name nodes themselves")
        here, there = (Api(url, probe_token=self.where.probe_token) for url in self.where.node_urls[:2])
        two = Two(self._member(here), self._member(there))
        try:
            return Message(two).run(Deadline(time.time() + RUN_WITHIN_S))
        except Exception as error:  # noqa: BLE001  as in `took_s`
            raise Broken(f"{reason(error)}: {error}") from None

    @staticmethod
    def _member(api: Api) -> Member:
        return Member(api, f"verify-{secrets.token_hex(6)}", secrets.token_urlsafe(18))

    # --- what watches --------------------------------------------------------------------------------

    @property
    def prometheus(self) -> Client:
        """Raises NotGiven."""
        if self.where.prometheus is None:
            raise NotGiven("no --prometheus")
        return self.where.prometheus

    @cached_property
    def silent_panels(self) -> tuple[int, Sequence[str]]:
        """How many panels the board has, and which of them show nothing. Raises NotGiven or PrometheusError."""
        queries = panel_queries(self.board, rate_interval="2m", job=".+", instance=".+")
        titles = {query.panel_title for query in queries}
        shown = {query.panel_title for query in queries if self.prometheus.instant(query.expr)}
        return len(titles), sorted(titles - shown)

    @cached_property
    def board(self) -> Mapping[str, Any]:
        """The dashboard as JSON. Raises NotGiven or Broken."""
        if self.where.board is None:
            raise NotGiven("no --board")
        try:
            found: Mapping[str, Any] = json.loads(self.where.board.read_bytes())
        except (OSError, ValueError) as error:
            raise Broken(f"{self.where.board}: {error}") from None
        return found

    @cached_property
    def scrape_interval(self) -> str:
        """That of the running Prometheus. Raises NotGiven or PrometheusError."""
        return str(self.prometheus.configuration()["global"]["scrape_interval"])

    def monitoring(self, *words: str) -> tuple[bool, str]:
        """Whether a command of ours is content, and its last line. Raises NotGiven."""
        board = self.where.board
        if board is None:
            raise NotGiven("no --board")
        command = [sys.executable, "-m", "monitoring", words[0], str(board), *words[1:]]
        done = subprocess.run(  # noqa: S603  our own arguments
            command, capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False
        )
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        return done.returncode == 0, said[-1]

    def drawn(self) -> tuple[bool, str]:
        """Whether Chromium draws every panel of the board without an error. Raises NotGiven."""
        with tempfile.TemporaryDirectory() as folder:
            return self.monitoring(
                "preview", "--prometheus", self.prometheus.shown_url, "--shot", folder, "--theme", "dark"
            )

    @cached_property
    def drill(self) -> tuple[float, float]:
        """A test alert by way of Alertmanager: seconds until it was told, and its end. Raises NotGiven or Broken."""
        where = self.where
        if not (where.alertmanager and where.oncall and where.oncall_login):
            raise NotGiven("needs --alertmanager, --oncall and --password-file")
        try:
            return Trial(where.alertmanager, where.oncall, where.oncall_login, ALERT_WITHIN_S).drill()
        except TrialError as error:
            raise Broken(str(error)) from None

    # --- load ----------------------------------------------------------------------------------------

    def load(self, nodes: str) -> Mapping[str, Any]:
        """The figures of a run of the load tool: `single` or `multi`. Raises NotGiven or Broken."""
        path = self.where.single_load if nodes == "single" else self.where.multi_load
        if path is None:
            raise NotGiven(f"no --{nodes}-load names a report of `monitoring load --json`")
        try:
            told: Mapping[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise Broken(f"{path}: {error}") from None
        if not isinstance(told, dict) or not set(REPORT) <= set(told):
            raise Broken(f"{path}: not a report of the load tool, which has {', '.join(REPORT)}")
        return told


class Message:
    """A message from one person to the other, and the word that it arrived."""

    def __init__(self, two: Two) -> None:
        self._two = two

    def run(self, deadline: Deadline) -> float:
        conv, one, other = self._two.conversation(), self._two.one, self._two.other
        with listening(one.api, one.device()) as here, listening(other.api, other.device()) as there:
            began = time.monotonic()
            sent = here.send(deadline, conv, "verify")
            there.wait(deadline, same(type="message", conv=conv, seq=sent["seq"]))
            took_s = time.monotonic() - began
            receipt = same(type="receipt", conv=conv, user=other.device().user)
            here.wait(deadline, lambda event: receipt(event) and event["seq"] >= sent["seq"])
            return took_s


class _Person:
    """Somebody new signs up, and their devices can be listed."""

    def __init__(self, two: Two) -> None:
        self._member = two.one

    def run(self, _deadline: Deadline) -> float:
        began = time.monotonic()
        account = self._member.device()
        if not any(one["current"] for one in self._member.api.devices(account)):
            raise ApiError(200, "devices", "the device that asks is not in the list")
        return time.monotonic() - began


class _Code:
    """A new device that types the code, while the other one counts down."""

    def __init__(self, two: Two) -> None:
        self._member = two.one

    def run(self, deadline: Deadline) -> float:
        api, mine = self._member.api, self._member.device()
        with listening(api, mine) as ear:
            began = time.monotonic()
            offer = api.offer_link(mine)
            if not 0 < offer["expires_in"] <= LINK_LIVES_S:
                raise Wrong(f"the link lives for {offer['expires_in']} s, not {LINK_LIVES_S}")
            if not offer["qr_svg"].lstrip().startswith(("<svg", "<?xml")):
                raise Wrong("the QR code is no SVG")
            new = LinkingDevice(api, offer["code"], "MOBILE", "verify by code")
            ear.wait(deadline, same(type="link", link=offer["link"], event="claimed"))
            api.confirm_link(mine, offer["link"])
            account = new.wait(self._member.name, deadline.left_s())
            took_s = time.monotonic() - began
        if account.device not in self._devices(mine):
            raise Wrong("the linked device is not in the list")
        api.revoke(mine, account.device)
        if account.device in self._devices(mine):
            raise Wrong("the revoked device is still in the list")
        return took_s

    def _devices(self, account: Account) -> set[int]:
        return {one["id"] for one in self._member.api.devices(account)}


TRIED: Mapping[str, Callable[[Two], Timed]] = {
    "person": _Person,
    "message": Message,
    "code": _Code,
    "link": lambda two: Link(two.one),
    "read_sync": ReadSync,
    "revoke": lambda two: Revoke(two.one),
}


INDEXED = """
SELECT c.relname, array_agg(DISTINCT a.attname::text)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
WHERE c.relname = ANY(%(tables)s) AND pg_table_is_visible(c.oid)
GROUP BY c.relname
"""


def _json_line(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _asked(url: str, **more: Any) -> Answer:
    try:
        return ask("GET", url, ANSWER_WITHIN_S, **more)
    except requests.RequestException as error:
        raise Broken(f"{url}: {error}") from None


def _metrics(url: str) -> Mapping[str, float]:
    answer = _asked(url)
    if answer.status != 200:
        raise Broken(f"{url}: {answer.status}")
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
