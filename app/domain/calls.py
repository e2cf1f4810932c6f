"""Calls between two people: who may say what in which state, and who hears it. Decisions only.

A call rings every device of the callee. Each may answer; the caller selects one, and the others learn that it was
answered elsewhere. One that rejects stops all. What is said (descriptions, candidates) is opaque. How long a call
rings is judged by the server's clock alone. When two people call each other at the same moment, the call with the
lesser id stays. Source: Matrix specification, module "Voice over IP", version 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from app.domain.ids import ConversationId, DeviceId, UserId
from app.errors import CallOver, Conflict, NotFound

State = Literal["ringing", "connected", "ended"]
Verb = Literal["invite", "candidates", "answer", "select_answer", "reject", "hangup", "negotiate"]
Ending = Literal["glare", "rejected", "cancelled", "hung_up"]

ANSWERED_ELSEWHERE = "answered_elsewhere"


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is stored; `rings_until` in Unix seconds of the server. `callee_device` was selected."""

    conv: ConversationId
    id: str
    caller: UserId
    caller_device: DeviceId
    callee: UserId
    callee_device: DeviceId | None
    state: State
    rings_until: float


@dataclass(frozen=True, slots=True)
class Post:
    """Something to be told: to one device, or to all of a user except one. `by_server` carries no payload."""

    verb: Verb
    user: UserId
    device: DeviceId | None = None
    but: DeviceId | None = None
    by_server: bool = False
    reason: str | None = None
    selected: DeviceId | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the call, and who hears of it. `ending` when it ended by this."""

    call: Call
    posts: tuple[Post, ...]
    ending: Ending | None = None


def begin(call: Call, other: Call | None) -> tuple[Decision, ...]:
    """A new call rings. `other` is a ringing call of the same two people the other way round.

    Of two that cross, the one with the lesser id stays; the other one's caller is told `glare`.
    """
    ring = Decision(call, (Post("invite", call.callee),))
    if other is None:
        return (ring,)
    if call.id < other.id:
        return (_crossed(other), ring)
    # The device that sent it holds the other call's invite already, and answers that.
    return (Decision(replace(call, state="ended"), (_glare(call),), "glare"),)


def _crossed(call: Call) -> Decision:
    """A ringing call gives way: its caller hears why, and it stops ringing."""
    stop = Post("hangup", call.callee, by_server=True, reason="glare")
    return Decision(replace(call, state="ended"), (_glare(call), stop), "glare")


def _glare(call: Call) -> Post:
    return Post("hangup", call.caller, call.caller_device, by_server=True, reason="glare")


def proceed(
    call: Call, user: UserId, device: DeviceId, verb: Verb, now: float, selected: DeviceId | None, reason: str | None
) -> Decision:
    """What `device` of `user` says in a call that exists; `now` in Unix seconds.

    Raises NotFound for everybody else, CallOver when it has ended or rang too long, Conflict when
    it is not the time to say this.
    """
    calling = user == call.caller
    if user not in (call.caller, call.callee) or (calling and device != call.caller_device):
        raise NotFound("there is no such call, or it is not yours")
    if call.state == "ended" or (call.state == "ringing" and now > call.rings_until):
        raise CallOver
    if not calling and call.callee_device not in (None, device):
        raise CallOver("it was answered on another device")
    if verb == "hangup":
        return _hang_up(call, calling, device, reason)
    if call.state == "ringing":
        return _while_ringing(call, calling, device, verb, selected, reason)
    if verb in ("candidates", "negotiate"):
        return Decision(call, (_other_side(call, calling, verb),))
    raise Conflict("this call is connected")


def _while_ringing(
    call: Call, calling: bool, device: DeviceId, verb: Verb, selected: DeviceId | None, reason: str | None
) -> Decision:
    if verb == "candidates":
        return Decision(call, (_other_side(call, calling, verb),))
    if verb == "answer" and not calling:
        return Decision(call, (_other_side(call, calling, verb),))
    if verb == "reject" and not calling:
        stop = Post("hangup", call.callee, but=device, by_server=True, reason="rejected")
        posts = (Post("reject", call.caller, call.caller_device, reason=reason), stop)
        return Decision(replace(call, state="ended"), posts, "rejected")
    if verb == "select_answer" and calling and selected is not None:
        posts = (
            Post("select_answer", call.callee, selected, selected=selected),
            Post("hangup", call.callee, but=selected, by_server=True, reason=ANSWERED_ELSEWHERE, selected=selected),
        )
        return Decision(replace(call, state="connected", callee_device=selected), posts)
    raise Conflict(f"`call.{verb}` cannot be said now, or not by this side")


def _hang_up(call: Call, calling: bool, device: DeviceId, reason: str | None) -> Decision:
    ended = replace(call, state="ended")
    if call.state == "connected":
        post = replace(_other_side(call, calling, "hangup"), reason=reason)
        return Decision(ended, (post,), "hung_up")
    if calling:
        return Decision(ended, (Post("hangup", call.callee, reason=reason),), "cancelled")
    # A device that hangs up while it rings rejects.
    stop = Post("hangup", call.callee, but=device, by_server=True, reason="rejected")
    return Decision(ended, (Post("reject", call.caller, call.caller_device, reason=reason), stop), "rejected")


def _other_side(call: Call, calling: bool, verb: Verb) -> Post:
    if calling:
        return Post(verb, call.callee, call.callee_device)
    return Post(verb, call.caller, call.caller_device)
