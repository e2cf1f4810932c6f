"""Finds the programs that tests start; a missing one fails the test with a line that names it."""

from __future__ import annotations

import os
import shutil

# Debian's name first, the maker's own after it; the package that brings it.
_PROGRAMS = {
    "alertmanager": (("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager"),
    "amtool": (("amtool",), "prometheus-alertmanager"),
    "prometheus": (("prometheus",), "prometheus"),
    "promtool": (("promtool",), "prometheus"),
    "redis-server": (("redis-server",), "redis-server"),
    "redis-cli": (("redis-cli",), "redis-tools"),
    "faketime": (("faketime",), "faketime"),
    "nginx": (("nginx",), "nginx"),
    "chromium": (("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "node": (("node", "nodejs"), "nodejs"),
}


def require(name: str) -> str:
    """The path of a program; AssertionError naming it and its Debian package when it is missing.

    Never a skip: a test that did not run must not look like one that passed.
    """
    names, package = _PROGRAMS.get(name, ((name,), name))
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    for candidate in names:
        if path := shutil.which(candidate, path=search):
            return path
    raise AssertionError(f"{' or '.join(names)} is missing; install the Debian package {package}, or run `make setup`")
