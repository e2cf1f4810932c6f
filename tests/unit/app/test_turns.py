"""Long work that gives way does not keep sockets waiting."""

from __future__ import annotations

import time

import gevent
from gevent import socket

from app.realtime.turns import give_way

TURNS = 40


def test_sockets_are_served_between_the_turns_of_long_work() -> None:
    near, far = socket.socketpair()
    answered = 0

    def echo() -> None:
        while True:
            far.send(far.recv(1))

    def ask() -> None:
        nonlocal answered
        while True:
            near.send(b"x")
            near.recv(1)
            answered += 1

    def work() -> int:
        before = answered
        for _ in range(TURNS):
            until = time.perf_counter() + 0.001
            while time.perf_counter() < until:
                pass
            give_way()
        return answered - before

    others = [gevent.spawn(echo), gevent.spawn(ask), gevent.spawn(work)]
    try:
        assert work() >= TURNS // 8  # two of them work, and an answer takes two turns; with sleep(0) it is none
    finally:
        gevent.killall(others)
        near.close()
        far.close()
