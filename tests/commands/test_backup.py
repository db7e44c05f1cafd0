"""genloop backup and genloop restore, as a user calls them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from operations.backup import archive
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventCounts, EventStore
from tests.conftest import project_in
from tests.support.calls import Called, call
from tests.support.votes import votes


@pytest.fixture
def filled(kept: Project) -> Project:
    """A project with events, and without a registry."""
    with EventStore.open(kept.database_url) as store:
        store.add(votes(0, 3))
    return kept


def test_a_backup_is_made_and_restored(filled: Project, tmp_path: Path) -> None:
    made = call(filled, "backup", str(tmp_path / "backups"))
    assert (made.code, made.err) == (0, "")
    (name,) = archive.names(tmp_path / "backups")
    folder = tmp_path / "backups" / name
    assert f"{folder}: " in made.out
    assert f"`genloop restore {folder} DIR`" in made.out
    assert folder.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*") if path.is_file() and path.name[:9] != "manifest."} == {0}
    whole = call(filled, "restore", str(folder), "--check")
    assert (whole.code, whole.out.startswith(f"{folder}: whole, ")) == (0, True)
    done = call(filled, "restore", str(folder), str(tmp_path / "new"))
    assert (done.code, done.err) == (0, "")
    assert "3 events" in done.out
    assert "no champion" in done.out
    with EventStore.open(project_in(tmp_path / "new").database_url) as store:
        assert store.counts() == EventCounts(3, 0)


def test_programs_get_json(filled: Project, tmp_path: Path) -> None:
    made = json.loads(call(filled, "backup", str(tmp_path / "backups"), "--json").out)
    assert {"folder", "files", "size", "copied", "facts", "missing", "left_out", "removed"} == set(made)
    done = json.loads(call(filled, "restore", made["folder"], str(tmp_path / "new"), "--json").out)
    assert (done["events"], done["champion"], done["root"]) == (3, None, str(tmp_path / "new"))


def test_a_dry_run_says_how_large_it_would_be_and_writes_nothing(filled: Project, tmp_path: Path) -> None:
    asked = json.loads(call(filled, "backup", str(tmp_path / "backups"), "--dry-run", "--json").out)
    assert not (tmp_path / "backups").exists()
    assert [part["name"] for part in asked] == [
        "databases", "git", "files of the project", "MLflow's artifacts", "DVC's data",
    ]  # fmt: skip
    made = json.loads(call(filled, "backup", str(tmp_path / "backups"), "--json").out)
    assert sum(part["files"] for part in asked) == made["files"]
    assert sum(part["size"] for part in asked) == pytest.approx(made["size"], rel=0.5)
    again = call(filled, "backup", str(tmp_path / "backups"), "--dry-run")
    assert again.out.splitlines()[-1].startswith("about ")


def test_old_backups_go_with_keep(filled: Project, tmp_path: Path) -> None:
    for _ in range(3):
        made = call(filled, "backup", str(tmp_path / "backups"), "--keep", "2")
    assert made.out.count("removed ") == 1
    assert len(archive.names(tmp_path / "backups")) == 2
    assert call(filled, "backup", str(tmp_path / "backups"), "--keep", "0").code == 2


def refused(done: Called, *words: str) -> None:
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith("genloop: ")
    for word in words:
        assert word in done.err


def test_what_cannot_be_used_is_said_in_a_line(filled: Project, tmp_path: Path) -> None:
    folder = json.loads(call(filled, "backup", str(tmp_path / "backups"), "--json").out)["folder"]
    refused(call(filled, "backup", str(filled.root / "inside")), "lies in the project", "best one on another disk")
    refused(call(filled, "restore", folder, str(filled.root)), "is not empty")
    refused(call(filled, "restore", str(tmp_path / "backups"), str(tmp_path / "new")), "holds 1 backups", folder)
    refused(call(filled, "restore", str(tmp_path / "nowhere"), str(tmp_path / "new")), "there is no such folder")
    refused(call(filled, "restore", folder), "expected DIR", "or --check")
    (Path(folder) / "git.bundle").unlink()
    refused(call(filled, "restore", folder, "--check"), "git.bundle is missing")
    refused(call(filled, "restore", folder, str(tmp_path / "new")), "git.bundle is missing", "nothing was restored")
    assert not (tmp_path / "new").exists()


def test_data_that_is_missing_is_an_error_after_the_rest_was_saved(filled: Project, tmp_path: Path) -> None:
    (filled.root / "data/extra").mkdir(parents=True)
    (filled.root / "data/extra/file").write_text("data")
    from workspace import dvc

    assert dvc.run_command(filled, "add", "-q", "data/extra") is None
    shutil.rmtree(filled.root / ".dvc/cache")
    made = call(filled, "backup", str(tmp_path / "backups"))
    assert made.code == 1
    assert "not in it, because neither DVC's cache here nor its remote has all files: data/extra" in made.err
    assert len(archive.names(tmp_path / "backups")) == 1
