"""A rater is forgotten to the end, also where it was interrupted: kept, committed, and out of the newest dataset."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from operations import fold, forget
from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.feedback import samplers
from pipelines.feedback.forgetting import digest
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store
from pipelines.settings.load import load_params
from tests.support import kept_project
from tests.support.kept_project import git
from tests.support.votes import votes
from workspace import dvc, snapshot
from workspace.locks import alone

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
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv(database.VARIABLE, raising=False)
        patch.setattr(samplers, "of", lambda _: kept_project.draws)
        with Store.open() as store:
            store.add(votes(0, 9))
            fold.fold(load_params())
            subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], check=True)
            store.add(votes(9, 2))
            fold.fold(load_params())
            store.add(votes(11, 2))
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv(database.VARIABLE, raising=False)
    return folder


def say(line: str) -> None:
    pass


def whole(rater: str, others: list[str]) -> None:
    """Nothing of the rater, all of the others, and kept like that."""
    manifest.check()
    assert snapshot.kept()
    assert {event.rater for event in seal.read(paths.FEEDBACK)} == set(others)
    assert Path("data/reports/raters.csv").read_text().split() == ["rater", *others]
    assert Path("data/approval.csv").read_text().split() == ["rater", *others]
    assert dvc.status() == {"curate": "fresh", "approval": "fresh"}
    for path in (*Path("data").rglob("*"), *Path(".dvc/cache").rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            text = seal.reading(path).read().to_pylist() if content[:4] == b"PAR1" else content
            assert rater not in str(text), path


def test_a_rater_is_forgotten_to_the_end(project: Path) -> None:
    done = forget.forget("r1", say)
    assert (done.forgotten.events, len(done.forgotten.batches)) == (4, 2)
    assert (done.committed, done.stages) == (True, ["curate", "approval"])
    assert done.superseded >= 4  # of two folds their events, and the folder; of the stages what they made
    whole("r1", ["r0", "r2"])
    assert git(project, "log", "-1", "--format=%s").strip() == "Forget 1 rater"
    assert git(project, "status", "--short", "data").strip() == ""
    again = forget.forget("r1", say)
    assert (again.forgotten.events, again.committed, again.stages, again.superseded) == (0, False, [], 0)


def test_what_was_interrupted_is_ended_by_the_next_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            forget.forget("r1", say)
    assert not snapshot.kept()
    Path("broken").touch()
    with pytest.raises(GenloopError, match=r"curate: stopped with exit code 1.*\n.*until `genloop run` ends well"):
        forget.forget("r1", say)
    assert snapshot.kept()
    Path("broken").unlink()
    done = forget.forget("r1", say)
    assert (done.committed, done.stages) == (False, ["curate", "approval"])
    assert manifest.read().forgotten == [digest("r1")]
    assert Path("data/approval.csv").read_text().split() == ["rater", "r0", "r2"]


def test_a_run_that_is_going_on_comes_first(project: Path) -> None:
    program = "import sys; from workspace.locks import alone\nwith alone(): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": str(kept_project.REPOSITORY), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(GenloopError, match="another run is going on"):
            forget.forget("r1", say)
        assert manifest.read().forgotten == []
        other.communicate()
    with alone():
        pass
