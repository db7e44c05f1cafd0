"""Tags and files that say where a version comes from, in a small repository of git's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipelines.core import backend, files, paths
from pipelines.feedback.curated import About
from pipelines.registration import origin

NOTHING = About([], 0, 0)


@pytest.fixture
def repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(backend, "describe", lambda: {"backend": "tensorflow", "threads": 2})
    files.write(Path("params.yaml"), "train: {}\n")
    files.write(Path("dvc.yaml"), "stages: {}\n")
    files.write(Path("pipelines/train.py"), "rate = 1\n")
    files.write(Path("pipelines/clean.py"), "\n")
    files.write(Path(".gitignore"), "*.pyc\n")
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-qm", "Begin")
    return project


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def kept(folder: Path) -> list[str]:
    origin.keep(folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_clean_tree_is_named_by_its_commit(repository: Path) -> None:
    tags = origin.tags("b1", NOTHING)
    assert (tags["genloop.git_commit"], tags["genloop.git_dirty"]) == (git("rev-parse", "HEAD"), "false")
    assert "genloop.parent" not in tags
    assert tags["genloop.raters"] == tags["genloop.events"] == "0"


def test_settings_and_hashes_are_kept_in_any_case(repository: Path, tmp_path: Path) -> None:
    files.write(paths.LOCK, "stages: {}\n")
    files.write(paths.MANIFEST, "{}\n")
    files.write(Path("data/feedback.dvc"), "outs:\n- {md5: abc.dir, path: feedback}\n")
    assert kept(tmp_path / "kept") == ["data/feedback.dvc", "data/feedback.json", "dvc.lock", "params.yaml"]
    assert origin.tags("b1", NOTHING)["genloop.data.data/feedback"] == "abc.dir"


def test_code_is_kept_where_the_commit_has_not_got_it(repository: Path, tmp_path: Path) -> None:
    files.write(Path("pipelines/train.py"), "rate = 2\n")
    files.write(Path("pipelines/models/mine ü.py"), "new = True\n")
    files.write(Path("pipelines/train.pyc"), "ignored")
    Path("pipelines/clean.py").unlink()
    assert kept(tmp_path / "kept") == ["params.yaml", "pipelines/models/mine ü.py", "pipelines/train.py"]
    assert (tmp_path / "kept/pipelines/train.py").read_text() == "rate = 2\n"


def test_new_code_makes_a_tree_dirty_and_other_new_files_do_not(repository: Path) -> None:
    files.write(Path("notes.txt"), "mine")
    assert origin.tags("b1", NOTHING)["genloop.git_dirty"] == "false"
    files.write(Path("pipelines/models/mine.py"), "new = True\n")
    assert origin.tags("b1", NOTHING)["genloop.git_dirty"] == "true"


def test_the_parent_and_the_machine_are_those_of_the_training(repository: Path) -> None:
    files.write(paths.REPORTS / "train.json", json.dumps({"parent_version": 3, "threads": 16}))
    files.write(paths.REPORTS / "feedback.json", json.dumps({"raters": 5}))
    tags = origin.tags("b1", About(["a", "b"], 70, 1))
    assert tags["genloop.parent"] == "3"
    assert (tags["genloop.events"], tags["genloop.raters"]) == ("70", "5")
    assert (tags["genloop.machine.threads"], tags["genloop.machine.backend"]) == ("16", '"tensorflow"')


def test_a_project_outside_of_git_has_no_commit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "describe", dict)
    tags = origin.tags("b1", NOTHING)
    assert (tags["genloop.git_commit"], tags["genloop.git_dirty"]) == ("none", "false")
    assert origin.changed_code() == []
