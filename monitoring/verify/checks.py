"""Every check by its name: what was found, and whether that ticks a box. Each is a sentence over `Evidence`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from monitoring.errors import MonitoringError
from monitoring.verify.checklist import Result, State
from monitoring.verify.evidence import TABLES, Broken, Evidence, NotGiven

Check = Callable[[Evidence], Result]

READ_SYNC_S, FANOUT_P95_MS, BASELINE_P95_MS = 2.0, 250.0, 300.0
CONNECTIONS = {"single": 10_000, "multi": 100_000}
ERROR_SHARE = 0.01
NODES = 3
BOARD_REFRESH = "10s"
YEAR_S = 365 * 86_400
MB = 1024 * 1024


def run(name: str, evidence: Evidence) -> Result:
    """What became of a check; whatever it meets is its evidence, and the others go on."""
    check = CHECKS.get(name)
    if check is None:
        return Result(State.NOT_RUN, "nothing in this run looks at it")
    try:
        return check(evidence)
    except NotGiven as error:
        return Result(State.NOT_RUN, str(error))
    except MonitoringError as error:
        return Result(State.FAILED, str(error))


def _is(good: bool, evidence: str, **figures: str) -> Result:
    return Result(State.TICKED if good else State.FAILED, evidence, figures)


def _preflight(name: str, evidence: Evidence, blank: str = "") -> Result:
    """A line of preflight; a warning is not enough."""
    found = evidence.preflight.get(name)
    if found is None:
        raise Broken(f"preflight says nothing of {name}")
    good = found["level"] == "ok"
    words = found["found"] if good else f"{found['found']}: {found['why']}"
    return _is(good, f"preflight: {words}", **({blank: found["found"].removeprefix("version ")} if blank else {}))


def _certificate(evidence: Evidence) -> Result:
    if not evidence.tls:
        raise NotGiven("--url is not https")
    return _preflight("TLS", evidence)


def _health(evidence: Evidence) -> Result:
    answer = evidence.get("/health/ready")
    found = answer.json() if answer.status == 200 else {}
    return _is(found.get("status") == "ready", f"/health/ready: {answer.status}, {found.get('status')}, "
               f"node {found.get('node')}")  # fmt: skip


def _websocket(evidence: Evidence) -> Result:
    return _is(True, f"a message went over two WebSockets in {1000 * evidence.took_s('message'):.0f} ms")


def _tried(what: str, within_s: float | None, words: str, evidence: Evidence) -> Result:
    took_s = evidence.took_s(what)
    return _is(within_s is None or took_s <= within_s, words.format(ms=1000 * took_s),
               **{f"{what}_ms": f"{1000 * took_s:.0f}"})  # fmt: skip


def _every_node(name: str, words: str, evidence: Evidence) -> Result:
    values = {url: sums.get(name) for url, sums in evidence.nodes.items()}
    without = [url for url, value in values.items() if not value]
    return _is(not without, f"{words} on {len(values) - len(without)} of {len(values)} nodes" +
               (f"; not on {', '.join(without)}" if without else ""))  # fmt: skip


def _three_nodes(evidence: Evidence) -> Result:
    here = len(evidence.nodes)
    return _is(here >= NODES, f"{here} nodes answer with their metrics")


def _metrics(evidence: Evidence) -> Result:
    few = min(len(sums) for sums in evidence.nodes.values())
    return _is(few > 0, f"{len(evidence.nodes)} nodes, at least {few} series' names each")


def _targets(evidence: Evidence) -> Result:
    up = evidence.prometheus.scalar("count(up == 1)") or 0
    down = [series.labels.get("instance", "?") for series in evidence.prometheus.instant("up == 0")]
    return _is(up > 0 and not down, f"{up:.0f} targets are up" + (f"; down: {', '.join(down)}" if down else ""))


def _connections_active(evidence: Evidence) -> Result:
    active = evidence.prometheus.scalar("sum(ws_connections_active)")
    return _is(active is not None, "asked of Prometheus" if active is not None else "Prometheus has no such series",
               **({} if active is None else {"ws_connections_active": f"{active:.0f}"}))  # fmt: skip


def _panels(evidence: Evidence) -> Result:
    count, silent = evidence.silent_panels
    return _is(count >= 10 and not silent, f"{count - len(silent)} of {count} panels show data" +
               (f"; nothing in: {', '.join(silent)}" if silent else ""))  # fmt: skip


def _time_range(evidence: Evidence) -> Result:
    picker = evidence.board.get("timepicker") or {}
    return _is("time" in evidence.board and not picker.get("hidden"), f"from {evidence.board.get('time')}, and the "
               "picker is shown")  # fmt: skip


def _refresh(evidence: Evidence) -> Result:
    every = evidence.board.get("refresh")
    return _is(every == BOARD_REFRESH, f"the board's refresh is {every}")


def _drawn(evidence: Evidence) -> Result:
    return _is(*evidence.drawn())


def _board_valid(evidence: Evidence) -> Result:
    return _is(*evidence.monitoring("check"))


def _scrape_config(evidence: Evidence) -> Result:
    up = evidence.prometheus.instant('up{job="secure-messenger"}')
    return _is(len(up) >= NODES, f"{len(up)} nodes are scraped", scrape_interval=evidence.scrape_interval)


# --- what stands below -----------------------------------------------------------------------------------


def _table(name: str, evidence: Evidence) -> Result:
    return _is(name in evidence.indexed, f"PostgreSQL's catalogue: {', '.join(sorted(evidence.indexed)) or 'neither'}")


def _indexes(evidence: Evidence) -> Result:
    led = {table: evidence.indexed.get(table, set()) for table in TABLES}
    good = "user_id" in led["devices"] and "device_id" in led["one_time_keys"]
    return _is(good, "; ".join(f"{table}: indexes begin with {', '.join(sorted(led[table]))}" for table in TABLES))


def _device_sessions(evidence: Evidence) -> Result:
    count, one = evidence.sessions
    return _is(count > 0, f"{count} in Redis; {one}")


def _sticky(evidence: Evidence) -> Result:
    there = re.search(r"^\s*ip_hash;", evidence.nginx, re.MULTILINE)
    servers = len(set(re.findall(r"^\s*server\s+([\w.\-:\[\]]+)[^{\n]*;", evidence.nginx, re.MULTILINE)))
    return _is(bool(there), f"ip_hash is {'set' if there else 'not set'}, {servers} servers")


def _logs(evidence: Evidence) -> Result:
    lines, errors = evidence.log_errors
    return _is(not errors, f"{len(errors)} of {lines:,} lines are errors" + (f": {errors[0]}" if errors else ""))


def _between_nodes(evidence: Evidence) -> Result:
    return _is(True, f"a message from the first node to the second: {1000 * evidence.between_nodes_s():.0f} ms")


def _page(evidence: Evidence) -> Result:
    said = evidence.headers("/", **{"Accept-Encoding": "br"})
    kind = said.get("content-type", "")
    return _is(kind.startswith("text/html"), f"/ is {kind or 'nothing'}, {said.get('content-encoding', 'not')} encoded")


def _cache_year(evidence: Evidence) -> Result:
    name = re.search(rb'(?:src|href)="[./]*(assets/[^"]+)"', evidence.get("/").body)
    if name is None:
        raise Broken("the page names no versioned file")
    path = f"/{name[1].decode()}"
    said = evidence.headers(path).get("cache-control", "")
    age = re.search(r"max-age=(\d+)", said)
    good = age is not None and int(age[1]) >= YEAR_S and "immutable" in said
    return _is(good, f"{path}: Cache-Control: {said or 'none'}")


def _alert(part: int, blank: str, words: str, evidence: Evidence) -> Result:
    seconds = evidence.drill[part]
    return _is(True, f"a drill through Alertmanager and on-call: {words} after {seconds:.1f} s",
               **{blank: f"{seconds:.1f}"})  # fmt: skip


# --- load ------------------------------------------------------------------------------------------------


def _ran(nodes: str, evidence: Evidence) -> Result:
    told = evidence.load(nodes)
    traffic = told["traffic"]
    return _is(True, f"{told['connections']['connected']} connections, {told['history']['sent']} messages",
               **{f"{nodes}_seconds": f"{traffic['duration_s']:.0f}",
                  f"{nodes}_rate": f"{traffic['rate_per_s']:g}"})  # fmt: skip


def _p95(nodes: str, evidence: Evidence) -> Result:
    p95, limit = evidence.load(nodes)["fanout_ms"]["p95"], BASELINE_P95_MS if nodes == "single" else FANOUT_P95_MS
    if p95 is None:
        raise Broken("nothing was delivered, so nothing was measured")
    return _is(p95 < limit, f"fan-out, received to told: {p95:.1f} ms, less than {limit:g} wanted",
               **{f"{nodes}_p95_ms": f"{p95:.1f}"})  # fmt: skip


def _connections(nodes: str, evidence: Evidence) -> Result:
    connected, wanted = evidence.load(nodes)["connections"]["connected"], CONNECTIONS[nodes]
    words = "held" if connected >= wanted else f"held; a run of {wanted:,} would tick this"
    return _is(connected >= wanted, f"{connected:,} {words}", **{f"{nodes}_connections": f"{connected:,}"})


def _errors(nodes: str, evidence: Evidence) -> Result:
    share = evidence.load(nodes)["error_rate"]
    return _is(share < ERROR_SHARE, "of connects and sends", **{f"{nodes}_error_percent": f"{100 * share:.3f}"})


def _memory(nodes: str, evidence: Evidence) -> Result:
    peaks = [node["memory_peak_bytes"] for node in evidence.load(nodes)["nodes"]]
    if not peaks:
        raise NotGiven("the load tool was given no --metrics-url")
    return _is(True, f"the largest of {len(peaks)}", **{f"{nodes}_memory_mb": f"{max(peaks) / MB:.0f}"})


def _cpu(nodes: str, evidence: Evidence) -> Result:
    shares = [node["cpu_share"] for node in evidence.load(nodes)["nodes"] if node["cpu_share"] is not None]
    if not shares:
        raise NotGiven("the load tool was given no --metrics-url")
    return _is(True, f"the busiest of {len(shares)}", **{f"{nodes}_cpu_percent": f"{100 * max(shares):.0f}"})


def _count(which: str, evidence: Evidence) -> Result:
    told = evidence.load("multi")
    counts = {"sent": told["history"]["sent"], "received": told["traffic"]["received"]}
    return _is(counts[which] > 0, "counted by the load tool", **{f"multi_{which}": f"{counts[which]:,}"})


def _loss(evidence: Evidence) -> Result:
    told = evidence.load("multi")
    history = told["history"]
    return _is(bool(history["ok"]) and history["lost"] == 0,
               f"lost {history['lost']} of {history['expected']:,} owed; duplicated {history['duplicated']}, "
               f"reordered {history['reordered']}", multi_loss_percent=f"{100 * told['loss_rate']:.4f}")  # fmt: skip


_OF_LOAD: Mapping[str, Callable[[str, Evidence], Result]] = {
    "ran": _ran, "p95": _p95, "connections": _connections, "errors": _errors, "memory": _memory, "cpu": _cpu,
}  # fmt: skip

CHECKS: Mapping[str, Check] = {
    "jwt_secret": partial(_preflight, "JWT_SECRET"),
    "own_secrets": partial(_preflight, "JWT_SECRET"),
    "database_url": partial(_preflight, "PostgreSQL"),
    "redis_url": partial(_preflight, "Redis"),
    "cors_origin": partial(_preflight, "CORS_ORIGIN"),
    "cdn_url": partial(_preflight, "CDN_URL"),
    "postgres_version": partial(_preflight, "PostgreSQL", blank="postgres_version"),
    "redis_version": partial(_preflight, "Redis", blank="redis_version"),
    "migrated": partial(_preflight, "migrations"),
    "backups": partial(_preflight, "backup"),
    "device_table": partial(_table, "devices"),
    "one_time_key_table": partial(_table, "one_time_keys"),
    "device_indexes": _indexes,
    "device_sessions": _device_sessions,
    "sticky": _sticky,
    "logs": _logs,
    "between_nodes": _between_nodes,
    "web_client": _page,
    "cache_year": _cache_year,
    "scrape_config": _scrape_config,
    "dashboard_valid": _board_valid,
    "panels_drawn": _drawn,
    "link_by_code": partial(_tried, "code", None, "a new device typed it and is in the list: {ms:.0f} ms"),
    "revoked_from_list": partial(_tried, "code", None, "a linked device was in the list, and after its end was not"),
    "receipt": partial(_tried, "message", None, "the sender was told that it arrived"),
    "certificate": _certificate,
    "health": _health,
    "websocket": _websocket,
    "three_nodes": _three_nodes,
    "metrics": _metrics,
    "bus": partial(_every_node, "messenger_bus_connected", "connected to Redis"),
    "redis_ping": partial(_every_node, "messenger_bus_connected", "connected to Redis"),
    "devices_api": partial(_tried, "person", None, "/api/devices lists the device that asks, {ms:.0f} ms"),
    "person_made": partial(_tried, "person", None, "signed up and listed its devices in {ms:.0f} ms"),
    "login": partial(_tried, "person", None, "signed up and in in {ms:.0f} ms"),
    "link": partial(_tried, "link", None, "offered, claimed, the same code on both, welcomed: {ms:.0f} ms"),
    "read_sync": partial(_tried, "read_sync", READ_SYNC_S, "from the word of one device to the other's: {ms:.0f} ms"),
    "revoke": partial(_tried, "revoke", None, "closed with 4401 and refused everywhere after {ms:.0f} ms"),
    "message": partial(_tried, "message", FANOUT_P95_MS / 1000, "from a send to the other's socket: {ms:.0f} ms"),
    "prometheus": _targets,
    "targets": _targets,
    "connections_active": _connections_active,
    "panels_data": _panels,
    "time_range": _time_range,
    "refresh": _refresh,
    "alertmanager": partial(_alert, 0, "alert_told_s", "taken, and told"),
    "alert_told": partial(_alert, 0, "alert_told_s", "told"),
    "alert_raised": partial(_alert, 0, "alert_told_s", "raised, and told"),
    "alert_resolved": partial(_alert, 1, "alert_resolved_s", "its end told"),
    "multi_sent": partial(_count, "sent"),
    "multi_received": partial(_count, "received"),
    "multi_loss": _loss,
    **{f"{nodes}_{name}": partial(check, nodes) for nodes in CONNECTIONS for name, check in _OF_LOAD.items()},
}
