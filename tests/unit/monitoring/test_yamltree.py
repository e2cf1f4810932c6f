"""YAML of strangers: lines stay right, numbers exact, and no file can hang or exhaust us."""

from __future__ import annotations

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.errors import SpecError
from monitoring.spec import reader
from monitoring.yamltree import AsWritten, Node, Notes, decode, documents
from tests.support import slospecs
from tests.unit.monitoring.test_spec_openslo import ALERTED, COMPOSITE, CONDITION, POLICY, SLI, TARGET
from tests.unit.monitoring.test_spec_sloth import ALPHA, CRD, SLOTH, WINDOWS


def parsed(text: str) -> tuple[list[Node], list[str]]:
    notes = Notes("f")
    return documents(text, notes), [str(mistake) for mistake in notes.mistakes]


class Row(msgspec.Struct):
    count: Decimal = Decimal(0)
    texts: tuple[AsWritten, ...] = ()
    flag: bool = False


def test_lines_are_those_of_the_file() -> None:
    (first, second), _ = parsed("# c\na:\n  b: [1,\n    2]\n  c: |\n    x\n    y\n---\n\nd: &x {e: f}\ng: *x\n")
    assert [first.line_of("a"), first.line_of("a", "b", 1), first.line_of("a", "c")] == [3, 4, 5]
    assert [second.line, second.line_of("d", "e")] == [10, 10]
    assert second.value["g"] is second.value["d"]  # type: ignore[index]


def test_scalars_are_exact_or_as_they_are_written() -> None:
    (node,), _ = parsed(
        "count: 0.30\ntexts: [0.30, true, ~, 010, 1:30, .nan, 'x', 2026-01-01 10:00:00, !!str 5]\nflag: yes\n"
    )
    row = decode(node, Row, Notes("f"))
    assert row is not None
    assert str(row.count) == "0.30"
    assert row.texts == ("0.30", "true", "", "010", "1:30", ".nan", "x", "2026-01-01 10:00:00", "5")
    assert row.flag is True


@pytest.mark.parametrize("text", ["1:30", ".nan", ".inf", "0x1F", "010", "1.e+400000000"])
def test_a_number_that_is_not_plain_is_none(text: str) -> None:
    (node,), _ = parsed(f"count: {text}\n")
    notes = Notes("f")
    assert decode(node, Row, notes) is None
    assert len(notes.mistakes) == 1


def test_null_counts_as_absent() -> None:
    (node,), _ = parsed("count:\ntexts:\nflag: ~\n")
    assert decode(node, Row, Notes("f")) == Row()


def test_a_mapping_may_be_merged_into_another() -> None:
    (node,), problems = parsed("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc:\n  <<: [*a, {z: 4}]\n")
    assert problems == []
    assert isinstance(node.value, dict)
    merged = {name: {k: v.value for k, v in child.value.items()} for name, child in node.value.items()}  # type: ignore[union-attr]
    assert merged["b"] == {"x": 1, "y": 3}
    assert merged["c"] == {"x": 1, "y": 2, "z": 4}


def bomb() -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(levels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(), "each use of an alias counted"),
        ("a: " + "[" * 100_000, "nested more than 60 deep"),
        ("\n".join(" " * n + "a:" for n in range(500)), "f:61: nested more than 60 deep"),
        ("a: *b\n", "no anchor is named 'b'"),
        ("a: &a [*a]\n", "an alias that contains itself"),
        ("? [a]\n: b\n", "f:1: a key must be plain text"),
        ("a: 1\nb: [\n", "not YAML"),
        ("a: \x00\n", "not YAML"),
        ("a:\n  <<: 5\n", "f:2: <<: expected a mapping to merge"),
        ("a: 1\na: 2\n", "f:2: the key 'a' stands here twice, first in line 1"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, words: str) -> None:
    _, problems = parsed(text)
    assert any(words in problem for problem in problems), problems


def test_a_huge_file_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_text("a:\n" + "  - b\n" * 2_000_000)
    with pytest.raises(SpecError, match="larger than 8000000 bytes"):
        reader.load([path])


VALID = [
    yaml.safe_load(text) for text in (ALERTED, COMPOSITE, SLI, POLICY, CONDITION, TARGET, ALPHA, SLOTH, CRD, WINDOWS)
]


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside a document, but the document's own."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, child in children for deeper in [(*path, key), *places(child, (*path, key))]]


PLACES = [(i, path) for i, document in enumerate(VALID) for path in places(document)]
GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["{{.window}}", "sum(", "x[5m]", "rate(x[5m])", "a / b", "1M", "0m", "\u2028", "up", "x_bucket"]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


@given(
    st.lists(st.tuples(st.sampled_from(PLACES), st.none() | GARBAGE, st.booleans()), min_size=1, max_size=3),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_whatever_becomes_of_right_specs_they_are_read_or_refused(
    tmp_path: Path, changes: list[tuple[tuple[int, tuple[str | int, ...]], object, bool]], strict: bool
) -> None:
    """Keys are dropped, values replaced by garbage: nothing but SpecError comes out, and each mistake has its line."""
    changed = copy.deepcopy(VALID)
    for (index, path), garbage, drop in changes:
        parent: Any = changed[index]
        try:
            for step in path[:-1]:
                parent = parent[step]
            if drop:
                del parent[path[-1]]
            else:
                parent[path[-1]] = garbage
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.dump_all(changed, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)), encoding="utf-8")
    lines = file.read_text(encoding="utf-8").count("\n") + 1
    try:
        specs = reader.read([file], strict)
    except SpecError as refused:
        told = refused.mistakes
    else:
        told = specs.warnings
        assert all(0 < slo.target < 1 for slo in specs.slos)
    assert all(mistake.line and 1 <= mistake.line <= lines for mistake in told)


@given(st.sampled_from([slospecs.SLO, SLOTH, CRD, ALPHA]), st.integers(0, 900), st.text(max_size=3), st.integers(0, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=250, deadline=None)
def test_whatever_is_typed_into_a_spec_it_is_read_or_refused(
    tmp_path: Path, text: str, position: int, typed: str, deleted: int
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes((text[:position] + typed + text[position + deleted :]).encode("utf-8", "surrogatepass"))
    try:
        assert all(slo.selectors for slo in reader.load([file]))
    except SpecError as refused:
        assert refused.mistakes
