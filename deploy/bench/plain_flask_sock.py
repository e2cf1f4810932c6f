"""flask-sock as its documentation shows it, on gevent's pywsgi: what our connections are measured against.

No compression is negotiated (the clients do not offer it), which is flask-sock at its cheapest. A text to
`/tell` is sent to all who are on `/listen`; the answer is the CPU seconds that took.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import time  # noqa: E402

from flask import Flask  # noqa: E402
from flask_sock import Sock  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402
from simple_websocket import Server  # type: ignore[import-untyped]  # noqa: E402

app = Flask(__name__)
sock = Sock(app)
listeners: list[Server] = []


@sock.route("/listen")  # type: ignore[untyped-decorator]  # flask-sock has no types
def listen(ws: Server) -> None:
    """Stay until the client goes."""
    listeners.append(ws)
    ws.receive()


@sock.route("/tell")  # type: ignore[untyped-decorator]
def tell(ws: Server) -> None:
    """Pass each text on to everybody."""
    while True:
        text = ws.receive()
        started = time.process_time()
        for listener in listeners:
            listener.send(text)
        ws.send(str(time.process_time() - started))


def main() -> None:
    """Serve on a free port of loopback, which is printed."""
    server = WSGIServer(("127.0.0.1", 0), app, log=None, backlog=1024)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
