"""infra/monitoring: every expression is PromQL, and asks for figures that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from pipelines.core.project import Project
from studio.monitoring import Monitor
from tests.conftest import REPOSITORY
from tests.support import compose_file
from tests.support.compose_file import INFRA

MONITORING = INFRA / "monitoring"
BOARD = json.loads((MONITORING / "grafana" / "loop.json").read_text())
ALERTS = compose_file.read_yaml(MONITORING / "alerts.yaml")
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
OTHERS = {"up", "ALERTS"}  # Prometheus' own
# How the figures of the loop are made, in the code of the studio.
DECLARED = re.compile(r"""(?:gauge|single)\(\s*"(\w+)\"""")


def metrics() -> set[str]:
    """Names of all figures that the studio tells."""
    own = {name for family in Monitor().registry.collect() for name in (family.name, *suffixed(family.name, family.type))}
    texts = (path.read_text() for path in (REPOSITORY / "studio").glob("*.py"))
    return own | {f"genloop_{name}" for text in texts for name in DECLARED.findall(text)}


def suffixed(name: str, kind: str) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(kind, [])
    return [f"{name}{suffix}" for suffix in suffixes]


def asked(expression: str) -> set[str]:
    """The figures that an expression asks for. ValueError where it is no PromQL."""
    found = set()

    def note(part: Any) -> None:
        if isinstance(part, promql_parser.VectorSelector) and part.name:
            found.add(part.name)

    promql_parser.walk(promql_parser.parse(expression), pre_visit=note)
    return found


def queries() -> Iterator[tuple[str, str]]:
    for panel in BOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in BOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def test_expressions_are_read() -> None:
    assert asked('sum(rate(a_total{b="c"}[5m])) > 2 * max_over_time(d[1d] offset 1d)') == {"a_total", "d"}
    with pytest.raises(ValueError):
        promql_parser.parse("sum(rate(a_total[5m])")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_figures_that_exist(rule: dict[str, Any]) -> None:
    assert asked(rule["expr"]) <= metrics() | OTHERS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "action"}
    assert re.fullmatch(r"\d+[mh]", rule["for"])


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("title", "expression"), list(queries()))
def test_the_board_asks_for_figures_that_exist(title: str, expression: str) -> None:
    assert asked(expression) <= metrics() | OTHERS, title


def test_the_board_shows_every_figure_of_the_loop() -> None:
    shown = {name for _, expression in queries() for name in asked(expression)}
    left_out = {"genloop_rejections_in_a_row", "genloop_oldest_waiting_event_age_seconds"}  # alerts go by them
    gauges = {name for name in metrics() if not re.search(r"_(created|count|sum|bucket)$", name)}
    base = {name.removesuffix("_total").removesuffix("_bucket") for name in shown}
    assert {name for name in gauges if name.removesuffix("_total") not in base} <= left_out


def test_panels_do_not_overlap_and_have_a_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    sources = compose_file.read_yaml(MONITORING / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")
    known = {source["uid"] for source in sources["datasources"]}
    asked_of = {target["datasource"]["uid"] for panel in BOARD["panels"] for target in panel.get("targets", [])}
    assert asked_of == known
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_grafana_finds_the_board_where_compose_puts_it() -> None:
    (provider,) = compose_file.read_yaml(MONITORING / "grafana" / "provisioning" / "dashboards" / "loop.yaml")["providers"]
    mounts = compose_file.load(compose_file.example())["services"]["grafana"]["volumes"]
    assert f"./monitoring/grafana/loop.json:{provider['options']['path']}/loop.json:ro" in mounts


def test_prometheus_asks_services_that_compose_starts() -> None:
    config = compose_file.read_yaml(MONITORING / "prometheus.yaml")
    services = compose_file.load(compose_file.example())["services"]
    targets = [target for job in config["scrape_configs"] for one in job["static_configs"] for target in one["targets"]]
    assert {target.partition(":")[0] for target in targets} <= {*services, "localhost"}
    assert config["rule_files"] == ["alerts.yaml"]
    mounts = services["prometheus"]["volumes"]
    assert "./monitoring/alerts.yaml:/etc/prometheus/alerts.yaml:ro" in mounts  # beside the configuration that names it


def test_prometheus_own_tool_finds_nothing(project: Project) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it is in Debian's package prometheus")
    shutil.copytree(MONITORING, project.root / "monitoring")
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), project.root / "monitoring")
    for arguments in (("check", "config", "prometheus.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = subprocess.run([promtool, *arguments], cwd=project.root / "monitoring", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
