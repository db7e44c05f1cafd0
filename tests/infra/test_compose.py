"""infra/compose.yaml: valid, with nothing secret in it, and closed but for its proxy."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.support import compose_file
from tests.support.compose_file import COMPOSE, EXAMPLE, UnsetError

SECRET = re.compile(r"PASSWORD|SECRET|AUTH|ACCESS_KEY|_KEYS")
OPTIONAL = {
    "GENLOOP_API_KEYS",
    "GENLOOP_WIDGET_ORIGINS",
    "PROJECT_REPOSITORY",
    "GENLOOP_PROJECT_NAME",
    "GENLOOP_WEBHOOK_URL",
    "GENLOOP_WEBHOOK_SECRET",
}


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return compose_file.load(compose_file.example())


@pytest.fixture(scope="module")
def services(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["services"]
    return found


def test_it_is_valid_by_the_specification(content: dict[str, Any]) -> None:
    jsonschema.validate(content, get_builtin_schema("vendor.compose-spec"))


def test_the_file_for_gpus_is_valid_and_changes_a_service_that_is_there(services: dict[str, Any]) -> None:
    more = compose_file.fill(compose_file.read_yaml(COMPOSE.with_name("compose.gpu.yaml")), {})
    jsonschema.validate(more, get_builtin_schema("vendor.compose-spec"))
    assert set(more["services"]) <= set(services)
    assert more["services"]["worker"]["image"] == "genloop:0.1.0-gpu"


def test_the_schema_refuses_what_is_wrong(content: dict[str, Any]) -> None:
    wrong = {**content, "services": {"studio": {"image": "genloop", "comand": ["genloop"]}}}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate(wrong, get_builtin_schema("vendor.compose-spec"))


@pytest.mark.parametrize("name", sorted(set(compose_file.example()) - OPTIONAL))
def test_compose_stops_and_names_a_variable_that_is_missing(name: str) -> None:
    with pytest.raises(UnsetError, match=rf"{name}: see infra/.env.example"):
        compose_file.load({**compose_file.example(), name: ""})


def test_what_is_optional_may_be_empty() -> None:
    compose_file.load({**compose_file.example(), **dict.fromkeys(OPTIONAL, "")})


def test_the_example_names_just_the_variables_without_a_default() -> None:
    used = {name for _, name, operator, _ in compose_file.VARIABLE.findall(COMPOSE.read_text()) if name and operator != ":-"}
    assert used | OPTIONAL == set(compose_file.example())


def test_the_example_holds_no_secret() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if "=" in line and not line.startswith("#")]
    assert [line for line in lines if SECRET.search(line) and line.partition("=")[2].strip("'")] == []


def test_secrets_come_from_variables_alone() -> None:
    written = compose_file.read_yaml(COMPOSE)
    found = [
        (service, name, str(value))
        for service, about in written["services"].items()
        for name, value in (about.get("environment") or {}).items()
        if (SECRET.search(name) or ("://" in str(value) and "@" in str(value))) and "${" not in str(value)
    ]
    assert found == []


def test_only_the_proxy_can_be_reached_from_outside(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if service.get("ports")} == {"proxy"}
    assert not any(service.get("network_mode") or service.get("privileged") for service in services.values())


def test_databases_and_the_store_are_in_a_network_without_a_way_out(content: dict[str, Any]) -> None:
    assert content["networks"]["data"] == {"internal": True}
    assert [content["services"][name]["networks"] for name in ("postgres", "s3")] == [["data"], ["data"]]
    assert content["services"]["proxy"]["networks"] == ["web"]


def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    tags = {name: service["image"].rpartition(":")[2] for name, service in services.items()}
    assert [name for name, tag in tags.items() if not re.match(r"v?\d+\.\d+", tag)] == []


def test_every_service_that_goes_on_has_a_health_check_and_comes_back(services: dict[str, Any]) -> None:
    ending = {"setup", "deployments"}
    checks = {name: service.get("healthcheck", {}) for name, service in services.items()}
    assert {name for name, check in checks.items() if not check.get("test")} == ending
    assert {name for name in ending if checks[name] == {"disable": True}} == ending  # the image has one, of the studio
    assert {name for name, service in services.items() if service["restart"] != "unless-stopped"} == ending


def test_who_depends_on_a_service_waits_until_it_is_healthy_or_has_ended(services: dict[str, Any]) -> None:
    ending = {"setup", "deployments"}
    for service in services.values():
        for needed, about in service.get("depends_on", {}).items():
            assert about["condition"] == ("service_completed_successfully" if needed in ending else "service_healthy")


def test_our_services_may_do_no_more_than_they_must(services: dict[str, Any], content: dict[str, Any]) -> None:
    ours = compose_file.our_services(content)
    assert set(ours) == {"setup", "mlflow", "prefect", "deployments", "worker", "studio"}
    for name in ours:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_named_volumes_and_networks_are_declared_and_used(content: dict[str, Any]) -> None:
    mounts = [mount.split(":")[0] for service in content["services"].values() for mount in service.get("volumes", [])]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(content["volumes"])
    assert {name for service in content["services"].values() for name in service["networks"]} == set(content["networks"])


def test_files_that_are_mounted_are_there(services: dict[str, Any]) -> None:
    mounts = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    missing = [mount for mount in mounts if mount.startswith(".") and not (COMPOSE.parent / mount).exists()]
    assert missing == []
