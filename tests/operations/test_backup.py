"""A project saved and made again in an empty place: the same to the bit, or nothing, with a message that says why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operations import backup as backups
from operations import restore as restores
from operations.backup import BackupResult, archive, contents
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest as sealed_manifest
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventCounts, EventStore
from pipelines.registry.client import open_registry
from tests.conftest import REPOSITORY
from tests.support import registered_project
from tests.support.registered_project import facts, git, project_of
from tests.support.votes import votes
from workspace import dvc

pytestmark = pytest.mark.slow  # a project with versions, backed up and restored again and again

KILLED = """
import os, signal, sys
from pathlib import Path
from operations.backup import archive
from pipelines.core.progress import say
from pipelines.core.project import Project

def counted(function, step=[int(sys.argv[3])]):
    def call(*arguments, **named):
        step[0] -= 1
        if step[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call

if sys.argv[4] == "end":
    os.sync = counted(os.sync)
else:
    archive.copy = counted(archive.copy)
source, target = Path(sys.argv[1]), Path(sys.argv[2])
if (source / archive.MANIFEST).exists():
    from operations import restore
    restore.restore(source, target, dict(os.environ), say)
else:
    from operations import backup
    from pipelines.registry.client import open_registry
    project = Project.find(source)
    backup.backup(project, open_registry(project)[1], target, say)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return registered_project.make(tmp_path_factory.mktemp("registered") / "project").root


@pytest.fixture
def original(template: Path, tmp_path: Path, elsewhere: Path) -> Project:
    return project_of(Path(shutil.copytree(template, tmp_path / "project", symlinks=True)))


@pytest.fixture(scope="module")
def saved(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the template."""
    return save(project_of(template), tmp_path_factory.mktemp("backups")).folder


def save(project: Project, folder: Path, **options: Any) -> BackupResult:
    return backups.backup(project, open_registry(project)[1], folder, lambda line: None, **options)


def restore(backup: Path, target: Path, **variables: str) -> Project:
    environment = {**project_of(target).environment, **variables}
    assert restores.restore(backup, target, environment, lambda line: None).root == target
    return Project(target, environment)


def test_a_restored_project_is_the_one_that_was_saved(original: Project, tmp_path: Path) -> None:
    before = facts(original)
    assert before["images"] == [0, 11, 22, 3]
    assert len(before["refs"]) == 6  # commits of two versions and HEAD, two branches, and the name of one
    made = save(original, tmp_path / "backups")
    assert (made.missing, made.left_out) == ([], [])
    shutil.rmtree(original.root)
    assert facts(restore(made.folder, tmp_path / "new" / "place")) == before
    assert not [path for path in (tmp_path / "new").iterdir() if path.name != "place"]


def test_in_a_restored_project_there_is_nothing_to_do_and_nothing_of_the_old_place(saved: Path, tmp_path: Path) -> None:
    project = restore(saved, tmp_path / "new")
    assert set(dvc.status(project).values()) == {"fresh"}
    _, registry = open_registry(project)
    places = registry.client.get_model_version_download_uri(registry.name, "2")
    assert str(project.root) in places
    assert not [path for path in project.root.rglob("*") if path.name.endswith((".partial", "-wal", "-journal"))]
    assert subprocess.run([sys.executable, "-m", "dvc", "status", "-q"], cwd=project.root).returncode == 0
    # What only older commits need came along: the branch, and the version whose commit no branch has.
    for commit in ("older", registry.version(2).tags["genloop.git_commit"]):
        git(project.root, "checkout", "--quiet", "--force", commit)
        assert dvc.run_command(project, "checkout", "--quiet", "--force") is None
        assert (project.clean / "rows.txt").read_text() == {"older": "1 2"}.get(commit, "1 2 3")


def test_the_backup_of_a_restored_project_is_the_same_again(saved: Path, tmp_path: Path) -> None:
    again = save(restore(saved, tmp_path / "new"), tmp_path / "backups")
    assert again.facts == archive.read(saved).facts


def test_votes_go_on_and_none_from_before_is_missing(original: Project, tmp_path: Path) -> None:
    stop, given = threading.Event(), list[str]()

    def write() -> None:
        with EventStore.open(original.database_url) as store:
            number = 100
            while not stop.is_set():
                store.add(votes(number, 1))
                given.append(f"e{number}")
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    while len(given) < 20:
        time.sleep(0.01)
    before = len(given)
    made = save(original, tmp_path / "backups")
    during = len(given) - before
    stop.set()
    writer.join()
    assert during > 20
    with EventStore.open(restore(made.folder, tmp_path / "new").database_url) as store:
        found = [name for name in given if store.find([name])]
    assert len(found) >= before
    assert found == given[: len(found)]  # one instant: no vote without those before it
    with EventStore.open(original.database_url) as store:
        assert len(store.find(given)) == len(given)


def test_a_backup_does_not_wait_for_a_stage_that_runs(original: Project, tmp_path: Path) -> None:
    """DVC has deleted the stage's outputs by then; the backup has them as they were recorded last."""
    script = original.root / "prepare.py"
    script.write_text(f"import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(100)\n{script.read_text()}")
    environment = {**original.environment, "PATH": f"{Path(sys.executable).parent}:{original.environment['PATH']}"}
    command = [sys.executable, "-m", "dvc", "repro", "-q"]
    with subprocess.Popen(command, cwd=original.root, env=environment, start_new_session=True) as running:
        while not (original.root / "started").exists():
            assert running.poll() is None
            time.sleep(0.05)
        made = save(original, tmp_path / "backups")
        assert not original.clean.exists()
        os.killpg(running.pid, signal.SIGKILL)
    assert made.missing == []
    restored = restore(made.folder, tmp_path / "new")
    assert (restored.clean / "rows.txt").read_text() == "1 2 3 4"
    assert dvc.status(restored) == {"ingest": "fresh", "clean": "stale"}


def test_a_fold_waits_until_the_databases_are_copied(
    original: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[bool]()

    def copying(*arguments: Any) -> None:
        seen.append(is_locked(original.logs / "fold.lock") and is_locked(original.data / "feedback.db.moves.lock"))
        saving(*arguments)

    saving = backups.save_databases
    monkeypatch.setattr(backups, "save_databases", copying)
    save(original, tmp_path / "backups")
    assert seen == [True]
    assert not is_locked(original.logs / "fold.lock")


def is_locked(file: Path) -> bool:
    code = "import sys, filelock; filelock.FileLock(sys.argv[1], timeout=0).acquire()"
    return subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True).returncode != 0


def test_the_next_backup_shares_what_has_not_changed(original: Project, tmp_path: Path) -> None:
    first = save(original, tmp_path / "backups")
    (original.uploads / "new").write_bytes(b"new")
    with EventStore.open(original.database_url) as store:
        store.add(votes(50, 1))
    second = save(original, tmp_path / "backups")
    alone = {name for name in archive.read(second.folder).files if inode(second, name) != inode(first, name)}
    assert alone == {"project/data/uploads/new", contents.EVENTS}
    assert second.copied < first.copied / 2
    full = save(original, tmp_path / "backups", full=True)
    assert (full.copied, full.size) == (full.size, second.size)
    assert facts(restore(second.folder, tmp_path / "a")) == facts(restore(full.folder, tmp_path / "b"))


def inode(made: BackupResult, name: str) -> int | None:
    path = made.folder / name
    return path.stat().st_ino if path.is_file() else None


def test_old_backups_go_only_when_asked(original: Project, tmp_path: Path) -> None:
    folders = [save(original, tmp_path / "backups").folder.name for _ in range(3)]
    assert archive.names(tmp_path / "backups") == folders
    fourth = save(original, tmp_path / "backups", keep=2)
    assert fourth.removed == folders[:2]
    assert archive.names(tmp_path / "backups") == [folders[2], fourth.folder.name]
    assert facts(restore(fourth.folder, tmp_path / "new")) == facts(original)  # it does not need those that are gone


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGED = (
    contents.BUNDLE, contents.EVENTS, contents.REGISTRY, "project/params.yaml", "project/logs/studio.secret", "mlruns", "cache",
)  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), [(cut, "bytes, and"), (change, "has other bytes"), (Path.unlink, "is missing")])
@pytest.mark.parametrize("part", DAMAGED)
def test_a_damaged_backup_is_refused_before_anything_is_made(
    saved: Path, tmp_path: Path, part: str, damage: Callable[[Path], None], words: str
) -> None:
    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    name = part if part.count(".") else next(name for name in archive.read(saved).files if name.startswith(f"{part}/"))
    damage(copy / name)
    with pytest.raises(InputError) as raised:
        restores.restore(copy, tmp_path / "new", {}, print)
    assert name in str(raised.value)
    assert words in str(raised.value)
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []


@pytest.mark.parametrize("name", [archive.MANIFEST, archive.MANIFEST_SUM])
@pytest.mark.parametrize("damage", [cut, change, Path.unlink])
def test_so_is_one_with_a_damaged_manifest(saved: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    damage(copy / name)
    if (damage, name) == (cut, archive.MANIFEST_SUM):  # that was the end of its line
        cut(copy / name)
    with pytest.raises(InputError, match=r"manifest\.json"):
        restores.restore(copy, tmp_path / "new", {}, print)
    assert not (tmp_path / "new").exists()


def test_a_file_that_changes_after_it_was_checked_is_noticed(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    monkeypatch.setattr(restores, "check_room", lambda target, manifest: change(copy / "project/params.yaml"))
    with pytest.raises(GenloopError, match=r"params\.yaml: was changed while"):
        restore(copy, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "copy") == []


def test_a_project_that_is_not_what_the_backup_says_gets_no_name(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = archive.read

    def other(backup: Path) -> archive.BackupManifest:
        found = read(backup)
        found.facts["registry"]["aliases"]["champion"] = 1
        found.facts["database"]["tables"]["events"]["rows"] += 1
        found.facts["dataset"]["data/raw"] = "0.dir"
        return found

    monkeypatch.setattr(archive, "read", other)
    with pytest.raises(GenloopError) as raised:
        restore(saved, tmp_path / "new")
    for words in ("data/raw has other data", "the registry has other versions", "the table events has other rows"):
        assert words in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def killed(source: Path, target: Path, step: int, where: str) -> None:
    environment = {**project_of(target).environment, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", KILLED, str(source), str(target), str(step), where]
    done = subprocess.run(command, cwd=target.parent, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("step", "where"),
    [
        pytest.param(0, "copy"),
        (8, "copy"),
        pytest.param(30, "copy"),
        pytest.param(0, "end"),
    ],
)
def test_a_backup_that_is_killed_leaves_none_and_the_next_one_works(
    original: Project, tmp_path: Path, step: int, where: str
) -> None:
    folder = tmp_path / "backups"
    killed(original.root, folder, step, where)
    assert archive.names(folder) == []
    assert len(list(folder.glob(".*.partial"))) == 1
    made = save(original, folder)
    assert {path.name for path in folder.iterdir()} == {made.folder.name, ".lock"}
    assert facts(restore(made.folder, tmp_path / "new")) == facts(original)


@pytest.mark.parametrize(
    ("step", "where"),
    [
        pytest.param(20, "copy"),
        pytest.param(0, "copy"),
        pytest.param(0, "end"),
    ],
)
def test_a_restore_that_is_killed_leaves_no_project_and_the_next_one_works(
    saved: Path, tmp_path: Path, step: int, where: str
) -> None:
    killed(saved, tmp_path / "new", step, where)
    assert not (tmp_path / "new").exists()
    restore(saved, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_nothing_is_written_over(saved: Path, template: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("full")
    for name, words in (("full", "is not empty"), ("file", "came a file or a link"), ("link", "came a file or a link")):
        with pytest.raises(InputError, match=words):
            restores.restore(saved, tmp_path / name, {}, print)
    (tmp_path / "empty").mkdir()
    restore(saved, tmp_path / "empty")
    with pytest.raises(InputError, match=r"backups; name one of them, the newest is|holds 1 backups"):
        restores.restore(saved.parent, tmp_path / "new", {}, print)
    with pytest.raises(InputError, match=r"it has no manifest\.json"):
        restores.restore(tmp_path / "full", tmp_path / "new", {}, print)


def test_databases_and_registries_elsewhere_come_back_there(original: Project, tmp_path: Path) -> None:
    before = facts(original)
    made = save(original, tmp_path / "backups")
    shutil.rmtree(original.root)
    stores = {
        "GENLOOP_DATABASE_URL": f"sqlite:///{tmp_path}/stores/events.db",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/stores/registry.db",
    }
    project = restore(made.folder, tmp_path / "new", **stores)
    assert {path.name for path in (tmp_path / "stores").iterdir()} >= {"events.db", "registry.db", "mlruns"}
    assert not (project.root / "mlflow.db").exists()
    shutil.move(tmp_path / "stores" / "mlruns", project.root / "mlruns")  # where `facts` looks for it
    (tmp_path / "stores" / "mlruns").symlink_to(project.root / "mlruns")
    assert facts(project) == before
    with EventStore.open(project.database_url) as store:
        store.add(votes(80, 1))
    with pytest.raises(InputError, match=r"events\.db has events or a history already"):
        restore(made.folder, tmp_path / "other", **stores)
    with pytest.raises(InputError, match=r"registry\.db: exists already"):
        restore(made.folder, tmp_path / "other", MLFLOW_TRACKING_URI=stores["MLFLOW_TRACKING_URI"])
    with pytest.raises(InputError, match="names no file, and the registry of this backup is one"):
        restore(made.folder, tmp_path / "other", MLFLOW_TRACKING_URI="http://127.0.0.1:9")


def test_a_server_s_events_come_back_to_a_server_and_to_a_file(
    original: Project, tmp_path: Path, postgresql: Callable[[], str]
) -> None:
    first, second = postgresql(), postgresql()
    # A file's backup into a server: the way from one machine to many.
    plain = save(original, tmp_path / "backups")
    before = facts(original)
    served = restore(plain.folder, tmp_path / "served", GENLOOP_DATABASE_URL=first)
    assert {**facts(served), "status": None} == {**before, "status": None}
    assert not list(served.data.glob("feedback.db*"))
    with EventStore.open(first) as store:
        store.add(votes(60, 3))
    made = save(served, tmp_path / "backups")
    now = facts(served)
    assert len(now["rows"]["events"]) == len(before["rows"]["events"]) + 3
    with pytest.raises(InputError, match="has events or a history already"):
        restore(plain.folder, tmp_path / "no", GENLOOP_DATABASE_URL=first)
    assert facts(restore(made.folder, tmp_path / "again", GENLOOP_DATABASE_URL=second)) == now
    assert facts(restore(made.folder, tmp_path / "alone")) == now
    # After a restore that was killed at its last step, the server has the very same rows, and is taken as it is.
    restore(made.folder, tmp_path / "third", GENLOOP_DATABASE_URL=second)
    with EventStore.open(second) as store:
        assert store.counts() == EventCounts(len(now["rows"]["events"]) - 6, 6)
        (result,) = store.add(votes(70, 1))
        assert result == "stored"


def test_what_a_killed_fold_has_left_comes_back(original: Project, tmp_path: Path) -> None:
    with EventStore.open(original.database_url) as store:
        seal.fold(store, original.feedback)
    sealed_manifest.update(original.feedback, original.manifest)
    before = facts(original)
    restored = restore(save(original, tmp_path / "backups").folder, tmp_path / "new")
    assert facts(restored) == before
    sealed_manifest.check(restored.feedback, restored.manifest)


def test_what_the_cache_has_lost_comes_from_the_remote(original: Project, tmp_path: Path) -> None:
    for arguments in (("remote", "add", "-q", "-d", "store", str(tmp_path / "store")), ("push", "-q", "--all-branches")):
        assert dvc.run_command(original, *arguments) is None
    before = facts(original)
    shutil.rmtree(original.root / ".dvc/cache/files")
    made = save(original, tmp_path / "backups")
    assert made.missing == []
    assert [words for words in made.left_out if "only older versions" in words]  # version 2's, which no branch has
    shutil.rmtree(tmp_path / "store")
    assert {**facts(restore(made.folder, tmp_path / "new")), "diff": None} == {**before, "diff": None}


def test_what_nobody_has_is_said_and_the_rest_is_saved(original: Project, tmp_path: Path) -> None:
    objects = original.root / ".dvc/cache/files/md5"
    recorded = dvc.read_lock(original.dvc_lock)["ingest"]["outs"][0]["md5"]
    lost = json.loads((objects / recorded[:2] / recorded[2:]).read_text())[0]["md5"]
    (objects / lost[:2] / lost[2:]).unlink()
    made = save(original, tmp_path / "backups")
    assert made.missing == ["data/raw"]
    restored = restore(made.folder, tmp_path / "new")
    assert dvc.status(restored)["ingest"] == "stale"
    assert (restored.clean / "rows.txt").read_text() == "1 2 3 4"


def test_a_damaged_object_of_the_cache_is_not_saved_as_a_whole_one(original: Project, tmp_path: Path) -> None:
    path = next(
        path for path in (original.root / ".dvc/cache/files").rglob("*") if path.is_file() and path.stat().st_size == 5000
    )
    path.chmod(0o644)
    change(path)
    made = save(original, tmp_path / "backups")
    assert made.missing == ["data/raw"]
    assert any("1 files of DVC's cache are damaged, the first is cache/files/md5/" in words for words in made.left_out)


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), change], ids=["lost", "damaged"])
def test_what_the_cache_has_lost_since_comes_from_the_backup_before_which_may_then_go(
    original: Project, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    save(original, tmp_path / "backups")
    path = next(
        path for path in (original.root / ".dvc/cache/files").rglob("*") if path.is_file() and path.stat().st_size == 5000
    )
    path.chmod(0o644)
    harm(path)
    made = save(original, tmp_path / "backups", keep=1)
    assert (made.missing, len(made.removed)) == ([], 1)
    assert (restore(made.folder, tmp_path / "restored").raw).is_dir()


def test_a_cache_elsewhere_ends_in_the_project(original: Project, tmp_path: Path) -> None:
    before = facts(original)
    shutil.move(original.root / ".dvc/cache", tmp_path / "shared")
    for name, value in (("cache.dir", str(tmp_path / "shared")), ("cache.type", "symlink")):
        assert dvc.run_command(original, "config", "--local", name, value) is None
    made = save(original, tmp_path / "backups")
    shutil.rmtree(tmp_path / "shared")
    restored = restore(made.folder, tmp_path / "new")
    assert facts(restored) == before
    assert not [path for path in restored.data.rglob("*") if path.is_symlink()]


def test_the_folder_of_backups_is_checked_first(original: Project, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, words in (
        (original.root / "backups", "lies in the project"),
        (tmp_path / "file", "is a file; expected a folder"),
    ):
        with pytest.raises(InputError, match=words):
            save(original, folder)
    assert not (original.root / "backups").exists()
