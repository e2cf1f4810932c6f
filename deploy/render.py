"""`python -m deploy.render nginx`: production's nginx.conf, from the template that `make cluster` runs.

It goes to standard output, or to a file; what cannot work is refused first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.nginx import EPHEMERAL_PORTS, Site, SiteError, render

EXIT_MISTAKE = 2


@click.group()
def main() -> None:
    """Write files of a deployment from what this project knows."""


@main.command()
@click.option("--nodes", required=True, help="host:port of each node, comma-separated.")
@click.option("--domain", required=True, help="The name people know the messenger by.")
@click.option("--certificate", help="The chain, in PEM. [default: /etc/letsencrypt/live/DOMAIN/fullchain.pem]")
@click.option("--key", help="Its key, in PEM. [default: /etc/letsencrypt/live/DOMAIN/privkey.pem]")
@click.option("--connections", default=100_000, show_default=True, type=click.IntRange(1), help="How many at a time.")
@click.option("--descriptors", default=20_000, show_default=True, type=click.IntRange(1), help="Of one worker.")
@click.option("--ephemeral-ports", default=EPHEMERAL_PORTS, show_default=True, type=click.IntRange(1, 64_512),
              help="Ports in net.ipv4.ip_local_port_range: connections from nginx to one node.")  # fmt: skip
@click.option("--status", default="127.0.0.1:8081", show_default=True, help="Where nginx tells its exporter figures.")
@click.option("--user", default="www-data", show_default=True, help="Whom workers run as.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file, in place of standard output.")
def nginx(
    nodes: str,
    domain: str,
    certificate: str | None,
    key: str | None,
    connections: int,
    descriptors: int,
    ephemeral_ports: int,
    status: str,
    user: str,
    out: Path | None,
) -> None:
    """nginx.conf for these nodes. Exit status 2, and a line for each mistake, when it could not work."""
    live = f"/etc/letsencrypt/live/{domain}"
    site = Site(
        nodes=tuple(part.strip() for part in nodes.split(",") if part.strip()),
        domain=domain,
        certificate=certificate or f"{live}/fullchain.pem",
        key=key or f"{live}/privkey.pem",
        redirect=("80", "[::]:80"),
        connections=connections,
        descriptors=descriptors,
        ephemeral_ports=ephemeral_ports,
        status=status,
        user=user,
    )
    try:
        text = render(site)
    except SiteError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_MISTAKE)
    if out:
        out.write_text(text)
    else:
        click.echo(text, nl=False)


if __name__ == "__main__":
    main()
