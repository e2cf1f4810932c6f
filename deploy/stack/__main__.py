"""`python -m deploy.stack`: start everything, say where it is, stop everything on Ctrl-C.

PostgreSQL is started before and stopped after the supervisor's processes. Everything runs on
loopback; the output of each process goes to a file of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from honcho.manager import Manager

from deploy.stack import prepare, processes, settings
from deploy.stack.ground import ground
from deploy.stack.wait import answers
from monitoring.preview.server import is_built

READY_LIMIT_S = 90.0
DASHBOARDS = {True: "live, without Grafana", False: "`make setup` builds it, where there is npm"}


def main() -> int:
    """Run until a signal; the exit status is 0 when that was what ended it."""
    # Until the supervisor installs its own, a signal must still stop the database.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        where = settings.load(os.environ)
        settings.require_free(where.ports, redis=not where.redis_url and settings.find("redis-server") is not None)
        return _run(where)
    except settings.StackError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _run(where: settings.Settings) -> int:
    with ground(where) as wanted:
        return _supervise(where, wanted)


def _supervise(where: settings.Settings, wanted: list[processes.Process]) -> int:
    manager = Manager()
    for process in wanted:
        env = os.environ | {"PYTHONUNBUFFERED": "1"} | process.env
        manager.add_process(
            process.name, process.shell(where.logs / f"{process.name}.log"), env=env, cwd=settings.PROJECT
        )
    threading.Thread(target=_announce, args=(where,), daemon=True).start()
    manager.loop()
    # 128 + signal: somebody asked for the end. Anything else is a process that ended by itself.
    stopped_by_us = manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    if not stopped_by_us:
        print(f"a process ended by itself; its last words are in {where.logs}", file=sys.stderr)
    return 0 if stopped_by_us else 1


def _announce(where: settings.Settings) -> None:
    """Print the table once everything answers."""
    ports = where.ports
    urls = [
        f"{where.app_url}/health/ready",
        f"http://127.0.0.1:{ports.prometheus_port}/-/ready",
        f"http://127.0.0.1:{ports.alertmanager_port}/-/ready",
        f"http://127.0.0.1:{ports.oncall_port}/health",
        f"http://127.0.0.1:{ports.probe_metrics_port}/metrics",
        *([f"{where.preview_url}/api/settings"] if is_built() else []),
    ]
    deadline = time.monotonic() + READY_LIMIT_S
    waiting = urls
    while waiting and time.monotonic() < deadline:
        waiting = [url for url in waiting if not answers(url)]
        time.sleep(0.2)
    for url in waiting:
        print(f"{url} does not answer; see {where.logs}", flush=True)
    if not waiting:
        print(table(where), flush=True)


def table(where: settings.Settings) -> str:
    """What runs where, and how to log in."""
    ports, secrets = where.ports, where.secrets
    rows = [
        ("messenger", where.app_url, "open it in a browser; health: /health, /health/ready; WebSocket: /ws, /calls"),
        ("by nginx", where.proxy_url, "the same, as people come in"),
        ("its metrics", f"http://127.0.0.1:{ports.metrics_port}/metrics", ""),
        ("prometheus", f"http://127.0.0.1:{ports.prometheus_port}", "targets: /targets, alerts: /alerts"),
        (
            "alertmanager",
            f"http://127.0.0.1:{ports.alertmanager_port}",
            "no page of its own on Debian; API: /api/v2/alerts",
        ),
        ("on call", f"http://127.0.0.1:{ports.oncall_port}", f"user oncall, password in {secrets / 'oncall-password'}"),
        (
            "probe",
            f"http://127.0.0.1:{ports.probe_metrics_port}/metrics",
            f"a canary every {where.probe_interval_s} s",
        ),
        ("dashboards", where.preview_url if is_built() else "no page", DASHBOARDS[is_built()]),
        ("for Grafana", str(where.folder / "dashboards"), "the same as JSON, data from the Prometheus above"),
        ("demo people", ", ".join(prepare.DEMO_PEOPLE), f"password in {secrets / 'demo-password'}"),
        ("logs", str(where.logs), "one file a process"),
    ]
    width = [max(len(row[n]) for row in rows) for n in (0, 1)]
    lines = [f"  {name:<{width[0]}}  {place:<{width[1]}}  {note}".rstrip() for name, place, note in rows]
    talk = f'npx -y wscat -c "ws://127.0.0.1:{ports.port}/calls?token=$(make -s token)"'
    return "\n".join(["", *lines, "", f"  talk to it:   {talk}", "  stop it:      Ctrl-C", ""])


if __name__ == "__main__":
    sys.exit(main())
