"""What can be found of a cluster from outside, each thing asked for once, when a check wants it.

A thing that was not named on the command line, or does not answer, is `Missing`: its boxes are not run, or failed.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import requests
from prometheus_client.parser import text_string_to_metric_families

from monitoring.boards.queries import panel_queries
from monitoring.client.api import Api, ApiError
from monitoring.client.http import Answer, ask
from monitoring.errors import MonitoringError
from monitoring.oncall.trial import Trial, TrialError
from monitoring.probes.failures import Deadline, reason
from monitoring.probes.kinds.sockets import Link, ReadSync, Revoke, Two
from monitoring.probes.members import Member, listening, same
from monitoring.prometheus.client import Client

ANSWER_WITHIN_S = 10.0
RUN_WITHIN_S = 20.0
ALERT_WITHIN_S = 180.0
BOARD_REFRESH = "10s"


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
        names = [f"verify-{secrets.token_hex(6)}" for _ in range(2)]
        return Two(*(Member(api, name, secrets.token_urlsafe(18)) for name in names))

    def took_s(self, what: str) -> float:
        """Seconds that one of TRIED took, tried at the first call. Raises Broken with what went wrong."""
        if what not in self._tried:
            try:
                self._tried[what] = TRIED[what](self.two).run(Deadline(time.time() + RUN_WITHIN_S))
            except Exception as error:  # whatever it is, the others are to be tried
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

    @cached_property
    def preflight(self) -> Mapping[str, Mapping[str, str]]:
        """What `python -m app preflight` found, by name. Raises NotGiven or Broken."""
        if self.where.env_file is None:
            raise NotGiven("no --env-file names the settings of the nodes")
        words = [sys.executable, "-m", "app", "--env-file", str(self.where.env_file), "preflight", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        try:
            return {finding["name"]: finding for finding in json.loads(done.stdout)}
        except ValueError:
            raise Broken(f"preflight: {done.stderr.strip() or 'said nothing'}") from None

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
            told["fanout_ms"], told["connections"], told["history"]  # noqa: B018  a report has these
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Broken(f"{path}: not a report of the load tool: {error!r}") from None
        return told


class _Message:
    """A message from one person to the other."""

    def __init__(self, two: Two) -> None:
        self._two = two

    def run(self, deadline: Deadline) -> float:
        conv, one, other = self._two.conversation(), self._two.one, self._two.other
        with listening(one.api, one.device()) as here, listening(other.api, other.device()) as there:
            began = time.monotonic()
            sent = here.send(deadline, conv, "verify")
            there.wait(deadline, same(type="message", conv=conv, seq=sent["seq"]))
            return time.monotonic() - began


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


TRIED: Mapping[str, Callable[[Two], Timed]] = {
    "person": _Person,
    "message": _Message,
    "link": lambda two: Link(two.one),
    "read_sync": ReadSync,
    "revoke": lambda two: Revoke(two.one),
}


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
