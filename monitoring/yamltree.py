"""YAML with its line numbers kept, and a decoder that reports every mistake at once.

PyYAML's own loaders forget where a value stood and turn 0.999 into a float. Here a
document becomes a tree of `Node`s: decimals stay exact, duplicate keys are refused,
and `decode` fills msgspec structs from it, naming file, line and path of whatever
does not fit.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from monitoring.errors import Mistake, OutOfRangeError
from monitoring.maths.durations import Duration

T = TypeVar("T")
Scalar = str | int | Decimal | bool | None

_INVALID: Any = object()
"""Stands where a value was refused; never leaves this module, since any mistake is raised in the end."""


@dataclass(frozen=True)
class Node:
    """One value of a document and the line it starts on (from 1)."""

    line: int
    value: Scalar | tuple[Node, ...] | dict[str, Node]
    key_lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, *path: str | int) -> int:
        """The line of the value at `path`, or of the deepest part of the path that exists."""
        node = self
        for step in path:
            child = node.child(step)
            if child is None:
                break
            node = child
        return node.line

    def child(self, step: str | int) -> Node | None:
        """What stands under a key or at an index; None when nothing does."""
        if isinstance(self.value, dict):
            return self.value.get(str(step))
        if isinstance(self.value, tuple) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None

    def without(self, *keys: str) -> Node:
        """This mapping without some of its keys."""
        assert isinstance(self.value, dict)  # noqa: S101  asked only of a mapping whose keys were read
        return Node(self.line, {k: v for k, v in self.value.items() if k not in keys}, self.key_lines)

    def scalar(self, key: str) -> Scalar:
        """The scalar under `key` of a mapping; None when there is none."""
        child = self.child(key)
        return None if child is None or isinstance(child.value, (dict, tuple)) else child.value


class Notes:
    """Collects the mistakes of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []

    def add(self, line: int, message: str) -> None:
        """Note one mistake at a line of this file."""
        self.mistakes.append(Mistake(self.file, line, message))


def documents(text: str, notes: Notes) -> list[Node]:
    """Every document of a YAML file; what cannot be read is noted and left out."""
    try:
        roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        notes.add(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
        return []
    except yaml.YAMLError as error:
        notes.add(1, f"not YAML: {error}")
        return []
    return [_node(root, notes, ()) for root in roots if root is not None]


def _node(raw: yaml.Node, notes: Notes, parents: tuple[int, ...]) -> Node:
    line = raw.start_mark.line + 1
    if id(raw) in parents:
        notes.add(line, "an alias that contains itself")
        return Node(line, None)
    parents = (*parents, id(raw))
    if isinstance(raw, yaml.MappingNode):
        return _mapping(raw, notes, parents)
    if isinstance(raw, yaml.SequenceNode):
        return Node(line, tuple(_node(item, notes, parents) for item in raw.value))
    return Node(line, _scalar(raw, notes))


def _mapping(raw: yaml.MappingNode, notes: Notes, parents: tuple[int, ...]) -> Node:
    children: dict[str, Node] = {}
    key_lines: dict[str, int] = {}
    for key, value in raw.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            notes.add(line, "a key must be plain text")
        elif key.value in children:
            notes.add(line, f"the key {key.value!r} stands here twice, first in line {key_lines[key.value]}")
        else:
            children[key.value] = _node(value, notes, parents)
            key_lines[key.value] = line
    return Node(raw.start_mark.line + 1, children, key_lines)


def _scalar(raw: yaml.Node, notes: Notes) -> Scalar:
    kind, text = raw.tag.rsplit(":", 1)[-1], str(raw.value)
    try:
        if kind == "float":
            return _decimal(text)
        if kind == "int":
            return int(text)
    except (ValueError, InvalidOperation):
        notes.add(raw.start_mark.line + 1, f"{text} is no plain decimal number")
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    return None if kind == "null" else text


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise InvalidOperation
    return number


def decode(node: Node, kind: type[T], notes: Notes, path: str = "") -> T | None:
    """The node, which stands at `path`, as `kind` (a msgspec Struct); None when something was noted."""
    before = len(notes.mistakes)
    value = _decode(node, kind, path, notes)
    return value if len(notes.mistakes) == before else None


def _decode(node: Node, kind: Any, path: str, notes: Notes) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType) and type(None) in arguments and len(arguments) == 2:
        inner = next(a for a in arguments if a is not type(None))
        return None if node.value is None else _decode(node, inner, path, notes)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(node, kind, path, notes)
    if origin is tuple:
        return _many(node, arguments[0], path, notes)
    if origin is dict:
        return _table(node, arguments[1], path, notes)
    return _leaf(node, kind, path, notes)


def _struct(node: Node, kind: type[msgspec.Struct], path: str, notes: Notes) -> Any:
    if not isinstance(node.value, dict):
        notes.add(node.line, f"{_at(path)}expected a mapping, found {_describe(node)}")
        return _INVALID
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    for key in node.value.keys() - fields.keys():
        known = ", ".join(fields)
        notes.add(node.key_lines[key], f"{_at(path)}unknown or unsupported field {key!r}; known here: {known}")
    found: dict[str, Any] = {}
    for key, info in fields.items():
        if key in node.value:
            found[info.name] = _decode(node.value[key], info.type, _join(path, key), notes)
        elif info.required:
            notes.add(node.line, f"{_at(path)}the field {key!r} is missing")
    return _INVALID if len(found) < sum(f.required for f in fields.values()) else _construct(kind, found)


def _construct(kind: type[msgspec.Struct], found: dict[str, Any]) -> Any:
    try:
        return kind(**found)
    except TypeError:  # a required field is missing and was noted
        return _INVALID


def _many(node: Node, kind: Any, path: str, notes: Notes) -> Any:
    if not isinstance(node.value, tuple):
        notes.add(node.line, f"{_at(path)}expected a list, found {_describe(node)}")
        return _INVALID
    return tuple(_decode(item, kind, f"{path}[{i}]", notes) for i, item in enumerate(node.value))


def _table(node: Node, kind: Any, path: str, notes: Notes) -> Any:
    if not isinstance(node.value, dict):
        notes.add(node.line, f"{_at(path)}expected a mapping, found {_describe(node)}")
        return _INVALID
    return {key: _decode(child, kind, _join(path, key), notes) for key, child in node.value.items()}


def _leaf(node: Node, kind: Any, path: str, notes: Notes) -> Any:
    if isinstance(node.value, (dict, tuple)):
        notes.add(node.line, f"{_at(path)}expected {_name(kind)}, found {_describe(node)}")
        return _INVALID
    try:
        return _exact_leaf(node.value, kind)
    except (msgspec.ValidationError, OutOfRangeError) as error:
        notes.add(node.line, f"{_at(path)}{_lower_first(str(error))}")
        return _INVALID


def _exact_leaf(value: Scalar, kind: Any) -> Any:
    if kind is Decimal:
        # msgspec would also take text; a quoted number in a spec is a mistake worth hearing of.
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise msgspec.ValidationError(f"expected a number, found {value!r}")
        return Decimal(value)
    if kind is Duration:
        return Duration.parse(str(value))
    return msgspec.convert(value, kind)


_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    Decimal: "a number",
    bool: "true or false",
    Duration: "a duration",
}


def _name(kind: Any) -> str:
    return _NAMES.get(kind, "one value")


def _describe(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    return "a list" if isinstance(node.value, tuple) else "nothing" if node.value is None else repr(node.value)


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as it is printed.

    >>> dotted(("spec", "objectives", 0, "target"))
    'spec.objectives[0].target'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _at(path: str) -> str:
    return f"{path}: " if path else ""


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
