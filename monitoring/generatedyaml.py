"""YAML that machines write and people review: stable order, literal blocks, a header."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Block style throughout; an expression of several lines stays readable."""

    def increase_indent(self, flow: bool = False, *_: Any, **__: Any) -> None:
        # PyYAML would put lists at the column of their key.
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(data: Any, *header: str) -> bytes:
    """One document under comment lines."""
    body = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header)
    return (comment + body).encode()


def made_from(source: str) -> str:
    """The header line of every generated file."""
    return f"Generated from {source} by `python -m monitoring generate`; do not edit."
