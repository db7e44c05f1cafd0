"""infra/systemd: units that systemd takes, each as closed as it can be."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.compose_file import INFRA

UNITS = sorted(path for path in (INFRA / "systemd").iterdir() if path.suffix in (".service", ".timer", ".target"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectControlGroups": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
}


def read(path: Path) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)  # a key that comes twice is a mistake
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(path.read_text())
    return unit


def test_there_is_a_unit_for_every_part() -> None:
    assert [path.name for path in UNITS] == [
        "genloop-backup.service",
        "genloop-backup.timer",
        "genloop-mlflow.service",
        "genloop-prefect.service",
        "genloop-schedules.service",
        "genloop-studio.service",
        "genloop.target",
    ]


def test_systemd_itself_finds_nothing(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    programs = str(Path(sys.executable).parent)
    for path in UNITS:
        text = path.read_text().replace("/srv/genloop/.venv/bin", programs).replace("/srv/genloop", str(REPOSITORY))
        (tmp_path / path.name).write_text(text)
    command = [analyze, "verify", "--man=no", "--recursive-errors=one", *(tmp_path / path.name for path in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    ours = [line for line in done.stderr.splitlines() if "genloop" in line]
    assert ours == []


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_is_hardened(path: Path) -> None:
    service = read(path)["Service"]
    assert {name: service.get(name) for name in HARDENED} == HARDENED
    assert (service["User"], service["EnvironmentFile"]) == ("genloop", "/etc/genloop/genloop.env")
    assert "ReadWritePaths" in service


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_that_goes_on_comes_back_and_goes_with_the_target(path: Path) -> None:
    unit = read(path)
    if unit["Service"]["Type"] == "oneshot":
        assert path.name == "genloop-backup.service"
        return
    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["PartOf"] == unit["Install"]["WantedBy"] == "genloop.target"
    assert path.name in read(INFRA / "systemd" / "genloop.target")["Unit"]["Wants"]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_what_listens_does_so_on_this_machine_alone(path: Path) -> None:
    start = read(path)["Service"]["ExecStart"]
    assert "--host 127.0.0.1" in start if "--port" in start else path.stem in ("genloop-schedules", "genloop-backup")


def test_the_programs_that_units_start_are_there() -> None:
    for path in SERVICES:
        program, *arguments = read(path)["Service"]["ExecStart"].split()
        assert (Path(sys.executable).parent / Path(program).name).exists(), program
        if arguments[0] == "-m":
            assert (REPOSITORY / arguments[1].replace(".", "/")).with_suffix(".py").exists()


def test_genloop_has_the_commands_that_units_give_it() -> None:
    commands = {path.stem for path in (REPOSITORY / "commands").glob("*.py")}
    asked = [
        read(path)["Service"]["ExecStart"].split()[1] for path in SERVICES if "/genloop " in read(path)["Service"]["ExecStart"]
    ]
    assert set(asked) <= commands


def test_the_example_holds_no_secret() -> None:
    lines = (INFRA / "systemd" / "genloop.env.example").read_text().splitlines()
    secret = [line for line in lines if re.match(r"[^#]*(SECRET|AUTH|ACCESS_KEY|API_KEYS)\w*=", line)]
    assert secret
    assert [line for line in secret if not line.endswith("=")] == []
