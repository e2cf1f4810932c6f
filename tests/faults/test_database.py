"""PostgreSQL goes, or is cut off, in the moments that matter: between commit and ack, under two nodes at once."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
import pytest

from monitoring.client.api import ApiError
from monitoring.client.socket import Socket
from tests.faults.promise import RATE_PER_S, crowd, keep_promise, messages, talked
from tests.support.fleet import Fleet, Machine
from tests.support.servers import eventually
from tests.support.sql import rows

ON_THE_WAY_S = 0.5
"""How long each message between the third machine and PostgreSQL takes while they are slowed down."""


def stored(fleet: Fleet, message_id: str) -> list[int]:
    """The seqs under which a message is stored."""
    return [seq for (seq,) in rows(fleet.database_url, f"SELECT seq FROM messages WHERE client_id = '{message_id}'")]


def readiness(at: Machine) -> str:
    """What the machine says of itself."""
    try:
        status: str = at.api.call("GET", "/health/ready")["status"]
    except ApiError as error:
        return str(error.status)
    return status


@pytest.mark.parametrize("elsewhere", [False, True], ids=["repeated there", "repeated on another node"])
def test_connection_lost_between_commit_and_ack(fleet: Fleet, elsewhere: bool) -> None:
    """The commit happened and the node did not hear: repeated with its id, the send gets its first seq."""
    with crowd(fleet, 6, size=6, each=1, ports=[fleet.ports[2]]) as people:
        sender = people.devices[0]
        (conv,) = sender.convs
        fleet.database_proxy.delay(ON_THE_WAY_S)
        sent = people.send(sender, conv)
        first = eventually(lambda: stored(fleet, sent))
        # The answer to the commit is on its way now, and never arrives.
        if elsewhere:
            people.move([sender], fleet.ports[:2])
            people.hang_up([sender])
        fleet.database_proxy.reset()
        assert sent in sender.unacknowledged
        fleet.database_proxy.heal()
        eventually(lambda: sender.unacknowledged, lambda waiting: not waiting)
        assert elsewhere or sender.errors["unavailable"] > 0
        assert stored(fleet, sent) == first == messages(people.devices, fleet.database_url)[conv]
        fleet.wait_until_whole()
        keep_promise(people, fleet, at_least=1)  # the ack must name the row that is there


def test_postgres_crash_and_restart_under_talk(fleet: Fleet) -> None:
    """Sends are refused with `unavailable` while it is away, and repeated; connections stay."""
    with crowd(fleet) as people:
        people.talk(RATE_PER_S)
        talked(people)

        def errors() -> int:
            return sum(device.errors["unavailable"] for device in people.devices)

        def reached() -> list[float]:
            return [at.total("messenger_database_connected") for at in fleet.machines]

        def while_down() -> None:
            eventually(errors)
            eventually(reached, lambda workers: not any(workers))

        fleet.restart_postgres(while_down)
        fleet.wait_until_whole()
        eventually(reached, lambda workers: workers == [at.workers for at in fleet.machines])
        talked(people)
        keep_promise(people, fleet)


def test_partition_between_a_machine_and_postgres(fleet: Fleet) -> None:
    """The machine wants no more connections and refuses sends; they succeed elsewhere at once, and here later."""
    cut_off = fleet.machines[2]
    with crowd(fleet) as people:
        people.talk(RATE_PER_S)
        talked(people)
        theirs = [device for device in people.devices if device.port == cut_off.port]
        fleet.database_proxy.silence()
        eventually(lambda: all(device.errors["unavailable"] for device in theirs), within_s=30)
        eventually(lambda: readiness(cut_off), lambda status: status == "503", within_s=30)
        assert readiness(fleet.machines[0]) == "ready"
        leave, stay = theirs[:4], theirs[4:]
        people.move(leave, fleet.ports[:2])
        people.hang_up(leave)
        eventually(lambda: all(device.live for device in leave))
        talked(people)
        assert any(device.unacknowledged for device in stay)
        fleet.database_proxy.reset()
        fleet.database_proxy.heal()
        fleet.wait_until_whole()
        talked(people)
        keep_promise(people, fleet)


def test_duplicate_sends_at_once_on_two_nodes(fleet: Fleet) -> None:
    """Two nodes commit the same send at the same moment: one row, and the same seq in every ack."""
    with crowd(fleet, 4, size=4, each=1) as people:
        twin = people.devices.pop()
        (conv,) = twin.convs
        people.hang_up([twin])
        acks: list[list[int]] = [[], []]
        sockets: list[Socket] = []
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'commit_sends'"
        with closing(psycopg2.connect(fleet.database_url)) as lock, lock.cursor() as cursor:
            # Both commits wait here, and go on at once.
            cursor.execute("SELECT 1 FROM conversations WHERE id = %s FOR NO KEY UPDATE", (conv,))
            for number, at in enumerate(fleet.machines[:2]):
                socket = Socket(at.api.ws_url, twin.token, lambda event, to=acks[number]: note_ack(event, to))
                sockets.append(socket)
                socket.send_message(conv, "once", "the-same-id")
                eventually(lambda n=number: rows(fleet.database_url, waiting)[0][0] == n + 1)
        (seq,) = eventually(lambda: stored(fleet, "the-same-id"))
        for to, socket in zip(acks, sockets, strict=True):
            # Whoever was displaced by the newer connection meanwhile hears no answer.
            eventually(lambda to=to, socket=socket: to or socket.close_code == 4409)
            socket.close()
        assert acks[1] == [seq]
        assert acks[0] in ([seq], [])
        eventually(lambda: {device.cursors.get(conv) for device in people.devices}, lambda cursors: cursors == {seq})
        assert stored(fleet, "the-same-id") == [seq]


def note_ack(event: dict[str, Any], to: list[int]) -> None:
    """Remember the seq of an ack."""
    if event["type"] == "ack":
        to.append(event["seq"])
