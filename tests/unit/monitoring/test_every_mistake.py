"""Alerts that make no sense are told all at once, and an SLO that nothing watches is not passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from monitoring import specs
from monitoring.__main__ import main
from monitoring.errors import SpecError
from monitoring.rules.tiers import burns
from tests.support import monitoringconfig, slospecs

HALF = slospecs.changed("target: 0.999", "target: 0.5")


def test_every_impossible_tier_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        burns(slospecs.slo(tmp_path, "target: 0.999", "target: 0.5"))
    assert [mistake.message.split(": ")[1] for mistake in caught.value.mistakes] == [
        "tier page-quick",
        "tier page-slow",
        "tier ticket-quick",
    ]


def test_generate_tells_those_of_every_slo(tmp_path: Path) -> None:
    config = monitoringconfig.write(tmp_path)
    second = HALF.replace("name: checkout\n  displayName", "name: search\n  displayName")
    (tmp_path / "specs/spec.yaml").write_text("---\n".join((slospecs.SERVICE, HALF, second)))
    done = CliRunner().invoke(main, ["generate", "--config", str(config)])
    assert done.exit_code == 2
    for slo in ("checkout", "search"):
        assert done.stderr.count(f": {slo}: tier ") == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lenient", [False, True])
def test_a_period_too_short_for_every_tier_is_warned_of(tmp_path: Path, lenient: bool) -> None:
    unwatched = slospecs.changed("duration: 30d", "duration: 1h").replace("    monitoring/threshold-window: 2m\n", "")
    (slo,), warnings = specs.read([slospecs.write(tmp_path, slospecs.SERVICE, unwatched)], lenient=lenient)
    assert not burns(slo)
    assert [str(warning) for warning in warnings] == [
        f"{tmp_path}/spec.yaml:{slo.line}: checkout: nothing alerts: every tier's window is at least as long as the "
        "period of 1h; declare monitoring/threshold-window, or a condition with a shorter window"
    ]


def test_one_that_is_watched_otherwise_or_shall_not_be_is_left_alone(tmp_path: Path) -> None:
    direct = slospecs.changed("duration: 30d", "duration: 1h")
    off = slospecs.changed(
        "monitoring/threshold-window: 2m",
        'monitoring/disabled-tiers: "page-quick, page-slow, ticket-quick, ticket-slow"',
    )
    for text in (direct, off):
        _, warnings = specs.read([slospecs.write(tmp_path, slospecs.SERVICE, text)])
        assert warnings == ()
