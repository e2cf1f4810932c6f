"""Linking: a signed-in device lets a new one in, without a password.

The signed-in device offers a link; the new one claims it and shows what it is; the signed-in one confirms; the new one
collects its tokens. Every step is a change of one row under its lock, so each happens once, and nodes learn of it from
the log of commits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from app.domain import links as rules
from app.domain.ids import DeviceId
from app.domain.links import Link, State
from app.domain.people import DeviceEventKind, DeviceType, Identity
from app.errors import (
    AppError,
    Conflict,
    LinkExpired,
    LinkRefused,
    LinkUnknown,
    LinkUsed,
    LinkWaiting,
    NotFound,
)
from app.metrics import Metrics
from app.services.accounts import Accounts, SignedIn
from app.services.throttle import Throttle
from app.store import devices, links
from app.store.db import Connection, Database

OFFERS_OF_AN_ACCOUNT = "20/hour"
CLAIMS_OF_AN_ACCOUNT = "20/hour"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the signed-in device shows: the payload as a QR code, the code for typing. Times in Unix seconds."""

    link: int
    payload: str
    code: str
    expires_at: float
    expires_in: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What the new device holds after claiming; it shows `comparison`, made from `link`, its key and `nonce`."""

    link: int
    claim_token: str
    nonce: str
    comparison: str


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """How far a link is, and who claimed it."""

    link: int
    state: State
    name: str | None
    device_type: str | None
    key: str | None
    nonce: str | None
    comparison: str | None
    new_device: DeviceId | None


class Links:
    """Offering, claiming, confirming, collecting."""

    def __init__(self, db: Database, people: Accounts, secret: str, metrics: Metrics) -> None:
        """`secret` keys the digests, so that a leaked table does not even give away the short codes."""
        self._db = db
        self._people = people
        self._key = hmac.digest(secret.encode(), b"messenger links", "sha256")
        self._offers = Throttle(OFFERS_OF_AN_ACCOUNT, "too many links were made; wait an hour")
        self._claims = Throttle(CLAIMS_OF_AN_ACCOUNT, "too many devices asked to be let in; wait an hour")
        self._steps = {
            step: metrics.counter("messenger_links_total", step)
            for step in ("offered", "claimed", "confirmed", "refused", "completed", "wrong", "expired")
        }

    def offer(self, caller: Identity) -> Offer:
        """A new link of this device, in place of one it offered before. Raises TooMany."""
        self._offers.spend(f"account:{caller.user}")
        secret, code = rules.new_secret(), rules.new_code()
        with self._db.transaction() as conn:
            link, expires_at = links.create(
                conn, caller.user, caller.device, self._digest(secret), self._digest(code), rules.LIFETIME_S
            )
        self._steps["offered"].add()
        return Offer(link, rules.PAYLOAD_PREFIX + secret, rules.spell(code), expires_at, rules.LIFETIME_S)

    def claim(self, payload: str | None, code: str | None, device_type: DeviceType, name: str, key: str) -> Claim:
        """A new device asks to be let in; by the scanned payload, or by the typed code.

        Raises LinkUnknown, LinkExpired, LinkUsed or TooMany.
        """
        offer = rules.read_payload(payload) if payload is not None else rules.read_code(code or "")
        token, nonce = rules.new_secret(), secrets.token_hex(8)
        with self._db.transaction() as conn:
            link = links.hold_offered(conn, self._digest(offer)) if offer else None
            self._require_usable(conn, link)
            assert link is not None  # noqa: S101  just required
            self._claims.spend(f"account:{link.user}")
            if link.state != "open":
                raise LinkUsed
            comparison = rules.comparison_code(link.id, key, nonce)
            links.claim(conn, link, self._digest(token), device_type, name, key, nonce, comparison)
        self._steps["claimed"].add()
        return Claim(link.id, token, nonce, comparison)

    def progress(self, caller: Identity, link_id: int) -> LinkProgress:
        """How far a link of this device is. Raises NotFound."""
        with self._db.transaction() as conn:
            link = self._own(conn, caller, link_id)
        shown = (link.new_name, link.new_type, link.new_key, link.nonce, link.comparison, link.new_device)
        return LinkProgress(link.id, link.state, *shown)

    def decide(self, caller: Identity, link_id: int, accept: bool) -> None:
        """The device that offered the link lets the claimer in, or not. Raises NotFound, LinkExpired, Conflict."""
        state: State = "confirmed" if accept else "refused"
        with self._db.transaction() as conn:
            link = self._own(conn, caller, link_id)
            if link.state == state:
                return
            if link.expired:
                raise LinkExpired
            if link.state == "open":
                raise Conflict("nobody has claimed this link yet")
            if link.state != "claimed":
                raise LinkUsed("this link was decided already")
            links.decide(conn, link, state)
        self._steps[state].add()

    def collect(self, token: str) -> SignedIn:
        """The new device is signed in, once. Raises LinkUnknown, LinkExpired, LinkUsed, LinkWaiting, LinkRefused."""
        with self._db.transaction() as conn:
            link = links.hold_claimed(conn, self._digest(token))
            self._require_usable(conn, link)
            assert link is not None  # noqa: S101  just required
            _require_confirmed(link)
            signed_in = self._people.admit(conn, link.user, _type(link), link.new_name or "unnamed")
            links.complete(conn, link, signed_in.device)
            devices.note_event(conn, [signed_in.device], DeviceEventKind.LINKED)
        self._steps["completed"].add()
        return signed_in

    def waiting(self, token: str) -> Link:
        """The link that this token has claimed. Raises LinkUnknown or LinkExpired."""
        with self._db.transaction() as conn:
            link = links.hold_claimed(conn, self._digest(token))
            self._require_usable(conn, link)
        assert link is not None  # noqa: S101  just required
        return link

    def forget(self) -> None:
        """Housekeeping: drop links that expired long ago."""
        with self._db.statement() as conn:
            links.forget(conn)

    def _digest(self, secret: str) -> bytes:
        return hmac.new(self._key, secret.encode(), hashlib.sha256).digest()

    @staticmethod
    def _own(conn: Connection, caller: Identity, link_id: int) -> Link:
        link = links.hold(conn, link_id)
        if link is None or (link.user, link.device) != (caller.user, caller.device):
            raise NotFound("there is no such link, or another device offered it")
        return link

    def _require_usable(self, conn: Connection, link: Link | None) -> None:
        error: AppError | None = None
        if link is None or not links.maker_lives(conn, link):
            error = LinkUnknown()
            self._steps["wrong"].add()
        elif link.expired:
            error = LinkExpired()
            self._steps["expired"].add()
        if error:
            raise error


def _require_confirmed(link: Link) -> None:
    if link.state == "claimed":
        raise LinkWaiting
    if link.state == "refused":
        raise LinkRefused
    if link.state != "confirmed":
        raise LinkUsed


def _type(link: Link) -> DeviceType:
    match link.new_type:
        case "MOBILE" | "DESKTOP" as known:
            return known
        case _:
            return "WEB"
