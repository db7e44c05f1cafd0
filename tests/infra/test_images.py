"""infra/docker: Dockerfiles by a linter, what they install, and what they are sent."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY
from tests.support import compose_file
from tests.support.http_servers import answering

DOCKER = REPOSITORY / "infra" / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
PROGRAMS = Path(sys.executable).parent


def requirements(*extras: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, DOCKER / "requirements.py", *extras], capture_output=True, text=True)


def health(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-IS", str(DOCKER / "health.py"), url]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_there_are_images_for_cpus_and_gpus() -> None:
    assert [path.name for path in DOCKERFILES] == ["cpu.Dockerfile", "gpu.Dockerfile"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(path: Path) -> None:
    done = subprocess.run([PROGRAMS / "hadolint", path], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && pip install six\n")
    done = subprocess.run([PROGRAMS / "hadolint", tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "DL3006" in done.stdout  # no version


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_pinned_multi_stage_and_runs_as_nobody_in_particular(path: Path) -> None:
    text = path.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    assert "build" in stages
    assert [base for base in bases if base not in stages and not re.search(r":\d+\.\d+\.\d+", base)] == []
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)  # numbers: Kubernetes cannot tell whether a name is root
    assert "HEALTHCHECK" in last
    assert "git" in text
    assert "--require-hashes --constraint requirements.lock" in text


def test_both_images_are_alike_but_for_their_base() -> None:
    cpu, gpu = (path.read_text() for path in DOCKERFILES)
    assert compose_file.image_variables(DOCKERFILES[0]) == compose_file.image_variables(DOCKERFILES[1])
    for part in ("COPY .*", "RUN pip install.*", "ENTRYPOINT.*", "CMD.*", "HEALTHCHECK.*", "USER.*", "EXPOSE.*"):
        assert re.findall(f"^ *{part}", cpu, re.MULTILINE) == re.findall(f"^ *{part}", gpu, re.MULTILINE)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_an_image_installs_is_in_the_lock(path: Path) -> None:
    (extras,) = re.findall(r"requirements\.py ([a-z0-9 ]+) >", path.read_text())
    done = requirements(*extras.split())
    assert done.returncode == 0, done.stderr
    lock = (REPOSITORY / "requirements.lock").read_text()
    pinned = {canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)}
    wanted = [Requirement(line) for line in done.stdout.splitlines()]
    assert {one.name for one in wanted} >= {"prefect", "mlflow", "dvc", "psycopg", "setuptools"}
    assert [one.name for one in wanted if canonicalize_name(one.name) not in pinned] == []


def test_an_extra_that_is_not_there_stops_the_build() -> None:
    done = requirements("postgres", "mongodb")
    assert done.returncode == 1
    assert done.stderr.startswith("unknown extras: mongodb; pyproject.toml has jax, ")


def test_the_image_gets_the_code_and_no_data_no_tests_and_no_history() -> None:
    sent = {str(path) for path in compose_file.build_context()}
    code = {str(path) for path in map(Path, tracked("*.py", "*.html", "*.md", "*.json", "*.svg", "*.css", "*.js"))}
    folders = ("commands/", "flows/", "operations/", "pipelines/", "studio/", "workspace/")
    assert {path for path in code if path.startswith(folders)} <= sent
    assert {"genloop.py", "dvc.yaml", "params.yaml", "noise/dvc.yaml", ".dvc/config", ".gitignore", "infra/setup.sh"} <= sent
    assert {path.split("/")[0] for path in sent} & {"tests", "docs", "benchmarks", "data", ".git", ".ci", ".venv"} == set()
    assert not any(".env" in path for path in sent)


def tracked(*patterns: str) -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_service_that_answers_is_healthy() -> None:
    with answering({"/healthz": (200, "application/json", "{}")}) as url:
        assert health(f"{url}/healthz").returncode == 0
        done = health(f"{url}/readyz")
        assert (done.returncode, done.stderr) == (1, f"{url}/readyz: HTTP Error 404: Not Found\n")


def test_a_service_that_is_down_is_not_healthy() -> None:
    done = health("http://127.0.0.1:9/healthz")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_the_health_of_a_service_is_asked_past_every_proxy() -> None:
    with answering({"/healthz": (200, "application/json", "{}")}) as url:
        assert health(f"{url}/healthz", http_proxy="http://127.0.0.1:9").returncode == 0
