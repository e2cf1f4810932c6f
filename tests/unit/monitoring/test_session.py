"""The client's session, held to the transcripts that the browser's client is held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.client.session import Effect, Session
from tests.support.repository import ROOT

TRANSCRIPTS = sorted((ROOT / "tests" / "transcripts").glob("*.json"))


def play(session: Session, step: dict[str, Any]) -> list[Effect]:
    """What the session answers to one step."""
    if "connect" in step:
        return session.connect(step["connect"])
    if "opened" in step:
        return session.opened(step["opened"])
    if "heard" in step:
        return session.heard(step["heard"], step["at_ms"])
    if "stored" in step:
        session.stored(*step["stored"])
        return []
    if "report" in step:
        return session.report()
    if "tick" in step:
        return session.tick(step["tick"])
    if "closed" in step:
        return session.closed(step["closed"], step["random"])
    assert "stop" in step, step
    return session.stop()


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_session_answers_as_the_transcript_says(transcript: Path) -> None:
    told = json.loads(transcript.read_text())
    resume = told["resume"]
    cursors = {int(conv): seq for conv, seq in resume.get("cursors", {}).items()}
    session = Session(cursors, resume.get("epoch"), resume.get("since"), resume.get("inbox", 0))
    for number, step in enumerate(told["steps"], 1):
        assert play(session, step) == step["effects"], f"step {number}: {step}"
        assert session.state == step["state"], f"step {number}: {step}"


def test_there_are_transcripts_of_every_state() -> None:
    states = {step["state"] for path in TRANSCRIPTS for step in json.loads(path.read_text())["steps"]}
    assert states == {
        "connecting", "hello", "syncing", "live", "backoff", "drained", "expired", "displaced", "revoked", "idle",
    }  # fmt: skip
