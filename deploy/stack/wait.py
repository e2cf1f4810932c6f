"""`python -m deploy.stack.wait URL`: return once the URL answers with 2xx; fail after a minute."""

from __future__ import annotations

import sys
import time

import requests

LIMIT_S = 60.0


def answers(url: str) -> bool:
    """Whether the URL answers with 2xx now."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def main() -> int:
    """Wait; exit status 1 when the time is over."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if answers(sys.argv[1]):
            return 0
        time.sleep(0.1)
    print(f"{sys.argv[1]} did not answer within {LIMIT_S:.0f} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
