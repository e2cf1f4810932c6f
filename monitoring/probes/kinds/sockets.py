"""What is seen over sockets: coming back, reading on another device, being revoked or let in, calls, broadcasts."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack
from typing import Any

from monitoring.client.api import Account
from monitoring.client.secure import LinkingDevice
from monitoring.probes.failures import Deadline, Wrong
from monitoring.probes.kinds.http import require_signed_out
from monitoring.probes.members import Ear, Member, listening, same

MISSED = 3
REVOKED = 4401


class Two:
    """Two people and the conversation they share."""

    def __init__(self, one: Member, other: Member) -> None:
        self.one, self.other = one, other
        self._conv: int | None = None

    def conversation(self) -> int:
        """Its id; made on first use. Raises ApiError."""
        if self._conv is None:
            self._conv = self.one.conversation(self.other)
        return self._conv


class CatchUp:
    """Somebody was away while others wrote: everything is there when they come back, in order, once."""

    def __init__(self, two: Two) -> None:
        self._two = two

    def run(self, deadline: Deadline) -> float:
        """Seconds from connecting again to the last message that was missed."""
        conv, one, other = self._two.conversation(), self._two.one, self._two.other
        account = other.device("probe catch-up")
        with listening(other.api, account) as away:
            session = away.session
        with listening(one.api, one.device()) as here:
            wrote = [here.send(deadline, conv, f"missed {n}")["id"] for n in range(MISSED)]
        began = time.monotonic()
        with listening(other.api, account, session) as back:
            heard: list[str] = []
            while not set(wrote) <= set(heard):
                heard.append(back.wait(deadline, same(type="message", conv=conv))["id"])
        took_s = time.monotonic() - began
        if [message_id for message_id in heard if message_id in wrote] != wrote:  # other runs may write there, too
            raise Wrong("what was missed came in another order")
        return took_s


class ReadSync:
    """What is read on one device is read on the other."""

    def __init__(self, two: Two) -> None:
        self._two = two

    def run(self, deadline: Deadline) -> float:
        """Seconds from the one device's word to the other's hearing of it."""
        conv, one, other = self._two.conversation(), self._two.one, self._two.other
        with ExitStack() as stack:
            writer = stack.enter_context(listening(one.api, one.device()))
            first = stack.enter_context(listening(other.api, other.device("probe read 1")))
            second = stack.enter_context(listening(other.api, other.device("probe read 2")))
            seq = writer.send(deadline, conv, "read this")["seq"]
            first.wait(deadline, same(type="message", conv=conv, seq=seq))
            began = time.monotonic()
            first.say({"type": "read", "conv": conv, "seq": seq})
            user = other.device().user
            second.wait(deadline, lambda e: same(type="read", conv=conv, user=user)(e) and e["seq"] >= seq)
            return time.monotonic() - began


class Revoke:
    """A device is signed out by another one: its socket is closed, and nothing of it is let in again."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def run(self, deadline: Deadline) -> float:
        """Seconds from the request to the closed socket."""
        keeper, gone = self._member.device(), self._member.new_device("probe revoke")
        with listening(self._member.api, gone) as ear:
            began = time.monotonic()
            self._member.api.revoke(keeper, gone.device)
            if not ear.socket.closed.wait(deadline.left_s()):
                raise TimeoutError
            took_s = time.monotonic() - began
        if ear.socket.close_code != REVOKED:
            raise Wrong(f"closed with {ear.socket.close_code}")
        require_signed_out(self._member, gone)
        return took_s


class Link:
    """A device that is signed in lets a new one in; both show the same code, and the new one is welcomed."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def run(self, deadline: Deadline) -> float:
        """Seconds from the offer to the welcome."""
        api, mine = self._member.api, self._member.device()
        with listening(api, mine) as ear:
            began = time.monotonic()
            offer = api.offer_link(mine)
            new = LinkingDevice(api, offer["payload"], "WEB", "probe link")
            claimed = ear.wait(deadline, same(type="link", link=offer["link"], event="claimed"))
            if claimed["comparison"] != new.comparison:
                raise Wrong("the two devices show different codes")
            api.confirm_link(mine, offer["link"])
            account = new.wait(self._member.name, deadline.left_s())
        try:
            with listening(api, account):
                return time.monotonic() - began
        finally:
            api.revoke(mine, account.device)


class Call:
    """One person rings another, who answers; then they hang up. Payloads are opaque to the messenger."""

    def __init__(self, two: Two) -> None:
        self._two = two

    def run(self, deadline: Deadline) -> float:
        """Seconds from ringing to the selected answer."""
        conv, one, other, call = self._two.conversation(), self._two.one, self._two.other, str(uuid.uuid4())
        callee_account = other.device("probe callee")

        def say(ear: Ear, verb: str, **fields: Any) -> None:
            ear.say({"type": f"call.{verb}", "conv": conv, "call": call} | fields)

        with (
            listening(one.api, one.device("probe caller")) as caller,
            listening(other.api, callee_account) as callee,
        ):
            began = time.monotonic()
            say(caller, "invite", user=callee_account.user, payload="probe")
            callee.wait(deadline, same(type="call.invite", call=call))
            say(callee, "answer", payload="probe")
            answer = caller.wait(deadline, same(type="call.answer", call=call))
            say(caller, "select_answer", selected=answer["device"])
            callee.wait(deadline, same(type="call.select_answer", call=call))
            took_s = time.monotonic() - began
            say(caller, "hangup")
            callee.wait(deadline, same(type="call.hangup", call=call))
            return took_s


class Broadcast:
    """An operator's word reaches who is connected, by every place. Everybody else sees it, too."""

    def __init__(self, places: list[Member], admin_token: str) -> None:
        self._places, self._token = places, admin_token

    def run(self, deadline: Deadline) -> float:
        """Seconds from the request to the last of them."""
        with ExitStack() as stack:
            ears = [stack.enter_context(listening(member.api, self._own(member))) for member in self._places]
            began = time.monotonic()
            word = self._places[0].api.call("POST", "/test/broadcast", {"body": "This is a test."}, self._token)
            for ear in ears:
                ear.wait(deadline, same(type="broadcast", id=word["id"]))
            return time.monotonic() - began

    @staticmethod
    def _own(member: Member) -> Account:
        return member.device("probe broadcast")
