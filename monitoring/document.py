"""A page made of headings, paragraphs, lists and tables, written as plain text or as Markdown.

What a command has to say is put together once; how it looks is decided here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_WIDTH = 100

Form = Literal["text", "markdown"]


@dataclass(frozen=True)
class Heading:
    """`level` 1 is a page, 2 a section."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list without order."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Lines that are quoted as they are."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header, all of one width."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Bullets | Code | Table


def render(blocks: Iterable[Block], form: Form) -> str:
    """The page, ending in a line break.

    >>> print(render([Heading("Alerts"), Table(("a", "b"), (("1", "x|y"),))], "markdown"), end="")
    ## Alerts
    <BLANKLINE>
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    write = _text if form == "text" else _markdown
    return "\n\n".join(write(block) for block in blocks) + "\n"


def _text(block: Block) -> str:
    match block:
        case Heading(text, level):
            return text + "\n" + ("=" if level == 1 else "-") * len(text)
        case Paragraph(text):
            return _wrapped(text)
        case Bullets(items):
            return "\n".join(_wrapped(item, "- ") for item in items)
        case Code(text):
            return "\n".join(f"    {line}" for line in text.splitlines())
        case Table(header, rows):
            return _aligned((header, *rows))


def _wrapped(text: str, mark: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Code(text):
            return f"```promql\n{text}\n```"
        case Table(header, rows):
            lines = [_row(header), "|" + "---|" * len(header), *map(_row, rows)]
            return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"
