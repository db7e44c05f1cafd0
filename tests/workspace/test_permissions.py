"""A project that cannot be written is told apart, with what is in the way and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from tests.support import read_only
from workspace import permissions

COPY = "or work in a copy"


@pytest.fixture
def made(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in (".dvc/tmp", "data/raw", "data/photos", "logs"):
        (project.root / name).mkdir(parents=True)
    for name in ("dvc.lock", "mlflow.db", "data/feedback.db", "data/photos/a.png"):
        (project.root / name).touch()
    read_only.go_by_mode(monkeypatch)
    return project


def test_a_project_that_can_be_written_has_no_fault(made: Project) -> None:
    (made.data / "photos").chmod(0o555)  # the user's own images, which no stage writes
    (made.data / "photos/a.png").chmod(0o444)
    assert permissions.fault(made) is None
    permissions.check_writable(made)
    (made.data / "photos").chmod(0o755)


@pytest.mark.parametrize(
    ("closed", "named"),
    [
        (["dvc.lock"], "dvc.lock"),
        (["data/feedback.db", "mlflow.db"], "data/feedback.db, mlflow.db"),
        (["data/raw", ".dvc/tmp"], ".dvc/tmp, data/raw"),
        ([".dvc/tmp", "dvc.lock", "data", "data/raw", "logs"], ".dvc/tmp, dvc.lock, data, data/raw and 1 more"),
    ],
)
def test_what_is_in_the_way_is_named(made: Project, closed: list[str], named: str) -> None:
    for name in closed:
        (made.root / name).chmod(0o555)
    assert permissions.fault(made) == f"{named} cannot be written, by its mode: `chmod -R u+w` changes it, {COPY}"
    read_only.open_again(made.root)


def test_a_whole_project_is_named_by_its_folder(made: Project) -> None:
    read_only.close(made.root)
    with pytest.raises(InputError, match=r"commands that read \(status, .*\) work as it is") as raised:
        permissions.check_writable(made)
    assert str(raised.value).startswith(f"the project in {made.root} cannot be written, by its mode: ")
    read_only.open_again(made.root)


def test_somebody_elses_project_is_told_by_its_owner(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only.close(made.root)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    owner = made.root.stat().st_uid
    assert permissions.fault(made) == (
        f"the project in {made.root} cannot be written by the user id 12345, it is {owner}'s: "
        f"run as the owner, `chown -R`, {COPY}"
    )
    read_only.open_again(made.root)


def test_a_read_only_mount_is_told_by_its_name(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only.close(made.root)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert permissions.fault(made) == (
        f"the project in {made.root} cannot be written, because the file system is read-only: mount it writable, {COPY}"
    )
    read_only.open_again(made.root)


def test_stores_elsewhere_are_looked_at_where_they_are(made: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("store") / "events.db"
    place.touch(mode=0o444)
    (made.data / "feedback.db").chmod(0o444)  # not the one that is used
    closed = made.with_variables({"GENLOOP_DATABASE_URL": f"sqlite:///{place}", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert str(permissions.fault(closed)).startswith(f"{place} cannot be written")
    served = made.with_variables({"GENLOOP_DATABASE_URL": "postgresql://u@h/n", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert permissions.fault(served) is None
    assert [permissions.local_file(url) for url in ("sqlite:////a/b.db", "postgresql://u@h/n")] == [Path("/a/b.db"), None]
