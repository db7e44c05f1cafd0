"""Tags and files that say where a version comes from, in a small repository of git's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipelines.core import backend, files
from pipelines.core.project import Project
from pipelines.feedback.curated import CuratedSummary
from pipelines.registration import origin

NOTHING = CuratedSummary([], 0, 0)


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(backend, "describe", lambda: {"backend": "tensorflow", "threads": 2})
    files.write(project.root / "params.yaml", "train: {}\n")
    files.write(project.root / "dvc.yaml", "stages: {}\n")
    files.write(project.root / "pipelines/train.py", "rate = 1\n")
    files.write(project.root / "pipelines/clean.py", "\n")
    files.write(project.root / ".gitignore", "*.pyc\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-qm", "Begin")
    return project


def git(project: Project, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=project.root, check=True, capture_output=True, text=True).stdout.strip()


def kept(project: Project, folder: Path) -> list[str]:
    origin.copy_files(project, folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_clean_tree_is_named_by_its_commit(repository: Project) -> None:
    tags = origin.tags(repository, "b1", NOTHING)
    assert (tags["genloop.git_commit"], tags["genloop.git_dirty"]) == (git(repository, "rev-parse", "HEAD"), "false")
    assert "genloop.parent" not in tags
    assert tags["genloop.raters"] == tags["genloop.events"] == "0"


def test_settings_and_hashes_are_kept_in_any_case(repository: Project, elsewhere: Path) -> None:
    files.write(repository.dvc_lock, "stages: {}\n")
    files.write(repository.manifest, "{}\n")
    files.write(repository.root / "data/feedback.dvc", "outs:\n- {md5: abc.dir, path: feedback}\n")
    assert kept(repository, elsewhere / "kept") == ["data/feedback.dvc", "data/feedback.json", "dvc.lock", "params.yaml"]
    assert origin.tags(repository, "b1", NOTHING)["genloop.data.data/feedback"] == "abc.dir"


def test_code_is_kept_where_the_commit_has_not_got_it(repository: Project, elsewhere: Path) -> None:
    files.write(repository.root / "pipelines/train.py", "rate = 2\n")
    files.write(repository.root / "pipelines/models/mine ü.py", "new = True\n")
    files.write(repository.root / "pipelines/train.pyc", "ignored")
    (repository.root / "pipelines/clean.py").unlink()
    assert kept(repository, elsewhere / "kept") == ["params.yaml", "pipelines/models/mine ü.py", "pipelines/train.py"]
    assert (elsewhere / "kept/pipelines/train.py").read_text() == "rate = 2\n"


def test_new_code_makes_a_tree_dirty_and_other_new_files_do_not(repository: Project) -> None:
    files.write(repository.root / "notes.txt", "mine")
    assert origin.tags(repository, "b1", NOTHING)["genloop.git_dirty"] == "false"
    files.write(repository.root / "pipelines/models/mine.py", "new = True\n")
    assert origin.tags(repository, "b1", NOTHING)["genloop.git_dirty"] == "true"


def test_the_parent_and_the_machine_are_those_of_the_training(repository: Project) -> None:
    files.write(repository.reports / "train.json", json.dumps({"parent_version": 3, "threads": 16}))
    files.write(repository.reports / "feedback.json", json.dumps({"raters": 5}))
    tags = origin.tags(repository, "b1", CuratedSummary(["a", "b"], 70, 1))
    assert tags["genloop.parent"] == "3"
    assert (tags["genloop.events"], tags["genloop.raters"]) == ("70", "5")
    assert (tags["genloop.machine.threads"], tags["genloop.machine.backend"]) == ("16", '"tensorflow"')


def test_a_project_outside_of_git_has_no_commit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "describe", dict)
    tags = origin.tags(project, "b1", NOTHING)
    assert (tags["genloop.git_commit"], tags["genloop.git_dirty"]) == ("none", "false")
    assert origin.changed_code(project) == []
