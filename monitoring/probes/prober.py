"""One prober put together from its settings: people, probes, ledger, metrics; and what changes when the settings do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg2

from monitoring.client.api import Api
from monitoring.probes.accounts import ProbeAccounts, load_or_create
from monitoring.probes.archive import upload
from monitoring.probes.canary import CanaryProbe
from monitoring.probes.failures import Deadline
from monitoring.probes.journal import Journal, unfinished
from monitoring.probes.judging import Judge
from monitoring.probes.kinds import Probe
from monitoring.probes.kinds.connect import Certificate, Connect
from monitoring.probes.kinds.drill import Drill
from monitoring.probes.kinds.http import Health, Keys, Login, Media
from monitoring.probes.kinds.sockets import Broadcast, Call, CatchUp, Link, ReadSync, Revoke, Two
from monitoring.probes.members import Member
from monitoring.probes.metrics import ProbeMetrics
from monitoring.probes.pulse import Pulse
from monitoring.probes.runner import Planned, Runner
from monitoring.probes.settings import SERVICE, Kind, Settings

SETTLE_EVERY_S = 1
CERTIFICATE_EVERY_S = 60
UPLOAD_EVERY_S = 10

log = logging.getLogger("probe")


class Prober:
    """Everything of one prober. Made once; `follow` takes what may change."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError or OSError when people or journal cannot be kept."""
        self._settings = settings
        file = settings.file
        self.metrics = ProbeMetrics(tls=file.messenger.startswith("https:"), routes=settings.routes)
        self._accounts = load_or_create(settings.path(file.people))
        self._token = settings.path(file.token_file).read_text().strip() if file.token_file else None
        self._pulse, self._over = Pulse(time.time()), threading.Event()
        left: dict[str, float] = {}
        self._journal: Journal | None = None
        if file.journal:
            folder = settings.path(file.journal.folder)
            left = unfinished(folder)
            self._journal = Journal(folder)
        self._canaries = {route: self._canary(route) for route in settings.routes}
        next(iter(self._canaries.values())).abandon(left)
        self._made: dict[tuple[Kind, int], tuple[Probe, list[Member]]] = {}
        self._runner = Runner(self.metrics, float(file.jitter), file.name)
        self._judge = Judge(self.metrics, self._pulse.stalled_s)

    def start(self) -> None:
        """Probe from now on."""
        scheduler, file = self._runner.scheduler, self._settings.file
        threading.Thread(target=self._pulse.run, args=(self._over,), name="pulse", daemon=True).start()
        self.follow(self._settings)
        scheduler.add_job(self._settle, "interval", seconds=SETTLE_EVERY_S, coalesce=True)
        if file.journal and file.journal.ledger_url_file:
            scheduler.add_job(self._upload, "interval", seconds=UPLOAD_EVERY_S, coalesce=True, max_instances=1)
        if file.messenger.startswith("https:"):
            certificate = Certificate(file.messenger, self.metrics.certificate_expiry.set)
            now = datetime.now(UTC)
            scheduler.add_job(
                certificate.run, "interval", seconds=CERTIFICATE_EVERY_S, next_run_time=now, coalesce=True
            )
        scheduler.start()

    def follow(self, settings: Settings) -> None:
        """Go by these probes from now on. Raises ValueError when something else was changed."""
        if settings.fixed() != self._settings.fixed():
            raise ValueError("something else than `probes` was changed, which takes a new start")
        self._settings = settings
        self._runner.plan(dict(self._planned()))
        self.metrics.settings_loaded.set(1)

    def stop(self) -> None:
        """Disconnect everybody, and put the journal on the disk."""
        self._over.set()
        self._runner.scheduler.shutdown(wait=False)
        for canary in self._canaries.values():
            canary.stop()
        if self._journal:
            self._journal.close()

    def _planned(self) -> Iterator[tuple[str, Planned]]:
        for kind, probe in self._settings.file.probes.items():
            every_s, timeout_s = float(probe.every), float(probe.timeout)
            if kind == "canary":
                for (source, target), canary in self._canaries.items():
                    yield f"canary {source} {target}", Planned(kind, every_s, timeout_s, canary.start)
            else:
                yield kind, Planned(kind, every_s, timeout_s, self._starter(kind, timeout_s))

    def _starter(self, kind: Kind, timeout_s: float) -> Callable[[float], None]:
        made = self._made.get((kind, int(timeout_s)))
        if made is None:
            made = self._made[kind, int(timeout_s)] = self._make(kind, timeout_s)
        probe, members = made

        def forget() -> None:
            for member in members:
                member.forget()

        def start(intended: float) -> None:
            self._judge.run(kind, probe, Deadline(intended + timeout_s), forget)

        return start

    def _make(self, kind: Kind, timeout_s: float) -> tuple[Probe, list[Member]]:
        """A probe and its people."""
        file, base = self._settings.file, self._accounts.sender
        members: list[Member] = []

        def member(name: str, url: str = file.messenger) -> Member:
            members.append(Member(Api(url, timeout_s, self._token), name, self._accounts.password))
            return members[-1]

        # People of its own for each kind: what one kind does to its devices is not in the way of another.
        one, other = (member(f"{base}-{kind.replace('_', '-')}-{n}") for n in (1, 2))
        two = Two(one, other)
        makers: dict[Kind, Callable[[], Probe]] = {
            "connect": lambda: Connect(member(self._accounts.connector), self.metrics.phase),
            "health": lambda: Health(file.nodes.values() or (file.messenger,)),
            "login": lambda: Login(one),
            "catch_up": lambda: CatchUp(two),
            "read_sync": lambda: ReadSync(two),
            "revoke": lambda: Revoke(one),
            "link": lambda: Link(one),
            "keys": lambda: Keys(one, other),
            "media": lambda: Media(one, other),
            "call": lambda: Call(two),
            "broadcast": lambda: self._broadcast(member),
            "alerts": self._drill,
        }
        return makers[kind](), members

    def _broadcast(self, member: Callable[[str, str], Member]) -> Broadcast:
        settings = self._settings
        token = settings.path(settings.file.admin_token_file or "").read_text().strip()
        places = [
            member(f"{self._accounts.sender}-broadcast-{place}", settings.url(place))
            for place in settings.file.nodes or (SERVICE,)
        ]
        return Broadcast(places, token)

    def _drill(self) -> Drill:
        oncall = self._settings.file.oncall
        assert oncall  # noqa: S101  `settings.load` asks for it
        auth = (oncall.name, self._settings.path(oncall.password_file).read_text().strip())
        return Drill(oncall.url, auth, self.metrics.drill.set, self._over)

    def _canary(self, route: tuple[str, str]) -> CanaryProbe:
        accounts: ProbeAccounts = self._accounts.on(*route) if self._settings.file.nodes else self._accounts
        source, target = (Api(self._settings.url(place), probe_token=self._token) for place in route)
        return CanaryProbe(route, (source, target), accounts, self.metrics, self._journal, self._pulse.stalled_s)

    def _settle(self) -> None:
        for canary in self._canaries.values():
            canary.settle()
        self._judge.overdue(time.time())
        self.metrics.heartbeat.set(time.time())

    def _upload(self) -> None:
        """What cannot be uploaded stays in the journal, and goes with the next upload."""
        file = self._settings.file
        assert file.journal and file.journal.ledger_url_file  # noqa: S101  the job is only there with both
        try:
            url = self._settings.path(file.journal.ledger_url_file).read_text().strip()
            upload(url, file.name, self._settings.path(file.journal.folder))
        except (OSError, psycopg2.Error) as error:
            log.info("the ledger cannot be uploaded: %s", type(error).__name__)
            self.metrics.uploaded(False)
        else:
            self.metrics.uploaded(True)
