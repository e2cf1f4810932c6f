"""Conversations and their members."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, Response
from msgspec import Meta

from app.domain.ids import ConversationId
from app.errors import Conflict, NotFound
from app.http.base import answer, body, caller
from app.http.contract import operation
from app.services.accounts import Accounts
from app.services.conversations import MAX_MEMBERS, Conversations
from app.services.devices import Devices, Present
from app.store.conversations import Summary

_PRINTABLE = r"^[^\x00-\x1f\x7f]*\Z"
_Names = Annotated[
    list[Annotated[str, Meta(min_length=2, max_length=64, pattern=_PRINTABLE)]],
    Meta(min_length=1, max_length=MAX_MEMBERS),
]


class NewConversation(msgspec.Struct, forbid_unknown_fields=True):
    """Body of create; the creator is a member without being named."""

    members: _Names
    title: Annotated[str, Meta(min_length=1, max_length=128, pattern=_PRINTABLE)] | None = None


class Invitation(msgspec.Struct, forbid_unknown_fields=True):
    """Body of adding members."""

    members: _Names


class Created(msgspec.Struct):
    """The new conversation."""

    id: int


class People(msgspec.Struct):
    """Who of a conversation is there."""

    people: list[Present]


class OwnConversations(msgspec.Struct):
    """Every conversation of the caller."""

    conversations: list[Summary]


def blueprint(accounts: Accounts, conversations: Conversations, devices: Devices) -> Blueprint:
    """`/api/conversations…`"""
    bp = Blueprint("conversations", __name__, url_prefix="/api/conversations")

    @bp.post("")
    @operation(takes=NewConversation, gives=Created, status=201)
    def create() -> Response:
        """A conversation with these people."""
        identity = caller(accounts)
        form = body(NewConversation)
        return answer(Created(conversations.create(identity.user, form.title, form.members)), 201)

    @bp.get("")
    @operation(gives=OwnConversations)
    def of_user() -> Response:
        """What the caller is in."""
        return answer(OwnConversations(conversations.of_user(caller(accounts).user)))

    @bp.post("/<id:conv>/members")
    @operation(takes=Invitation, status=204, errors=(NotFound, Conflict))
    def add_members(conv: int) -> Response:
        """Let people in; they see the log from there on."""
        identity = caller(accounts)
        conversations.add_members(identity.user, ConversationId(conv), body(Invitation).members)
        return Response(status=204)

    @bp.get("/<id:conv>/presence")
    @operation(gives=People, errors=(NotFound,))
    def presence(conv: int) -> Response:
        """Who is there now, or when they last were."""
        return answer(People(devices.presence(caller(accounts).user, ConversationId(conv))))

    @bp.delete("/<id:conv>/members/me")
    @operation(status=204, errors=(NotFound,))
    def leave(conv: int) -> Response:
        """Leave."""
        conversations.leave(caller(accounts).user, ConversationId(conv))
        return Response(status=204)

    return bp
