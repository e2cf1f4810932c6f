"""nginx before the nodes, from one template: for `make run`, for tests, and for production.

    python -m deploy.balancer --node 10.0.0.11:3001 --node 10.0.0.12:3001 --domain chat.example.com \\
        --certificate /etc/ssl/chat.pem --key /etc/ssl/chat.key > /etc/nginx/nginx.conf

What is not obvious in it, and docs/deploy.md says at length:

- No log holds a query: it may be a token, or the permission to see a medium. The access log names the path alone. The
  error log prints whole request lines, so it is on for what has no request yet, and off within servers; which node
  failed and how stands in the access log.
- A node that is full or going away answers a handshake with 503, which is tried elsewhere; so is a connection that is
  refused. A request that may have been carried out is not sent twice.
- No node is ever marked as failed (`max_fails=0`). Nginx forgives a node when a request to it has *ended* well, and a
  WebSocket ends hours later: until then a node that is back would get one connection each `fail_timeout`. Measured in
  a rolling restart of three nodes: with `max_fails=3 fail_timeout=2s` 55 of 120 people were still out after 30 s.
- A medium's address is its permission, so the whole of it is the key of the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from app.storage import PART_BYTES

DESCRIPTORS = 20_000
SPARE_DESCRIPTORS = 500
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
CONNECTIONS_A_PORT = 28_000
"""What the kernel's usual range of ports gives to one address and port of a node."""


@dataclass(frozen=True)
class Certificate:
    """Files that nginx reads at its start."""

    chain: Path
    key: Path


@dataclass(frozen=True)
class Balancer:
    """What differs between places. Addresses are host:port; sizes in bytes."""

    nodes: Sequence[str]
    folder: Path
    """Its pid, temporary files and cache."""
    logs: Path
    http: str
    """With a certificate people are sent on from here to https; without one it is all there is."""
    https: str | None = None
    certificate: Certificate | None = None
    domain: str = "_"
    status: str | None = None
    """Where its own figures are, for the exporter alone."""
    workers: int | str = 1
    descriptors: int = DESCRIPTORS
    cache_bytes: int = 1024**3
    user: str | None = None
    plain: str | None = None
    """Another address without TLS, for load tools on the same machine."""


def render(one: Balancer) -> str:
    """nginx.conf. Nginx runs in the foreground: whoever starts it looks after it."""
    temporary = "\n  ".join(f"{name}_temp_path {one.folder}/{name};" for name in TEMPORARY)
    nodes = "\n    ".join(f"server {node} max_fails=0;" for node in one.nodes)
    return f"""# Made by deploy/balancer.py.
{f"user {one.user};" if one.user else ""}
daemon off;
worker_processes {one.workers};
worker_rlimit_nofile {one.descriptors};
pid {one.folder}/nginx.pid;
error_log {one.logs}/nginx-error.log warn;
events {{
  worker_connections {one.descriptors - SPARE_DESCRIPTORS};  # two for each person
}}
http {{
  {temporary}
  types {{ text/plain txt; }}
  default_type application/octet-stream;
  server_tokens off;
  # The path alone: never $request, $request_uri or $args.
  log_format hop escape=json '{{"ts":"$time_iso8601","remote":"$remote_addr","method":"$request_method","path":"$uri",'
    '"status":$status,"bytes":$bytes_sent,"seconds":$request_time,"node":"$upstream_addr","node_status":"$upstream_status",'
    '"node_seconds":"$upstream_response_time","cache":"$upstream_cache_status"}}';
  access_log {one.logs}/nginx-access.log hop buffer=64k flush=1s;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  map $https $hsts {{ on "max-age=31536000; includeSubDomains"; default ""; }}
  add_header Strict-Transport-Security $hsts always;
  proxy_cache_path {one.folder}/media levels=1:2 keys_zone=media:16m
    max_size={one.cache_bytes} inactive=30d use_temp_path=off;
  upstream messenger {{
    ip_hash;  # only for speed: any node serves any device
    {nodes}
    keepalive 32;
  }}
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  # Not appended: what a client says of its own address is not believed.
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_connect_timeout 2s;
  proxy_next_upstream error timeout http_503;
  proxy_next_upstream_tries 3;
  client_max_body_size {PART_BYTES + 1024 * 1024};
{_servers(one)}{_status(one)}}}
"""


def _servers(one: Balancer) -> str:
    where = _locations()
    plain = _unencrypted(one.plain, where) if one.plain else ""
    if not (one.https and one.certificate):
        return _unencrypted(one.http, where) + plain
    return f"""  server {{
    listen {one.http};
    server_name {one.domain};
    error_log /dev/null emerg;
    return 308 https://$host$request_uri;
  }}
  server {{
    listen {one.https} ssl http2;
    server_name {one.domain};
    error_log /dev/null emerg;
    ssl_certificate {one.certificate.chain};
    ssl_certificate_key {one.certificate.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
    ssl_session_cache shared:tls:16m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
{where}  }}
{plain}"""


def _unencrypted(listen: str, where: str) -> str:
    return f"  server {{\n    listen {listen};\n    error_log /dev/null emerg;\n{where}  }}\n"


def _locations() -> str:
    return """    location / {
      proxy_pass http://messenger;
      proxy_buffering off;
      proxy_request_buffering off;
    }
    location ~ ^/(ws|calls)$ {
      proxy_pass http://messenger;
      proxy_read_timeout 120s;  # nodes ping each 25 s
      proxy_send_timeout 120s;
      proxy_buffering off;
    }
    location /media/ {
      proxy_pass http://messenger;
      proxy_cache media;
      proxy_cache_key $uri$is_args$args;
      proxy_cache_lock on;
      proxy_cache_use_stale updating;
      add_header X-Cache-Status $upstream_cache_status always;
      add_header Strict-Transport-Security $hsts always;  # a header here hides those from above
    }
    # An operator's, who goes to a node itself.
    location /test/ { return 404; }
    location = /metrics { return 404; }
"""


def _status(one: Balancer) -> str:
    if one.status is None:
        return ""
    return f"""  server {{
    listen {one.status};
    access_log off;
    location = /status {{ stub_status; }}
    location / {{ return 404; }}
  }}
"""


@click.command()
@click.option("--node", "nodes", multiple=True, required=True, help="host:port of each node.")
@click.option("--domain", required=True, help="What people call it.")
@click.option("--certificate", required=True, type=click.Path(path_type=Path), help="Chain, as PEM.")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Its key.")
@click.option("--connections", default=100_000, show_default=True, type=click.IntRange(1), help="Planned altogether.")
@click.option("--folder", default="/var/lib/nginx", show_default=True, type=click.Path(path_type=Path))
@click.option("--logs", default="/var/log/nginx", show_default=True, type=click.Path(path_type=Path))
def main(
    nodes: tuple[str, ...], domain: str, certificate: Path, key: Path, connections: int, folder: Path, logs: Path
) -> None:
    """Print nginx.conf for production."""
    room = CONNECTIONS_A_PORT * len(nodes)
    if room < connections:
        click.echo(
            f"warning: {len(nodes)} nodes are {len(nodes)} addresses, to which one machine makes {room} connections "
            f"with the kernel's usual ports; widen net.ipv4.ip_local_port_range, or add nodes",
            err=True,
        )
    workers = -(-2 * connections // (DESCRIPTORS - SPARE_DESCRIPTORS))
    made = Balancer(
        nodes=nodes, folder=folder, logs=logs, http="80", https="443", certificate=Certificate(certificate, key),
        domain=domain, status="127.0.0.1:8080", workers=max(workers, 2), user="www-data",
    )  # fmt: skip
    click.echo(render(made))


if __name__ == "__main__":
    main()
