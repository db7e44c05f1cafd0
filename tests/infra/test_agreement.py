"""What infra says in several places, and what the code says, are one: names of variables, and ports."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.support import compose_file
from tests.support.compose_file import INFRA
from tests.test_architecture import CODE

FILES = [path for path in sorted(INFRA.rglob("*")) if path.is_file() and path.suffix not in (".md", ".pyc")]
TEXTS = {path: path.read_text(encoding="utf-8") for path in FILES}
PACKAGES = Path(sys.executable).resolve().parents[1] / "lib"
PORTS = {"studio": 8400, "mlflow": 5000, "prefect": 4200, "worker": 8080}


def named(prefix: str) -> set[str]:
    return {name for text in TEXTS.values() for name in re.findall(rf"\b{prefix}_[A-Z0-9_]+\b", text)}


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose_file.load(compose_file.example())["services"]
    return found


def test_variables_of_genloop_are_read_by_the_code() -> None:
    sources = [*CODE, *REPOSITORY.glob("prefect.yaml")]
    known = {name for path in sources for name in re.findall(r"\bGENLOOP_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    assert named("GENLOOP") <= known


def test_variables_of_mlflow_are_known_to_it() -> None:
    import importlib.util

    package = Path(importlib.util.find_spec("mlflow").origin).parent  # type: ignore[union-attr, arg-type]
    texts = [path.read_text() for path in (package / "environment_variables.py", package / "cli" / "__init__.py")]
    texts.append((package / "utils" / "cli_args.py").read_text())
    known = {name for text in texts for name in re.findall(r"\bMLFLOW_[A-Z0-9_]+\b", text)}
    assert named("MLFLOW") <= known


def test_variables_of_prefect_are_known_to_it() -> None:
    from prefect.settings.legacy import _get_valid_setting_names
    from prefect.settings.models.root import Settings

    ours = {"PREFECT_AUTH"}  # of .env, from which two settings get their value
    assert named("PREFECT") - ours <= _get_valid_setting_names(Settings)


@pytest.mark.parametrize("name", ["studio", "mlflow", "prefect"])
def test_a_server_listens_where_everybody_looks_for_it(name: str) -> None:
    command = [str(part) for part in services()[name]["command"]]
    assert command[command.index("--port") + 1] == str(PORTS[name])
    unit = (INFRA / "systemd" / f"genloop-{name}.service").read_text()
    assert re.findall(r"--port (\d+)", unit) == [str(PORTS[name])]
    for manifest in compose_manifests(name):
        assert re.findall(r"containerPort: (\d+)", manifest) == [str(PORTS[name])]
        assert re.findall(r'--port, "(\d+)"', manifest) == [str(PORTS[name])]
        assert re.findall(r"\{name: http, port: (\d+)", manifest) == [str(PORTS[name])]


def compose_manifests(name: str) -> list[str]:
    return [text for path, text in TEXTS.items() if path.name == f"{name}.yaml" and path.parent.name == "base"]


def test_the_ports_of_services_are_the_same_in_all_files() -> None:
    found = defaultdict(set)
    names = "|".join(services())
    for text in TEXTS.values():
        for name, port in re.findall(rf"(?<![\w/@.-])(?:https?://|\w+@|@)?({names}):(\d{{2,5}})\b(?!\.)", text):
            found[name].add(int(port))
    assert {name: found[name] for name in ("studio", "mlflow", "prefect")} == {
        name: {PORTS[name]} for name in ("studio", "mlflow", "prefect")
    }
    assert found["s3"] <= {8333, 9327}
    assert found["postgres"] <= {5432}
    assert found["prometheus"] == {9090}
    assert found["grafana"] == {3000}


def test_a_health_check_asks_the_port_that_its_service_listens_on() -> None:
    for name, service in services().items():
        asked = re.findall(r"127\.0\.0\.1:(\d+)", " ".join(map(str, service.get("healthcheck", {}).get("test", []))))
        if name in PORTS:
            assert asked == [str(PORTS[name])]
    assert services()["worker"]["environment"]["PREFECT_WORKER_WEBSERVER_PORT"] == str(PORTS["worker"])


def test_network_policies_let_through_the_ports_of_servers() -> None:
    policies = next(text for path, text in TEXTS.items() if path.name == "networkpolicies.yaml")
    ports = {int(port) for port in re.findall(r"port: (\d+)", policies)}
    assert {PORTS[name] for name in ("studio", "mlflow", "prefect")} <= ports


def test_versions_of_our_image_are_one() -> None:
    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    tags = {tag for text in TEXTS.values() for tag in re.findall(r"\bgenloop:(\d[\w.]*)", text)}
    tags |= {tag for text in TEXTS.values() for tag in re.findall(r"newTag: (\S+)", text)}
    assert tags == {version[1]}


def test_compose_and_kubernetes_run_the_same_commands() -> None:
    base = "\n".join(text for path, text in TEXTS.items() if path.parent.name == "base")
    given = {re.sub(r"[\[\]\"',]", "", words) for words in re.findall(r"^ +args: (.+)$", base, re.MULTILINE)}
    assert given == {
        " ".join(map(str, services()[name]["command"])) for name in compose_file.our_services({"services": services()})
    }
