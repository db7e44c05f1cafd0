"""A project is found from a folder in it, and says where its things are, whatever the working directory is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import CODE, Project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def test_it_is_found_from_a_subfolder_as_git_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = folder / "data/reports"
    below.mkdir(parents=True)
    assert Project.find(below).root == folder
    monkeypatch.chdir(below)
    assert Project.find().root == folder
    (below / "params.yaml").touch()  # one of the two files alone makes no project
    assert Project.find().root == folder


def test_a_folder_in_no_project_is_an_error_and_a_working_directory_in_none_is_not(elsewhere: Path) -> None:
    with pytest.raises(InputError, match=r"no project; expected a folder with dvc.yaml and params.yaml"):
        Project.find(elsewhere)
    assert Project.find().root == CODE


def test_its_environment_is_what_it_was_when_it_was_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLOOP_DATABASE_URL", "sqlite:////one.db")
    project = Project.find(folder)
    monkeypatch.setenv("GENLOOP_DATABASE_URL", "sqlite:////two.db")
    assert project.database_url == "sqlite:////one.db"
    other = project.with_variables({"GENLOOP_DATABASE_URL": "sqlite:////three.db"})
    assert (project.database_url, other.database_url) == ("sqlite:////one.db", "sqlite:////three.db")
    assert other.root == project.root


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "sqlite:///{root}/{default}"),
        ("sqlite:///mine.db", "sqlite:///{root}/mine.db"),
        ("sqlite:////mine.db", "sqlite:////mine.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_databases_are_in_the_root_unless_they_are_named_elsewhere(tmp_path: Path, url: str, expected: str) -> None:
    project = Project(tmp_path, {"GENLOOP_DATABASE_URL": url, "MLFLOW_TRACKING_URI": url})
    assert project.database_url == expected.format(root=tmp_path, default="data/feedback.db")
    assert project.tracking_uri == expected.format(root=tmp_path, default="mlflow.db")


def test_mlflow_is_asked_in_postgresql_by_the_driver_that_is_installed(tmp_path: Path) -> None:
    project = Project(tmp_path, dict.fromkeys(("GENLOOP_DATABASE_URL", "MLFLOW_TRACKING_URI"), "postgresql://somewhere/mine"))
    assert project.database_url == "postgresql://somewhere/mine"
    assert project.tracking_uri == "postgresql+psycopg://somewhere/mine"


def test_people_see_paths_from_the_root(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.relative(project.clean) == Path("data/clean")
    assert project.relative(Path("/elsewhere")) == Path("/elsewhere")
    assert project.shorten(f"{project.raw}: no shards, nor in /elsewhere") == "data/raw: no shards, nor in /elsewhere"
