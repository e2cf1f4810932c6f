"""Native histograms for a real Prometheus: a remote-write request, written by hand.

promtool cannot write them and its tests cannot read them; the receiver of remote write takes
them. The fields are those of prompb (remote.proto and types.proto) of Prometheus 2.42; Snappy's
block format may consist of literals alone, so nothing is compressed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import requests

_VARINT, _DOUBLE, _BYTES = 0, 1, 2
_LITERAL = 61 << 2  # its length, less one, follows in two bytes
_CHUNK = 1 << 16


@dataclass(frozen=True)
class NativeHistogram:
    """What one scrape brings of schema 0: bucket i counts values above 2**(i-1), up to 2**i.

    `counts` are those of neighbouring buckets, from the bucket `first` on.
    """

    time_ms: int
    first: int
    counts: Sequence[int]


def send(url: str, name: str, series: Iterable[tuple[Mapping[str, str], Sequence[NativeHistogram]]]) -> None:
    """Have a Prometheus store these histograms. AssertionError when it refuses."""
    body = b"".join(_field(1, _BYTES, _series({"__name__": name, **labels}, told)) for labels, told in series)
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    answer = requests.post(f"{url}/api/v1/write", data=_snappy(body), headers=headers, timeout=10)
    assert answer.ok, answer.text


def _series(labels: Mapping[str, str], histograms: Sequence[NativeHistogram]) -> bytes:
    pairs = b"".join(
        _field(1, _BYTES, _field(1, _BYTES, label.encode()) + _field(2, _BYTES, value.encode()))
        for label, value in sorted(labels.items())
    )
    return pairs + b"".join(_field(4, _BYTES, _histogram(one)) for one in histograms)


def _histogram(one: NativeHistogram) -> bytes:
    deltas = [after - before for before, after in zip([0, *one.counts], one.counts, strict=False)]
    span = _field(1, _VARINT, _zigzag(one.first)) + _field(2, _VARINT, len(one.counts))
    return b"".join(
        (
            _field(1, _VARINT, sum(one.counts)),
            _field(3, _DOUBLE, 0.0),
            _field(4, _VARINT, _zigzag(0)),
            _field(5, _DOUBLE, 1e-128),
            _field(6, _VARINT, 0),
            _field(11, _BYTES, span),
            _field(12, _BYTES, b"".join(_varint(_zigzag(delta)) for delta in deltas)),
            _field(15, _VARINT, one.time_ms),
        )
    )


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | kind)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    return key + (_varint(int(value)) if kind == _VARINT else struct.pack("<d", value))


def _zigzag(number: int) -> int:
    return number * 2 if number >= 0 else -number * 2 - 1


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _snappy(body: bytes) -> bytes:
    chunks = (body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))
    return _varint(len(body)) + b"".join(
        bytes([_LITERAL]) + struct.pack("<H", len(chunk) - 1) + chunk for chunk in chunks
    )
