"""The webhook receiver: who may post, what is kept, what is shown."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from monitoring.oncall.agreed import agreed_now
from monitoring.oncall.metrics import CATALOGUE
from monitoring.oncall.people import People, Role
from monitoring.oncall.store import Store
from monitoring.oncall.web import TRIES_A_MINUTE, create_app

TOKEN, PASSWORD = "webhook-token-of-the-tests", "password-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def notification(
    status: str = "firing", name: str = "NodeDown", starts_at: str = "2026-01-01T00:00:00Z", receiver: str = "page"
) -> dict[str, Any]:
    """As Alertmanager 0.25 sends it, with a field that a newer one might add."""
    alert = {
        "status": status,
        "labels": {"alertname": name, "severity": "page"},
        "annotations": {"summary": "<b>node1 is down</b>", "runbook_url": "javascript:alert(1)"},
        "startsAt": starts_at,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": f"fp-{name}",
    }
    return {
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": receiver,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [alert],
        "addedLater": True,
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "oncall.db")


@pytest.fixture
def client(store: Store) -> FlaskClient:
    add(store, "oncall", Role.ADMIN)
    return create_app(store, TOKEN).test_client()


def add(store: Store, name: str, role: Role) -> None:
    People(store, time.time).put(name, PASSWORD, role, "the tests")


def events(client: FlaskClient) -> list[dict[str, Any]]:
    return json.loads(client.get("/api/events", auth=("oncall", PASSWORD)).data)


def test_firing_and_resolved_are_kept_in_order(client: FlaskClient) -> None:
    for status in ("firing", "resolved"):
        assert client.post("/alertmanager", json=notification(status), headers=BEARER).status_code == 200
    assert [event["status"] for event in events(client)] == ["resolved", "firing"]


def test_a_repeated_notification_is_one_event_and_a_new_start_another(client: FlaskClient) -> None:
    for starts_at in ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"):
        client.post("/alertmanager", json=notification(starts_at=starts_at), headers=BEARER)
    assert len(events(client)) == 2


def test_an_alert_that_fires_again_with_its_old_start_is_firing(client: FlaskClient) -> None:
    for status in ("firing", "resolved", "firing"):
        client.post("/alertmanager", json=notification(status), headers=BEARER)
    assert [event["status"] for event in events(client)] == ["firing", "resolved", "firing"]
    assert "1 incident open" in client.get("/", auth=("oncall", PASSWORD)).text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_only_alertmanager_may_post(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.post("/alertmanager", json=notification(), headers=headers).status_code == 401
    assert events(client) == []


def test_a_body_that_is_no_notification_is_refused_for_good_and_names_the_field(client: FlaskClient) -> None:
    broken = notification()
    del broken["alerts"][0]["fingerprint"]
    answer = client.post("/alertmanager", json=broken, headers=BEARER)
    assert answer.status_code == 400  # 4xx is not retried
    assert "fingerprint" in answer.text
    assert client.post("/alertmanager", data="{", headers=BEARER).status_code == 400


def test_a_broken_store_asks_for_a_retry(client: FlaskClient, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "oncall.db") as conn:
        conn.execute("ALTER TABLE events RENAME TO gone")
    assert client.post("/alertmanager", json=notification(), headers=BEARER).status_code == 503


def drill(status: str = "firing", **annotations: str) -> dict[str, Any]:
    told = notification(status, "OnCallDrill", receiver="drill")
    told["alerts"][0]["annotations"] = annotations
    return told


def test_a_drill_is_no_incident_no_event_and_no_page_that_was_late(client: FlaskClient) -> None:
    mixed = drill(drill="17")
    mixed["alerts"] += notification(starts_at="yesterday")["alerts"]
    assert client.post("/alertmanager", json=mixed, headers=BEARER).status_code == 200
    assert [event["labels"]["alertname"] for event in events(client)] == ["NodeDown"]
    look = {"auth": ("oncall", PASSWORD)}
    assert [one["title"] for one in client.get("/api/incidents", **look).json] == ["NodeDown"]
    first = client.get("/api/drills/17", **look).json
    assert first["told_at"] == first["opened_at"], "no way is to be told of it"
    assert (first["ended_at"], first["end_told_at"]) == (None, None)
    for status in ("firing", "resolved", "firing", "resolved"):  # repeats
        client.post("/alertmanager", json=drill(status, drill="17"), headers=BEARER)
    last = client.get("/api/drills/17", **look).json
    assert last["opened_at"] == first["opened_at"]
    assert last["end_told_at"] == last["ended_at"] > first["opened_at"]
    text = client.get("/metrics").text
    assert "oncall_alerts_firing 1.0" in text
    assert 'oncall_alert_delay_seconds_count{severity="page"} 0.0' in text


def test_an_alert_that_only_calls_itself_a_drill_calls_people(client: FlaskClient) -> None:
    for told in ({}, {"drill": "../../17"}, {"drill": "1" * 65}):
        client.post("/alertmanager", json=drill(**told), headers=BEARER)
    real = notification()
    real["alerts"][0]["annotations"]["drill"] = "18"
    client.post("/alertmanager", json=real, headers=BEARER)
    found = client.get("/api/incidents", auth=("oncall", PASSWORD)).json
    assert sorted(one["title"] for one in found) == ["NodeDown", "OnCallDrill"]
    assert client.get("/api/drills/18", auth=("oncall", PASSWORD)).status_code == 404


PAGES = ("/", "/incidents/1", "/audit")
APIS = ("/api/events", "/api/incidents", "/api/incidents/1", "/api/on-call", "/api/drills/17")


@pytest.mark.parametrize("path", [*PAGES, *APIS])
@pytest.mark.parametrize("auth", [None, ("oncall", "wrong"), ("somebody", PASSWORD)])
def test_looking_needs_somebody_who_is_signed_in(client: FlaskClient, path: str, auth: tuple[str, str] | None) -> None:
    client.post("/alertmanager", json=notification(), headers=BEARER)
    answer = client.get(path, auth=auth)
    if path in PAGES:
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    else:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert "NodeDown" not in answer.text


def test_each_role_may_do_what_it_may(client: FlaskClient, store: Store) -> None:
    add(store, "bob", Role.RESPONDER)
    add(store, "eve", Role.VIEWER)
    client.post("/alertmanager", json=notification(), headers=BEARER)
    for name, looks, acts, audits in (("eve", 200, 403, 403), ("bob", 200, 200, 403), ("oncall", 200, 200, 200)):
        auth = (name, PASSWORD)
        assert client.get("/incidents/1", auth=auth).status_code == looks
        assert client.get("/audit", auth=auth).status_code == audits
        for action in ("acknowledge", "note", "resolve"):
            answer = client.post(f"/api/incidents/1/{action}", auth=auth, json={"text": "hm"})
            assert answer.status_code == acts, action
    assert (
        "eve is a viewer; this needs a responder"
        in client.post("/api/incidents/1/resolve", auth=("eve", PASSWORD)).text
    )


def test_a_person_signs_in_acts_and_signs_out(client: FlaskClient, store: Store) -> None:
    add(store, "bob", Role.RESPONDER)
    client.post("/alertmanager", json=notification(), headers=BEARER)
    wrong = client.post("/sign-in", data={"name": "bob", "password": "wrong"})
    assert wrong.status_code == 401
    assert "do not fit" in wrong.text
    answer = client.post("/sign-in", data={"name": "bob", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict"} <= set(answer.headers["Set-Cookie"].split("; "))
    assert client.post("/incidents/1/acknowledge").status_code == 303
    assert client.post("/incidents/1/note", data={"text": "<i>looking</i>"}).status_code == 303
    page = client.get("/incidents/1").text
    assert "acknowledged" in page
    assert "&lt;i&gt;looking&lt;/i&gt;" in page
    assert client.post("/incidents/1/note", data={"text": " "}).status_code == 400
    assert client.post("/incidents/7/resolve").status_code == 404
    assert client.post("/incidents/1/resolve", headers={"Origin": "https://elsewhere.example"}).status_code == 403
    told = json.loads(client.get("/api/incidents/1").data)
    assert (told["state"], told["acknowledged_by"]) == ("acknowledged", "bob")
    assert [line["what"] for line in told["timeline"]] == ["opened", "acknowledged", "noted"]
    assert client.post("/sign-out").headers["Location"] == "/sign-in"
    assert client.get("/incidents/1").headers["Location"] == "/sign-in"
    audited = client.get("/audit", auth=("oncall", PASSWORD)).text
    for line in ("made bob a responder", "signed in", "acknowledge: incident 1", "note: incident 1"):
        assert line in audited


def test_passwords_are_not_guessed(client: FlaskClient, store: Store) -> None:
    add(store, "bob", Role.RESPONDER)
    for _ in range(TRIES_A_MINUTE):
        assert client.get("/api/incidents", auth=("bob", "guess")).status_code == 401
    assert client.get("/api/incidents", auth=("bob", PASSWORD)).status_code == 401, "not now"
    assert client.get("/api/incidents", auth=("oncall", PASSWORD)).status_code == 200, "nobody else is kept out"


def test_the_page_shows_alerts_and_runs_nothing_they_bring(client: FlaskClient) -> None:
    client.post("/alertmanager", json=notification(), headers=BEARER)
    answer = client.get("/", auth=("oncall", PASSWORD))
    assert "1 incident open" in answer.text
    assert "&lt;b&gt;node1 is down&lt;/b&gt;" in answer.text
    assert "javascript:" not in answer.text + client.get("/incidents/1", auth=("oncall", PASSWORD)).text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_watchdog_is_kept_but_not_shown(client: FlaskClient, store: Store) -> None:
    client.post("/alertmanager", json=notification(name="Watchdog", receiver="watchdog"), headers=BEARER)
    assert events(client) == []
    assert len(store.latest(10)) == 1
    assert "0 incidents open" in client.get("/", auth=("oncall", PASSWORD)).text


def test_metrics_count_notifications_and_what_fires(client: FlaskClient) -> None:
    assert 'oncall_notifications_total{result="stored"} 0.0' in client.get("/metrics").text
    client.post("/alertmanager", json=notification(), headers=BEARER)
    client.post("/alertmanager", json=notification())
    text = client.get("/metrics").text
    assert 'oncall_notifications_total{result="stored"} 1.0' in text
    assert 'oncall_notifications_total{result="unauthenticated"} 1.0' in text
    assert "oncall_alerts_firing 1.0" in text
    client.post("/alertmanager", json=notification("resolved"), headers=BEARER)
    assert "oncall_alerts_firing 0.0" in client.get("/metrics").text


def seconds_ago(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds, UTC).isoformat().replace("+00:00", "Z")


def timed(client: FlaskClient, severity: str = "page") -> tuple[float, float]:
    """(in time, all) of the alerts that were timed."""
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    name = "oncall_alert_delay_seconds"
    within = lines[f'{name}_bucket{{le="60.0",severity="{severity}"}}']
    return float(within), float(lines[f'{name}_count{{severity="{severity}"}}'])


def test_an_alert_is_timed_from_its_start_to_its_first_receipt(client: FlaskClient) -> None:
    late, quick = notification(starts_at=seconds_ago(90)), notification(name="LogLag", starts_at=seconds_ago(20))
    assert timed(client) == (0, 0)
    for one in (late, quick, late, quick, notification("resolved", starts_at=late["alerts"][0]["startsAt"])):
        client.post("/alertmanager", json=one, headers=BEARER)
    assert timed(client) == (1, 2)
    assert timed(client, "ticket") == (0, 0)


def test_what_joins_a_group_that_was_told_already_is_not_timed(client: FlaskClient) -> None:
    first, second = notification(starts_at=seconds_ago(200)), notification(name="LogLag", starts_at=seconds_ago(190))
    both = first | {"alerts": first["alerts"] + second["alerts"]}
    client.post("/alertmanager", json=first, headers=BEARER)
    client.post("/alertmanager", json=both, headers=BEARER)
    assert len(events(client)) == 2
    assert timed(client) == (0, 1)


def test_neither_the_watchdog_nor_a_start_that_cannot_be_read_is_timed(client: FlaskClient) -> None:
    for one in (notification(name="Watchdog", receiver="watchdog"), notification(starts_at="yesterday")):
        assert client.post("/alertmanager", json=one, headers=BEARER).status_code == 200
    assert timed(client) == (0, 0)


def test_the_catalogue_is_what_is_exposed_and_all_is_there_at_zero(client: FlaskClient) -> None:
    text = client.get("/metrics").text
    for name, (kind, labels) in CATALOGUE.items():
        series = f"{name}_count" if kind == "histogram" else name
        for label, values in labels.items():
            assert all(f'{series}{{{label}="{value}"}} 0.0' in text for value in values)
        assert f"\n{series}" in text


def test_what_was_stored_survives_a_restart(client: FlaskClient, tmp_path: Path) -> None:
    client.post("/alertmanager", json=notification(), headers=BEARER)
    again = create_app(Store(tmp_path / "oncall.db"), TOKEN).test_client()
    assert len(events(again)) == 1


class TestMaintenance:
    """Nobody is paged for what was agreed on; the page says why it is quiet."""

    NOW = datetime(2030, 5, 1, 21, tzinfo=UTC)
    SPAN = """\
- id: new-database
  start: 2030-05-01T22:00:00+02:00
  end: 2030-05-02T01:00:00+02:00
  declared: 2030-04-20T09:00:00Z
  services: [nobody-asked-the-specs]
  author: Ada
  reason: PostgreSQL 19
"""

    def test_a_span_that_holds_now_is_told_and_no_other(self, tmp_path: Path) -> None:
        path = tmp_path / "maintenance.yaml"
        path.write_text(self.SPAN)
        told = "Maintenance of nobody-asked-the-specs until 2030-05-01 23:00Z: PostgreSQL 19 (Ada)"
        assert agreed_now(path, self.NOW) == [told]
        assert agreed_now(path, datetime(2030, 5, 1, 23, tzinfo=UTC)) == []
        assert agreed_now(path, datetime(2030, 5, 1, 19, 59, tzinfo=UTC)) == []
        assert agreed_now(None, self.NOW) == []

    def test_a_wrong_file_is_told_with_its_line_and_hides_nothing(self, store: Store, tmp_path: Path) -> None:
        path = tmp_path / "maintenance.yaml"
        path.write_text(self.SPAN.replace("22:00:00+02:00", "22:00:00"))
        add(store, "oncall", Role.ADMIN)
        client = create_app(store, TOKEN, maintenance=path).test_client()
        client.post("/alertmanager", json=notification(), headers=BEARER)
        page = client.get("/", auth=("oncall", PASSWORD)).text
        assert "The maintenance file is wrong" in page
        assert "maintenance.yaml:2: [0].start" in page
        assert "1 incident open" in page
