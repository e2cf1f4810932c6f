"""What is asked over HTTP: whether the messenger is ready, signing in, keys, an attachment by its public address."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urljoin

from monitoring.client.api import Account, ApiError
from monitoring.client.crypto.machine import Machine
from monitoring.client.crypto.names import ONE_TIME, is_signed, user_name
from monitoring.client.http import ask
from monitoring.probes.failures import Deadline, Refused, Wrong
from monitoring.probes.members import Member

ATTACHMENT_BYTES = 64 * 1024
SEEN_KEYS = 10_000


class Health:
    """`/health/ready` of every place: each node, or the messenger as people reach it."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = tuple(urls)

    def run(self, deadline: Deadline) -> float:
        """Seconds that the slowest took."""
        return max(self._ask(f"{url}/health/ready", deadline) for url in self._urls)

    def _ask(self, url: str, deadline: Deadline) -> float:
        began = time.monotonic()
        answer = ask("GET", url, deadline.left_s())
        if answer.status != 200:
            raise Refused(f"{answer.status} of {url}")
        return time.monotonic() - began


class Login:
    """A password becomes a device, which is then signed out: its token must not work any more."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def run(self, deadline: Deadline) -> float:
        """Seconds to be signed in."""
        keeper = self._member.device()
        began = time.monotonic()
        account = self._member.new_device("probe login")
        took_s = time.monotonic() - began
        self._member.api.revoke(keeper, account.device)
        deadline.left_s()
        require_signed_out(self._member, account)
        return took_s


def require_signed_out(member: Member, account: Account) -> None:
    """Raises Wrong when the messenger still lets a revoked device in."""
    try:
        member.api.devices(account)
    except ApiError as error:
        if error.code == "device_revoked":
            return
        raise
    raise Wrong("a revoked device is still let in")


class Keys:
    """One device's keys are uploaded, another person claims one: it is signed by its owner, and was never given out."""

    def __init__(self, owner: Member, claimer: Member) -> None:
        self._owner, self._claimer = owner, claimer
        self._machine: Machine | None = None
        self._left = 0
        self._conv: int | None = None
        self._seen: deque[str] = deque(maxlen=SEEN_KEYS)

    def run(self, deadline: Deadline) -> float:
        """Seconds that the claim took."""
        owner = self._uploaded()
        deadline.left_s()
        wanted = {user_name(owner.user): {str(owner.device): ONE_TIME}}
        began = time.monotonic()
        claimer = self._claimer.device()
        answer = self._claimer.api.call("POST", "/api/keys/claim", {"one_time_keys": wanted}, claimer.access_token)
        took_s = time.monotonic() - began
        self._left -= 1
        if self._machine:
            self._machine.counted({ONE_TIME: self._left}, [ONE_TIME])  # the next run makes one more
        self._require_new(answer["one_time_keys"][user_name(owner.user)][str(owner.device)], owner)
        return took_s

    def _uploaded(self) -> Account:
        """The owner, whose keys lie at the messenger."""
        account = self._owner.device("probe keys")
        if self._conv is None:  # keys are only given to who shares a conversation
            self._conv = self._owner.conversation(self._claimer)
        machine = self._machine
        if machine is None or machine.device != account.device:
            machine = self._machine = Machine(account.user, account.device)
        body = machine.to_upload()
        if body:
            answer = self._owner.api.call("POST", "/api/keys/upload", body, account.access_token)
            machine.uploaded(answer["one_time_key_counts"])
            self._left = answer["one_time_key_counts"].get(ONE_TIME, 0)
        return account

    def _require_new(self, keys: dict[str, dict[str, object]], owner: Account) -> None:
        assert self._machine is not None  # noqa: S101  made by `_uploaded`
        if len(keys) != 1:
            raise Wrong(f"{len(keys)} keys for one claim")
        name, key = next(iter(keys.items()))
        if not is_signed(key, owner.user, owner.device, self._machine.ed25519):
            raise Wrong("a key that its owner did not sign")
        if name in self._seen and "fallback" not in key:
            raise Wrong("the same one-time key twice")
        self._seen.append(name)


class Media:
    """An attachment goes in, and comes out whole and by range at the address that people get, without a token.

    What goes in is the same all day, because objects are kept by their content: a probe must not fill the disk.
    """

    def __init__(self, owner: Member, other: Member) -> None:
        self._owner, self._other = owner, other
        self._conv: int | None = None

    def run(self, deadline: Deadline) -> float:
        """Seconds from the first byte up to the last byte down."""
        account, api = self._owner.device(), self._owner.api
        if self._conv is None:
            self._conv = self._owner.conversation(self._other)
        content = self._content()
        began = time.monotonic()
        form = {"conv": self._conv, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        upload = api.call("POST", "/api/media/uploads", form, account.access_token)
        while upload["media"] is None:
            upload = self._put(upload, content, account, deadline)
        url = urljoin(api.base_url, upload["url"])
        if self._get(url, None, deadline) != content:
            raise Wrong("another content than was uploaded")
        took_s = time.monotonic() - began
        if self._get(url, "bytes=1000-1999", deadline) != content[1000:2000]:
            raise Wrong("another range than was asked for")
        return took_s

    def _put(self, upload: dict[str, int], content: bytes, account: Account, deadline: Deadline) -> dict[str, int]:
        begin = upload["offset"]
        answer = ask(
            "PUT",
            f"{self._owner.api.base_url}/api/media/uploads/{upload['upload']}?offset={begin}",
            deadline.left_s(),
            data=content[begin : begin + upload["chunk_bytes"]],
            headers={"Authorization": f"Bearer {account.access_token}"},
        )
        if answer.status != 200:
            raise Refused(f"{answer.status} of an upload")
        told: dict[str, int] = answer.json()
        return told

    @staticmethod
    def _get(url: str, wanted: str | None, deadline: Deadline) -> bytes:
        headers = {"Range": wanted} if wanted else {}
        answer = ask("GET", url, deadline.left_s(), headers=headers)
        if answer.status != (206 if wanted else 200):
            raise Refused(f"{answer.status} of an attachment")
        return answer.body

    def _content(self) -> bytes:
        seed = hashlib.sha256(f"{self._owner.name} {datetime.now(UTC):%Y-%m-%d}".encode()).digest()
        return (seed * (ATTACHMENT_BYTES // len(seed) + 1))[:ATTACHMENT_BYTES]
