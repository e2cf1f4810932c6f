"""YAML with its line numbers kept, and a decoder that reports every mistake at once.

PyYAML's own loaders forget where a value stood and turn 0.999 into a float. Here a
document becomes a tree of `Node`s: decimals stay exact, duplicate keys are refused,
and `decode` fills msgspec structs from it, naming file, line and path of whatever
does not fit.

Files come from strangers: nesting and size are bounded, and an alias is shared, not
copied, so that a small file cannot become a huge tree.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml
from yaml.resolver import Resolver

from monitoring.errors import Mistake, OutOfRangeError
from monitoring.maths.durations import Duration
from monitoring.paths import reason

T = TypeVar("T")
Scalar = str | int | Decimal | bool | None

MAX_DEPTH = 60
MAX_NODES = 400_000
"""Values in one document, each use of an alias counted; a thousand SLOs need some 40,000."""

MAX_EXPONENT = 60
MAX_LISTED = 20
"""Names that a message tells."""
MAX_COMPARED = 500
"""Names that are searched for the one that was meant."""

_INVALID: Any = object()
"""Stands where a value was refused; never leaves this module, since any mistake is raised in the end."""

# The C parser is ten times faster than the pure one; wheels have it, some builds do not.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = Resolver()


class AsWritten(str):
    """Text exactly as it stands in the file, whatever YAML would take it for: `true`, `0.20`, `1:30`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document and the line it starts on (from 1)."""

    line: int
    value: Scalar | tuple[Node, ...] | dict[str, Node]
    key_lines: dict[str, int] = field(default_factory=dict)
    text: str = ""
    """A scalar as it is written."""
    odd: bool = False
    """YAML takes it for a number, but for none that is plain: .nan, 0x1F, 1:30."""
    size: int = 1
    """Values in it and below it."""

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
    """Collects what is wrong in one file: mistakes, and warnings that stop nobody.

    What is doubtful is a mistake when reading strictly, else a warning.
    """

    def __init__(self, file: str, strict: bool = True) -> None:
        self.file = file
        self.strict = strict
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []

    def add(self, line: int, message: str) -> None:
        """Note one mistake at a line of this file."""
        self.mistakes.append(Mistake(self.file, line, message))

    def doubt(self, line: int, message: str, otherwise: str = "") -> None:
        """Note what may not be meant as it is read: a mistake if strict, else a warning.

        `otherwise` is what is done about it when it is no mistake.
        """
        if self.strict:
            self.add(line, f"{message} (doubtful: --lenient only warns)")
        else:
            self.warn(line, f"{message}; {otherwise}" if otherwise else message)

    def warn(self, line: int, message: str) -> None:
        """Note something worth knowing."""
        self.warnings.append(Mistake(self.file, line, message))


@dataclass(frozen=True)
class Place:
    """A value in a document, for whoever has something to say about it."""

    notes: Notes
    node: Node
    """The document."""
    path: tuple[str | int, ...] = ()

    def at(self, *steps: str | int) -> Place:
        """A place further down."""
        return Place(self.notes, self.node, (*self.path, *steps))

    @property
    def line(self) -> int:
        """Where it stands."""
        return self.node.line_of(*self.path)

    def __str__(self) -> str:
        return f"{self.notes.file}:{self.line}"

    def error(self, message: str) -> None:
        """A mistake here."""
        self.notes.add(self.line, self._told(message))

    def doubt(self, message: str, otherwise: str = "") -> None:
        """A mistake here if strict, else a warning that says what is done `otherwise`."""
        self.notes.doubt(self.line, self._told(message), otherwise)

    def warn(self, message: str) -> None:
        """A warning here."""
        self.notes.warn(self.line, self._told(message))

    def _told(self, message: str) -> str:
        return f"{_at(dotted(self.path))}{message}"


def documents(text: str, notes: Notes) -> list[Node]:
    """Every document of a YAML file; what cannot be read is noted and left out."""
    try:
        return list(_Builder(notes).documents(yaml.parse(text, Loader=_LOADER)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        tabs = any(one.lstrip(" ").startswith("\t") for one in text.splitlines()[line - 1 : line])
        hint = "; YAML is indented by spaces, never by tabs" if tabs else ""
        notes.add(line, f"not YAML: {error.problem or error.context}{hint}")
    except yaml.YAMLError as error:
        notes.add(1, f"not YAML: {str(error).splitlines()[0]}")
    except UnicodeEncodeError:
        notes.add(1, "not YAML: a lone surrogate is no character")
    except _TooLargeError as error:
        notes.add(error.line, str(error))
    return []


def one_document(path: Path, notes: Notes) -> Node | None:
    """The only document of a file; None when that is not so, which is noted."""
    try:
        found = documents(path.read_text(encoding="utf-8"), notes)
    except (OSError, UnicodeDecodeError) as error:
        notes.add(1, f"cannot be read: {reason(error)}")
        return None
    if len(found) == 1:
        return found[0]
    if not notes.mistakes:
        notes.add(1, f"expected one YAML document, found {len(found)}")
    return None


class _TooLargeError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    line: int
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    """Of a mapping: keys and values in turn."""
    size: int = 1


class _Builder:
    """Turns the parser's events into nodes, without recursion, so that depth is ours to bound."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        """None: not finished yet."""

    def documents(self, events: Iterable[Any]) -> Iterator[Node]:
        root: Node | None = None
        for event in events:
            finished = self._event(event)
            if finished is None:
                if isinstance(event, yaml.DocumentEndEvent):
                    if root is not None and root.value is not None:
                        yield root
                    root, self._anchors = None, {}
            elif self._open:
                self._grow(self._open[-1], finished)
            else:
                root = finished

    def _event(self, event: Any) -> Node | None:
        """The node that this event finishes, if any."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return self._anchored(event.anchor, _scalar(event))
        if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            line = _line(event)
            if len(self._open) >= MAX_DEPTH:
                raise _TooLargeError(line, f"nested more than {MAX_DEPTH} deep")
            if event.anchor:
                self._anchors[event.anchor] = None
            self._open.append(_Open(line, event.anchor, kind is yaml.MappingStartEvent))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = self._open.pop()
            node = self._mapping(done) if done.is_mapping else Node(done.line, tuple(done.items), size=done.size)
            return self._anchored(done.anchor, node)
        elif kind is yaml.AliasEvent:
            return self._alias(event.anchor, _line(event))
        return None

    def _anchored(self, anchor: str | None, node: Node) -> Node:
        if anchor:
            self._anchors[anchor] = node
        return node

    def _alias(self, anchor: str, line: int) -> Node:
        node = self._anchors.get(anchor)
        if node is not None:
            return node
        unfinished = anchor in self._anchors
        self._notes.add(line, "an alias that contains itself" if unfinished else f"no anchor is named {anchor!r}")
        return Node(line, None)

    def _grow(self, parent: _Open, child: Node) -> None:
        parent.items.append(child)
        parent.size += child.size
        if parent.size > MAX_NODES:
            raise _TooLargeError(parent.line, f"more than {MAX_NODES} values, each use of an alias counted")

    def _mapping(self, done: _Open) -> Node:
        children: dict[str, Node] = {}
        key_lines: dict[str, int] = {}
        merged: list[Node] = []
        pairs = iter(done.items)
        for key, value in zip(pairs, pairs, strict=True):
            if isinstance(key.value, (dict, tuple)):
                self._notes.add(key.line, "a key must be plain text")
            elif key.text == "<<":
                merged += value.value if isinstance(value.value, tuple) else (value,)
            elif key.text in children:
                first = key_lines[key.text]
                self._notes.add(key.line, f"the key {key.text!r} stands here twice, first in line {first}")
            else:
                children[key.text] = value
                key_lines[key.text] = key.line
        for other in merged:
            if not isinstance(other.value, dict):
                self._notes.add(other.line, "<<: expected a mapping to merge")
                continue
            children = {**other.value, **children}
            key_lines = {**other.key_lines, **key_lines}
        return Node(done.line, children, key_lines, size=done.size)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


@lru_cache(maxsize=4096)
def _implicit_tag(text: str, implicit: tuple[bool, bool]) -> str:
    """What YAML takes an untagged scalar for; the same few hundred texts come again and again."""
    return str(_RESOLVER.resolve(yaml.ScalarNode, text, implicit))


def _scalar(event: Any) -> Node:
    text = str(event.value)
    tag, line = event.tag if event.tag and event.tag != "!" else _implicit_tag(text, event.implicit), _line(event)
    kind = tag.rsplit(":", 1)[-1]
    if kind == "str":
        return Node(line, text, text=text)
    try:
        if kind == "float":
            return Node(line, _decimal(text), text=text)
        if kind == "int":
            # Octal and the like are left to `odd`: 010 is eight for some readers and ten for others.
            return Node(line, int(text), text=text, odd=text.lstrip("+-").startswith("0") and text.strip("+-0") != "")
    except (ValueError, InvalidOperation):
        return Node(line, text, text=text, odd=True)
    if kind == "bool":
        return Node(line, text.lower() in ("yes", "true", "on"), text=text)
    return Node(line, None, text="") if kind == "null" else Node(line, text, text=text)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    # Far beyond anything measured, and written without an exponent it would fill the memory.
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise InvalidOperation
    return number


def decode(
    node: Node, kind: type[T], notes: Notes, spell: Callable[[str], str] | None = None, path: tuple[str | int, ...] = ()
) -> T | None:
    """The node as `kind` (a msgspec Struct); None when something in it is missing or wrong.

    A field that is not known is doubtful, and does not hinder. One that is null counts as
    absent. `spell` gives a field's name in the file, where that differs from what the struct
    says; `path` is where the node stands. A struct with a class attribute `bare` is read from
    plain text too, as its field of that name, with a warning.
    """
    decoder = _Decoder(notes, spell)
    value = decoder.value(node, kind, dotted(path))
    return None if decoder.refused else value


@cache
def _fields(kind: type[msgspec.Struct], spell: Callable[[str], str] | None) -> dict[str, tuple[str, Any, bool]]:
    """Of each field in a file: its name in the struct, its type, and whether it is required."""
    return {
        spell(f.name) if spell else f.encode_name: (f.name, f.type, f.required) for f in msgspec.structs.fields(kind)
    }


@cache
def _optional(kind: Any) -> Any:
    """X when `kind` is `X | None`, else None."""
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType) and type(None) in arguments and len(arguments) == 2:
        return next(a for a in arguments if a is not type(None))
    return None


@cache
def _container(kind: Any) -> tuple[Any, Any]:
    """`tuple` or `dict` and the type of what is in it; None and None for anything else."""
    origin, arguments = get_origin(kind), get_args(kind)
    return (origin, arguments[-1 if origin is dict else 0]) if origin in (tuple, dict) else (None, None)


class _Decoder:
    def __init__(self, notes: Notes, spell: Callable[[str], str] | None) -> None:
        self._notes = notes
        self._spell = spell
        self.refused = False
        """Whether something is missing or wrong, so that the value is not whole."""

    def _refuse(self, line: int, message: str) -> None:
        self.refused = True
        self._notes.add(line, message)

    def value(self, node: Node, kind: Any, path: str) -> Any:
        if inner := _optional(kind):
            return None if node.value is None else self.value(node, inner, path)
        if kind is Node:
            return node
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(node, kind, path)
        container, item = _container(kind)
        if container is not None:
            return (
                self._many(node, item, path) if container is tuple else self._table(node, get_args(kind)[0], item, path)
            )
        return self._leaf(node, kind, path)

    def _struct(self, node: Node, kind: type[msgspec.Struct], path: str) -> Any:
        bare = getattr(kind, "bare", None)
        if bare and isinstance(node.value, str):
            self._notes.warn(node.line, f"{_at(path)}the bare name {node.value!r} is read as a reference")
            return kind(**{bare: node.value})
        if not isinstance(node.value, dict):
            self._refuse(node.line, f"{_at(path)}expected a mapping, found {_sort(node)}")
            return _INVALID
        fields = _fields(kind, self._spell)
        respelled: dict[str, Node] = {}
        for key in node.value.keys() - fields.keys():
            meant = next((f for f in fields if f not in node.value and _plain(f) == _plain(key)), None)
            if meant is None:
                self._notes.doubt(node.key_lines[key], f"{_at(path)}{unknown('field', key, fields)}")
            else:
                respelled[meant] = node.value[key]
                self._notes.doubt(node.key_lines[key], f"{_at(path)}{key!r} is written {meant!r} here", "read as that")
        found: dict[str, Any] = {}
        for key, (name, inner, required) in fields.items():
            child = node.value.get(key) or respelled.get(key)
            if child is not None and (required or child.value is not None):
                found[name] = self.value(child, inner, _join(path, key))
            elif required:
                self._refuse(node.line, f"{_at(path)}the field {key!r} is missing")
        return _construct(kind, found)

    def _many(self, node: Node, kind: Any, path: str) -> Any:
        if not isinstance(node.value, tuple):
            self._refuse(node.line, f"{_at(path)}expected a list, found {_sort(node)}")
            return _INVALID
        return tuple(self.value(item, kind, f"{path}[{i}]") for i, item in enumerate(node.value))

    def _table(self, node: Node, names: Any, kind: Any, path: str) -> Any:
        if not isinstance(node.value, dict):
            self._refuse(node.line, f"{_at(path)}expected a mapping, found {_sort(node)}")
            return _INVALID
        for key in node.value if get_origin(names) is Literal else ():
            if key not in get_args(names):
                self._refuse(node.key_lines[key], f"{_at(path)}{unknown('name', key, get_args(names))}")
        return {key: self.value(child, kind, _join(path, key)) for key, child in node.value.items()}

    def _leaf(self, node: Node, kind: Any, path: str) -> Any:
        if isinstance(node.value, (dict, tuple)):
            self._refuse(node.line, f"{_at(path)}expected {_name(kind)}, found {_sort(node)}")
            return _INVALID
        try:
            return _exact_leaf(node, kind)
        except msgspec.ValidationError as error:
            self._refuse(node.line, f"{_at(path)}{_expected(node, kind) or _lower_first(str(error))}")
        except OutOfRangeError as error:
            self._refuse(node.line, f"{_at(path)}{_lower_first(str(error))}")
        return _INVALID


def _plain(name: str) -> str:
    """A field's name without what tells one spelling from another."""
    return name.replace("_", "").replace("-", "").lower()


def _construct(kind: type[msgspec.Struct], found: dict[str, Any]) -> Any:
    try:
        return kind(**found)
    except TypeError:  # a required field is missing and was noted
        return _INVALID


def _exact_leaf(node: Node, kind: Any) -> Any:
    value = node.value
    if kind is AsWritten:
        return AsWritten(node.text)
    if node.odd:
        raise msgspec.ValidationError(f"{node.text} is no plain decimal number")
    if kind is Decimal:
        # msgspec would also take text; a quoted number in a spec is a mistake worth hearing of.
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise msgspec.ValidationError
        return Decimal(value)
    if kind is Duration:
        return Duration.parse(str(value))
    if kind is str and isinstance(value, str):
        return value
    return msgspec.convert(value, kind)


_NAMES: dict[Any, str] = {
    str: "text",
    AsWritten: "text",
    int: "a whole number",
    Decimal: "a number",
    bool: "true or false",
    Duration: "a duration",
}


def _name(kind: Any) -> str:
    return _NAMES.get(kind, "one value")


def _expected(node: Node, kind: Any) -> str | None:
    """In words, what a value should have been; None when msgspec's own must do."""
    if node.odd:
        return None
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        close = difflib.get_close_matches(node.text, choices, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"expected {' or '.join(choices)}, found {_describe(node)}{hint}"
    meta: Any = None
    if get_origin(kind) is Annotated:
        kind, meta = get_args(kind)[:2]
    name = _NAMES.get(kind)
    if name is None:
        return None
    if isinstance(node.value, kind) and not isinstance(node.value, bool):
        return _bounds(node, meta)
    quotes = "; leave the quotes out" if isinstance(node.value, str) and _unquoted(node, kind) else ""
    return f"expected {name}, found {_sort(node) if kind is str else _describe(node)}{quotes}"


def _bounds(node: Node, meta: Any) -> str | None:
    """In words, what is expected of a value of the right type."""
    if meta is None:
        return None
    if node.value == "":
        return "expected some text, found none"
    if meta.max_length is not None and len(str(node.value)) > meta.max_length:
        return f"expected at most {meta.max_length} characters, found {len(str(node.value))}"
    if meta.examples:
        return f"expected something like {' or '.join(meta.examples)}"
    return f"expected at least {meta.ge}, found {node.value}" if meta.ge is not None else None


def _unquoted(node: Node, kind: Any) -> bool:
    """Whether the text would be right without its quotes."""
    tag = _implicit_tag(node.text, (True, False)).rsplit(":", 1)[-1]
    return tag in {bool: ("bool",), int: ("int",), Decimal: ("int", "float")}.get(kind, ())


def _sort(node: Node) -> str:
    """What a value is, without repeating it: where text does not belong, it may be somebody's secret."""
    if isinstance(node.value, str):
        return "text"
    return (
        "a number" if isinstance(node.value, (int, Decimal)) and not isinstance(node.value, bool) else _describe(node)
    )


def _describe(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    return "a list" if isinstance(node.value, tuple) else "nothing" if node.value is None else repr(node.value)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such name, and which was meant.

    >>> unknown("field", "desciption", ["name", "description"])
    "unknown or unsupported field 'desciption'; did you mean 'description'? known here: name, description"
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown or unsupported {what} {name!r}; {hint}known here: {_listed(names)}"


def missing(kind: str, name: str, known: Iterable[str]) -> str:
    """That no object has this name, and which was meant.

    >>> missing("Service", "shpo", ["shop"])
    "no Service 'shpo' among the specs; there is shop; did you mean 'shop'?"
    """
    names = sorted(known)
    close = _close(name, names)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"no {kind} {name!r} among the specs; there is {_listed(names)}{hint}"


def _close(name: str, names: list[str]) -> str | None:
    """The name that was meant, perhaps; among very many it would take long to tell."""
    close = difflib.get_close_matches(name, names, 1) if len(names) <= MAX_COMPARED else []
    return close[0] if close else None


def _listed(names: list[str]) -> str:
    """Names with commas between; of many only the first ones."""
    more = len(names) - MAX_LISTED
    listed = ", ".join(names[:MAX_LISTED]) or "none"
    return f"{listed} and {more} more" if more > 0 else listed


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
