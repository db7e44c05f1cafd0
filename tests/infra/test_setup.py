"""infra/setup.sh: a project where there was none, and databases that are up to date."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.project import Project
from pipelines.feedback.store import tables
from tests.conftest import REPOSITORY
from tests.support import compose_file


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in /opt/genloop of an image."""
    folder = tmp_path_factory.mktemp("image")
    for path in compose_file.build_context():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, folder / path)
    return folder


def setup(image: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "PYTHONPATH": str(folder),
        "GENLOOP_DATABASE_URL": f"sqlite:///{folder.parent}/events.db",
        **variables,
    }
    return subprocess.run(["sh", image / "infra" / "setup.sh"], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty volume, as file systems of disks are: there is a folder in it already."""
    folder = tmp_path / "project"
    (folder / "lost+found").mkdir(parents=True)
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_an_empty_volume_becomes_a_project_of_the_image_s_code(image: Path, folder: Path) -> None:
    done = setup(image, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "setup: made the project",
        f"{folder.parent}/events.db: its tables are up to date, at revision {tables.REVISION}",
    ]
    assert done.stderr == ""
    assert Project.find(folder).root == folder
    assert git(folder, "status", "--porcelain", "--untracked-files=no") == ""
    assert "pipelines/train.py" in git(folder, "ls-files").splitlines()
    assert not (folder / ".setup").exists()
    status = subprocess.run([sys.executable, "-m", "dvc", "status"], cwd=folder, capture_output=True, text=True)
    assert status.returncode == 0, status.stderr


def test_a_project_that_is_there_is_left_as_it_is(image: Path, folder: Path) -> None:
    setup(image, folder)
    (folder / "params.yaml").write_text("changed: true\n")
    done = setup(image, folder)
    assert done.returncode == 0, done.stderr
    assert "made the project" not in done.stdout
    assert (folder / "params.yaml").read_text() == "changed: true\n"


def test_what_a_killed_setup_left_is_no_project(image: Path, folder: Path) -> None:
    (folder / ".setup").mkdir()
    (folder / ".setup" / "half").write_text("")
    (folder / "params.yaml").write_text("half")
    done = setup(image, folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "params.yaml").read_bytes() == (REPOSITORY / "params.yaml").read_bytes()
    assert not (folder / "half").exists()


def test_the_project_may_come_from_a_repository(image: Path, folder: Path, tmp_path: Path) -> None:
    team = tmp_path / "team"
    shutil.copytree(image, team)
    git(team, "init", "--quiet")
    git(team, "add", "--all")
    git(team, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "ours")
    (team / "requirements.lock").write_text("numpy==2.0\n")
    git(team, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--all", "--message", "a lock")
    done = setup(image, folder, PROJECT_REPOSITORY=str(team))
    assert done.returncode == 0, done.stderr
    assert git(folder, "log", "--format=%s").splitlines() == ["a lock", "ours"]
    assert git(folder, "remote", "get-url", "origin").strip() == str(team)
    assert "the project's requirements.lock is another than that of this image" in done.stderr


def test_a_repository_that_is_not_there_leaves_nothing(image: Path, folder: Path) -> None:
    done = setup(image, folder, PROJECT_REPOSITORY=str(folder / "nowhere"))
    assert done.returncode != 0
    assert "does not exist" in done.stderr
    assert not (folder / "dvc.yaml").exists()
