"""From evidence to a run: what load reports tick, what is not named is not run, and what is written of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from monitoring.__main__ import main
from monitoring.verify import checklist, checks, render, signing
from monitoring.verify.checklist import Box, Filled, Result, State, fill
from monitoring.verify.evidence import Evidence, Where

REPORT: dict[str, Any] = {
    "connections": {"connected": 100_000},
    "traffic": {"duration_s": 300.2, "rate_per_s": 2_520.0, "received": 1_500_000},
    "fanout_ms": {"p95": 123.4},
    "history": {"sent": 756_000, "ok": True, "lost": 0, "expected": 1_512_000, "duplicated": 0, "reordered": 0},
    "loss_rate": 0.0,
    "error_rate": 0.0001,
    "nodes": [{"memory_peak_bytes": 300 * 1024**2, "cpu_share": 0.5}, {"memory_peak_bytes": 1, "cpu_share": None}],
}


def evidence(folder: Path, **changed: Any) -> Evidence:
    path = folder / "load.json"
    path.write_text(json.dumps(REPORT | changed))
    return Evidence(Where("http://127.0.0.1:1", multi_load=path))


def test_every_check_that_is_written_is_on_the_list() -> None:
    named = {box.check for box in checklist.every_box(checklist.read())}
    assert set(checks.CHECKS) - named == set()


def test_a_report_of_the_load_tool_ticks_its_boxes_and_fills_their_blanks(tmp_path: Path) -> None:
    asked = evidence(tmp_path)
    boxes = [box for box in checklist.every_box(checklist.read()) if box.check and box.check.startswith("multi_")]
    filled = [fill(box, lambda name: checks.run(name, asked)) for box in boxes]
    assert {one.state for one in filled} == {State.TICKED}
    text = "\n".join(one.text for one in filled)
    figures = ("123.4 ms", "100,000 (target", "0.010 %", "300 MB", "50 % of a core", "756,000", "1,500,000", "0.0000 %")
    assert [words for words in figures if words not in text] == []
    assert checklist.UNKNOWN not in text


@pytest.mark.parametrize(
    ("check", "changed", "state", "words"),
    [
        ("multi_connections", {"connections": {"connected": 99_999}}, State.FAILED, "a run of 100,000 would tick this"),
        ("multi_p95", {"fanout_ms": {"p95": 250.0}}, State.FAILED, "250.0 ms, less than 250 wanted"),
        ("multi_p95", {"fanout_ms": {"p95": None}}, State.FAILED, "nothing was measured"),
        ("multi_loss", {"history": REPORT["history"] | {"lost": 1}}, State.FAILED, "lost 1 of 1,512,000"),
        ("multi_errors", {"error_rate": 0.01}, State.FAILED, "of connects and sends"),
        ("multi_memory", {"nodes": []}, State.NOT_RUN, "no --metrics-url"),
        ("single_p95", {}, State.NOT_RUN, "no --single-load"),
        ("targets", {}, State.NOT_RUN, "no --prometheus"),
        ("alert_told", {}, State.NOT_RUN, "needs --alertmanager"),
        ("jwt_secret", {}, State.NOT_RUN, "no --env-file"),
        ("firewall", {}, State.NOT_RUN, "nothing in this run looks at it"),
        ("health", {}, State.FAILED, "Connection refused"),
        ("person_made", {}, State.FAILED, "tcp"),
    ],
)  # fmt: skip
def test_what_does_not_hold_or_was_not_asked_says_why(
    tmp_path: Path, check: str, changed: dict[str, Any], state: State, words: str
) -> None:
    result = checks.run(check, evidence(tmp_path, **changed))
    assert result.state is state
    assert words in result.evidence


def test_a_file_that_is_no_report_fails_the_box_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for content, words in (("{}", "not a report of the load tool"), ("{", "line 1 column 2"), ("[]", "not a report")):
        path.write_text(content)
        result = checks.run("multi_p95", Evidence(Where("http://127.0.0.1:1", multi_load=path)))
        assert result.state is State.FAILED
        assert str(path) in result.evidence
        assert words in result.evidence


def test_errors_of_logs_are_told_and_other_lines_are_not(tmp_path: Path) -> None:
    asked = Evidence(Where("http://127.0.0.1:1", logs=tmp_path))
    assert checks.run("logs", asked).state is State.FAILED  # no line of JSON: nobody looked at anything
    (tmp_path / "node1.log").write_text('{"level": "info", "event": "error is only a word"}\nplain error\n[1]\n')
    assert checks.run("logs", Evidence(asked.where)).evidence == "0 of 1 lines are errors"
    with (tmp_path / "node1.log").open("a") as file:
        file.write('{"level": "error", "event": "disk full"}\n')
    result = checks.run("logs", Evidence(asked.where))
    assert (result.state, result.evidence) == (State.FAILED, "1 of 2 lines are errors: node1.log: disk full")


def made(state: State) -> dict[str, Any]:
    boxes = [
        Filled("<b>p95</b>", state, "seen"),
        fill(Box("all", boxes=(Box("eyes", person="yours"),)), lambda _: Result(state, "")),
    ]
    return render.as_json([render.FilledPart("Part", [("Section", boxes)])], "2026-11-27T12:00:00+00:00", "m", "t")


def test_a_run_is_good_when_all_that_a_program_can_tick_is_ticked() -> None:
    assert render.good(made(State.TICKED))
    assert not render.good(made(State.FAILED))
    assert not render.good(made(State.NOT_RUN))
    assert made(State.TICKED)["counts"] == {"failed": 0, "not run": 0, "needs a person": 1, "ticked": 1}


def test_a_run_is_written_as_a_list_and_as_a_page_with_its_signatures() -> None:
    run = signing.sign(made(State.FAILED), "security", "<Ann>", datetime(2026, 11, 27, tzinfo=UTC))
    told = render.markdown(run)
    assert "- [ ] ✗ <b>p95</b> (failed) – seen" in told
    assert "  - [ ] ☐ eyes (needs a person) – yours" in told
    assert "- [x] Security Team: encryption verified: <Ann>, 2026-11-27T00:00:00+00:00" in told
    page = render.page(run)
    assert "&lt;b&gt;p95&lt;/b&gt;" in page
    assert "&lt;Ann&gt;" in page
    assert "<b>" not in page


def test_signing_by_the_command_writes_all_three_and_a_wrong_file_is_named(tmp_path: Path) -> None:
    runner = CliRunner()
    words = ["verify", "sign", "--role", "qa", "--name", "Ann", "--out", str(tmp_path)]
    refused = runner.invoke(main, words)
    assert refused.exit_code == 2
    assert f"{tmp_path / 'checklist.json'}: No such file" in refused.output
    (tmp_path / "checklist.json").write_text('{"parts": 1}')
    assert "no `parts`" in runner.invoke(main, words).output
    assert list(tmp_path.iterdir()) == [tmp_path / "checklist.json"]
    signing.save(tmp_path / "checklist.json", made(State.TICKED))
    done = runner.invoke(main, words)
    assert (done.exit_code, done.output) == (
        0, "signed as qa by Ann; missing: performance, devops, security, product\n"
    )  # fmt: skip
    assert "QA Team: all manual tests passed: Ann" in (tmp_path / "checklist.md").read_text()
    assert "Ann" in (tmp_path / "checklist.html").read_text()
