"""A loss of one message in a thousand, acknowledged and gone, is found by the canaries: each of them and no other."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from monitoring.client.api import Api
from monitoring.probes.accounts import ProbeAccounts
from monitoring.probes.archive import count_journal
from monitoring.probes.canary import CanaryProbe
from monitoring.probes.journal import Journal, read
from monitoring.probes.ledger import FINAL_AFTER_S
from monitoring.probes.metrics import ProbeMetrics
from tests.support.people import PASSWORD
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
