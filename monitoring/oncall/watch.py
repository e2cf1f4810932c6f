"""What on-call looks after by itself: that the Watchdog lives, that what is called resolved is, and that silences stay.

A Prometheus that was killed has Alertmanager call every alert resolved after four resend delays; an Alertmanager that
was killed forgets a fresh silence. So: an end is believed when Prometheus, asked, no longer has the alert, and never
while the Watchdog is silent; silences are written down here and made again when Alertmanager has lost them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import itemgetter

import requests

from monitoring.oncall import webhook
from monitoring.oncall.settings import Settings
from monitoring.oncall.silence import Silence
from monitoring.oncall.sources import SourceError, Sources
from monitoring.oncall.store import OWN, Incident, Store

WATCHDOG = "watchdog"
UNSAID_TIMES = 3
"""An alert that Prometheus does not have for so many times `confirm_after` is over, although Alertmanager did not say
so: it says nothing of what is silenced or inhibited, nor of what it forgot when it was killed."""
HEARTBEAT_TIMEOUT_S = 10.0
BUDGETS = "min by (slo_id) (slo:error_budget_remaining:ratio)"
PROBES = {
    "canary messages": "sum by (outcome) (increase(messenger_probe_canaries_total[10m]))",
    "connects": "sum by (outcome) (increase(messenger_probe_connects_total[10m]))",
}

log = logging.getLogger("oncall")


@dataclass(frozen=True, slots=True)
class Glance:
    """How things stand, as Prometheus says: the share that is left of each budget, and how probes ended lately."""

    at: float | None = None
    budgets: Mapping[str, float] = field(default_factory=dict)
    probes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Watch:
    """Looks with `run`, which one thread calls every few seconds."""

    def __init__(
        self, store: Store, settings: Settings, sources: Sources, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._settings, self._sources, self._clock = store, settings, sources, clock
        self._began = clock()
        self.glance = Glance()
        """What Prometheus said last."""

    def run(self) -> None:
        """The Watchdog, then the ends of incidents, then silences."""
        alive = self._watchdog()
        for look in (partial(self._ends, alive), self._silences, self._silenced, self._glance):
            try:
                look()
            except SourceError as error:
                log.info("not asked: %s", error)

    def _watchdog(self) -> bool:
        """Whether it lives. It is armed by configuration: one that never came is missed like one that went away."""
        within = self._settings.watchdog_within_s
        if within is None:
            return True
        now = self._clock()
        heard = max(self._store.watchdog_heard_at() or 0.0, self._began)
        if now - heard <= within:
            if self._store.watchdog_heard_at():
                self._store.close_own(WATCHDOG, "the Watchdog is heard again", now)
            return True
        summary = f"Nothing was heard of it for {within} s: Prometheus, Alertmanager or the way between them is down."
        self._store.open_own(WATCHDOG, "The Watchdog is silent", summary, now)
        return False

    def _ends(self, alive: bool) -> None:
        open_ = [one for one in self._store.incidents(10_000, open_only=True) if not one.key.startswith(OWN)]
        if not open_ or not alive:
            return
        now = self._clock()
        if self._settings.prometheus is None:
            for one in open_:
                if one.doubted_at is not None:
                    self._store.confirm(one.id, "as Alertmanager says", now)
            return
        alerts = self._sources.alerts()
        is_awake = any(one.get("alertname") == webhook.WATCHDOG for one in alerts)
        if self._settings.watchdog_within_s is not None and not is_awake:
            return  # it has just begun, and does not know yet what fires
        for one in open_:
            if is_there(one.labels, alerts):
                if one.doubted_at is not None or one.absent_since is not None:
                    self._store.present(one.id)
            elif one.absent_since is None:
                self._store.absent(one.id, now)
            elif one.doubted_at is not None and now - one.absent_since >= self._settings.confirm_after_s:
                self._store.confirm(one.id, "as Alertmanager says, and Prometheus has no such alert", now)
            elif now - one.absent_since >= UNSAID_TIMES * self._settings.confirm_after_s:
                self._store.confirm(one.id, "Prometheus has no such alert any more", now)

    def _silenced(self) -> None:
        if self._settings.alertmanager is None:
            return
        open_: list[Incident] = self._store.incidents(10_000, open_only=True)
        if open_:
            silenced = self._sources.silenced()
            for one in open_:
                self._store.silenced(one.id, one.key in silenced, self._clock())

    def _glance(self) -> None:
        if self._settings.prometheus is None:
            return
        budgets = self._sources.values(BUDGETS, "slo_id")
        probes = {
            what: {key: round(value) for key, value in self._sources.values(query, "outcome").items()}
            for what, query in PROBES.items()
        }
        self.glance = Glance(self._clock(), dict(sorted(budgets.items(), key=itemgetter(1))), probes)

    def _silences(self) -> None:
        """Keep what is in force, and make again what Alertmanager does not remember at all."""
        if self._settings.alertmanager is None:
            return
        there, over = self._sources.silences(), self._sources.expired()
        for lost in lost_silences(self._store.silences(), there, over, self._clock()):
            made = self._sources.silence(lost.body)
            log.warning("a silence that Alertmanager had lost was made again: %s", lost.body.get("comment"))
            there.append(Silence(made, lost.ends_at, lost.body))
        self._store.keep_silences(there)


def is_there(labels: dict[str, str], alerts: Iterable[dict[str, str]]) -> bool:
    """Whether Prometheus has the alert with these labels; Alertmanager knows external labels besides.

    >>> is_there({"alertname": "A", "node": "n1", "region": "eu"}, [{"alertname": "A", "node": "n1"}])
    True
    >>> is_there({"alertname": "A", "node": "n1"}, [{"alertname": "A", "node": "n2"}])
    False
    """
    return any(alert.items() <= labels.items() for alert in alerts)


def lost_silences(kept: Iterable[Silence], there: Iterable[Silence], over: set[str], now: float) -> list[Silence]:
    """Silences that should be in force, and that Alertmanager has neither in force nor among those that are over."""
    known = {one.id for one in there} | over
    return [one for one in kept if one.id not in known and datetime.fromisoformat(one.ends_at).timestamp() > now]


class Heartbeat:
    """Asks for an address outside with `run`: whoever watches it learns that on-call itself is gone."""

    def __init__(self, settings: Settings, told: Callable[[bool], None]) -> None:
        self._settings, self._told = settings, told

    def run(self) -> None:
        """Once."""
        heartbeat = self._settings.heartbeat
        if heartbeat is None:
            return
        try:
            url = self._settings.secret(heartbeat.url_file)
            requests.get(url, timeout=HEARTBEAT_TIMEOUT_S).raise_for_status()
        except (OSError, ValueError) as error:
            log.warning("the heartbeat was not taken: %s", type(error).__name__)  # its address is a secret
            self._told(False)
        else:
            self._told(True)
