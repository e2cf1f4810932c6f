"""gate, report, backtest and backfill against a real Prometheus: hours of history in blocks, then a live outage.

On a profile of windows ÷ 60, scraped and evaluated each second: a slice is 5 s, the week
of the objective 2.8 hours. The history has raw counters only, as for an SLO that is new;
`backfill` makes its slices. Then the generated rules run live, and a live outage fires.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitoring.__main__ import main
from monitoring.boards import overview
from monitoring.boards.grafana import dashboard
from monitoring.boards.queries import panel_queries
from monitoring.config import Config, load
from monitoring.errors import PrometheusError
from monitoring.generate import plan, write
from monitoring.maths import burn
from monitoring.prometheus.client import Client, Credentials, Series
from monitoring.rules import names
from monitoring.rules.tiers import burns
from monitoring.spec import reader
from monitoring.spec.model import Slo
from tests.support import monitoringconfig, slospecs
from tests.support.repository import SLOS, runbook
from tests.support.servers import eventually
from tests.support.shop import create_blocks, running_prometheus, running_shop

DIVISOR = 60
SLICE_S, PERIOD_S = 5, 7 * 86400 // DIVISOR
RATE = 20
OUTAGE_S = 40
"""In the history: the quick page needs 2 s of it, the quick ticket 14 s, the slow ticket 43 s."""
RESTART_S = 1500
"""So long after the outage began instance b restarts, and its counters with it."""
LIVE_OUTAGE_S = 3
"""The quick page fires after 2 s of it; the tickets, which need 14 s and more, do not."""
BOARD = {"rate_interval": "4s", "job": ".*", "instance": ".*"}


@dataclass(frozen=True)
class World:
    """What happened: Unix seconds of the history's first sample, its outage, its end, and of the live outage."""

    url: str
    folder: Path
    start: int
    outage: int
    end: int
    live_outage: float
    backfilled: Result
    again: Result

    @property
    def config(self) -> Config:
        return load(self.folder / "monitoring.yaml", "production")

    @property
    def slo(self) -> Slo:
        return reader.load(self.config.specs)[0]

    def run(self, *arguments: str) -> Result:
        return run(self.folder, self.url, *arguments)

    def raw(self, selector: str, start: float, end: float) -> list[Series]:
        return Client(self.url).raw(selector, start, end)


def run(folder: Path, url: str, command: str, *arguments: str) -> Result:
    """A command of the platform, asking this Prometheus."""
    options = ["--config", str(folder / "monitoring.yaml"), "--prometheus", url]
    return CliRunner().invoke(main, [command, *options, *arguments], catch_exceptions=False)


def write_config(folder: Path) -> Config:
    """A shop with one objective: 99 % of a week's orders, on the scaled profile."""
    path = monitoringconfig.write(folder)
    path.write_text(path.read_text().replace("15s", "1s") + f"    window_divisor: {DIVISOR}\n")
    spec = slospecs.SLO
    for old, new in (
        ("threshold-window: 2m", "threshold-window: 5m\n    monitoring/disabled-tiers: page-slow"),
        ("30d", "7d"),
        ("0.999", "0.99"),
    ):
        spec = spec.replace(old, new)
    slospecs.write(folder / "specs", slospecs.SERVICE, spec)
    return load(path, "production")


def history(start: int, outage: int, end: int) -> str:
    """Counters of two instances, a sample each second: every order fails in [outage, outage + OUTAGE_S)."""
    lines = ["# TYPE orders counter"]
    for instance in ("a", "b"):
        for outcome in ("ok", "failed"):
            count = 0
            for at in range(start, end + 1):
                if instance == "b" and at == outage + RESTART_S:
                    count = 0
                # A sample tells of the second that ends with it.
                failing = outage < at <= outage + OUTAGE_S
                count += RATE // 2 if failing == (outcome == "failed") else 0
                lines.append(f'orders_total{{instance="{instance}",outcome="{outcome}"}} {count} {at}')
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The history, backfilled, and then two minutes' worth of live rules with an outage in them."""
    folder = tmp_path_factory.mktemp("world")
    config = write_config(folder)
    end = int(time.time()) - 2
    start = end - PERIOD_S - 600
    outage = end - 6000  # longer ago than any window of an alert looks back from the live outage
    create_blocks(folder / "data", history(start, outage, end))
    with running_prometheus(folder) as url:
        out = folder / "blocks"
        span = ["--from", str(start + 60), "--to", str(end)]
        backfilled = run(folder, url, "backfill", "checkout", *span, "--output", str(out))
        assert backfilled.exit_code == 0, backfilled.output
    for block in out.iterdir():
        shutil.move(block, folder / "data")
    write(plan(config))
    rules = config.alerts_folder / "rules/slo-checkout.yml"
    with running_shop(RATE) as (shop, target), running_prometheus(folder, [rules], [target]) as url:
        client = Client(url)
        eventually(lambda: client.scalar("sum(rate(orders_total[4s]))") or 0, lambda rate: rate > RATE * 0.9)
        live_outage = time.time()
        shop.broken = True
        firing = 'ALERTS{alertstate="firing",tier="page-quick"}'
        eventually(lambda: client.instant(firing))
        eventually(lambda: time.time(), lambda now: now > live_outage + LIVE_OUTAGE_S)
        shop.broken = False
        eventually(lambda: not client.instant(firing))
        again = run(folder, url, "backfill", "checkout", *span, "--output", str(folder / "again"))
        yield World(url, folder, start, outage, end, live_outage, backfilled, again)


class TestBackfill:
    def test_it_says_what_was_missing_and_what_is_there_now(self, world: World) -> None:
        slices = (world.end - world.start - 60) // SLICE_S
        told = f"coverage 0 of {slices} slices (0 %) before, {slices} (100 %) with these blocks"
        assert told in world.backfilled.output

    def test_what_it_wrote_is_what_the_rules_would_have(self, world: World) -> None:
        (errors,) = world.raw(names.SLICE_ERRORS, world.start, world.end)
        (events,) = world.raw(names.SLICE_EVENTS, world.start, world.end)
        assert errors.labels == {"__name__": names.SLICE_ERRORS, "slo_id": "checkout", "service": "shop"}
        assert math.fsum(p.value for p in errors.points) == pytest.approx(OUTAGE_S * RATE)
        assert {round(p.value, 6) for p in events.points} == {SLICE_S * RATE}
        assert {p.at % SLICE_S for p in events.points} == {0}

    def test_a_second_run_writes_nothing(self, world: World) -> None:
        assert world.again.exit_code == 0, world.again.output
        assert "nothing was written" in world.again.output
        assert not (world.folder / "again").exists()

    def test_what_is_still_in_the_head_is_left_for_later(self, world: World) -> None:
        """A block that reaches into the head would make Prometheus drop samples at its next start."""
        done = world.run("backfill", "--from", str(world.end - 60), "--output", str(world.folder / "head"))
        assert "is still in Prometheus' head; run this again in some hours" in done.output
        assert "coverage 1" in done.output
        assert done.exit_code == 0, done.output

    def test_an_output_folder_in_use_is_refused(self, world: World) -> None:
        done = world.run("backfill", "checkout", "--output", str(world.folder / "data"))
        assert (done.exit_code, "not an empty folder" in done.output) == (2, True)

    def test_without_raw_data_it_writes_nothing_and_says_so(self, world: World) -> None:
        span = ["--from", str(world.start - 900), "--to", str(world.start - 300)]
        done = world.run("backfill", "checkout", *span, "--output", str(world.folder / "none"))
        assert done.exit_code == 3, done.output
        assert "there is no raw data" in done.output


class TestTheRecordedSlices:
    def test_after_a_restart_nothing_is_bad_that_was_not_counted(self, world: World) -> None:
        """The first evaluation finds slices from before it by look-back, but no events of its own yet."""
        errors, events = (
            [point.at for point in world.raw(name, world.start, time.time())[0].points]
            for name in (names.SLICE_ERRORS, names.SLICE_EVENTS)
        )
        assert errors == events


class TestGate:
    def test_an_overspent_budget_closes_it(self, world: World) -> None:
        """46 s of outage in 2.8 h at 99 % spend nearly half of the budget."""
        done = world.run("gate", "checkout", "--min-remaining", "90%")
        assert done.exit_code == 1, done.output
        assert done.output.startswith("checkout: spent: ")

    def test_what_is_left_opens_it_and_is_what_the_board_shows(self, world: World) -> None:
        done = world.run("gate", "checkout", "--format", "json")
        assert done.exit_code == 0, done.output
        (told,) = json.loads(done.output)["slos"]
        board = dashboard(overview.board(reader.load([SLOS])), runbook)
        (asked,) = (q for q in panel_queries(json.loads(board), **BOARD) if names.BUDGET_REMAINING in q.expr)
        shown = Client(world.url).scalar(asked.expr)
        assert told["budget_remaining"] == pytest.approx(shown, abs=0.001)
        assert told["attainment"] == pytest.approx(1 - (1 - told["budget_remaining"]) * 0.01, abs=0.001)
        assert told["seconds_to_exhaustion"] == pytest.approx(
            told["budget_remaining"] * PERIOD_S / told["burn_rate"], rel=0.01
        )

    @pytest.mark.parametrize(("missing", "status"), [("fail", 3), ("pass", 0)])
    def test_without_data_the_caller_decides(self, world: World, missing: str, status: int, tmp_path: Path) -> None:
        monitoringconfig.write(tmp_path)
        other = slospecs.changed("metadata:\n  name: checkout", "metadata:\n  name: returns")
        slospecs.write(tmp_path / "specs", slospecs.SERVICE, other)
        done = run(tmp_path, world.url, "gate", "--missing", missing)
        assert done.exit_code == status, done.output
        assert "returns: no data" in done.output

    @pytest.mark.parametrize(("missing", "status"), [("fail", 3), ("pass", 0)])
    def test_a_prometheus_that_is_away_is_missing_data(self, world: World, missing: str, status: int) -> None:
        done = run(world.folder, "http://127.0.0.1:1", "gate", "checkout", "--missing", missing)
        assert done.exit_code == status, done.output
        assert "cannot be reached" in done.output

    def test_an_unknown_slo_is_a_mistake(self, world: World) -> None:
        done = world.run("gate", "checkuot")
        assert (done.exit_code, "no SLO 'checkuot'; there is checkout" in done.output) == (2, True)


class TestReport:
    def test_it_agrees_with_the_recorded_ratio_to_the_last_digit(self, world: World) -> None:
        """Over the very slices that Prometheus added up at its last evaluation."""

        def at_the_last_evaluation() -> tuple[dict[str, Any], float]:
            now = time.time()
            last = world.raw(names.PERIOD_RATIO, now - 30, now)[0].points[-1]
            # A range of Prometheus 2 holds both its ends, so its first slice ended exactly one period ago.
            (told,) = self.told(world, "--period", f"{last.at - PERIOD_S - 0.001:.3f}/{last.at:.3f}")
            return told, last.value

        # On a busy machine an evaluation comes late, and two slices overlap there; the next one is on time.
        told, recorded = eventually(
            at_the_last_evaluation, lambda seen: seen[0]["coverage"]["overlapping_left_out"] == 0, within_s=30
        )
        assert 1 - told["adjusted"]["attainment"] == pytest.approx(recorded, rel=1e-9)

    def test_its_budget_is_the_recorded_one(self, world: World) -> None:
        (told,) = self.told(world)
        recorded = told["recorded_budget_remaining"]
        slice_share = SLICE_S / PERIOD_S / 0.01
        assert told["adjusted"]["budget_remaining"] == pytest.approx(recorded, abs=2 * slice_share)
        assert told["adjusted"] == told["unadjusted"]

    def test_a_past_span_is_counted_exactly(self, world: World) -> None:
        (told,) = self.told(world, "--period", f"{world.outage - 500}/{world.outage + 500}")
        assert told["adjusted"]["bad"] == pytest.approx(OUTAGE_S * RATE)
        assert told["adjusted"]["total"] == pytest.approx(1000 * RATE)
        assert told["coverage"] | {"first_slice": None} == {
            "slices_present": 200, "slices_expected": 200, "share": 1.0, "slice_seconds": SLICE_S, "first_slice": None,
            "overlapping_left_out": 0, "in_maintenance": 0,
        }  # fmt: skip
        assert told["met"] is False
        assert told["recorded_budget_remaining"] is None

    def test_it_tells_the_live_incident_the_deploy_and_the_restart(self, world: World) -> None:
        arguments = ["--version", "v1.2", "--environment", "production", "--author", "kim", "--at", "-3s"]
        config = ["--config", str(world.folder / "monitoring.yaml")]
        assert CliRunner().invoke(main, ["event", "deploy", *config, *arguments]).exit_code == 0
        (told,) = self.told(world)
        quick = [one for one in told["incidents"] if one["tier"] == "page-quick"]
        assert len(quick) == 1
        assert 0.5 < quick[0]["peak_error_ratio"] <= 1
        assert quick[0]["seconds"] == pytest.approx(LIVE_OUTAGE_S + SLICE_S, abs=3)
        assert [one["version"] for one in told["deployments"]] == ["v1.2"]
        text = world.run("report").output
        assert "checkout (shop): met" in text
        assert "v1.2 deployed in production by kim" in text
        assert "CheckoutBudgetBurn, page-quick, at most" in text

    def test_maintenance_is_left_out_and_told_beside(self, world: World) -> None:
        """The history's outage, had it been agreed on."""
        times = (
            datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for at in (world.outage, world.outage + OUTAGE_S, world.outage - 60)
        )
        start, end, declared = times
        (world.folder / "maintenance.yaml").write_text(
            f"- {{id: move, start: {start}, end: {end}, declared: {declared}, author: kim, services: [shop],"
            " reason: moved to the new database}\n"
        )
        config = world.folder / "maintained.yaml"
        config.write_text((world.folder / "monitoring.yaml").read_text() + "maintenance: maintenance.yaml\n")
        span = ["--period", f"{world.outage - 500}/{world.outage + 500}", "--format", "json"]
        done = CliRunner().invoke(main, ["report", "--config", str(config), "--prometheus", world.url, *span])
        assert done.exit_code == 0, done.output
        (told,) = json.loads(done.stdout)["slos"]
        assert (told["adjusted"]["bad"], told["met"]) == (0, True)
        assert told["unadjusted"]["bad"] == pytest.approx(OUTAGE_S * RATE)
        assert told["maintenance"][0]["reason"] == "moved to the new database"

    def test_a_restart_bounds_what_was_not_counted(self, world: World) -> None:
        """Both series of instance b were reset; what one scrape interval of its traffic may have lost is the bound."""
        (told,) = self.told(world, "--period", f"{world.outage + 1000}/{world.outage + 2000}")
        assert told["restarts"]["counter_resets"] == 2
        assert told["restarts"]["events_uncounted_at_most"] == pytest.approx(RATE / 2, rel=0.01)
        assert told["adjusted"]["bad"] == 0

    def test_what_was_not_recorded_is_never_hidden(self, world: World) -> None:
        (told,) = self.told(world, "--period", f"{world.start - 1000}/{world.start + 1060}")
        assert told["coverage"]["slices_present"] == 200
        assert told["coverage"]["slices_expected"] == 412
        done = world.run("report", "--period", f"{world.start - 1000}/{world.start - 500}")
        assert done.exit_code == 3
        assert "nothing was recorded" in done.output

    def test_the_page_has_everything_in_one_file(self, world: World) -> None:
        output = world.folder / "report.html"
        done = world.run("report", "--format", "html", "--output", str(output))
        assert done.exit_code == 0, done.output
        html = output.read_text()
        assert html.count("<svg") == 2
        assert html.count('role="img"') == 2
        assert "<script" not in html
        assert "http" not in html.replace(world.url, "").replace("http-equiv", "")

    def told(self, world: World, *arguments: str) -> list[dict[str, Any]]:
        done = world.run("report", "checkout", "--format", "json", *arguments)
        assert done.exit_code == 0, done.output
        found: list[dict[str, Any]] = json.loads(done.stdout)["slos"]
        return found


class TestBacktest:
    def test_the_past_outage_fires_when_the_mathematics_says(self, world: World) -> None:
        (told,) = self.told(world, world.outage - 300, world.outage + 900)
        assert told["attainment"] == pytest.approx(1 - OUTAGE_S / 1200)
        found = {one["tier"]: one["incidents"] for one in told["alerts"]}
        for tier in burns(world.slo):
            long, short = (world.config.profile.window(w) for w in (tier.long, tier.short))
            detect = burn.time_to_detect_s(tier.factor, world.slo.target, long, Decimal(1))
            assert detect is not None
            if detect > OUTAGE_S:
                assert found[tier.name] == []
                continue
            (one,) = found[tier.name]
            # The first evaluation strictly after; increase() over a window of n scrapes sees a step one scrape early.
            assert seconds(one["start"]) - world.outage == pytest.approx(float(detect), abs=2), tier
            reset = burn.time_to_reset_s(tier.factor, world.slo.target, short, Decimal(1))
            assert seconds(one["end"]) - world.outage - OUTAGE_S == pytest.approx(float(reset), abs=2), tier

    def test_it_agrees_with_what_the_live_rules_fired(self, world: World) -> None:
        now = time.time()
        (told,) = self.told(world, world.live_outage - 60, now)
        assert [a for a in told["alerts"] if a["incidents"]]
        for alert in told["alerts"]:
            selector = f'ALERTS{{alertstate="firing",alertname="{alert["alert"]}"'
            label = "kind" if alert["tier"] == "threshold" else "tier"
            live = world.raw(f'{selector},{label}="{alert["tier"]}"}}', world.live_outage - 60, now)
            if not alert["incidents"]:
                assert not live, alert
                continue
            points = live[0].points
            (one,) = alert["incidents"]
            assert seconds(one["start"]) == pytest.approx(points[0].at, abs=2), alert["tier"]
            if one["end"]:
                assert seconds(one["end"]) == pytest.approx(points[-1].at + 1, abs=2), alert["tier"]

    def test_a_stricter_spec_is_tried_without_running_it(self, world: World, tmp_path: Path) -> None:
        strict = slospecs.SLO.replace("threshold-window: 2m", "disabled-tiers: ticket-slow").replace("0.999", "0.9")
        strict = strict.replace("disabled-tiers: ticket-slow", "disabled-tiers: page-quick,page-slow,ticket-quick")
        spec = slospecs.write(tmp_path, slospecs.SERVICE, strict)
        done = world.run("backtest", str(spec), "--from", str(world.outage - 300), "--to", str(world.outage + 900))
        assert done.exit_code == 0, done.output
        assert "ticket ticket-slow: would not have fired" in done.output

    def told(self, world: World, start: float, end: float) -> list[dict[str, Any]]:
        span = ["--from", f"{start:.3f}", "--to", f"{end:.3f}", "--step", "1s", "--format", "json"]
        done = world.run("backtest", str(world.folder / "specs"), *span)
        assert done.exit_code == 0, done.output
        found: list[dict[str, Any]] = json.loads(done.stdout)["slos"]
        return found


class TestThePrometheusThatIsAsked:
    PASSWORD = "secret-of-the-tests"
    HASH = "$2b$04$abcdefghijklmnopqrstuu5Oj6iYtjOGoAJOnt1XZtn1dSgXVwCpG"

    def test_its_own_words_are_told(self, world: World) -> None:
        with pytest.raises(PrometheusError, match=r"/api/v1/query: bad_data: .*parse error"):
            Client(world.url).instant("sum(")

    def test_what_is_no_prometheus_is_told(self, world: World) -> None:
        with pytest.raises(PrometheusError, match="404, nothing is there"):
            Client(f"{world.url}/elsewhere").instant("up")

    def test_a_long_range_is_asked_for_in_pieces(self, world: World) -> None:
        """One point a second is more than Prometheus gives at once; none is lost or told twice."""
        (series,) = Client(world.url).range("vector(1)", world.end - 11_999, world.end, 1)
        assert [p.at for p in series.points] == list(range(world.end - 11_999, world.end + 1))

    def test_raw_samples_of_pieces_are_each_told_once(self, world: World) -> None:
        selector = 'orders_total{instance="a",outcome="ok"}'
        whole = Client(world.url).raw(selector, world.start, world.end)
        pieces = Client(world.url).raw(selector, world.start, world.end, 97)
        assert whole == pieces
        assert [p.at for p in whole[0].points] == list(range(world.start + 1, world.end + 1))

    def test_a_short_retention_is_told(self, tmp_path: Path) -> None:
        """15 days are Prometheus' own default, under which half of a month's slices are gone."""
        config = monitoringconfig.write(tmp_path)
        with running_prometheus(tmp_path, retention="15d") as url:
            done = CliRunner().invoke(main, ["gate", "--config", str(config), "--prometheus", url])
        assert "Prometheus keeps 15d; a period of 30d needs --storage.tsdb.retention.time=35d" in done.output

    def test_basic_authentication(self, tmp_path: Path) -> None:
        """The password goes to the config's own Prometheus, and to no other."""
        secret = tmp_path / "password"
        secret.write_text(f"{self.PASSWORD}\n")
        with running_prometheus(tmp_path, basic_auth_users={"reader": self.HASH}) as url:
            client = Client(url, Credentials(self.PASSWORD, "reader"))
            eventually(lambda: answers(client))
            with pytest.raises(PrometheusError, match="HTTP status 401"):
                Client(url).instant("vector(1)")
            lines = f"url: {url}\n      credentials_file: password\n      username: reader"
            config = monitoringconfig.write(tmp_path, "url: http://prometheus:9090", lines)
            ours = CliRunner().invoke(main, ["gate", "--config", str(config)])
            other = url.replace("127.0.0.1", "localhost")
            theirs = CliRunner().invoke(main, ["gate", "--config", str(config), "--prometheus", other])
        assert "checkout: no data" in ours.output
        assert "HTTP status 401" in theirs.output
        assert self.PASSWORD not in ours.output + theirs.output + repr(Credentials(self.PASSWORD))


def answers(client: Client) -> bool:
    """Whether it answers queries."""
    try:
        return bool(client.instant("vector(1)"))
    except PrometheusError:
        return False


def seconds(iso: str) -> float:
    """Unix seconds of a time in an answer."""
    return datetime.fromisoformat(iso).timestamp()
