"""What a machine in production is given, judged by the programs that will read it there.

What cannot be had here is a Docker daemon: nothing is built or started; compose is held to its JSON schema, and to
what it names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.binaries import require
from tests.support.repository import ALERTS, ROOT

DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent


def judged(*command: str | Path, **more: Any) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60, **more
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With a Python that is there: whether a program exists is all that the machine decides."""
    shutil.copytree(DEPLOY / "systemd" / "nginx.service.d", tmp_path / "nginx.service.d")
    for path in (DEPLOY / "systemd").glob("messenger*"):
        text = path.read_text()
        name = path.name.replace("@.", "@3001.")
        (tmp_path / name).write_text(text.replace("/opt/messenger/current/.venv/bin/python", sys.executable))
    names = sorted(path.name for path in tmp_path.glob("messenger*"))
    assert len(names) == 5
    path_of_units = {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    said = judged(require("systemd-analyze"), "verify", *names, "nginx.service", env=os.environ | path_of_units)
    assert str(tmp_path) not in said, said  # an unknown key is only a warning
    assert "messenger" not in said, said


def test_nftables_takes_the_firewall_and_the_public_reaches_only_nginx() -> None:
    rules = DEPLOY / "firewall" / "messenger.nft"
    judged(require("nft"), "-c", "-f", rules)
    public = [line.split() for line in rules.read_text().splitlines() if line.strip().startswith("tcp dport")]
    assert public == [["tcp", "dport", "{", "80,", "443", "}", "accept"]]
    assert "policy drop;" in rules.read_text()


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    assert judged(TOOLS / "hadolint", DEPLOY / "compose" / "Dockerfile") == ""


def test_compose_is_valid_and_names_only_what_there_is() -> None:
    path = DEPLOY / "compose" / "compose.yaml"
    judged(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)
    told = yaml.safe_load(path.read_text())
    services = told["services"]
    aliases = {
        alias
        for one in services.values()
        if isinstance(one.get("networks"), dict)
        for network in one["networks"].values()
        for alias in network["aliases"]
    }
    for name, one in services.items():
        assert set(one.get("depends_on", ())) <= set(services), name
        sources = [secret if isinstance(secret, str) else secret["source"] for secret in one.get("secrets", ())]
        assert set(sources) <= set(told["secrets"]), name
        for volume in one.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("../../"):
                assert (path.parent / source).exists(), volume
            elif not source.startswith("./"):
                assert source in told["volumes"], volume
        # Nothing but nginx is there for the public.
        ports = one.get("ports", ())
        assert name == "nginx" or all(port.startswith("127.0.0.1:") for port in ports), name
        tag = one["image"].rpartition(":")[2]
        assert tag not in ("", "latest"), one["image"]
    jobs = yaml.safe_load((ALERTS / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {
        target.partition(":")[0]
        for job in jobs
        if job["job_name"] != "host"  # the machine's own exporter is no container
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert scraped <= set(services) | aliases
    environ = services["node1"]["environment"]
    assert environ["TRUSTED_PROXIES"] == told["networks"]["inside"]["ipam"]["config"][0]["subnet"]
