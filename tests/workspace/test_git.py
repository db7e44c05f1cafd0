"""A commit holds what it was asked for, and nothing else that the user has changed; nobody is asked anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from tests.conftest import REPOSITORY
from workspace import git

NAMES = ("data/a.dvc", "data/a.json", "data/.gitignore")


def run(project: Project, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=project.root, env=dict(project.environment), check=True, capture_output=True, text=True
    ).stdout


def files(project: Project) -> list[Path]:
    return [project.root / name for name in NAMES]


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
def repository(template: Path, project: Project) -> Project:
    """A copy, on a machine where git knows nobody; two files of ours are new or changed."""
    subprocess.run(["cp", "-r", f"{template}/.", project.root], check=True)
    for path in files(project)[:2]:
        path.write_text("ours\n")
    return unknown(project)


def unknown(project: Project) -> Project:
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL")
    variables = {name: value for name, value in project.environment.items() if name not in names}
    return Project(project.root, {**variables, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"})


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_commit_takes_nothing_else_along(repository: Project, said: list[str]) -> None:
    (repository.root / "mine.txt").write_text("staged\n")
    (repository.root / "new.txt").write_text("staged\n")
    run(repository, "add", "mine.txt", "new.txt")
    (repository.root / "mine.txt").write_text("staged, and changed since\n")
    (repository.root / "other.txt").write_text("untracked\n")
    before = run(repository, "status", "--short", "mine.txt", "new.txt", "other.txt")
    assert git.has_changes(repository, files(repository))
    assert git.commit(repository, files(repository), "Fold 1 event: 1 vote\n\nBy 1 rater.\n# no comment\n", said.append)
    assert run(repository, "show", "--name-only", "--format=%B").split() == (
        ["Fold", "1", "event:", "1", "vote", "By", "1", "rater.", "#", "no", "comment", "data/a.dvc", "data/a.json"]
    )
    assert run(repository, "status", "--short") == before
    assert run(repository, "show", ":mine.txt") == "staged\n"
    assert said == []
    assert not git.has_changes(repository, files(repository))
    assert git.show(repository, files(repository)[1]) == "ours\n"
    assert git.show(repository, files(repository)[2]) is None


def test_nothing_new_is_no_commit(repository: Project, said: list[str]) -> None:
    assert git.commit(repository, files(repository), "One", said.append)
    assert not git.commit(repository, files(repository), "Two", said.append)
    assert said == ["nothing is committed: git has these files as they are"]
    assert run(repository, "rev-list", "--count", "HEAD") == "2\n"


def test_where_git_knows_nobody_genloop_commits_and_else_the_user(repository: Project, said: list[str]) -> None:
    git.commit(repository, files(repository), "One", said.append)
    assert run(repository, "log", "-1", "--format=%an %ae") == "Genloop genloop@localhost\n"
    run(repository, "config", "user.name", "Bob")
    run(repository, "config", "user.email", "bob@example.org")
    files(repository)[2].write_text("/a\n")
    git.commit(repository, files(repository), "Two", said.append)
    assert run(repository, "log", "-1", "--format=%an %ae %cn") == "Bob bob@example.org Bob\n"


def test_no_hook_and_no_signature_stands_in_the_way(repository: Project, said: list[str]) -> None:
    hook = repository.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    run(repository, "config", "commit.gpgSign", "true")
    run(repository, "config", "gpg.program", "false")
    assert git.commit(repository, files(repository), "One", said.append)


def test_in_the_middle_of_a_merge_it_is_left_for_the_next_time(repository: Project, said: list[str]) -> None:
    (repository.root / ".git/MERGE_HEAD").write_text(run(repository, "rev-parse", "HEAD"))
    assert not git.has_changes(repository, files(repository))
    assert not git.commit(repository, files(repository), "One", said.append)
    assert said == ["nothing is committed: a merge is going on; `git commit` ends it, and the next fold or run commits"]
    (repository.root / ".git/MERGE_HEAD").unlink()
    assert git.has_changes(repository, files(repository))
    assert git.commit(repository, files(repository), "One", said.append)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("rebase-merge", "a rebase is going on; `git rebase --continue` ends it"),
        ("rebase-apply", "a rebase is going on; `git rebase --continue` ends it"),
        ("CHERRY_PICK_HEAD", "a cherry-pick is going on; `git cherry-pick --continue` ends it"),
        ("REVERT_HEAD", "a revert is going on; `git revert --continue` ends it"),
        ("BISECT_LOG", "a bisection is going on; `git bisect reset` ends it"),
    ],
)
def test_what_is_going_on_is_named_with_the_command_that_ends_it(
    repository: Project, said: list[str], place: str, words: str
) -> None:
    (repository.root / ".git" / place).touch()
    assert not git.commit(repository, files(repository), "One", said.append)
    assert said == [f"nothing is committed: {words}, and the next fold or run commits"]


def test_a_commit_on_no_branch_is_said(repository: Project, said: list[str]) -> None:
    run(repository, "checkout", "-q", "--detach")
    assert git.commit(repository, files(repository), "One", said.append)
    assert "`git branch NAME`" in said[0]


def test_a_first_commit_holds_ours_alone(project: Project, said: list[str]) -> None:
    repository = unknown(project)
    run(repository, "init", "-q")
    (repository.root / "data").mkdir()
    (repository.root / "mine.txt").touch()
    files(repository)[0].touch()
    run(repository, "add", "mine.txt")
    assert git.commit(repository, files(repository), "One", said.append)
    assert run(repository, "ls-tree", "-r", "--name-only", "HEAD") == "data/a.dvc\n"
    assert run(repository, "status", "--short") == "A  mine.txt\n"


def test_what_git_is_told_to_ignore_is_not_forced_into_it(repository: Project, said: list[str]) -> None:
    (repository.root / ".gitignore").write_text("*.dvc\n")
    assert not git.commit(repository, files(repository), "One", said.append)
    assert said == [
        "nothing is committed: git ignores data/a.dvc, because .gitignore has the line `*.dvc`; "
        "add to .gitignore: `!/data/a.dvc`"
    ]
    with (repository.root / ".gitignore").open("a") as opened:
        opened.write("!/data/a.dvc\n")
    assert git.commit(repository, files(repository), "One", said.append)


@pytest.mark.parametrize("lines", ["*.dvc\n*.json\n", "data/\n", "*\n!*/\n"])
def test_what_a_user_s_own_git_ignores_everywhere_the_project_takes_in(
    repository: Project, said: list[str], tmp_path_factory: pytest.TempPathFactory, lines: str
) -> None:
    own = tmp_path_factory.mktemp("home") / "ignore"
    own.write_text(lines)
    run(repository, "config", "core.excludesFile", str(own))
    for name in ("a.dvc", "a.json"):
        (repository.root / "data" / name).unlink()
    written = [repository.root / name for name in ("dvc.lock", "noise/dvc.lock", "data/feedback.dvc", "data/feedback.json")]
    for path in written:
        path.parent.mkdir(exist_ok=True)
        path.write_text("ours\n")
    assert not git.commit(repository, written, "One", said.append)
    assert f"because {own} has the line `" in said[0]
    (repository.root / ".gitignore").write_text((REPOSITORY / ".gitignore").read_text())
    assert git.commit(repository, written, "One", said.append)
    names = [str(path.relative_to(repository.root)) for path in written]
    assert run(repository, "show", "--name-only", "--format=").split() == sorted(names)


def test_a_repository_of_another_owner_is_refused_with_git_s_own_remedy(repository: Project, said: list[str]) -> None:
    other = repository.with_variables({"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    assert not git.commit(other, files(other), "One", said.append)
    reason = (
        f"detected dubious ownership in repository at '{other.root}'; "
        f"git advises: git config --global --add safe.directory {other.root}"
    )
    assert said == [f"nothing is committed: {reason}"]
    assert git.missing_commit(other) == reason
    assert git.missing_commit(repository) is None


def test_why_a_version_can_name_no_commit_is_said(project: Project) -> None:
    alone = unknown(project.with_variables({"GIT_CEILING_DIRECTORIES": str(project.root.parent)}))
    assert git.missing_commit(alone) == "not a git repository; `git init`, `git add .` and `git commit` make it one"
    assert git.missing_commit(alone.with_variables({"PATH": "/nowhere"})) == "git is not installed"
    run(alone, "init", "-q")
    assert git.missing_commit(alone) == "there is no commit yet; `git add . && git commit` makes the first"


def test_git_learns_to_merge_once_and_says_so(repository: Project, said: list[str]) -> None:
    git.set_merge_driver(repository, said.append)
    assert said == []  # because .gitattributes asks for nothing
    (repository.root / ".gitattributes").write_text((REPOSITORY / ".gitattributes").read_text())
    assert git.commit(repository, files(repository), "One", said.append)
    assert said == ["from now on git merges what runs and folds commit here stage by stage (git config merge.genloop.driver)"]
    driver = run(repository, "config", git.MERGE_DRIVER)
    run(repository, "config", git.MERGE_DRIVER, "of an environment that was moved")
    git.set_merge_driver(repository, said.append)
    assert run(repository, "config", git.MERGE_DRIVER) == driver
    assert len(said) == 1


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("fatal: bad object HEAD\n", "bad object HEAD"),
        (
            "To ../origin.git\n ! [rejected]        main -> main (fetch first)\nerror: failed to push to 'x'\nhint: y\n",
            "[rejected]        main -> main (fetch first)",
        ),
        (
            "remote: error: GH006: Protected branch update failed for refs/heads/main.\nTo github.com:a/b.git\n"
            " ! [remote rejected] main -> main (protected branch hook declined)\nerror: failed to push some refs\n",
            "[remote rejected] main -> main (protected branch hook declined); "
            "GH006: Protected branch update failed for refs/heads/main.",
        ),
        (
            "fatal: The current branch x has no upstream branch.\nTo push the current branch, use\n\n"
            "    git push --set-upstream origin x\n",
            "The current branch x has no upstream branch; git advises: git push --set-upstream origin x",
        ),
        ("", "it ended with 1"),
    ],
)
def test_what_git_says_becomes_one_line(printed: str, words: str) -> None:
    assert git.error_message(subprocess.CompletedProcess([], 1, "", printed)) == words


@pytest.mark.parametrize("value", ["true", "input"])
def test_lines_end_alike_on_every_machine(repository: Project, said: list[str], tmp_path: Path, value: str) -> None:
    """DVC compares code by its bytes: a checkout with other line ends would make every stage stale."""
    shutil.copy(REPOSITORY / ".gitattributes", repository.root)
    assert git.commit(repository, [repository.root / ".gitattributes"], "One", said.append)
    run(repository, "-c", f"core.autocrlf={value}", "clone", "-q", ".", str(tmp_path / "clone"))
    assert (tmp_path / "clone/mine.txt").read_bytes() == b"one\n"


def test_a_project_in_a_worktree_or_below_the_top_of_its_repository_commits_there(
    repository: Project, said: list[str], tmp_path: Path
) -> None:
    run(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    below = tmp_path / "tree/sub"
    (below / "data").mkdir(parents=True)
    (below.parent / ".gitignore").write_text("*.lock\n")
    shutil.copy(REPOSITORY / ".gitignore", below)
    (below / "dvc.lock").write_text("ours\n")
    project = Project(below, repository.environment)
    assert git.has_repository(project)
    assert git.changed(project, [project.dvc_lock]) == [project.dvc_lock]
    assert git.commit(project, [project.dvc_lock], "One", said.append)
    assert run(project, "show", "--name-only", "--format=").split() == ["sub/dvc.lock"]
    assert said == []


def test_what_a_shallow_clone_is(repository: Project, tmp_path: Path) -> None:
    run(repository, "clone", "-q", "--depth=1", f"file://{repository.root}", str(tmp_path / "clone"))
    assert git.is_shallow(Project(tmp_path / "clone", repository.environment))
    assert not git.is_shallow(repository)


@pytest.mark.parametrize(("path", "words"), [(None, "not a git repository"), ("/nowhere", "git is not installed")])
def test_without_a_repository_or_without_git_it_says_so(
    project: Project, said: list[str], path: str | None, words: str
) -> None:
    repository = project.with_variables(
        {"GIT_CEILING_DIRECTORIES": str(project.root.parent), **({"PATH": path} if path else {})}
    )
    assert not git.has_changes(repository, files(repository))
    assert git.show(repository, files(repository)[0]) is None
    assert not git.commit(repository, files(repository), "One", said.append)
    assert said[0].startswith(f"nothing is committed: {words}")


def test_another_git_is_waited_for_and_then_said(repository: Project, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(git, "LOCK_TIMEOUT", 0.2)
    lock = repository.root / ".git/index.lock"
    lock.touch()
    with pytest.raises(GenloopError, match=r"index\.lock.*; if no git is running, delete that file; .* the next fold or"):
        git.commit(repository, files(repository), "One", said.append)
    monkeypatch.setattr("time.sleep", lambda _: lock.unlink(missing_ok=True))  # that one has ended
    assert git.commit(repository, files(repository), "One", said.append)


def test_what_belongs_to_the_project_is_listed_whatever_its_name(repository: Project) -> None:
    (repository.root / ".gitignore").write_text("/junk/\n")
    (repository.root / "junk").mkdir()
    (repository.root / "junk/x").touch()
    (repository.root / "new é.dvc").touch()
    named = git.files(repository)
    assert named == [Path(name) for name in (".gitignore", "data/a.dvc", "data/a.json", "mine.txt", "new é.dvc")]
    assert git.files(repository, "*.dvc") == [Path("data/a.dvc"), Path("new é.dvc")]


def test_two_repositories_in_one_process_are_two(repository: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", repository.environment)
    other.root.mkdir()
    run(other, "init", "-q")
    assert git.head(other) is None
    assert git.head(repository) == run(repository, "rev-parse", "HEAD").strip()
