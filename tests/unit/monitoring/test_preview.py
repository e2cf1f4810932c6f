"""The preview without a browser: which boards it finds, what it asks a Prometheus, and whom it answers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner
from flask.testing import FlaskClient

from monitoring.__main__ import main
from monitoring.errors import InputError
from monitoring.preview import server, upstream
from monitoring.preview.boards import NoBoardError, Shelf, all_right
from monitoring.preview.command import preview
from monitoring.preview.server import Source, create_app, running
from monitoring.preview.upstream import Upstream
from monitoring.prometheus.client import Client, Credentials
from tests.support import monitoringconfig
from tests.support.repository import ROOT

BOARD = {"uid": "shop", "title": "Shop", "tags": ["a"], "panels": []}
NOWHERE = "http://127.0.0.1:9"
TOKEN = "token-of-the-tests"


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def uids(*paths: Path) -> list[str]:
    return [board.uid for board in all_right(Shelf(paths).read())]


def mistakes(*paths: Path) -> list[str]:
    return [str(mistake) for mistake in Shelf(paths).read().mistakes]


# --- which boards ---------------------------------------------------------------------------------------


def test_a_board_may_be_bare_wrapped_in_an_old_layout_or_in_a_config_map(tmp_path: Path) -> None:
    config_map = {"kind": "ConfigMap", "data": {"c.json": json.dumps(BOARD | {"uid": "c"}), "notes.txt": "{"}}
    bare = write(tmp_path / "a.json", BOARD | {"uid": "a"})
    wrapped = write(tmp_path / "b.json", {"dashboard": BOARD | {"uid": "b"}, "meta": {}})
    old = write(tmp_path / "old.json", {"uid": "old", "title": "Zoo", "rows": []})
    assert uids(bare, wrapped, write(tmp_path / "c.yaml", yaml.safe_dump(config_map)), old) == ["a", "b", "c", "old"]


def test_a_board_without_a_uid_is_opened_by_the_name_of_its_file(tmp_path: Path) -> None:
    assert uids(write(tmp_path / "node exporter (full).json", {"panels": []})) == ["node-exporter-full-"]


def test_a_folder_is_searched_for_boards_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "board.json", BOARD)
    write(tmp_path / "tsconfig.json", "{ // a comment\n}")
    write(tmp_path / "rules.yaml", "groups: []")
    write(tmp_path / ".hidden" / "board.json", BOARD)
    write(tmp_path / "node_modules" / "board.json", BOARD)
    assert uids(tmp_path) == ["shop"]


def test_a_file_that_is_not_json_is_named_with_its_line(tmp_path: Path) -> None:
    broken = write(tmp_path / "broken.json", '{\n  "panels": [\n  ],\n}')
    assert mistakes(tmp_path)[0].startswith(f"{broken}:4: not JSON: ")
    config_map = "kind: ConfigMap\ndata:\n  b.json: |\n    {\n      oops\n    }\n"
    inside = write(tmp_path / "map.yaml", config_map)
    assert mistakes(inside)[0].startswith(f"{inside}:5: b.json: not JSON: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"panels": [NaN]}', "NaN is no JSON value"),
        ("[" * 100_000, "nested too deep"),
        ({"groups": []}, "not a dashboard"),
        (BOARD | {"uid": "../../etc"}, "uid: is '../../etc'; Grafana takes"),
        (BOARD | {"uid": "a" * 41}, "at most 40"),
    ],
)
def test_a_file_that_cannot_be_shown_says_why(tmp_path: Path, content: object, said: str) -> None:
    found = mistakes(write(tmp_path / "it.json", content))
    assert len(found) == 1
    assert said in found[0]


def test_two_boards_of_one_uid_are_both_named(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, BOARD) for name in ("a.json", "b.json"))
    assert mistakes(tmp_path) == [f"{second}: uid 'shop' is already that of {first}"]
    with pytest.raises(InputError):
        all_right(Shelf([tmp_path]).read())


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoBoardError, match="no dashboard found"):
        all_right(Shelf([tmp_path]).read())


def test_an_edit_is_seen_and_so_is_its_end(tmp_path: Path) -> None:
    path, shelf = write(tmp_path / "a.json", BOARD), Shelf([tmp_path])
    assert shelf.read().boards[0].title == "Shop"
    write(path, BOARD | {"title": "Shop of today"})
    assert shelf.read().boards[0].title == "Shop of today"
    path.unlink()
    assert shelf.read().boards == ()


# --- what Prometheus is asked ---------------------------------------------------------------------------


class Guarded(BaseHTTPRequestHandler):
    """What may stand before a Prometheus: it wants a token, sets headers, and has pages of its own."""

    seen: list[tuple[str, str, dict[str, list[str]]]] = []  # noqa: RUF012  made anew by the fixture

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self._answer(parse_qs(body))

    def do_GET(self) -> None:
        self._answer(parse_qs(urlsplit(self.path).query))

    def _answer(self, form: dict[str, list[str]]) -> None:
        self.seen.append((self.command, urlsplit(self.path).path, form))
        asked = form.get("query", [""])[0]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, "text/html", b"sign in")
        elif asked == "page":
            self._say(200, "text/html", b"<script>")
        elif asked == "moved":
            self._say(302, "text/html", b"", Location="http://127.0.0.1:9/elsewhere")
        elif asked == "wrong":
            self._say(400, "application/json", b'{"status":"error","errorType":"bad_data","error":"no"}')
        elif asked == "huge":
            self._say(200, "application/json", b'{"status":"success","data":"' + b"a" * 2_000_000 + b'"}')
        else:
            self._say(200, "application/json", b'{"status":"success","data":[]}')

    def _say(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), "X-Token": TOKEN, **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def guarded() -> Iterator[str]:
    Guarded.seen = []
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    thread = Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{listening.server_address[1]}"
    listening.shutdown()
    thread.join()
    listening.server_close()


Asking = Callable[..., FlaskClient]


@pytest.fixture
def page(tmp_path: Path) -> Asking:
    """The application over one board and the Prometheus at a URL."""
    write(tmp_path / "boards" / "shop.json", BOARD)

    def app(url: str = NOWHERE, credentials: Credentials | None = None) -> FlaskClient:
        source = Source(Upstream(Client(url, credentials, 1)), "15s")
        return create_app(Shelf([tmp_path / "boards"]), source).test_client()

    return app


def ask(client: FlaskClient, path: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    answer = client.get(f"/api/prometheus/api/v1/{path}", query_string=parameters)
    return answer.status_code, answer.get_json()


def test_only_what_a_page_needs_is_passed_on(page: Asking, guarded: str) -> None:
    client = page(guarded, Credentials(TOKEN))
    for path in ("query", "query_range", "query_exemplars", "series", "labels", "label/job/values", "metadata"):
        assert ask(client, path)[0] == 200, path
    asked = len(Guarded.seen)
    for path in (
        *("status/config", "status/flags", "admin/tsdb/delete_series", "write", "targets", "rules", "alerts", ""),
        *("label/../status/values", "label/a%2Fb/values", "query/", "../../-/reload", "metadata/x"),
    ):
        assert ask(client, path)[0] == 404, path
    assert len(Guarded.seen) == asked


def test_parameters_are_those_of_prometheus_and_the_time_is_bounded(page: Asking, guarded: str) -> None:
    client = page(guarded, Credentials(TOKEN))
    ask(client, "query", query="up", time="1", timeout="9h", debug="1")
    ask(client, "series", **{"match[]": ["up", "down"]})
    (_, _, query), (_, _, series) = Guarded.seen
    assert query == {"query": ["up"], "time": ["1"], "timeout": ["30s"]}
    assert series == {"match[]": ["up", "down"]}


def test_an_expression_longer_than_a_url_may_be_goes_through(page: Asking, guarded: str) -> None:
    expr = " + ".join(["up"] * 5_000)
    assert ask(page(guarded, Credentials(TOKEN)), "query", query=expr)[0] == 200
    assert Guarded.seen[0][2]["query"] == [expr]


def test_what_prometheus_refuses_reaches_the_panel(page: Asking, guarded: str) -> None:
    status, said = ask(page(guarded, Credentials(TOKEN)), "query", query="wrong")
    assert (status, said["errorType"], said["error"]) == (400, "bad_data", "no")


@pytest.mark.parametrize(("asked", "said"), [("page", "not the answer of a Prometheus"), ("moved", "HTTP status 302")])
def test_what_is_no_answer_of_a_prometheus_is_not_passed_on(page: Asking, guarded: str, asked: str, said: str) -> None:
    status, told = ask(page(guarded, Credentials(TOKEN)), "query", query=asked)
    assert status == 502
    assert said in told["error"]


def test_an_answer_too_large_is_cut_off(page: Asking, guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "MAX_ANSWER_BYTES", 1 << 20)
    status, told = ask(page(guarded, Credentials(TOKEN)), "query", query="huge")
    assert (status, told["error"]) == (502, "more than 1 MiB; ask for less")


def test_the_credentials_never_reach_the_page(page: Asking, guarded: str) -> None:
    client = page(guarded.replace("//", "//me:hidden@"), Credentials(TOKEN))
    for path in ("query?query=up", "query?query=page", "query?query=wrong", "status/config"):
        answer = client.get(f"/api/prometheus/api/v1/{path}")
        assert TOKEN not in f"{answer.headers}{answer.text}"
    assert client.get("/api/settings").get_json() == {"scrapeInterval": "15s", "prometheus": guarded}
    assert "hidden" not in ask(page("http://me:hidden@127.0.0.1:9"), "query", query="up")[1]["error"]


def test_a_token_that_is_missing_is_said_with_the_option_that_brings_it(page: Asking, guarded: str) -> None:
    status, told = ask(page(guarded), "query", query="up")
    assert status == 502
    assert "HTTP status 401; --credentials-file" in told["error"]


def test_a_prometheus_that_is_not_there_is_told_to_each_panel(page: Asking) -> None:
    status, told = ask(page(), "query", query="up")
    assert (status, told["status"], told["errorType"]) == (502, "error", "unavailable")
    assert told["error"].startswith(f"{NOWHERE}: cannot be reached")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "static" / "app.js", "")
    monkeypatch.setattr(server, "BUILT", tmp_path / "static")


# --- who is answered ------------------------------------------------------------------------------------


def test_the_page_and_its_interfaces(page: Asking) -> None:
    client = page()
    for path in ("/", "/d/shop", "/d/shop/a-slug"):
        assert "/static/app.js" in client.get(path).text
    listed = client.get("/api/boards").get_json()
    assert [(one["uid"], one["title"], one["tags"]) for one in listed] == [("shop", "Shop", ["a"])]
    assert client.get("/api/boards/shop").text == json.dumps(BOARD, separators=(",", ":"))
    assert isinstance(client.get("/api/lint/shop").get_json(), list)
    assert client.get("/api/boards/none").status_code == 404


def test_a_board_that_an_edit_broke_says_so_at_the_next_reload(page: Asking, tmp_path: Path) -> None:
    client, path = page(), tmp_path / "boards" / "shop.json"
    write(path, '{"panels": [')
    answer = client.get("/api/boards/shop")
    assert answer.status_code == 422
    assert answer.get_json()["error"].startswith(f"{path}:1: not JSON")


@pytest.mark.parametrize("host", ["evil.test", "evil.test:3002", "127.0.0.1.evil.test", "", "localhost@evil.test"])
def test_a_name_that_was_bound_to_our_address_gets_nothing(page: Asking, host: str) -> None:
    for path in ("/", "/api/boards", "/api/prometheus/api/v1/query", "/static/app.js"):
        assert page().get(path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_allowed(page: Asking, guarded: str, method: str) -> None:
    client = page(guarded, Credentials(TOKEN))
    for path in ("/", "/api/boards/shop", "/api/prometheus/api/v1/query"):
        assert client.open(path, method=method).status_code == 405
    assert Guarded.seen == []


def test_another_site_cannot_make_a_browser_ask(page: Asking, guarded: str) -> None:
    client = page(guarded, Credentials(TOKEN))
    answer = client.get("/api/prometheus/api/v1/query", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert Guarded.seen == []
    assert client.get("/d/shop", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link of an alert


def test_every_answer_forbids_foreign_scripts_and_guessing_of_types(page: Asking) -> None:
    for path in ("/", "/api/boards", "/nowhere", "/api/prometheus/api/v1/nowhere"):
        headers = page().get(path).headers
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.usefixtures("built")
def test_no_path_leads_out_of_the_static_folder(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", "secret")
    with running(create_app(Shelf([tmp_path]), Source(Upstream(Client(NOWHERE)), "15s"))) as url:

        def status(path: str) -> int:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
            connection.request("GET", f"/static/{path}")
            found = connection.getresponse().status
            connection.close()
            return found

        assert status("app.js") == 200
        for path in ("../secret", "..%2fsecret", "%2e%2e/secret", "..%5csecret", "a/../../secret", str(secret)):
            assert status(path) == 404, path


# --- the command ----------------------------------------------------------------------------------------


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["preview", *map(str, arguments)])
    return done.exit_code, done.output


def test_a_page_that_was_not_built_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BUILT", tmp_path / "static")
    status, said = run(write(tmp_path / "a.json", BOARD))
    assert status == 2
    assert said.endswith("app.js is missing; `make setup` builds the page (it needs npm)\n")


@pytest.mark.usefixtures("built")
def test_pictures_need_a_prometheus_that_answers(tmp_path: Path) -> None:
    board = write(tmp_path / "a.json", BOARD)
    status, said = run(board, "--prometheus", NOWHERE, "--shot", tmp_path / "shots")
    assert status == 3
    assert f"{NOWHERE}: cannot be reached" in said
    assert not (tmp_path / "shots").exists()


@pytest.mark.usefixtures("built")
def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    board = write(tmp_path / "a.json", BOARD)
    with running(create_app(Shelf([board]), Source(Upstream(Client(NOWHERE)), "15s"))) as url:
        port = urlsplit(url).port
        status, said = run(board, "--port", port)
    assert status == 2
    assert said == f"cannot listen on 127.0.0.1, port {port}: address already in use; --port names another\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--theme", "dark"), "--theme is about pictures; it needs --shot"),
        (("--from", "now-1h"), "--from is about pictures; it needs --shot"),
        (("--var", "instance"), "'instance' is not NAME=VALUE"),
    ],
)
def test_options_that_would_do_nothing_are_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    status, told = run(write(tmp_path / "a.json", BOARD), *arguments)
    assert status == 2
    assert said in told


def test_a_projects_own_boards_are_the_default_and_every_mistake_is_told(tmp_path: Path) -> None:
    config = monitoringconfig.write(tmp_path)
    write(tmp_path / "out" / "x", "")
    first, second = (
        write(tmp_path / "out" / "dashboards" / n, t) for n, t in (("a.json", '{"panels"'), ("b.json", ""))
    )
    write(second, '{"rows": [1,]}')
    status, said = run("--config", config)
    assert status == 2
    assert said.count("not JSON") == 2
    assert str(first) in said


def test_every_option_and_every_path_of_prometheus_is_documented() -> None:
    page = (ROOT / "docs" / "preview.md").read_text()
    for option in (one.opts[0] for one in preview.params if one.opts[0].startswith("--")):
        assert f"`{option}" in page or f" {option} " in page, f"docs/preview.md does not explain {option}"
    for path in (*upstream.POSTED, "label/NAME/values", "metadata"):
        assert f"`{path}`" in page, f"docs/preview.md does not list {path}"
