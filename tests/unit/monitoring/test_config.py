"""monitoring.yaml: what is right is resolved, what is wrong is told with its line, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from monitoring import config
from monitoring.__main__ import DEFAULT_CONFIG
from monitoring.errors import ConfigError
from tests.support import monitoringconfig
from tests.support.slospecs import line_of


def test_paths_resolve_against_the_files_own_folder(tmp_path: Path) -> None:
    found = config.load(monitoringconfig.write(tmp_path), "production")
    assert found.specs == (tmp_path / "specs",)
    assert found.alerts_folder == tmp_path / "out/alerts"
    assert found.dashboards_folder == tmp_path / "out/dashboards"
    assert found.environment.window_divisor == 1
    assert found.environment.receivers.watchdog is None


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("service: shop", "servise: shop", "servise: shop", "unknown or unsupported field 'servise'"),
        ("service: shop", "servise: shop", "servise: shop", "the field 'service' is missing"),
        ("service: shop", "service: A Shop", "service: A Shop", "service: expected something like shop-2"),
        ("specs: [specs]", "specs: specs", "specs: specs", "specs: expected a list, found text"),
        ("specs: [specs]", "specs: [specs]\nmixins: [mail]", "mixins: [mail]", "mixins[0]: no mixin 'mail'"),
        ("specs: [specs]", "specs: [specs]\nmixins: [messenger]", 'shop: ["shop1:80"]', "need a job 'messenger-probe'"),
        ("scrape_interval: 15s", "scrape_interval: 0s", "scrape_interval: 0s", "scrape_interval: '0s' is no duration"),
        (
            "scrape_interval: 15s",
            "window_divisor: 0\n    scrape_interval: 15s",
            "window_divisor: 0",
            "window_divisor: expected at least 1, found 0",
        ),
        ('["shop1:80"]', "[shop1]", "shop: [shop1]", "jobs.shop[0]: expected something like shop1:8080"),
        ('["alertmanager:9093"]', "[]", "targets: []", "without a target no alert leaves Prometheus"),
        (
            "url: http://oncall/alerts",
            "url: oncall",
            "url: oncall",
            "receivers.oncall.url: expected something like http",
        ),
        (
            "runbooks/",
            "runbooks",
            "runbooks: https://docs.test/runbooks",
            "links.runbooks: expected something like https",
        ),
        ("  production:", "  staging:", "staging:", "no environment 'production'; there is staging"),
        ("retention: 35d", "retention: [35d]", "retention: [35d]", "retention: expected a duration, found a list"),
        ("receivers:\n", "receivers: none\n    recievers:\n", "receivers: none", "expected a mapping, found text"),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    path = monitoringconfig.write(tmp_path, old, new)
    with pytest.raises(ConfigError) as refused:
        config.load(path, "production")
    found = {m.line for m in refused.value.mistakes if words in m.message}
    missing_field = "is missing" in words
    assert found == {1 if missing_field else line_of(path, at)}, refused.value


def test_all_mistakes_come_together(tmp_path: Path) -> None:
    path = monitoringconfig.write(tmp_path)
    path.write_text(path.read_text().replace("15s", "often").replace("service: shop", "service: A Shop"))
    with pytest.raises(ConfigError) as refused:
        config.load(path, "production")
    assert len(refused.value.mistakes) == 3


@pytest.mark.parametrize("content", ["", "a: 1\n---\nb: 2\n", "[unclosed", "- list\n"])
def test_what_is_no_config_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError):
        config.load(path, "production")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml:1: cannot be read"):
        config.load(tmp_path / "gone.yaml", "production")


def test_every_kind_of_receiver_is_read(tmp_path: Path) -> None:
    found = config.load(monitoringconfig.every_receiver(tmp_path), "production").environment.receivers
    assert found.names == ("oncall", "team-hook", "team-chat", "team-mail", "team-duty")
    assert (found.pages, found.tickets) == (("oncall", "team-duty"), ("oncall", "team-chat"))
    assert found.named["team-mail"].email is not None
    assert found.named["team-mail"].email.sender == "alerts@mail.test"


def test_without_more_said_on_call_hears_all(tmp_path: Path) -> None:
    found = config.load(monitoringconfig.write(tmp_path), "production")
    receivers = found.environment.receivers
    assert (receivers.pages, receivers.tickets, receivers.page_severities) == (("oncall",), ("oncall",), ("page",))
    assert found.maintenance is None


def test_the_maintenance_file_lies_beside_the_config(tmp_path: Path) -> None:
    path = monitoringconfig.write(tmp_path, "service: shop\n", "service: shop\nmaintenance: planned/work.yaml\n")
    assert config.load(path, "production").maintenance == tmp_path / "planned/work.yaml"


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("team-hook:", "page:", None, "named.page: expected a-z, 0-9 and -, and none of oncall, watchdog, page"),
        ("team-hook:", "Team Hook:", None, "named.Team Hook: expected a-z, 0-9 and -"),
        ("slack: {", "webhook: {url: http://a}\n          slack: {", None, "exactly one of webhook, slack, email"),
        ("[oncall, team-duty]", "[oncall, duty]", "pages: [oncall, duty]", "pages[1]: no receiver 'duty'; there is on"),
        ("[oncall, team-chat]", "[]", "tickets: []", "tickets: without a receiver nobody hears them"),
        ("[oncall, team-chat]", "[oncall, oncall]", "tickets: [oncall", "tickets[1]: 'oncall' stands here twice"),
        ("[page, critical]", "[]", "page_severities: []", "page_severities: without a severity nothing pages"),
        ("            auth_username: alerts\n", "", "to: shop@mail.test", "auth_username and auth_password_file"),
        ("to: shop@mail.test", "to: shop", "to: shop", "email.to: expected something like shop@mail.example"),
        ("mail.test:587", "mail.test", "smarthost:", "email.smarthost: expected something like shop1:8080"),
        ("routing_key_file: duty.key", "routing_key: S3cret", "pagerduty", "holds it with `routing_key_file`"),
        ("auth_password_file: mail.password", "auth_password: S3cret", "auth_password:", "with `auth_password_file`"),
        ("api_url_file: chat.url", "api_url: S3cret", "slack:", "a file that holds it with `api_url_file`"),
        ("http://hook/team", "http://me:S3cret@hook/team", "webhook:", "webhook.url: no secret is written here"),
    ],
)  # fmt: skip
def test_a_mistake_among_the_receivers_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, at: str | None, words: str
) -> None:
    path = monitoringconfig.every_receiver(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError) as refused:
        config.load(path, "production")
    found = {m.line for m in refused.value.mistakes if words in m.message}
    assert len(found) == 1, refused.value
    assert at is None or found == {line_of(path, at)}, refused.value
    assert "S3cret" not in str(refused.value), "an error is logged"


STRUCTS = (
    config.File, config.Outputs, config.Links, config.Environment, config.PrometheusSettings,
    config.AlertmanagerSettings, config.Receivers, config.Receiver, config.Grafana, config.NamedReceiver,
    config.Slack, config.Email, config.PagerDuty,
)  # fmt: skip


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_key_is_explained_in_the_files_own_comments(struct: type[msgspec.Struct]) -> None:
    lines = DEFAULT_CONFIG.read_text().splitlines()
    for field in struct.__struct_encode_fields__:
        written = [line for line in lines if re.match(rf"\s*(#\s+)?{field}:", line)]
        assert written, f"{field} is not in monitoring.yaml"


def test_what_stands_in_comments_is_right_too(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text(
        re.sub(r"^( *)# ( *[a-z][a-z_-]*:( .*)?)$", r"\1\2", DEFAULT_CONFIG.read_text(), flags=re.MULTILINE)
    )
    receivers = config.load(path, "production").environment.receivers
    assert receivers.names == ("oncall", "team-hook", "team-chat", "team-mail", "team-duty")
    assert receivers.watchdog


def test_the_projects_own_config_is_the_checklists() -> None:
    production = config.load(DEFAULT_CONFIG, "production").environment
    assert str(production.scrape_interval) == "15s"
    assert production.jobs["secure-messenger"] == ("node1:9090", "node2:9090", "node3:9090")
