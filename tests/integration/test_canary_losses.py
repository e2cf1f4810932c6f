"""What canaries find: a loss of one message in a thousand, each of them and no other; and what they do not say."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from monitoring.client.api import Api
from monitoring.probes.accounts import ProbeAccounts
from monitoring.probes.archive import count_journal
from monitoring.probes.canary import CanaryProbe
from monitoring.probes.journal import Journal, read, unfinished
from monitoring.probes.ledger import FINAL_AFTER_S
from monitoring.probes.metrics import ProbeMetrics
from tests.support.people import PASSWORD
from tests.support.probing import probing, write_settings
from tests.support.servers import ADMIN_TOKEN, eventually, running_node

CANARIES, OF = 2_000, 1_000
AGO_S = FINAL_AFTER_S - 8
"""So long ago they were meant to be sent: what does not come within eight seconds is lost."""
PROBE_TOKEN = "only-probes-know-this-0123456789ab"


def test_each_lost_canary_is_found_and_no_other(shared_database_url: str, tmp_path: Path) -> None:
    more = {"PROBE_TOKEN": PROBE_TOKEN, "SEND_RATE_PER_S": "100000"}
    with running_node(shared_database_url, tmp_path / "log", **more) as node:
        api = Api(node.api.base_url, probe_token=PROBE_TOKEN)
        metrics, journal = ProbeMetrics(), Journal(tmp_path / "journal")
        accounts = ProbeAccounts("lossy-sender", "lossy-receiver", PASSWORD)
        canary = CanaryProbe(("messenger", "messenger"), (api, api), accounts, metrics, journal)

        def ended() -> dict[str, int]:
            canary.settle()
            return count_journal((entry for entry, _ in read(tmp_path / "journal")), 0, 4e9).by_outcome

        canary.start(time.time() - AGO_S)  # makes both ready, and sends nothing
        eventually(lambda: node.metric("ws_connections_active") == 2)
        node.api.call("POST", "/test/faults", {"drop_every": OF}, ADMIN_TOKEN)
        for number in range(CANARIES):
            canary.start(time.time() - AGO_S)
            if number % 50 == 49:
                threading.Event().wait(0.05)  # a burst of two thousand is no probe
        found = eventually(ended, lambda outcomes: sum(outcomes.values()) == CANARIES, within_s=60)
        assert found == {"late": CANARIES - CANARIES // OF, "lost": CANARIES // OF}
        assert node.metric("messenger_fanout_owed_total", path="message") == 0
        assert node.metric("messenger_fanout_owed_total", path="probe") > CANARIES
        assert node.metric("messenger_requests_total", transport="ws", outcome="ok") < CANARIES
        canary.stop()


def test_a_prober_that_was_stopped_blames_itself(shared_database_url: str, tmp_path: Path) -> None:
    with running_node(shared_database_url, tmp_path / "log") as node:
        settings = write_settings(
            tmp_path, node.api.base_url, {"canary": {"every": "1s"}}, journal={"folder": "journal"}
        )

        def ends() -> dict[str, int]:
            return count_journal((entry for entry, _ in read(tmp_path / "journal")), 0, 4e9).by_outcome

        with probing(settings) as prober:
            eventually(lambda: ends().get("delivered"))
            node.api.call("POST", "/test/faults", {"fanout_delay_ms": 150}, ADMIN_TOKEN)  # so that some are under way

            def stopped_in_between() -> bool:
                eventually(lambda: unfinished(tmp_path / "journal"))
                os.kill(prober.pid, signal.SIGSTOP)
                threading.Event().wait(1.0)
                os.kill(prober.pid, signal.SIGCONT)
                return eventually(lambda: not unfinished(tmp_path / "journal")) and "starved" in ends()

            eventually(stopped_in_between)
            assert prober.counted("messenger_probe_canaries_total", outcome="lost") == 0
            assert prober.counted("messenger_probe_own_faults_total", probe="canary", reason="starved") > 0
