"""maintenance.yaml: what is agreed on is read, what is doubtful is refused with its line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.errors import SpecError
from monitoring.spec.maintenance import Maintenance, load_maintenance, spans
from monitoring.spec.model import Service, Slo
from monitoring.spec.reader import load as load_specs
from tests.support import slospecs
from tests.support.repository import ROOT, SLOS
from tests.support.slospecs import line_of

TEXT = """\
# Planned work.
- id: new-database
  start: 2030-05-01T22:00:00+02:00
  end: 2030-05-02T01:00:00+02:00
  declared: 2030-04-20T09:00:00Z
  services: [shop]
  author: Ada
  reason: PostgreSQL 19
- id: cable-cut
  start: 2030-01-10T08:00:00Z
  end: 2030-01-10T09:30:00Z
  declared: 2030-01-11T10:00:00Z
  slos: [checkout]
  correction: true
  author: Ada
  reason: a digger cut the line
"""


def load(folder: Path, text: str, services: tuple[str, ...] = ()) -> tuple[Maintenance, ...]:
    (folder / "specs").mkdir(exist_ok=True)
    path = folder / "maintenance.yaml"
    path.write_text(text)
    return load_maintenance(path, [slospecs.slo(folder / "specs")], services)


def test_spans_are_read_in_utc_and_sorted_by_their_start(tmp_path: Path) -> None:
    cut, database = load(tmp_path, TEXT)
    assert (cut.id, database.id) == ("cable-cut", "new-database")
    assert database.start == datetime(2030, 5, 1, 20, tzinfo=UTC)
    assert database.end.isoformat() == "2030-05-01T23:00:00+00:00"
    assert (database.services, database.slos, database.correction) == ({"shop"}, frozenset(), False)
    assert (cut.correction, cut.author, cut.reason) == (True, "Ada", "a digger cut the line")
    assert cut.declared == datetime(2030, 1, 11, 10, tzinfo=UTC)
    assert (cut.line, database.line) == (9, 2)


@pytest.mark.parametrize("text", ["", "# nothing planned\n", "[]\n", "---\n"])
def test_a_file_without_spans_is_right(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == ()


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("22:00:00+02:00", "22:00:00", "start: 2030-05-01T22:00:00", "00:00 does not say which"),
        ("2030-05-01T22:00:00+02:00", "tomorrow", "start: tomorrow", "[0].start: 'tomorrow' is no moment"),
        ("2030-05-01T22:00:00+02:00", "2030-05-01", "start: 2030-05-01", "does not say which offset"),
        ("2030-05-01T22:00:00+02:00", "[1]", "start: [1]", "[0].start: expected text, found a list"),
        ("2030-05-01T22:00:00+02:00", "0001-01-01T00:00:00+14:00", "start: 0001", "[0].start: "),
        ("2030-05-01T22:00:00+02:00", "1930-05-01T22:00:00Z", "start: 1930", "a year from 2000 to 2100"),
        ("2030-05-02T01:00", "2030-05-01T22:00", "end: 2030-05-01T22", "[0].end: expected a moment after the start"),
        ("2030-05-02T01:00", "2030-06-02T01:00", "end: 2030-06-02", "31 days are more than 7; `long: true`"),
        ("PostgreSQL 19", "old\n  long: true\n  declared: 1", "declared: 1", "the key 'declared' stands here twice"),
        ("2030-04-20T09", "2030-05-01T20", "declared: 2030-05-01", "[0].declared: not before the start"),
        ("2030-04-20T09:00:00Z", "2030-04-20T09:00:00", "declared: 2030-04-20", "does not say which offset"),
        ("[shop]", "[sohp]", "services: [sohp]", "[0].services: no service 'sohp' among the specs; there is shop"),
        ("[shop]", "shop", "services: shop", "[0].services: expected a list"),
        ("[shop]", "[]", "services: []", "[0].services: an empty list names nothing"),
        ("[checkout]", "[chekout]", "slos: [chekout]", "[1].slos: no SLO 'chekout' among the specs; there is checkout"),
        ("id: cable-cut", "id: new-database", "- id: new-database", "the id 'new-database' is taken, in line 2"),
        ("id: cable-cut", "id: Cable cut", "- id: Cable cut", "[1].id: expected something like new-database"),
        ("  author: Ada\n  reason: a", "  reason: a", "- id: cable-cut", "[1].author: a correction says who"),
        ("a digger cut the line", "digger", "reason: digger", "[1].reason: a correction says why, in at least 3 words"),
        ("2030-01-11T10", "2030-01-09T10", "correction: true", "declared before the start: this is no correction"),
        ("  reason: Post", "  raeson: Post", "raeson: PostgreSQL 19", "unknown or unsupported field 'raeson'"),
        ("id: new-database", "name: x", "- name: x", "[0]: the field 'id' is missing"),
        ("  correction: true\n", "", "declared: 2030-01-11T10:00:00Z", "[1].declared: not before the start"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError) as refused:
        load(tmp_path, TEXT.replace(old, new))
    found = {m.line for m in refused.value.mistakes if words in m.message}
    path = tmp_path / "maintenance.yaml"
    expected = 9 if words.startswith("the id") else line_of(path, at)
    assert found == {expected}, refused.value
    assert all(m.file == str(path) for m in refused.value.mistakes)


@pytest.mark.parametrize("text", ["a: 1\n", "soon\n", "- soon\n", "[unclosed", "- id: a\n---\n- id: b\n"])
def test_what_is_no_list_of_spans_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"maintenance\.yaml:\d+: "):
        load(tmp_path, text)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.yaml:1: cannot be read"):
        load_maintenance(tmp_path / "gone.yaml", [])


def test_all_mistakes_come_together(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, TEXT.replace("[shop]", "[sohp]").replace("a digger cut the line", "").replace("T01:00", "T0100"))
    assert [m.line for m in refused.value.mistakes] == [4, 6, 16]


def test_more_than_a_week_must_be_meant_and_more_than_a_quarter_is_not(tmp_path: Path) -> None:
    long = TEXT.replace("reason: PostgreSQL 19", "long: true")
    (_, database) = load(tmp_path, long.replace("2030-05-02T01", "2030-06-02T01"))
    assert database.end - database.start == timedelta(days=31, hours=3)
    with pytest.raises(SpecError, match="92 days are more than 90"):
        load(tmp_path, long.replace("2030-05-02T01", "2030-08-02T01"))


def test_a_service_without_an_slo_can_be_named(tmp_path: Path) -> None:
    found = load(tmp_path, TEXT.replace("[shop]", "[warehouse]"), ("warehouse",))
    assert found[1].services == {"warehouse"}


EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


def slo(folder: Path, name: str, service: str) -> Slo:
    return replace(slospecs.slo(folder), name=name, service=Service(service, service))


def span(start_s: float, length_s: float, slos: frozenset[str] = frozenset()) -> Maintenance:
    start = EPOCH + timedelta(seconds=start_s)
    return Maintenance("x", start, start + timedelta(seconds=length_s), "", "", slos=slos)


some_spans = st.lists(
    st.builds(
        span,
        st.integers(0, 120),
        st.integers(1, 30),
        st.frozensets(st.sampled_from(["checkout", "payment"]), max_size=2),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Slo:
    return slo(tmp_path_factory.mktemp("specs"), "checkout", "shop")


@settings(deadline=None)
@given(some_spans)
def test_merged_spans_hold_exactly_the_seconds_of_those_that_cover(checkout: Slo, some: list[Maintenance]) -> None:
    found = spans(some, checkout)
    origin = int(EPOCH.timestamp())
    wanted = {
        origin + second
        for second in range(160)
        for one in some
        if one.covers(checkout) and one.start <= EPOCH + timedelta(seconds=second) < one.end
    }
    assert [second for start, end in found for second in range(start, end)] == sorted(wanted)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(found)), "they are apart"


def test_a_fraction_of_a_second_is_rounded_outward(checkout: Slo) -> None:
    origin = int(EPOCH.timestamp())
    assert spans([span(0.25, 1)], checkout) == ((origin, origin + 2),)


def test_a_span_covers_what_it_names_and_without_names_everything(tmp_path: Path) -> None:
    mine, same_service, other = slo(tmp_path, "a", "shop"), slo(tmp_path, "b", "shop"), slo(tmp_path, "c", "mail")
    covered = [
        [one.name for one in (mine, same_service, other) if covering.covers(one)]
        for covering in (
            replace(span(0, 1), slos=frozenset("a")),
            replace(span(0, 1), services=frozenset(["shop"])),
            replace(span(0, 1), services=frozenset(["mail"]), slos=frozenset("a")),
            span(0, 1),
        )
    ]
    assert covered == [["a"], ["a", "b"], ["a", "c"], ["a", "b", "c"]]


def test_the_example_of_the_docs_is_right(tmp_path: Path) -> None:
    page = (ROOT / "docs/slos.md").read_text()
    path = tmp_path / "maintenance.yaml"
    path.write_text(page.partition("## Maintenance")[2].partition("```yaml\n")[2].partition("```")[0])
    project = load_specs([SLOS])
    assert [span.id for span in load_maintenance(path, project)] == ["cable-cut", "new-database"]
