"""The dashboards in files and folders, read again whenever one of them changes.

A file is a dashboard's JSON, bare or as Grafana's API wraps it, or a ConfigMap whose
data are such. A file that was named must be one; in a folder, what does not look like one is passed over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.errors import InputError, Mistake, MonitoringError
from monitoring.lint.model import Json
from monitoring.lint.read import sequence, text
from monitoring.lint.wrapped import board_in
from monitoring.paths import reason, shown
from monitoring.yamltree import Node, Notes, documents

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""What Grafana takes; it is also a file's name and a part of a URL, so nothing else may stand in it."""
_CONFIG_MAP = re.compile(r"""^["']?kind["']?:[ \t]*["']?ConfigMap\b""", re.MULTILINE)
_PANELS = re.compile('"(panels|rows|dashboard)"')
_NO_INPUT = ("node_modules", "__pycache__")


class NoBoardError(MonitoringError):
    """Nothing that was named holds a dashboard."""


@dataclass(frozen=True)
class Board:
    """One dashboard; `place` is its file, with the key of a ConfigMap."""

    uid: str
    place: str
    json: Json

    @property
    def title(self) -> str:
        """As it is written, else the uid."""
        return text(self.json.get("title")) or self.uid

    @property
    def tags(self) -> Sequence[str]:
        """Those that are strings."""
        return [one for one in sequence(self.json.get("tags")) if isinstance(one, str)]


@dataclass(frozen=True)
class Boards:
    """What was found, by title; and what keeps a file, or its second board of one uid, from being shown."""

    boards: tuple[Board, ...]
    mistakes: tuple[Mistake, ...]

    def get(self, uid: str) -> Board | None:
        """The board of this uid."""
        return next((board for board in self.boards if board.uid == uid), None)


@dataclass
class Shelf:
    """Files and folders; `read` parses again only what changed since."""

    paths: Sequence[Path]
    _known: dict[Path, tuple[tuple[int, int], Boards]] = field(default_factory=dict)

    def read(self) -> Boards:
        """Everything as it is on the disk now."""
        read = [self._file(path, asked) for path, asked in _walk(self.paths)]
        return together([one for found in read for one in found.boards], [m for found in read for m in found.mistakes])

    def _file(self, path: Path, asked: bool) -> Boards:
        file = shown(path)
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            if path not in self._known or self._known[path][0] != version:
                if not path.is_file():  # a device or a pipe may never end
                    return Boards((), (Mistake(file, None, "cannot be read: no regular file"),))
                self._known[path] = (version, _boards_of(path, file, path.read_text(encoding="utf-8-sig"), asked))
        except (OSError, UnicodeDecodeError) as error:
            return Boards((), (Mistake(file, None, f"cannot be read: {reason(error)}"),))
        return self._known[path][1]


def together(boards: Iterable[Board], mistakes: Iterable[Mistake]) -> Boards:
    """The boards by title, of each uid the first; the second is a mistake, since a link can open only one."""
    first: dict[str, Board] = {}
    told = list(mistakes)
    for board in boards:
        known = first.setdefault(board.uid, board)
        if known is not board:
            told.append(Mistake(board.place, None, f"uid {board.uid!r} is already that of {known.place}"))
    return Boards(tuple(sorted(first.values(), key=lambda one: (one.title, one.uid))), tuple(told))


def all_right(found: Boards) -> Sequence[Board]:
    """The boards. Raises InputError with every mistake, and NoBoardError when there is nothing at all."""
    if found.mistakes:
        raise InputError(found.mistakes)
    if not found.boards:
        raise NoBoardError("no dashboard found; expected JSON with `panels`, or a ConfigMap of such")
    return found.boards


def _walk(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each file once, and whether it was named itself."""
    seen: set[Path] = set()
    for path in paths:
        for file in _below(path) if path.is_dir() else [path]:
            if (resolved := file.resolve()) not in seen:
                seen.add(resolved)
                yield file, file is path


def _below(folder: Path) -> Iterator[Path]:
    """What may be a dashboard; folders of packages, which can hold a hundred thousand files, are not entered."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _NO_INPUT)
        for name in sorted(files):
            if name.endswith((".json", ".yaml", ".yml")) and not name.startswith("."):
                yield Path(here, name)


def _boards_of(path: Path, file: str, content: str, asked: bool) -> Boards:
    """Every dashboard of one file's text."""
    notes = Notes(file)
    if path.suffix in (".yaml", ".yml"):
        found = list(_config_map(file, content, notes)) if asked or _CONFIG_MAP.search(content) else []
    else:
        found = list(_json_file(file, path.stem, content, notes)) if asked or _PANELS.search(content) else []
    if asked and not found and not notes.mistakes:
        notes.add(1, "not a dashboard; expected JSON with `panels`, the same below `dashboard`, or a ConfigMap of such")
    return Boards(tuple(found), tuple(notes.mistakes))


def _json_file(file: str, stem: str, content: str, notes: Notes) -> Iterator[Board]:
    try:
        value = _parsed(content)
    except ValueError as error:
        notes.add(_line(error), f"not JSON: {error}")
        return
    if board := board_in(value):
        yield from _named(board[0], stem, file, 1, notes)


def _config_map(file: str, content: str, notes: Notes) -> Iterator[Board]:
    for tree in documents(content, notes):
        data = tree.child("data")
        for key, node in data.value.items() if data and isinstance(data.value, dict) else ():
            if key.endswith(".json") and isinstance(node.value, str):
                yield from _entry(file, key, node, content, notes)


def _entry(file: str, key: str, node: Node, content: str, notes: Notes) -> Iterator[Board]:
    try:
        value = _parsed(str(node.value))
    except ValueError as error:
        # In a literal block the text begins on the next line; anywhere else it is one line.
        is_block = content.splitlines()[node.line - 1].rstrip().endswith(("|", "|-", "|+"))
        notes.add(node.line + (_line(error) if is_block else 0), f"{key}: not JSON: {error}")
        return
    if board := board_in(value):
        yield from _named(board[0], key.removesuffix(".json"), f"{file} ({key})", node.line, notes)


def _named(board: Json, stem: str, place: str, line: int, notes: Notes) -> Iterator[Board]:
    """The board with its uid, or with one made of its file's name, as Grafana makes up one too."""
    uid = text(board.get("uid")) or re.sub("[^A-Za-z0-9_-]+", "-", stem)[:40]
    if _UID.fullmatch(uid):
        yield Board(uid, place, board)
    else:
        notes.add(line, f"uid: is {uid!r}; Grafana takes at most 40 of a-z, A-Z, 0-9, - and _")


def _parsed(content: str) -> object:
    """Raises ValueError, also for what Python reads and JSON has not (NaN), or what is nested too deep."""
    try:
        return json.loads(content, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _line(error: ValueError) -> int:
    return error.lineno if isinstance(error, json.JSONDecodeError) else 1
