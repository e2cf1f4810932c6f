"""How files are named to people: short when they lie below the current folder."""

from __future__ import annotations

from pathlib import Path


def shown(path: Path) -> str:
    """The path relative to the current folder when it lies below it, else as it is."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
