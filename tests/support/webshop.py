"""A small web shop: no messenger, and it knows nothing of the platform, but it counts and times its requests.

`python -m tests.support.webshop --port N` serves on loopback, with customers of its own,
and can be made to fail: POST /test/faults {"failures": 0.5, "delay_s": 0.3}.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import click
import requests
from flask import Flask, Response, abort, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from werkzeug.serving import WSGIRequestHandler, make_server

BOUND_S = 0.25
"""What the latency objective promises; one of the buckets ends here."""
BUCKETS = (0.01, 0.05, 0.1, BOUND_S, 0.5, 1.0)
PAGES = (("GET", "/items"), ("POST", "/orders"))
_STATUSES = ("200", "404", "500")


@dataclass(frozen=True)
class Faults:
    """What is wrong with the shop: the share of requests that fail, from 0 to 1, and how long each takes."""

    failures: float = 0.0
    delay_s: float = 0.0
    payments_up: bool = True


class Shop:
    """The shop's metrics and its faults."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.faults = Faults()
        self.requests = Counter("http_requests", "Requests answered.", ["method", "status"], registry=self.registry)
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "How long requests took.",
            ["status"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.orders = Counter("shop_orders", "Orders by how they ended.", ["outcome"], registry=self.registry)
        self.payments_up = Gauge("shop_payments_up", "1 while payments are taken.", registry=self.registry)
        self.payments_up.set_function(lambda: float(self.faults.payments_up))
        # A counter that is born at 1 has no increase: all of them are there from the start.
        for status in _STATUSES:
            self.seconds.labels(status)
            for method, _ in PAGES:
                self.requests.labels(method, status)
        for outcome in ("paid", "failed"):
            self.orders.labels(outcome)
        self._lock = threading.Lock()
        self._owed = 0.0

    def fails(self) -> bool:
        """Whether this request is one of the failing ones: evenly spread, never by chance."""
        with self._lock:
            self._owed += self.faults.failures
            failing = self._owed >= 1
            self._owed -= failing
        return failing


def create_app(shop: Shop) -> Flask:
    """The pages of the shop, its metrics, and the switch for its faults."""
    app = Flask("shop")

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        if (request.method, request.path) in PAGES:
            status = str(response.status_code)
            shop.requests.labels(request.method, status).inc()
            shop.seconds.labels(status).observe(time.perf_counter() - g.started)
        return response

    @app.get("/items")
    def items() -> Any:
        time.sleep(shop.faults.delay_s)
        return ({"error": "broken"}, 500) if shop.fails() else {"items": ["tea", "cups"]}

    @app.post("/orders")
    def orders() -> Any:
        time.sleep(shop.faults.delay_s)
        failed = shop.fails()
        shop.orders.labels("failed" if failed else "paid").inc()
        return ({"error": "broken"}, 500) if failed else {"order": "taken"}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(shop.registry), mimetype="text/plain")

    @app.post("/test/faults")
    def faults() -> Any:
        if request.remote_addr != "127.0.0.1":
            abort(403)
        shop.faults = replace(Faults(), **request.get_json())
        return {}

    return app


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Nothing, many times a second."""


def _customer(url: str, pause_s: float) -> None:
    session = requests.Session()
    while True:
        for method, page in PAGES:
            session.request(method, url + page, timeout=10)
            time.sleep(pause_s)


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--customers", default=4, show_default=True, help="How many of them ask at the same time.")
@click.option("--pause", "pause_s", default=0.1, show_default=True, help="Seconds between two requests of a customer.")
def main(port: int, customers: int, pause_s: float) -> None:
    """Serve the shop on loopback until stopped."""
    server = make_server("127.0.0.1", port, create_app(Shop()), threaded=True, request_handler=_Quiet)
    for _ in range(customers):
        threading.Thread(target=_customer, args=(f"http://127.0.0.1:{port}", pause_s), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
