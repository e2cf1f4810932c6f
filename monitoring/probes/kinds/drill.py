"""The way of an alert, tried as a fault takes it: a figure of the prober goes up, and on-call must tell of it.

The figure is scraped, a rule finds it (`OnCallDrill`), Alertmanager sends it, on-call tells it by the ways that its
`drills` names. Then the figure goes down again, and on-call must tell that too. Nobody is called.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import requests

from monitoring.client.http import ask
from monitoring.probes.failures import Deadline, Refused

LOOK_EVERY_S = 1.0
ANSWER_WITHIN_S = 5.0
NOT_YET = 404


class Drill:
    """One drill at a time: there is one figure."""

    def __init__(
        self, oncall: str, auth: tuple[str, str], show: Callable[[float], None], over: threading.Event
    ) -> None:
        """`show` sets the figure: the number of the drill that is on, or 0. `over`: the prober ends, and waits for
        nothing more."""
        self._oncall, self._auth, self._show, self._over = oncall.rstrip("/"), auth, show, over

    def run(self, deadline: Deadline) -> float:
        """Seconds from the fault until it was told."""
        began = time.time()
        number = int(began * 1000)
        self._show(number)
        try:
            self._wait(number, "told_at", deadline)
            took_s = time.time() - began
        finally:
            self._show(0)
        self._wait(number, "end_told_at", deadline)
        return took_s

    def _wait(self, number: int, what: str, deadline: Deadline) -> None:
        """An on-call that does not answer may do so before the deadline: then it is the reason, else forgotten."""
        while True:
            problem: Exception | None = None
            try:
                if self._ask(number).get(what):
                    return
            except (requests.RequestException, Refused) as error:
                problem = error
            try:
                left_s = deadline.left_s()
            except TimeoutError:
                raise problem or TimeoutError from None
            if self._over.wait(min(LOOK_EVERY_S, left_s)):
                raise Refused("the prober ends")

    def _ask(self, number: int) -> dict[str, Any]:
        answer = ask("GET", f"{self._oncall}/api/drills/{number}", ANSWER_WITHIN_S, auth=self._auth)
        if answer.status == NOT_YET:
            return {}
        if answer.status != 200:
            raise Refused(f"{answer.status} of on-call")
        found: dict[str, Any] = answer.json()
        return found
