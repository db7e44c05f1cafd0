"""What DVC has recorded is committed, and nothing else; the version that came of it has that commit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.core import files
from pipelines.registry import client
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from tests.support.fake_registry import Registry
from tests.support.kept_project import git
from workspace import versioning

RECORD, NOISE = Path("dvc.lock"), Path("noise/dvc.lock")


def write_record(path: Path = RECORD, **hashes: str) -> None:
    """dvc.lock with these stages, each with one output."""
    outs = {"train": "data/model", "evaluate": "data/reports/metrics.json"}
    lines = [f"  {name}:\n    outs:\n    - path: {outs.get(name, name)}\n      md5: {md5}" for name, md5 in hashes.items()]
    files.write(path, "schema: '2.0'\nstages:\n" + "\n".join(lines) + "\n")


def receive(version: int) -> None:
    files.write(client.RECEIPT, json.dumps({"model": "genloop-digits", "version": version}))


@pytest.fixture
def registry(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    found.install(monkeypatch)
    for tags in found.tags.values():
        tags |= {versioning.COMMIT: git(kept, "rev-parse", "HEAD").strip(), versioning.DIRTY: "true"}
    return found


@pytest.fixture
def said() -> list[str]:
    return []


def commit(said: list[str]) -> bool:
    return versioning.commit(load_params(), said.append)


def test_a_version_s_commit_has_its_data_and_nothing_that_the_user_is_at(
    kept: Path, registry: Registry, said: list[str]
) -> None:
    Path("mine.txt").write_text("staged\n")
    git(kept, "add", "mine.txt")
    for name in ("own.dvc", "data/feedback.dvc"):
        Path(name).write_text("outs: []\n")
    write_record(ingest="1", train="2", evaluate="3", register="4")
    write_record(NOISE, noise="5")
    receive(3)
    assert commit(said)
    assert git(kept, "show", "--format=%B", "--name-only").split("\n") == [
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
    assert git(kept, "status", "--short").split("\n") == ["A  mine.txt", "?? data/feedback.dvc", ""]  # a fold's to commit
    assert registry.tags[3] == {versioning.COMMIT: git(kept, "rev-parse", "HEAD").strip(), versioning.DIRTY: "true"}
    assert registry.tags[2][versioning.COMMIT] != registry.tags[3][versioning.COMMIT]
    assert said == []
    assert not commit(said)
    assert not versioning.waiting(load_params())


def test_in_a_clean_tree_the_version_is_clean(kept: Path, registry: Registry, said: list[str]) -> None:
    Path("note.txt").touch()  # git does not have it, and no stage reads it
    write_record(train="2", evaluate="3", register="4")
    receive(3)
    assert commit(said)
    assert registry.tags[3][versioning.DIRTY] == "false"
    Path("pipelines/models").mkdir(parents=True)
    Path("pipelines/models/new.py").touch()
    write_record(train="5", evaluate="6", register="7")
    receive(2)
    assert commit(said)
    assert registry.tags[2][versioning.DIRTY] == "true"


def test_without_a_new_version_the_commit_names_the_stages(kept: Path, registry: Registry, said: list[str]) -> None:
    write_record(train="2", evaluate="3", register="4")
    receive(3)
    commit(said)
    before = dict(registry.tags[3])
    write_record(train="2", evaluate="3", register="4", curate="5")
    assert versioning.waiting(load_params())
    assert commit(said)
    assert git(kept, "log", "-1", "--format=%B").strip() == "Run curate"
    write_record(train="2", evaluate="3", register="6", curate="5")  # it registered, and found the version there
    assert commit(said)
    assert registry.tags[3] == before


def test_a_run_that_was_killed_before_the_tag_is_caught_up_with(
    kept: Path, registry: Registry, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Params) -> None:
        raise KeyboardInterrupt

    write_record(train="2", evaluate="3", register="4")
    receive(3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(versioning, "own", stop)
        commit(said)
    assert not commit(said)
    assert registry.tags[3][versioning.COMMIT] == git(kept, "rev-parse", "HEAD").strip()


def test_who_does_not_want_commits_gets_none(kept: Path, registry: Registry, said: list[str]) -> None:
    write_record(train="2")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("  commit: true", "  commit: false"))
    assert not commit(said)
    assert git(kept, "rev-list", "--count", "HEAD") == "1\n"
    assert said == []


def test_without_a_repository_it_is_said_and_the_run_goes_on(
    project: Path, registry: Registry, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "alone").mkdir()
    monkeypatch.chdir(project / "alone")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project))
    Path("params.yaml").write_text((project / "project/params.yaml").read_text())
    write_record(train="2", evaluate="3", register="4")
    receive(3)
    assert not commit(said)
    assert len(said) == 1
    assert said[0].startswith("nothing is committed: not a git repository")
