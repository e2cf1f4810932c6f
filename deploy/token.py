"""`make token`: a fresh single-use WebSocket token of a demo person, for wscat and the like."""

from __future__ import annotations

import json
import os
import sys

from deploy.stack import settings
from monitoring.client.api import Api, ApiError


def main() -> int:
    """Print the token; exit status 1 with a sentence when the stack does not run."""
    name = sys.argv[1]
    try:
        told = json.loads((settings.load(os.environ).secrets / "demo.json").read_text())
        api = Api(told["url"])
        print(api.ws_token(api.login(name, told["password"], "DESKTOP", "terminal")))
    except (OSError, ApiError, settings.StackError) as error:
        print(f"no token: {error}; does `make run` run?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
