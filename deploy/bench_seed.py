"""`make seed-100k`: how long minting 100,000 people, devices, conversations and tokens takes here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.stack import database
from deploy.stack.settings import PROJECT

DEVICES = 100_000


def main() -> None:
    """Seed a database of its own, thrown away afterwards, and print the seconds."""
    with tempfile.TemporaryDirectory(prefix="messenger-seed-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        server = database.start(folder / "postgres")
        try:
            env = os.environ | {"DATABASE_URL": server.get_uri()}
            _app(env, "migrate", "up")
            for conversations in (1, 10):
                tokens = folder / f"tokens-{conversations}"
                started = time.perf_counter()
                _app(
                    env,
                    "seed",
                    "--devices",
                    str(DEVICES),
                    "--conversations",
                    str(conversations),
                    "--tokens",
                    str(tokens),
                )
                took_s = time.perf_counter() - started
                print(f"{DEVICES} devices, {conversations} conversation(s) of 2 each: {took_s:.1f} s")
        finally:
            server.stop()


def _app(env: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "app", *arguments], env=env, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
