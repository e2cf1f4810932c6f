"""YAML that machines write and people review: stable order, literal blocks, a header."""

from __future__ import annotations

from typing import Any

import yaml

# libyaml writes a thousand SLOs in the time that the Python emitter takes for a hundred.
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]  # which of the two is known at run time
    """Block style throughout; an expression of several lines stays readable."""

    def ignore_aliases(self, _data: Any) -> bool:
        """The same labels twice are written twice."""
        return True


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
