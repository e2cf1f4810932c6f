"""Dashboards in a real browser, on the data of a real Prometheus."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from deploy.stack.wait import answers
from tests.support.binaries import require
from tests.support.browser import BoardPage, opened
from tests.support.prometheus import running_prometheus
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port

START_S = 1_767_225_600  # 2026-01-01 00:00 UTC; an hour of samples
HOUR_S, STEP_S = 3600, 15
RANGE = f"from={START_S * 1000}&to={(START_S + HOUR_S) * 1000}"
RED, GREEN = "#F2495C", "#73BF69"  # Grafana's, by @grafana/data


def samples() -> str:
    """Two shops: a slow one that sells two things a second, a fast one that sells four."""
    lines = ["# TYPE shop_latency_seconds gauge"]
    times = range(START_S, START_S + HOUR_S + 1, STEP_S)
    for shop, latency_s in (("a:80", 0.9), ("b:80", 0.2)):
        lines += [f'shop_latency_seconds{{job="shop",instance="{shop}"}} {latency_s} {at}' for at in times]
    lines.append("# TYPE shop_orders counter")
    for shop, per_s in (("a:80", 2), ("b:80", 4)):
        lines += [
            f'shop_orders_total{{job="shop",instance="{shop}"}} {(at - START_S) * per_s} {at}' for at in times
        ]  # fmt: skip
    return "\n".join([*lines, "# EOF\n"])


DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(id_: int, title: str, expr: str, kind: str = "stat", **target: Any) -> dict[str, Any]:
    """One panel in a grid of three columns; red from half a second on."""
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 0.5}]
    options = {
        "stat": {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}},
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
    }
    return {
        "id": id_,
        "type": kind,
        "title": title,
        "description": f"What {title} means.",
        "datasource": DATASOURCE,
        "gridPos": {"x": (id_ - 1) % 3 * 8, "y": (id_ - 1) // 3 * 6, "w": 8, "h": 6},
        "fieldConfig": {
            "defaults": {"unit": "s", "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": options[kind],
        "targets": [{"refId": "A", "expr": expr, "datasource": DATASOURCE, **target}],
    }


def board(uid: str, *panels: dict[str, Any]) -> dict[str, Any]:
    """A board of the hour with two variables."""
    query = "label_values(shop_orders_total, instance)"
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}},
        {
            "name": "instance", "type": "query", "label": "Instance", "datasource": DATASOURCE, "multi": True,
            "includeAll": True, "allValue": ".+", "current": {"text": "All", "value": "$__all"}, "refresh": 2,
            "query": {"query": query, "refId": "V"}, "definition": query,
        },
    ]  # fmt: skip
    return {
        "uid": uid,
        "title": f"Board {uid}",
        "schemaVersion": 42,
        "tags": [],
        "time": {"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T01:00:00.000Z"},
        "timezone": "utc",
        "templating": {"list": variables},
        "panels": panels,
    }


SLOW = panel(1, "Slow", 'shop_latency_seconds{instance="a:80"}')
FAST = panel(2, "Fast", 'shop_latency_seconds{instance="b:80"}')
ORDERS = panel(
    3, "Orders", 'rate(shop_orders_total{instance=~"$instance"}[$__rate_interval])', "timeseries",
    legendFormat="{{instance}}",
)  # fmt: skip
BOARDS = {
    "shop": board("shop", SLOW, FAST, ORDERS),
    "broken": board(
        "broken", SLOW, panel(2, "Unclosed", "sum(shop_orders_total"), panel(3, "Nothing", "nowhere_at_all")
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The boards' files."""
    made = tmp_path_factory.mktemp("preview")
    (made / "boards").mkdir()
    for uid, one in BOARDS.items():
        (made / "boards" / f"{uid}.json").write_text(json.dumps(one))
    return made


@pytest.fixture(scope="module")
def prometheus(folder: Path) -> Iterator[str]:
    """URL of a Prometheus that has the hour."""
    (folder / "samples").write_text(samples())
    blocks = [require("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"]
    subprocess.run(blocks, check=True, capture_output=True)
    with running_prometheus(folder, "--storage.tsdb.retention.time=100y") as running:
        yield running.url


@contextmanager
def previewing(*arguments: object) -> Iterator[str]:
    """`python -m monitoring preview` as a user starts it; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "monitoring", "preview", "--port", port, *arguments]
    with subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: process.poll() is not None or answers(f"{url}/api/settings"))
            assert process.poll() is None, process.stdout and process.stdout.read()
            yield url
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def preview(folder: Path, prometheus: str) -> Iterator[str]:
    """URL of the preview of the boards."""
    with previewing(folder / "boards", "--prometheus", prometheus) as url:
        yield url


@pytest.fixture
def shop(browser: Browser, preview: str) -> Iterator[BoardPage]:
    """The board that is well."""
    with opened(browser, f"{preview}/d/shop") as page:
        yield page


def test_a_board_opens_with_data_in_every_panel(shop: BoardPage) -> None:
    assert shop.states == {"Slow": "done", "Fast": "done", "Orders": "done"}
    assert shop.problems == []
    assert "Board shop" in shop.page.title()


def test_a_value_past_its_threshold_is_red(shop: BoardPage) -> None:
    assert shop.value_color("Slow").upper() == RED
    assert shop.value_color("Fast").upper() == GREEN
    painted = shop.panel("Slow").locator(".value").first.evaluate("one => getComputedStyle(one).color")
    assert painted == "rgb(242, 73, 92)"


def test_values_are_in_grafanas_units(shop: BoardPage) -> None:
    assert shop.panel("Slow").locator(".value").first.inner_text().split() == ["900", "ms"]


def test_a_variable_takes_all_its_values_and_the_url_can_choose(
    shop: BoardPage, browser: Browser, preview: str
) -> None:
    assert sorted(shop.legend("Orders")) == ["a:80", "b:80"]
    with opened(browser, f"{preview}/d/shop?var-instance=b:80") as chosen:
        assert chosen.legend("Orders") == ["b:80"]


def test_the_time_range_of_the_url_counts(browser: Browser, preview: str) -> None:
    day_s = 86_400
    later = f"from={(START_S + day_s) * 1000}&to={(START_S + day_s + HOUR_S) * 1000}"
    with opened(browser, f"{preview}/d/shop?{later}") as page:
        assert set(page.states.values()) == {"empty"}
    with opened(browser, f"{preview}/d/shop?{RANGE}") as page:
        assert set(page.states.values()) == {"done"}


def test_what_is_wrong_with_a_query_is_said_in_its_panel_only(browser: Browser, preview: str) -> None:
    with opened(browser, f"{preview}/d/broken") as page:
        assert page.states == {"Slow": "done", "Unclosed": "error", "Nothing": "empty"}
        assert "unclosed left parenthesis" in page.error("Unclosed")


def test_both_themes_are_drawn(browser: Browser, preview: str) -> None:
    def brightness(theme: str) -> int:
        with opened(browser, f"{preview}/d/shop?theme={theme}") as page:
            color: str = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(",")))

    assert brightness("dark") < 150
    assert brightness("light") > 600


def test_an_edit_of_the_file_shows_at_the_next_reload(browser: Browser, preview: str, folder: Path) -> None:
    path = folder / "boards" / "draft.json"
    path.write_text(json.dumps(board("draft", SLOW)))
    with opened(browser, f"{preview}/d/draft") as page:
        path.write_text(json.dumps(board("draft", SLOW, FAST)))
        page.page.reload()
        page.drawn()
        assert list(page.states) == ["Slow", "Fast"]
    path.unlink()


def test_a_prometheus_that_is_not_there_is_told_in_each_panel(browser: Browser, folder: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with (
        previewing(folder / "boards" / "shop.json", "--prometheus", nowhere) as url,
        opened(browser, f"{url}/d/shop") as page,
    ):
        assert set(page.states.values()) == {"error"}
        assert f"{nowhere}: cannot be reached" in page.error("Slow")


def shoot(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`preview --shot` as CI runs it."""
    command = [sys.executable, "-m", "monitoring", "preview", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def colors(browser: Browser, picture: Path) -> tuple[int, int, int]:
    """Width, height and how many colours a picture has."""
    source = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    page = browser.new_page()
    try:
        script = """async source => {
            const image = new Image(); image.src = source; await image.decode();
            const canvas = new OffscreenCanvas(image.width, image.height), pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            const pixels = new Uint32Array(pen.getImageData(0, 0, image.width, image.height).data.buffer);
            return [image.width, image.height, new Set(pixels).size];
        }"""
        width, height, count = page.evaluate(script, source)
        return width, height, count
    finally:
        page.close()


def test_pictures_show_each_board_in_each_theme(
    browser: Browser, folder: Path, prometheus: str, tmp_path: Path
) -> None:
    board_file = folder / "boards" / "shop.json"
    done = shoot(board_file, "--prometheus", prometheus, "--shot", tmp_path / "shots", "--width", 900, "--scale", 2)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "shots").iterdir()) == ["shop-dark.png", "shop-light.png"]
    for picture in (tmp_path / "shots").iterdir():
        width, height, count = colors(browser, picture)
        assert width == 1800
        assert height > 300
        assert count > 50, "nothing is drawn"


def test_a_panel_with_an_error_fails_the_pictures_and_is_named(folder: Path, prometheus: str, tmp_path: Path) -> None:
    broken = folder / "boards" / "broken.json"
    done = shoot(broken, "--prometheus", prometheus, "--shot", tmp_path, "--theme", "dark")
    assert done.returncode == 1
    assert "broken (dark): panel 2 'Unclosed': " in done.stderr
    assert "unclosed left parenthesis" in done.stderr
    assert "no data in: Nothing" in done.stdout
    assert (tmp_path / "broken-dark.png").stat().st_size > 0
