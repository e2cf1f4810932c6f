"""probes.yaml: what it says, and every mistake in it with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitoring.errors import ConfigError
from monitoring.probes.settings import KINDS, load
from tests.support.repository import ROOT

WHOLE = """\
name: berlin
messenger: https://chat.example.com
people: people.json
metrics: {port: 9096}
probes:
  canary: {every: 5s}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "probes.yaml"
    path.write_text(text)
    return path


def test_without_nodes_canaries_take_one_way_and_with_them_every_way(tmp_path: Path) -> None:
    plain = load(written(tmp_path, WHOLE))
    assert plain.routes == (("messenger", "messenger"),)
    assert plain.url("messenger") == "https://chat.example.com"
    three = load(written(tmp_path, WHOLE + "nodes: {a: 'http://a:1', b: 'http://b:1', c: 'http://c:1'}\n"))
    assert len(three.routes) == 9
    assert three.url("b") == "http://b:1"


def test_only_probes_may_change_later(tmp_path: Path) -> None:
    before = load(written(tmp_path, WHOLE))
    assert load(written(tmp_path, WHOLE.replace("every: 5s", "every: 1s"))).fixed() == before.fixed()
    assert load(written(tmp_path, WHOLE.replace("9096", "9097"))).fixed() != before.fixed()


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("canary: {every: 5s}", "canaries: {every: 5s}", 6, "canaries"),
        ("canary: {every: 5s}", "canary: {every: 5}", 6, "every"),
        ("canary: {every: 5s}", "canary: {}", 6, "every"),
        ("canary: {every: 5s}", "link: {every: 1m}", 6, "more often than every 4m"),
        ("canary: {every: 5s}", "media: {every: 1m, timeout: 2m}", 6, "at most 30s"),
        ("canary: {every: 5s}", "broadcast: {every: 1h}", 6, "everybody sees it"),
        ("canary: {every: 5s}", "alerts: {every: 5m, timeout: 2m}", 6, "`oncall` is missing"),
        ("canary: {every: 5s}", "alerts: {every: 3m, timeout: 2m}", 6, "at least twice its timeout of 2m"),
        ("canary: {every: 5s}", "alerts: {every: 1h, timeout: 20m}", 6, "at most 10m"),
        (
            "name: berlin",
            "oncall: {url: 'http://o', name: p, password_file: nowhere}\nname: berlin",
            1,
            "there is no file",
        ),
        ("port: 9096", "port: 96000", 4, "port"),
        ("https://chat", "chat", 2, "messenger"),
        ("name: berlin", "name: Berlin Mitte", 1, "name"),
        ("name: berlin", "jitter: 1.5\nname: berlin", 1, "from 0 to below 1"),
        ("name: berlin", "admin_token_file: nowhere\nname: berlin", 1, "there is no file"),
        ("name: berlin", "journal: {folder: f, ledger_url_file: nowhere}\nname: berlin", 1, "there is no file"),
        ("name: berlin", "surname: berlin\nname: berlin", 1, "surname"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(written(tmp_path, WHOLE.replace(old, new)))
    assert re.search(rf"probes\.yaml:{line}: .*{re.escape(message)}", str(raised.value)), raised.value


def test_the_document_explains_every_kind_and_its_example_is_right(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "probes.md").read_text()
    for kind in KINDS:
        assert f"| `{kind}` |" in text
        if kind != "broadcast":
            assert f"| `{kind}` |" in (ROOT / "docs" / "runbooks" / "probe-failing.md").read_text() or kind in (
                "canary",
                "connect",
            )
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    for secret in re.findall(r"_file: ([a-z-]+)", example):
        (tmp_path / secret).write_text("told to nobody")
    assert set(load(written(tmp_path, example)).file.probes) == set(KINDS) - {"broadcast"}
