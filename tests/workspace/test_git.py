"""A commit holds what it was asked for, and nothing else that the user has changed; nobody is asked anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError
from workspace import git

FILES = [Path("data/a.dvc"), Path("data/a.json"), Path("data/.gitignore")]


def run(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit."""
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    (folder / "data").mkdir()
    (folder / "data/a.json").write_text("{}\n")
    (folder / "mine.txt").write_text("one\n")
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    for command in (["add", "-A"], [*identity, "commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


@pytest.fixture
def repository(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy as the working directory, on a machine where git knows nobody; two files of ours are new or changed."""
    folder = tmp_path / "repository"
    subprocess.run(["cp", "-r", template, folder], check=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    for path in FILES[:2]:
        path.write_text("ours\n")
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_commit_takes_nothing_else_along(repository: Path, said: list[str]) -> None:
    Path("mine.txt").write_text("staged\n")
    Path("new.txt").write_text("staged\n")
    run("add", "mine.txt", "new.txt")
    Path("mine.txt").write_text("staged, and changed since\n")
    Path("other.txt").write_text("untracked\n")
    before = run("status", "--short", "mine.txt", "new.txt", "other.txt")
    assert git.changed(FILES)
    assert git.commit(FILES, "Fold 1 event: 1 vote\n\nBy 1 rater.\n# no comment\n", said.append)
    assert run("show", "--name-only", "--format=%B").split() == (
        ["Fold", "1", "event:", "1", "vote", "By", "1", "rater.", "#", "no", "comment", "data/a.dvc", "data/a.json"]
    )
    assert run("status", "--short") == before
    assert run("show", ":mine.txt") == "staged\n"
    assert said == []
    assert not git.changed(FILES)
    assert git.committed(FILES[1]) == "ours\n"
    assert git.committed(FILES[2]) is None


def test_nothing_new_is_no_commit(repository: Path, said: list[str]) -> None:
    assert git.commit(FILES, "One", said.append)
    assert not git.commit(FILES, "Two", said.append)
    assert said == ["nothing is committed: git has these files as they are"]
    assert run("rev-list", "--count", "HEAD") == "2\n"


def test_where_git_knows_nobody_genloop_commits_and_else_the_user(repository: Path, said: list[str]) -> None:
    git.commit(FILES, "One", said.append)
    assert run("log", "-1", "--format=%an %ae") == "Genloop genloop@localhost\n"
    run("config", "user.name", "Bob")
    run("config", "user.email", "bob@example.org")
    FILES[2].write_text("/a\n")
    git.commit(FILES, "Two", said.append)
    assert run("log", "-1", "--format=%an %ae %cn") == "Bob bob@example.org Bob\n"


def test_no_hook_and_no_signature_stands_in_the_way(repository: Path, said: list[str]) -> None:
    hook = Path(".git/hooks/pre-commit")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    run("config", "commit.gpgSign", "true")
    run("config", "gpg.program", "false")
    assert git.commit(FILES, "One", said.append)


def test_in_the_middle_of_a_merge_it_is_left_for_the_next_time(repository: Path, said: list[str]) -> None:
    Path(".git/MERGE_HEAD").write_text(run("rev-parse", "HEAD"))
    assert not git.changed(FILES)
    assert not git.commit(FILES, "One", said.append)
    assert said == ["nothing is committed: a merge is going on; it is done the next time"]
    Path(".git/MERGE_HEAD").unlink()
    assert git.changed(FILES)
    assert git.commit(FILES, "One", said.append)


def test_a_commit_on_no_branch_is_said(repository: Path, said: list[str]) -> None:
    run("checkout", "-q", "--detach")
    assert git.commit(FILES, "One", said.append)
    assert "`git branch NAME`" in said[0]


def test_a_first_commit_holds_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", "-q")
    Path("data").mkdir()
    Path("mine.txt").touch()
    FILES[0].touch()
    run("add", "mine.txt")
    assert git.commit(FILES, "One", said.append)
    assert run("ls-tree", "-r", "--name-only", "HEAD") == "data/a.dvc\n"
    assert run("status", "--short") == "A  mine.txt\n"


def test_what_git_is_told_to_ignore_is_not_forced_into_it(repository: Path, said: list[str]) -> None:
    Path(".gitignore").write_text("*.dvc\n")
    assert not git.commit(FILES, "One", said.append)
    assert said == ["nothing is committed: git is told to ignore data/a.dvc"]


@pytest.mark.parametrize(("path", "words"), [(None, "not a git repository"), ("/nowhere", "git is not installed")])
def test_without_a_repository_or_without_git_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str], path: str | None, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if path:
        monkeypatch.setenv("PATH", path)
    assert not git.changed(FILES)
    assert git.committed(FILES[0]) is None
    assert not git.commit(FILES, "One", said.append)
    assert said[0].startswith(f"nothing is committed: {words}")


def test_another_git_is_waited_for_and_then_said(repository: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(git, "PATIENCE", 0.2)
    lock = Path(".git/index.lock")
    lock.touch()
    with pytest.raises(GenloopError, match=r"git: Unable to create .*index\.lock.* it is committed the next time"):
        git.commit(FILES, "One", said.append)
    monkeypatch.setattr("time.sleep", lambda _: lock.unlink(missing_ok=True))  # that one has ended
    assert git.commit(FILES, "One", said.append)
