"""`make token`: a fresh single-use WebSocket token of a demo person, for wscat and the like."""

from __future__ import annotations

import json
import os
import sys
import time

from deploy.stack import settings
from monitoring.client.api import Account, Api, ApiError
from monitoring.client.session import Session
from monitoring.client.socket import ConnectionFailed, Socket

CURSORS_WRITTEN_S = 1.5
"""The server writes cursors once a second; within this time they are in the database."""


def main() -> int:
    """Print the token; exit status 1 with a sentence when the stack does not run."""
    name = sys.argv[1]
    try:
        told = json.loads((settings.load(os.environ).secrets / "demo.json").read_text())
        api = Api(told["url"])
        account = api.login(name, told["password"], "DESKTOP", "terminal")
        _skip_the_past(api, account)
        print(api.ws_token(account))
    except (OSError, ApiError, ConnectionFailed, settings.StackError) as error:
        print(f"no token: {error}; does `make run` run?", file=sys.stderr)
        return 1
    return 0


def _skip_the_past(api: Api, account: Account) -> None:
    """Store the newest cursors for this device, so that its first look is not all that was ever said."""
    heads = api.heads(account)
    socket = Socket(api.ws_url, account.access_token, lambda _event: None, Session(heads))
    socket.command({"type": "delivered", "cursors": heads})
    time.sleep(CURSORS_WRITTEN_S)
    socket.close()


if __name__ == "__main__":
    sys.exit(main())
