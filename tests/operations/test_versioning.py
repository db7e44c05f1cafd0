"""What DVC has recorded is committed, and nothing else; the version that came of it has that commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations import versioning
from pipelines.core import files
from pipelines.core.project import Project
from pipelines.settings.load import load_params, update_params
from tests.support.fake_registry import FakeRegistry
from tests.support.kept_project import git


def write_record(path: Path, **hashes: str) -> None:
    """dvc.lock with these stages, each with one output."""
    outs = {"train": "data/model", "evaluate": "data/reports/metrics.json"}
    lines = [f"  {name}:\n    outs:\n    - path: {outs.get(name, name)}\n      md5: {md5}" for name, md5 in hashes.items()]
    files.write(path, "schema: '2.0'\nstages:\n" + "\n".join(lines) + "\n")


@pytest.fixture
def registry(kept: Project) -> FakeRegistry:
    found = FakeRegistry()
    for tags in found.tags.values():
        tags |= {versioning.COMMIT: git(kept.root, "rev-parse", "HEAD").strip(), versioning.DIRTY: "true"}
    return found


@pytest.fixture
def said() -> list[str]:
    return []


def commit(project: Project, registry: FakeRegistry, said: list[str]) -> bool:
    return versioning.commit(project, load_params(project.params_file), registry, said.append)


def test_a_version_s_commit_has_its_data_and_nothing_that_the_user_is_at(
    kept: Project, registry: FakeRegistry, said: list[str]
) -> None:
    (kept.root / "mine.txt").write_text("staged\n")
    git(kept.root, "add", "mine.txt")
    for name in ("own.dvc", "data/feedback.dvc"):
        (kept.root / name).write_text("outs: []\n")
    write_record(kept.dvc_lock, ingest="1", train="2", evaluate="3", register="4")
    write_record(kept.noise_lock, noise="5")
    registry.registered = 3
    assert commit(kept, registry, said)
    assert git(kept.root, "show", "--format=%B", "--name-only").split("\n") == [
        "Make version 3 of genloop-digits",
        "",
        "Stages that ran: ingest, train, evaluate, register, noise.",
        "",
        "",
        "dvc.lock",
        "noise/dvc.lock",
        "own.dvc",
        "",
    ]
    assert git(kept.root, "status", "--short").split("\n") == ["A  mine.txt", "?? data/feedback.dvc", ""]  # a fold's to commit
    assert registry.tags[3] == {versioning.COMMIT: git(kept.root, "rev-parse", "HEAD").strip(), versioning.DIRTY: "true"}
    assert registry.tags[2][versioning.COMMIT] != registry.tags[3][versioning.COMMIT]
    commit_id = registry.tags[3][versioning.COMMIT][:7]
    assert said == [
        f"committed dvc.lock, noise/dvc.lock, own.dvc: {commit_id} Make version 3 of genloop-digits "
        "(versioning.commit: false in params.yaml turns this off)"
    ]
    assert not commit(kept, registry, said)
    assert not versioning.has_uncommitted(kept, load_params(kept.params_file))


def test_in_a_clean_tree_the_version_is_clean(kept: Project, registry: FakeRegistry, said: list[str]) -> None:
    (kept.root / "note.txt").touch()  # git does not have it, and no stage reads it
    write_record(kept.dvc_lock, train="2", evaluate="3", register="4")
    registry.registered = 3
    assert commit(kept, registry, said)
    assert registry.tags[3][versioning.DIRTY] == "false"
    (kept.root / "pipelines/models").mkdir(parents=True)
    (kept.root / "pipelines/models/new.py").touch()
    write_record(kept.dvc_lock, train="5", evaluate="6", register="7")
    registry.registered = 2
    assert commit(kept, registry, said)
    assert registry.tags[2][versioning.DIRTY] == "true"


def test_without_a_new_version_the_commit_names_the_stages(kept: Project, registry: FakeRegistry, said: list[str]) -> None:
    write_record(kept.dvc_lock, train="2", evaluate="3", register="4")
    registry.registered = 3
    commit(kept, registry, said)
    before = dict(registry.tags[3])
    write_record(kept.dvc_lock, train="2", evaluate="3", register="4", curate="5")
    assert versioning.has_uncommitted(kept, load_params(kept.params_file))
    assert commit(kept, registry, said)
    assert git(kept.root, "log", "-1", "--format=%B").strip() == "Run curate"
    write_record(kept.dvc_lock, train="2", evaluate="3", register="6", curate="5")  # it registered, and found the version there
    assert commit(kept, registry, said)
    assert registry.tags[3] == before


def test_a_run_that_was_killed_before_the_tag_is_caught_up_with(
    kept: Project, registry: FakeRegistry, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    write_record(kept.dvc_lock, train="2", evaluate="3", register="4")
    registry.registered = 3
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(versioning, "tag_version", stop)
        commit(kept, registry, said)
    assert not commit(kept, registry, said)
    assert registry.tags[3][versioning.COMMIT] == git(kept.root, "rev-parse", "HEAD").strip()


def test_who_does_not_want_commits_gets_none(kept: Project, registry: FakeRegistry, said: list[str]) -> None:
    write_record(kept.dvc_lock, train="2")
    update_params(kept.params_file, settings=["versioning.commit=false"])
    assert not commit(kept, registry, said)
    assert git(kept.root, "rev-list", "--count", "HEAD") == "1\n"
    assert said == []


def test_without_a_repository_it_is_said_and_the_run_goes_on(kept: Project, registry: FakeRegistry, said: list[str]) -> None:
    alone = Project(kept.root / "alone", {**kept.environment, "GIT_CEILING_DIRECTORIES": str(kept.root)})
    files.write(alone.params_file, kept.params_file.read_text())
    write_record(alone.dvc_lock, train="2", evaluate="3", register="4")
    registry.registered = 3
    assert not commit(alone, registry, said)
    assert len(said) == 1
    assert said[0].startswith("nothing is committed: not a git repository")


def test_a_repository_that_git_does_not_trust_gets_no_commit_and_the_remedy(
    kept: Project, registry: FakeRegistry, said: list[str]
) -> None:
    write_record(kept.dvc_lock, train="2", evaluate="3", register="4")
    registry.registered = 3
    before = dict(registry.tags[3])
    foreign = kept.with_variables({"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    assert not commit(foreign, registry, said)
    assert said == [
        f"nothing is committed: detected dubious ownership in repository at '{kept.root}'; "
        f"git advises: git config --global --add safe.directory {kept.root}"
    ]
    assert registry.tags[3] == before
    assert commit(kept, registry, said)  # once it is trusted, the next run catches up
    assert registry.tags[3][versioning.COMMIT] == git(kept.root, "rev-parse", "HEAD").strip()


def test_in_the_middle_of_a_merge_a_run_commits_nothing_and_the_next_one_does(
    kept: Project, registry: FakeRegistry, said: list[str]
) -> None:
    write_record(kept.dvc_lock, train="2")
    (kept.root / ".git/MERGE_HEAD").write_text(git(kept.root, "rev-parse", "HEAD"))
    assert not commit(kept, registry, said)
    assert said == ["nothing is committed: a merge is going on; `git commit` ends it, and the next fold or run commits"]
    (kept.root / ".git/MERGE_HEAD").unlink()
    assert versioning.has_uncommitted(kept, load_params(kept.params_file))
    assert commit(kept, registry, said)
    assert git(kept.root, "show", "--name-only", "--format=%s").split("\n") == ["Run train", "", "dvc.lock", ""]
