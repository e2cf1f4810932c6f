"""Conversations and their members."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, Response
from msgspec import Meta

from app.domain.ids import ConversationId
from app.http.base import answer, body, caller
from app.services.accounts import Accounts
from app.services.conversations import MAX_MEMBERS, Conversations

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


def blueprint(accounts: Accounts, conversations: Conversations) -> Blueprint:
    """`/api/conversations…`"""
    bp = Blueprint("conversations", __name__, url_prefix="/api/conversations")

    @bp.post("")
    def create() -> Response:
        identity = caller(accounts)
        form = body(NewConversation)
        return answer({"id": conversations.create(identity.user, form.title, form.members)}, 201)

    @bp.get("")
    def of_user() -> Response:
        return answer({"conversations": conversations.of_user(caller(accounts).user)})

    @bp.post("/<int:conv>/members")
    def add_members(conv: int) -> Response:
        identity = caller(accounts)
        conversations.add_members(identity.user, ConversationId(conv), body(Invitation).members)
        return Response(status=204)

    @bp.delete("/<int:conv>/members/me")
    def leave(conv: int) -> Response:
        conversations.leave(caller(accounts).user, ConversationId(conv))
        return Response(status=204)

    return bp
