"""The prober's journal: whole lines, bounded size, and what a kill leaves behind."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitoring.__main__ import main
from monitoring.probes.archive import Count, count_journal
from monitoring.probes.journal import Entry, Journal, Position, numbered, read, unfinished
from monitoring.probes.reckoning import lines


def fill(journal: Journal, count: int, *, ended: int) -> None:
    for number in range(count):
        journal.write(Entry("sent", f"c{number}", float(number)))
    for number in range(ended):
        journal.write(Entry("end", f"c{number}", float(number), "delivered", 0.1))


def test_what_was_written_is_read_in_order_and_on_from_any_place(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    fill(journal, 3, ended=2)
    everything = list(read(tmp_path))
    assert [entry.id for entry, _ in everything] == ["c0", "c1", "c2", "c0", "c1"]
    for at in range(5):
        assert [one for one, _ in read(tmp_path, everything[at][1])] == [one for one, _ in everything[at + 1 :]]
    assert unfinished(tmp_path) == {"c2": 2.0}


def test_a_restart_and_a_torn_line_lose_nothing_else(tmp_path: Path) -> None:
    fill(Journal(tmp_path), 2, ended=1)
    (_, path), *_ = numbered(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"kind":"end","id":"c')
    journal = Journal(tmp_path)
    journal.write(Entry("end", "c1", 1.0, "late", 0.3))
    assert [(entry.kind, entry.id) for entry, _ in read(tmp_path)][-2:] == [("end", "c0"), ("end", "c1")]
    assert unfinished(tmp_path) == {}


def test_the_oldest_file_goes_when_there_is_too_much(tmp_path: Path) -> None:
    journal = Journal(tmp_path, file_bytes=500, files=3)
    fill(journal, 200, ended=0)
    assert sum(path.stat().st_size for _, path in numbered(tmp_path)) <= 3 * 500
    kept = [entry.id for entry, _ in read(tmp_path)]
    assert kept == [f"c{number}" for number in range(200 - len(kept), 200)]
    assert [entry.id for entry, _ in read(tmp_path, Position(1, 40))] == kept, "a place that is gone is before them"


def test_each_end_counts_once_and_what_the_prober_abandoned_does_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    fill(journal, 10, ended=8)
    journal.write(Entry("odd", "c1", 5.0, "duplicate"))
    journal.write(Entry("end", "c8", 8.0, "lost"))
    journal.write(Entry("end", "c9", 9.0, "abandoned"))
    found = count_journal((entry for entry, _ in read(tmp_path)), 0, 100)
    assert found.by_outcome == {"abandoned": 1, "delivered": 8, "duplicate": 1, "lost": 1}
    assert (found.good, found.total) == (8, 10)
    assert lines(found, Decimal("0.9"))[-2:] == ["80 % of 10 were good", "used of the error budget: 200 %"]
    assert count_journal((entry for entry, _ in read(tmp_path)), 8, 9) == Count({"lost": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "1.5", "--journal", "."], "1.5"),
        (["--target", "most", "--journal", "."], "'most' is no number"),
        (["--last", "soon", "--journal", "."], "'soon' is no duration"),
        ([], "name either --journal or --ledger"),
        (["--journal", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["ledger", *arguments])
    assert result.exit_code == 2
    assert said in result.output
