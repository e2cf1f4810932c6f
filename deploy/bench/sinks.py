"""The reading ends of many loopback connections, in a process of their own.

A process may have 20,000 descriptors, so both ends of 15,000 connections do not fit into one. The reader
counts the bytes it has drained in shared memory: a sender knows by it when a round has fully arrived,
whatever way it was sent.
"""

from __future__ import annotations

import _socket
import multiprocessing
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

from deploy.bench import handshake

BUFFER_BYTES = 65_536
POLL_S = 0.01
"""How often a waiting sender looks whether all has arrived: seldom, because its looking is CPU that is measured."""
STUCK_S = 60.0
STAMP = struct.Struct("!d")
"""How a frame for a `watch` reader ends: when it was due, in Unix seconds."""
_spawn = multiprocessing.get_context("spawn")


@dataclass
class Sink:
    """What the sending side knows of the readers."""

    pipe: Any
    counter: Any

    @property
    def drained_bytes(self) -> int:
        """Everything the readers have taken in so far."""
        return int(self.counter.value)

    def wait(self, wanted_bytes: int, sleep: Callable[[float], object] = time.sleep) -> None:
        """Return when so much has been taken in; raises TimeoutError when that lasts too long."""
        deadline = time.monotonic() + STUCK_S
        while self.drained_bytes < wanted_bytes:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{wanted_bytes - self.drained_bytes} bytes did not arrive")
            sleep(POLL_S)


@contextmanager
def listening(count: int, *, watch_bytes: int = 0) -> Iterator[tuple[Sink, list[_socket.socket]]]:
    """`count` connected non-blocking sockets whose other ends are drained, or watched (see `_watch`)."""
    with _process(_listen, count, watch_bytes) as sink:
        port = sink.pipe.recv()
        socks = []
        for n in range(count):
            sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            # From several addresses, so that ports that are still busy elsewhere do not matter.
            sock.setsockopt(_socket.IPPROTO_IP, _socket.IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.{1 + n // 4_000}.1", 0))
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            socks.append(sock)
        sink.pipe.recv()
        yield sink, socks


@contextmanager
def dialled(count: int, port: int, path: str) -> Iterator[Sink]:
    """`count` WebSocket clients of a server on loopback, all drained."""
    with _process(_dial, count, port, path) as sink:
        sink.pipe.recv()
        yield sink


@contextmanager
def _process(target: Callable[..., None], *arguments: Any) -> Iterator[Sink]:
    here, there = _spawn.Pipe()
    counter = _spawn.RawValue("Q", 0)
    process = _spawn.Process(target=target, args=(there, counter, *arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield Sink(here, counter)
    finally:
        process.kill()
        process.join()
        here.close()


def _listen(pipe: Pipe, counter: Any, count: int, watch_bytes: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        pipe.send(server.getsockname()[1])
        socks = [server.accept()[0] for _ in range(count)]
    pipe.send("connected")
    if watch_bytes:
        _watch(pipe, socks, watch_bytes)
    else:
        _drain(counter, socks)


def _dial(pipe: Pipe, counter: Any, count: int, port: int, path: str) -> None:
    socks = [handshake.connect(port, path) for _ in range(count)]
    pipe.send("connected")
    _drain(counter, socks)


def _drain(counter: Any, socks: list[socket.socket]) -> None:
    """Read and count for ever; the process is killed in the end."""
    by_fd = {sock.fileno(): sock for sock in socks}
    epoll, buffer = select.epoll(), bytearray(BUFFER_BYTES)
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    while by_fd:
        for fd, _events in epoll.poll():
            size = by_fd[fd].recv_into(buffer)
            counter.value += size
            if not size:
                by_fd.pop(fd).close()


def _watch(pipe: Pipe, socks: list[socket.socket], frame_bytes: int) -> None:
    """Read frames of one length that end in a STAMP; on any word through the pipe, answer with the latencies so far."""
    by_fd = {sock.fileno(): sock for sock in socks}
    epoll, latencies = select.epoll(), list[float]()
    for fd in (*by_fd, pipe.fileno()):
        epoll.register(fd, select.EPOLLIN)
    while True:
        for fd, _events in epoll.poll():
            if fd == pipe.fileno():
                pipe.recv()
                pipe.send(latencies)
                latencies = []
                continue
            data, now = by_fd[fd].recv(BUFFER_BYTES), time.time()
            if not data:
                epoll.unregister(fd)
            for end in range(frame_bytes, len(data) + 1, frame_bytes):
                latencies.append(now - STAMP.unpack_from(data, end - STAMP.size)[0])
