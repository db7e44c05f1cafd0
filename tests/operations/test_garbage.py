"""What gc frees and what it leaves, in a project with real git, DVC and MLflow."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from operations import garbage
from operations.garbage import Garbage, GarbageRules
from operations.rebuild import rebuild
from pipelines.core import files, temporary_folder
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.registry import runs
from pipelines.registry.client import Registry
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY, project_in
from tests.support import versioned_project
from tests.support.flat_model import greys
from tests.support.versioned_project import git
from workspace import dvc_cache, locks

pytestmark = pytest.mark.slow  # projects with versions, freed again and again


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other programs of this machine have left in the usual one is none of these tests' business."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


DAY = 86_400
USUAL, EVERYTHING = GarbageRules(hours=24.0), GarbageRules(past=True, hours=0)


@pytest.fixture(scope="session")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("months") / "project"
    versioned_project.make(folder)
    return folder


@pytest.fixture
def project(months: Path, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """What versioned_project makes. No temporary folder of other programs is among the garbage."""
    shutil.copytree(months, tmp_path / "project", symlinks=True)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return project_in(tmp_path / "project", PYTHONPATH=str(REPOSITORY))


@pytest.fixture
def registry(project: Project) -> Registry:
    found = versioned_project.open_registry(project)
    assert found.client  # so that it has claimed the copy of its store
    return found


def state(project: Project) -> dict[str, bytes]:
    """All files, but for those of git, locks, and what DVC notes for itself."""
    found = {str(project.relative(path)): path for path in project.root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith((".git/", ".dvc/tmp", "logs"))}


def counts(found: Garbage) -> dict[str, int]:
    return {kind: count for kind, (count, _) in found.counts().items() if count}


def cached(project: Project) -> set[str]:
    """The contents of DVC's cache, of files alone."""
    objects = (project.root / ".dvc/cache/files/md5").glob("*/*")
    return {path.read_text() for path in objects if path.suffix != ".dir"}


def rows(project: Project, table: str) -> int:
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def free(project: Project, registry: Registry, rules: GarbageRules = USUAL) -> Garbage:
    return garbage.free(project, registry, rules, garbage.find(project, registry, rules), print)


def test_what_is_freed_is_what_was_said_and_nothing_is_left_for_a_second_time(project: Project, registry: Registry) -> None:
    before = state(project)
    found = garbage.find(project, registry, USUAL)
    assert state(project) == before
    # State 3: one file, which data/raw and data/model both have, and the lists of files of each.
    # Version 3's run and model, and the trials of the study that has ended.
    assert counts(found) == {"cache": 3, "models": 1, "runs": 3}
    freed = garbage.free(project, registry, USUAL, found, print)
    assert freed == found
    after = state(project)
    assert {name: after[name] for name in after if name != "mlflow.db"}.items() <= before.items()
    gone = sum(len(before[name]) for name in before.keys() - after.keys())
    assert gone == freed.size > 0
    assert garbage.find(project, registry, USUAL).pieces == []


def test_what_is_gone_is_gone_for_good_and_what_is_needed_is_there(project: Project, registry: Registry) -> None:
    runs_before, models_before = rows(project, "runs"), rows(project, "logged_models")
    free(project, registry)
    assert "state 3" not in cached(project)
    assert {"state 1", "state 2", "state 4", "shared\n", "fold 1", "fold 2"} <= cached(project)
    assert (runs_before - rows(project, "runs"), models_before - rows(project, "logged_models")) == (3, 1)
    tags = [tuple(run.data.tags) for run in runs.all_runs(registry, registry.experiment())]
    assert sum("genloop.study" in names for names in tags) == 2
    assert sum("genloop.trial" in names for names in tags) == 2  # of the study that is open
    assert sum("mine" in names for names in tags) == 1
    assert len(list((project.root / "mlruns").rglob("artifacts/scores.txt"))) == 2
    empty = [path for path in (project.root / "mlruns").rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert [path for path in empty if path.name != "models"] == []


def test_every_version_still_rebuilds_and_generates(project: Project, registry: Registry) -> None:
    free(project, registry, EVERYTHING)
    params = load_params(project.params_file)
    for number in (1, 2):
        assert rebuild(project, params, registry, number, False, print).match == "bit-equal"
        assert greys(registry.load(number).draw(np.arange(3), np.zeros(3, np.int32))) == [0, 1, 2]


@pytest.mark.slow
def test_the_past_of_a_branch_is_freed_only_when_asked_for(project: Project, registry: Registry) -> None:
    free(project, registry, GarbageRules(past=True))
    assert cached(project).isdisjoint({"state 2", "state 3"})
    assert {"state 1", "state 4", "shared\n", "fold 1", "fold 2"} <= cached(project)


@pytest.mark.parametrize(
    "place",
    ["branch", *(pytest.param(place, marks=pytest.mark.slow) for place in ("tag", "stash", "worktree", "its workspace"))],
)
def test_what_any_branch_tag_stash_or_worktree_has_stays(project: Project, registry: Registry, place: str) -> None:
    second = git(project.root, "rev-parse", "HEAD~1")
    if place in ("branch", "tag"):
        git(project.root, place, "kept", second)
    elif place == "stash":
        (project.root / "dvc.lock").write_text(git(project.root, "show", f"{second}:dvc.lock"))
        git(project.root, "stash")
        (project.root / "dvc.lock").write_text(git(project.root, "show", f"{second}:dvc.lock").replace("outs", "outs "))
        git(project.root, "stash")  # the one before is no reference of its own now
    elif place == "worktree":
        git(project.root, "worktree", "add", "-q", "--detach", "../other", second)
    else:
        git(project.root, "worktree", "add", "-q", "--detach", "../other")
        (project.root.parent / "other/dvc.lock").write_text(git(project.root, "show", f"{second}:dvc.lock"))
    free(project, registry, GarbageRules(past=True))
    assert "state 2" in cached(project)
    assert "state 3" not in cached(project)


@pytest.mark.slow
def test_data_that_only_a_version_has_kept_stays(project: Project, registry: Registry) -> None:
    """It was made of changes that were never committed, at a commit that is on no branch now."""
    git(project.root, "commit", "-q", "--allow-empty", "-m", "Lost")
    versioned_project.make_state(project, 5)
    number = versioned_project.register(registry)
    git(project.root, "reset", "-q", "--hard", "HEAD~1")
    found = free(project, registry, EVERYTHING)
    assert "state 5" in cached(project)
    assert found.counts()["cache"][0] > 0
    assert rebuild(project, load_params(project.params_file), registry, number, False, print).match == "bit-equal"


@pytest.mark.slow
def test_a_version_that_was_deleted_no_longer_holds_its_data(project: Project, registry: Registry) -> None:
    registry.client.delete_model_version(registry.name, "1")
    free(project, registry, GarbageRules(past=True))
    assert "state 1" not in cached(project)
    assert not registry.has(1)
    assert registry.has(2)


@pytest.mark.slow
def test_what_has_come_into_use_since_it_was_shown_stays(project: Project, registry: Registry) -> None:
    found = garbage.find(project, registry, USUAL)
    versioned_project.make_state(project, 3)  # the same objects again
    freed = garbage.free(project, registry, USUAL, found, print)
    assert counts(freed) == {"models": 1, "runs": 3}
    assert "state 3" in cached(project)


Interruption = Callable[[pytest.MonkeyPatch, Registry], None]
INTERRUPTIONS: dict[str, Interruption] = {
    "a model's files are gone": lambda patch, registry: fail(patch, type(registry.client), "delete_logged_model"),
    "a model is in the bin": lambda patch, registry: fail(patch, type(runs.store(registry)), "_hard_delete_logged_model"),
    "a run is in the bin": lambda patch, registry: fail(patch, runs, "delete_artifacts", after=1),
    "a run's files are gone": lambda patch, registry: fail(patch, type(runs.store(registry)), "_hard_delete_run"),
    "one object is gone": lambda patch, registry: fail(patch, Path, "unlink", after=1),
}


def fail(patch: pytest.MonkeyPatch, owner: object, name: str, after: int = 0) -> None:
    """Let the method interrupt the program, when it was called so often."""
    usual, calls = getattr(owner, name), []

    def call(*arguments: object, **named: object) -> object:
        calls.append(name)
        if len(calls) > after:
            raise KeyboardInterrupt
        return usual(*arguments, **named)

    patch.setattr(owner, name, call)


@pytest.mark.parametrize(
    "point", ["one object is gone", *(pytest.param(point, marks=pytest.mark.slow) for point in list(INTERRUPTIONS)[:-1])]
)
def test_what_was_interrupted_is_completed_by_the_next(project: Project, registry: Registry, point: str) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        INTERRUPTIONS[point](patch, registry)
        free(project, registry)
    assert free(project, registry).pieces
    assert garbage.find(project, registry, USUAL).pieces == []
    assert "state 3" not in cached(project)
    assert {"state 1", "state 2", "state 4", "shared\n"} <= cached(project)
    assert rows(project, "runs") == 2 + 2 + 2 + 2  # versions, studies, trials of the open one, others
    assert rows(project, "logged_models") == 2
    assert len(list((project.root / "mlruns/models").glob("m-*"))) == 2


KILLED = """
import os, signal, sys
from operations import garbage
from operations.garbage import GarbageRules
from pipelines.core.project import Project
from tests.support import versioned_project
project = Project.find(__import__("pathlib").Path(sys.argv[1]))
registry = versioned_project.open_registry(project)
rules = GarbageRules(past=True)
found = garbage.find(project, registry, rules)
steps = 0
def trace(event, arguments):
    global steps
    if event in ("os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect") or event == "open" and "w" in str(arguments[1]):
        steps += 1
        if steps == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(trace)
garbage.free(project, registry, rules, found, print)
print(steps)
"""


@pytest.mark.slow
def test_it_may_be_killed_at_any_moment(months: Path, tmp_path: Path, elsewhere: Path) -> None:
    def start(step: int) -> tuple[Project, subprocess.CompletedProcess[str]]:
        folder = tmp_path / f"at-{step}"
        shutil.copytree(months, folder, symlinks=True)
        project = project_in(folder, PYTHONPATH=str(REPOSITORY))
        command = [sys.executable, "-c", KILLED, str(folder), str(step)]
        environment = {**project.environment, "TMPDIR": str(tmp_path)}
        return project, subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    _, whole = start(10**6)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout.split()[-1])
    assert steps > 15
    for step in np.linspace(1, steps, 8).astype(int):
        project, killed = start(int(step))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        registry = versioned_project.open_registry(project)
        free(project, registry, GarbageRules(past=True))
        assert garbage.find(project, registry, GarbageRules(past=True)).pieces == []
        params = load_params(project.params_file)
        assert [rebuild(project, params, registry, number, False, print).match for number in (1, 2)] == ["bit-equal"] * 2


def age(path: Path, seconds: float = 2 * DAY) -> None:
    for one in (*path.rglob("*"), path):
        os.utime(one, (time.time() - seconds,) * 2)


@pytest.fixture
def checkpoints(project: Project) -> Path:
    for name in ("0123456789abcdef", "noise-0123456789abcdef"):
        files.write(project.checkpoints / name / "step-00000100.safetensors", b"0" * 1000)
        age(project.checkpoints / name)
    return project.checkpoints


def test_checkpoints_of_a_training_that_has_ended_are_freed(project: Project, registry: Registry, checkpoints: Path) -> None:
    freed = free(project, registry)
    assert freed.counts()["checkpoints"] == (1, 1000)
    # The noise floor has not been measured, so what its trainings have left may be gone on from.
    assert [path.name for path in checkpoints.iterdir()] == ["noise-0123456789abcdef"]


def test_checkpoints_that_a_run_may_go_on_from_stay(project: Project, registry: Registry, checkpoints: Path) -> None:
    files.write(project.root / "state.txt", "state 6")
    assert free(project, registry).counts()["checkpoints"] == (0, 0)
    files.write(project.root / "state.txt", "state 4")
    age(checkpoints / "0123456789abcdef", DAY / 2)
    assert free(project, registry).counts()["checkpoints"] == (0, 0)
    assert free(project, registry, GarbageRules(hours=1)).counts()["checkpoints"] == (1, 1000)


def test_what_killed_processes_have_left_is_freed(project: Project, registry: Registry) -> None:
    free(project, registry)
    files.write(project.data / ".model.partial/.weights.1.partial", b"0" * 100)
    age(project.data / ".model.partial")
    files.write(project.data / ".raw.partial/part-1.parquet", b"0")  # is being written
    object_folder = next((project.root / ".dvc/cache/files/md5").iterdir())
    files.write(object_folder / "AbCdEf.tmp", b"0" * 10)
    age(object_folder / "AbCdEf.tmp")
    left, used, new = (TemporaryFolder() for _ in range(3))
    for folder in (left, used, new):
        files.write(Path(folder.name, "weights"), b"0" * 7)
    for folder in (left, used):
        age(Path(folder.name), 2 * temporary_folder.BEGINNING)
    for folder in (left, new):
        assert folder._release
        folder._release()  # as the system does when the process is killed
    foreign = Path(tempfile.mkdtemp(prefix="genloop-"))
    age(foreign)
    freed = free(project, registry)
    assert freed.counts()["temporary"] == (3, 117)
    assert not Path(left.name).exists()
    assert all(path.exists() for path in (Path(used.name), Path(new.name), foreign, project.data / ".raw.partial"))
    assert not (project.data / ".model.partial").exists()
    used.cleanup()
    new.cleanup()


@pytest.mark.slow
def test_the_worktree_of_a_rebuild_is_freed_unless_one_goes_on(project: Project, registry: Registry) -> None:
    free(project, registry)
    top = project.logs / "rebuild/version-1"
    git(project.root, "worktree", "add", "-q", "--detach", str(top))
    age(top)
    with locks.hold(top.with_suffix(".lock"), ""):
        program = "from tests.operations.test_garbage import *\n"
        program += "project = project_in(Path(sys.argv[1]))\n"
        program += "print(free(project, versioned_project.open_registry(project)).counts()['temporary'][0])"
        environment = {**project.environment, "TMPDIR": tempfile.gettempdir()}
        command = [sys.executable, "-c", program, str(project.root)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == "0"
        assert top.is_dir()
    assert free(project, registry).counts()["temporary"][0] == 1
    assert not top.exists()
    assert "version-1" not in git(project.root, "worktree", "list")


def test_a_cache_that_others_may_use_is_left_as_it_is(project: Project, registry: Registry) -> None:
    (project.root / ".dvc/cache").rename(project.root.parent / "cache")
    (project.root / ".dvc/config.local").write_text(f"[cache]\n    dir = {project.root.parent / 'cache'}\n")
    freed = free(project, registry)
    assert counts(freed) == {"models": 1, "runs": 3}
    assert freed.notes == [
        f"DVC's cache, {project.root.parent / 'cache/files/md5'}, is outside of the project; others may need what is in it, so "
        "it is left as it is"
    ]


def test_a_shallow_clone_frees_no_data(project: Project, registry: Registry) -> None:
    (project.root / ".git/shallow").write_text(git(project.root, "rev-parse", "HEAD~1") + "\n")
    found = garbage.find(project, registry, USUAL)
    assert "cache" not in counts(found)
    assert "lacks older commits" in found.notes[0]
    assert "state 1" in cached(project)


def test_without_the_registry_that_has_the_versions_nothing_is_freed(project: Project) -> None:
    other = project.with_variables({"MLFLOW_TRACKING_URI": f"sqlite:///{project.root}/other.db"})
    with pytest.raises(InputError, match=r"version 3 of genloop-digits went to the registry sqlite:///mlflow.db, .*MLFLOW_TR"):
        garbage.find(other, versioned_project.open_registry(other), USUAL)
    assert not (project.root / "other.db").exists()


def test_git_that_does_not_answer_is_no_reason_to_free_all(project: Project, registry: Registry) -> None:
    foreign = project.with_variables({"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    with pytest.raises(GenloopError, match=r"git: detected dubious ownership"):
        garbage.find(foreign, versioned_project.open_registry(foreign), USUAL)


@pytest.mark.slow
def test_no_run_goes_on_meanwhile(project: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin_run(*_: object) -> Garbage:
        program = (
            "import sys; from pathlib import Path\nfrom workspace import locks; from pipelines.core.project import Project\n"
        )
        program += "with locks.run_lock(Project(Path(sys.argv[1]))): pass"
        command = [sys.executable, "-c", program, str(project.root)]
        done = subprocess.run(command, env=dict(project.environment), capture_output=True, text=True, check=False)
        assert "another run is going on in this project" in done.stderr
        return Garbage()

    monkeypatch.setattr(garbage, "survey", begin_run)
    garbage.find(project, registry, USUAL)


def test_a_project_that_has_not_run_yet_has_no_garbage_and_gets_no_registry(kept: Project) -> None:
    assert garbage.find(kept, versioned_project.open_registry(kept), EVERYTHING).pieces == []
    assert not (kept.root / "mlflow.db").exists()


def test_the_cache_of_a_project_without_versions_keeps_its_workspace(kept: Project) -> None:
    versioned_project.fold(kept, 1)
    before = dvc_cache.objects(kept, lambda out: True)
    assert garbage.find(kept, versioned_project.open_registry(kept), EVERYTHING).pieces == []
    assert before
