"""`diff`: what a change of specs does, in words, in figures, and as an exit status."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitoring.__main__ import main
from monitoring.compare.tables import Change, compare, verdict
from monitoring.explain.tables import Explanation, explain
from monitoring.maths.durations import Duration
from monitoring.rules.profile import Profile
from monitoring.spec.model import CompositeSli, Condition, EventSli, Part
from tests.support import monitoringconfig, slospecs

PROFILE = Profile(Duration(15), Duration(15), 1, "https://docs.test/", "https://boards.test/")
DISABLE = "    monitoring/disabled-tiers: {}\n    monitoring/threshold"


def explained(folder: Path, old: str = "", new: str = "") -> Explanation:
    return explain(slospecs.slo(folder, old, new), PROFILE, Duration(30))


def changed(folder: Path, old: str, new: str) -> Change:
    (change,) = compare([explained(folder)], [explained(folder, old, new)]).changed
    return change


def rows(change: Change, which: str) -> dict[str, tuple[str, str]]:
    return {row.what: (row.before, row.after) for row in getattr(change, which) if row.differs}


def test_a_stricter_target(tmp_path: Path) -> None:
    change = changed(tmp_path, "target: 0.999", "target: 0.9995")
    assert change.verdict.startswith(
        "Stricter: the error budget goes from 0.1 % to 0.05 % (43.2 min to 21.6 min of total outage); "
        "a total outage pages sooner"
    )
    assert rows(change, "spec") == {"target": ("99.9 %", "99.95 %")}
    effect = rows(change, "effect")
    assert effect["budget as total outage"] == ("43.2 min in 30d", "21.6 min in 30d")
    assert effect["100 % bad pages after"] == ("0.12 s (direct)", "0.06 s (direct)")


def test_a_looser_target_is_the_opposite(tmp_path: Path) -> None:
    change = changed(tmp_path, "target: 0.999", "target: 0.99")
    assert change.verdict.startswith("Looser: the error budget goes from 0.1 % to 1 %")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    monitoring/threshold-window: 2m\n", "", "Looser: a total outage pages later (0.12 s → 51.84 s)"),
        (
            "    monitoring/threshold",
            DISABLE.format("ticket-slow"),
            "Looser: ticket-slow alerts no more.",
        ),
        (
            "    monitoring/threshold",
            '    monitoring/min-bad-events: "9"\n    monitoring/threshold',
            "Looser: an alert asks for 9 bad events instead of 3.",
        ),
        ("displayName: Checkout", "displayName: Check-out", "Neither stricter nor looser."),
        ('outcome="ok"', 'outcome="done"', "Neither stricter nor looser. It counts something else than before"),
        ("duration: 30d", "duration: 28d", "is counted over another period from now on."),
    ],
)
def test_each_change_is_told_in_plain_words(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in changed(tmp_path, old, new).verdict


def test_stricter_in_one_thing_and_looser_in_another(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path, "target: 0.999", "target: 0.9995")
    new = explain(dataclasses.replace(slo, min_bad_events=5), PROFILE, Duration(30))
    told = verdict(explained(tmp_path), new)
    assert told.startswith("Stricter in that the error budget")
    assert told.endswith("Looser in that an alert asks for 5 bad events instead of 3.")


def test_queries_are_told_by_role(tmp_path: Path) -> None:
    change = changed(tmp_path, 'outcome="ok"', 'outcome="done"')
    before, after = rows(change, "spec")["query: good"]
    assert (before.replace('"ok"', '"done"'), rows(change, "effect")) == (after, {})


def test_own_conditions_in_place_of_tiers(tmp_path: Path) -> None:
    old = explained(tmp_path)
    asked = Condition("hot", "page", old.alerts[0].factor, Duration(3600), Duration(300), file="a.yaml", line=3)
    new = explain(dataclasses.replace(old.slo, conditions=(asked,)), PROFILE, Duration(30))
    (change,) = compare([old], [new]).changed
    assert change.alerts_added == ("hot",)
    assert change.alerts_removed == ("page-quick", "page-slow", "ticket-quick", "ticket-slow")
    assert rows(change, "spec") == {"conditions": ("–", "hot: page above 14.4 over 1h, 5m")}


def test_the_target_of_a_part_of_a_composite(tmp_path: Path) -> None:
    one = explained(tmp_path)
    simple = one.slo.sli
    assert isinstance(simple, EventSli)

    def composed(target: str) -> Explanation:
        sli = CompositeSli((Part("orders", Decimal(1), Decimal(target), simple),))
        return dataclasses.replace(one, slo=dataclasses.replace(one.slo, sli=sli))

    (change,) = compare([composed("0.9")], [composed("0.95")]).changed
    assert rows(change, "spec") == {"target of the part orders": ("90 %", "95 %")}


def test_where_a_spec_stands_is_no_difference(tmp_path: Path) -> None:
    old = explained(tmp_path)
    moved = dataclasses.replace(old, slo=dataclasses.replace(old.slo, file="elsewhere.yaml", line=99))
    assert not compare([old], [moved])


class TestTheCommand:
    def run(self, folder: Path, *arguments: str | Path) -> Result:
        config = monitoringconfig.write(folder)
        return CliRunner().invoke(main, ["diff", "--config", str(config), *map(str, arguments)])

    @pytest.fixture
    def sides(self, tmp_path: Path) -> tuple[Path, Path]:
        old, new = tmp_path / "old", tmp_path / "new"
        for folder, documents in (
            (old, (slospecs.SLO, slospecs.changed("name: checkout\n  display", "name: gone\n  display"))),
            (
                new,
                (
                    slospecs.changed("target: 0.999", "target: 0.99"),
                    slospecs.changed("name: checkout\n  display", "name: fresh\n  display"),
                ),
            ),
        ):
            folder.mkdir()
            slospecs.write(folder, slospecs.SERVICE, *documents)
        return old, new

    def test_no_difference_is_0_and_a_difference_1(self, tmp_path: Path, sides: tuple[Path, Path]) -> None:
        old, new = sides
        same, different = self.run(tmp_path, old, old), self.run(tmp_path, old, new)
        assert (same.exit_code, same.output) == (0, "SLO changes\n===========\n\nNo SLO differs.\n")
        assert different.exit_code == 1
        assert "1 added, 1 removed, 1 changed." in different.output

    def test_markdown_for_a_pull_request(self, tmp_path: Path, sides: tuple[Path, Path]) -> None:
        done = self.run(tmp_path, *sides, "--format", "markdown")
        for words in (
            "## fresh: added",
            "## gone: removed",
            "## checkout: changed",
            "| target | 99.9 % | 99 % |",
            "| budget as total outage | 43.2 min in 30d | 432 min in 30d |",
        ):
            assert words in done.output

    def test_json_for_programs(self, tmp_path: Path, sides: tuple[Path, Path]) -> None:
        found: dict[str, Any] = json.loads(self.run(tmp_path, *sides, "--format", "json").output)
        assert [one["slo"] for one in found["added"]] == ["fresh"]
        assert [one["slo"] for one in found["removed"]] == ["gone"]
        assert found["changed"][0]["spec"] == [{"what": "target", "before": "99.9 %", "after": "99 %", "differs": True}]

    def test_trouble_is_2(self, tmp_path: Path, sides: tuple[Path, Path]) -> None:
        old, new = sides
        (new / "spec.yaml").write_text("kind: Nonsense\n")
        assert self.run(tmp_path, old, tmp_path / "nowhere").exit_code == 2
        done = self.run(tmp_path, old, new)
        assert done.exit_code == 2
        assert f"{new}/spec.yaml:1: apiVersion: expected" in done.stderr
