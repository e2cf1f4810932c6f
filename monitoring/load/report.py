"""The figures of a run: as JSON with fixed keys (docs/load.md), as the deployment checklist's blanks, and judged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from monitoring.load.latency import Latencies
from monitoring.load.run import Outcome
from monitoring.load.tally import Tally

BUSY_SHARE = 0.8
"""A client process that is busier than this may itself be what is slow."""
FAULTS = ("lost", "duplicated", "reordered", "holes", "outside", "conflicting_acks", "wrong_content")
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must keep; None: not asked."""

    fanout_p95_ms: float | None
    loss_rate: float | None
    error_rate: float | None


def figures(outcome: Outcome) -> dict[str, Any]:
    """Everything measured. Milliseconds, bytes, shares of 1; None where nothing was measured."""
    tally, verdict, options = outcome.tally, outcome.verdict, outcome.options
    attempts = tally.connects + tally.sends
    return {
        "connections": {
            "asked": len(options.people),
            "connected": outcome.connected,
            "attempts": tally.connects,
            "failed": tally.connects_failed,
            "failures": dict(tally.connect_errors.most_common(10)),
            "reconnects": tally.reconnects,
            "given_up": tally.given_up,
            "unexpected_closes": dict(tally.unexpected_closes),
            "drained": tally.drained,
            "ramp_s": tally.ramp_s,
            "connects_per_s": outcome.connected / tally.ramp_s if tally.ramp_s else None,
        },
        "traffic": {
            "duration_s": outcome.traffic_s,
            "drain_s": outcome.drain_s,
            "rate_per_s": options.rate_per_s,
            "repeats": tally.repeats,
            "received": tally.received,
            "received_per_s": tally.received / outcome.traffic_s,
            "error_frames": dict(tally.error_frames),
            "gaps": tally.gaps,
            "resyncs": tally.resyncs,
        },
        "fanout_ms": latency_ms(tally.fanout),
        "ack_ms": latency_ms(tally.ack),
        "history": asdict(verdict) | {"ok": verdict.ok},
        "loss_rate": verdict.lost / verdict.expected if verdict.expected else 0.0,
        "error_rate": tally.errors / attempts if attempts else 0.0,
        "nodes": [
            {
                "url": node.url,
                "memory_before_bytes": node.memory_before_bytes,
                "memory_peak_bytes": node.memory_peak_bytes,
                "connections_peak": int(node.connections_peak),
                "cpu_s": node.cpu_s,
                "cpu_share": node.cpu_share,
                "failed_scrapes": node.failed_scrapes,
            }
            for node in outcome.nodes
        ],
        "clients": [_client(process, outcome.traffic_s) for process in outcome.processes],
    }


def latency_ms(latencies: Latencies) -> dict[str, float | int | None]:
    """Percentiles in milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    found = {name: latencies.quantile(share) for name, share in shares.items()}
    return {"count": latencies.count} | {name: None if s is None else s * 1000 for name, s in found.items()}


def _client(tally: Tally, traffic_s: float) -> dict[str, Any]:
    turns = latency_ms(tally.turns)
    return {
        "memory_bytes": tally.rss_bytes,
        "cpu_s": tally.cpu_s,
        "busy_share": tally.busy_s / traffic_s,
        "loop_p99_ms": turns["p99"],
        "loop_max_ms": turns["max"],
    }


def missed(told: dict[str, Any], limits: Limits) -> list[str]:
    """The limits that were not kept and the promises that were not, in words. A latency not measured is not kept.

    Loss, and the holes it leaves, are borne up to the limit where there is one; other faults never.
    """
    p95, history = told["fanout_ms"]["p95"], told["history"]
    found = []
    if limits.fanout_p95_ms is not None and not (p95 if p95 is not None else math.inf) <= limits.fanout_p95_ms:
        found.append(f"fan-out p95 is {_ms(p95)}, the limit is {limits.fanout_p95_ms:g} ms")
    if limits.loss_rate is not None and told["loss_rate"] > limits.loss_rate:
        found.append(f"loss rate is {told['loss_rate']:.4%}, the limit is {limits.loss_rate:.4%}")
    if limits.error_rate is not None and told["error_rate"] > limits.error_rate:
        found.append(f"error rate is {told['error_rate']:.4%}, the limit is {limits.error_rate:.4%}")
    borne = ("lost", "holes") if limits.loss_rate is not None else ()
    found += [f"{name}: {history[name]}" for name in FAULTS if history[name] and name not in borne]
    return found


def text(told: dict[str, Any]) -> str:
    """The report for people."""
    return "\n".join(_lines(told)) + "\n"


def _lines(told: dict[str, Any]) -> Iterator[str]:
    connections, traffic, history = told["connections"], told["traffic"], told["history"]
    fanout, ack = told["fanout_ms"], told["ack_ms"]
    yield f"p95 latency: {_ms(fanout['p95'])} (target < 250 ms)"
    yield f"Max connections: {connections['connected']} of {connections['asked']}"
    yield f"Error rate: {told['error_rate']:.3%} (target < 1 %)"
    for node in told["nodes"]:
        yield f"Memory per node: {node['memory_peak_bytes'] / _MB:.0f} MB ({node['url']})"
    for node in told["nodes"]:
        share = "not measured" if node["cpu_share"] is None else f"{node['cpu_share']:.0%} of a core"
        yield f"CPU per node: {share} ({node['url']})"
    yield f"Total messages sent: {history['sent']}"
    yield f"Total messages received: {traffic['received']}"
    yield f"Loss rate: {told['loss_rate']:.4%} (target < 0.1 %)"
    yield ""
    yield f"Lost / duplicated / reordered: {history['lost']} / {history['duplicated']} / {history['reordered']}"
    yield f"Acknowledged: {history['acknowledged']}; applied: {history['applied']} of {history['expected']} owed"
    yield f"Fan-out: {_percentiles(fanout)}"
    yield f"Acknowledgement: {_percentiles(ack)}"
    if connections["connects_per_s"]:
        yield f"Connects: {connections['connects_per_s']:.0f} per s"
    yield "Fan-out is the client's clock less the server's: it means something only where both are one machine's."
    yield from _about_clients(told["clients"])
    yield from _troubles(told)


def _about_clients(clients: list[dict[str, Any]]) -> Iterator[str]:
    busiest = max(client["busy_share"] for client in clients)
    slowest = max(client["loop_max_ms"] or 0.0 for client in clients)
    memory = sum(client["memory_bytes"] for client in clients) / _MB
    yield f"Clients: {len(clients)} processes, {memory:.0f} MB, busiest {busiest:.0%}, longest turn {slowest:.0f} ms"
    if busiest > BUSY_SHARE:
        yield "  The load tool itself was saturated: latencies are its own. Use more --processes or a lower --rate."


def _troubles(told: dict[str, Any]) -> Iterator[str]:
    for title, counts in (
        ("Failed connects", told["connections"]["failures"]),
        ("Unexpected closes", told["connections"]["unexpected_closes"]),
        ("Error frames", told["traffic"]["error_frames"]),
    ):
        if counts:
            yield f"{title}: " + ", ".join(f"{name}: {count}" for name, count in counts.items())
    for example in told["history"]["examples"]:
        yield f"  {example}"


def _percentiles(latency: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_ms(latency[name])}" for name in ("p50", "p95", "p99", "max"))


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} ms"
