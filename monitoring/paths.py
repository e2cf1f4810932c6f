"""How files are named to people, short when they lie below the current folder, and what went wrong with them."""

from __future__ import annotations

from pathlib import Path


def shown(path: Path) -> str:
    """The path relative to the current folder when it lies below it, else as it is."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read or written, without its name.

    >>> reason(FileNotFoundError(2, "No such file or directory", "/tmp/it.yaml"))
    'no such file or directory'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]


def failed(error: OSError) -> str:
    """The file that could not be read or written, and why.

    >>> failed(PermissionError(13, "Permission denied", "/etc/rules.yml"))
    '/etc/rules.yml: permission denied'
    """
    name = error.filename2 or error.filename
    return f"{shown(Path(name))}: {reason(error)}" if name else reason(error)
