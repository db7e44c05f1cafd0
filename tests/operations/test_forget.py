"""A rater is forgotten to the end, also where it was interrupted: kept, committed, and out of the newest dataset."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from operations import fold, forget
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.forgetting import digest
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventStore
from pipelines.settings.load import load_params
from tests.conftest import project_in
from tests.support import kept_project, sealed_events
from tests.support.kept_project import SamplerRegistry, git
from tests.support.votes import votes
from workspace import dvc, snapshot
from workspace.locks import run_lock

# Stages in place of the real ones: each tells whose events there are, as those do.
CURATE = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
assert not Path("broken").exists(), "this stage is broken"
names = [name for name in json.loads(Path("data/feedback.json").read_text())["files"] if name.startswith("events-")]
raters = sorted({rater for name in names for rater in pq.read_table(f"data/feedback/{name}")["rater"].to_pylist()})
Path("data/reports").mkdir(exist_ok=True)
Path("data/reports/raters.csv").write_text("\\n".join(["rater", *raters]))
"""
GRAPH = f"""
stages:
  curate: {{cmd: {sys.executable} curate.py, deps: [data/feedback.json], outs: [data/reports/raters.csv]}}
  approval: {{cmd: cp data/reports/raters.csv data/approval.csv, deps: [data/reports/raters.csv], outs: [data/approval.csv]}}
"""


@pytest.fixture(scope="module")
def template(kept_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds by three raters, after the first of which the stages have run."""
    folder = tmp_path_factory.mktemp("folded") / "project"
    shutil.copytree(kept_template, folder)
    (folder / "curate.py").write_text(CURATE)
    (folder / "dvc.yaml").write_text(GRAPH)
    project = project_in(folder)
    registry: Any = SamplerRegistry()
    params = load_params(project.params_file)
    with EventStore.open(project.database_url) as store:
        store.add(votes(0, 9))
        fold.fold(project, params, registry, say)
        subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, check=True)
        store.add(votes(9, 2))
        fold.fold(project, params, registry, say)
        store.add(votes(11, 2))
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, elsewhere: Path) -> Project:
    shutil.copytree(template, tmp_path / "project")
    return project_in(tmp_path / "project")


def say(line: str) -> None:
    pass


def whole(project: Project, rater: str, others: list[str]) -> None:
    """Nothing of the rater, all of the others, and kept like that."""
    manifest.check(project.feedback, project.manifest)
    assert snapshot.up_to_date(project)
    assert {event.rater for event in sealed_events.read(project.feedback)} == set(others)
    assert (project.reports / "raters.csv").read_text().split() == ["rater", *others]
    assert (project.data / "approval.csv").read_text().split() == ["rater", *others]
    assert dvc.status(project) == {"curate": "fresh", "approval": "fresh"}
    for path in (*project.data.rglob("*"), *(project.root / ".dvc/cache").rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            text = seal.open_file(path).read().to_pylist() if content[:4] == b"PAR1" else content
            assert rater not in str(text), path


def test_a_rater_is_forgotten_to_the_end(project: Project) -> None:
    done = forget.forget(project, "r1", say)
    assert (done.forgotten.events, len(done.forgotten.batches)) == (4, 2)
    assert (done.committed, done.stages) == (True, ["curate", "approval"])
    assert done.deleted_objects >= 4  # of two folds their events, and the folder; of the stages what they made
    whole(project, "r1", ["r0", "r2"])
    subjects = git(project.root, "log", "-2", "--format=%s").splitlines()
    assert subjects == ["Run curate, approval", "Forget 1 rater"]
    assert git(project.root, "status", "--short", "data", "dvc.lock").strip() == ""  # so that `git pull` is not refused
    again = forget.forget(project, "r1", say)
    assert (again.forgotten.events, again.committed, again.stages, again.deleted_objects) == (0, False, [], 0)


def test_no_exported_rows_are_left(project: Project) -> None:
    """Those of every external training that did not end, of the trainings that measure noise too; what it learned stays."""
    trial = project.checkpoints / "noise-1/seed-1000000"
    jobs = [project.checkpoints / "a", trial / "checkpoints/b"]
    for folder in (*jobs, trial):
        for name in ("data/part-0.parquet", ".data.partial/part-0.parquet", "code/cache.npy", "checkpoints/state.pt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("r1")
    forget.forget(project, "r1", say)
    assert [sorted(path.name for path in folder.iterdir()) for folder in jobs] == [["checkpoints"]] * 2
    assert (trial / "data/part-0.parquet").exists(), "the data of a project, which noise links to"


@pytest.mark.slow
def test_what_was_interrupted_is_ended_by_the_next_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "take", killed)
        with pytest.raises(KeyboardInterrupt):
            forget.forget(project, "r1", say)
    assert not snapshot.up_to_date(project)
    (project.root / "broken").touch()
    with pytest.raises(
        GenloopError, match=r"curate: stopped with exit code 1.*\n.*still holds what was made of them; run `genloop run`"
    ):
        forget.forget(project, "r1", say)
    assert snapshot.up_to_date(project)
    (project.root / "broken").unlink()
    done = forget.forget(project, "r1", say)
    assert (done.committed, done.stages) == (False, ["curate", "approval"])
    assert manifest.read(project.manifest).forgotten == [digest("r1")]
    assert (project.data / "approval.csv").read_text().split() == ["rater", "r0", "r2"]


def test_a_run_that_is_going_on_comes_first(project: Project) -> None:
    program = "import sys; from pathlib import Path; from pipelines.core.project import Project; "
    program += "from workspace.locks import run_lock\n"
    program += "with run_lock(Project(Path(sys.argv[1]))): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(project.root)]
    environment = {"PYTHONPATH": str(kept_project.REPOSITORY), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(GenloopError, match="another run is going on"):
            forget.forget(project, "r1", say)
        assert manifest.read(project.manifest).forgotten == []
        other.communicate()
    with run_lock(project):
        pass
