"""`make cluster`: start everything, say where it is, keep it running, stop everything on Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading

from deploy.cluster import cluster
from deploy.stack.settings import Settings, StackError


def main() -> int:
    """Run until a signal; the exit status is 0 when that was what ended it, 2 when it cannot start."""
    ended = threading.Event()

    def end(*_: object) -> None:
        if ended.is_set():
            return  # everything is going away already
        ended.set()
        raise KeyboardInterrupt

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)
    try:
        where = cluster.settings(os.environ)
        with cluster.running(where) as made:
            print(table(made), flush=True)
            ended.wait()
    except StackError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def table(made: cluster.Cluster) -> str:
    """What runs where."""
    where: Settings = made.where
    ports = where.ports
    rows = [
        ("messenger", where.url, f"nginx with TLS; its certificate: {where.certificate}"),
        ("without TLS", f"http://127.0.0.1:{ports.proxy_port}", f"the same, for tools: {made.socket_url}"),
        *((name, node.url, f"metrics: {node.metrics_url}") for name, node in made.nodes.items()),
        ("prometheus", f"http://127.0.0.1:{ports.prometheus_port}", "targets: /targets, alerts: /alerts"),
        ("alertmanager", f"http://127.0.0.1:{ports.alertmanager_port}", "API: /api/v2/alerts"),
        ("on call", f"http://127.0.0.1:{ports.oncall_port}",
         f"user oncall, password in {where.secrets / 'oncall-password'}"),
        ("probe", f"http://127.0.0.1:{ports.probe_metrics_port}/metrics", "canaries over every pair of nodes"),
        ("logs", str(where.logs), "one file a process; nginx's without queries"),
    ]  # fmt: skip
    width = [max(len(row[n]) for row in rows) for n in (0, 1)]
    lines = [f"  {name:<{width[0]}}  {place:<{width[1]}}  {note}" for name, place, note in rows]
    return "\n".join(
        [
            "",
            *lines,
            "",
            f"  talk to it:        curl --cacert {where.certificate} {where.url}/health",
            "  replace the nodes: .venv/bin/python -m deploy.rolling --cluster",
            "  stop it:           Ctrl-C",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
