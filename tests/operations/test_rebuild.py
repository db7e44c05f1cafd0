"""A version made again: real git and DVC over a graph of small scripts, and a registry that is a few lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from operations import rebuild as rebuilding
from pipelines.core import files, paths
from pipelines.core.errors import InputError
from pipelines.promotion import lineage
from pipelines.promotion.lineage import Lineage
from pipelines.registration import machine, origin
from pipelines.registry import client
from pipelines.registry.client import Version
from pipelines.settings.schema import Params
from tests.conftest import REPOSITORY, MakeParams
from workspace.stages import StageError

GRAPH = """
stages:
  ingest: {cmd: python ingest.py, deps: [ingest.py], outs: [data/raw]}
  clean: {cmd: python clean.py, deps: [clean.py, data/raw], outs: [data/clean], metrics: [data/reports/clean.json]}
  train: {cmd: python train.py, deps: [train.py, data/clean], outs: [data/model, data/reports/train.json]}
  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, data/model]
    outs: [data/reports/estimates.npz]
    metrics: [data/reports/metrics.json]
  register: {cmd: "false", deps: [data/model], outs: [data/reports/register.json]}
"""
# `extra` is what a test adds to the data, to the weights or to the scores: what another machine would.
BEGIN = """
import json, os, time
from pathlib import Path
import numpy as np
Path("data/reports").mkdir(parents=True, exist_ok=True)
extra = float(os.environ.get("EXTRA_{name}", 0))
"""
SCRIPTS = {
    "ingest": "Path('data/raw').mkdir(); Path('data/raw/rows.txt').write_text('1 2 3')",
    "clean": """
rows = [float(row) + extra for row in Path('data/raw/rows.txt').read_text().split()]
Path('data/clean').mkdir(); Path('data/clean/rows.json').write_text(json.dumps(rows))
Path('data/reports/clean.json').write_text(json.dumps({'rows_in': 3, 'mean': sum(rows)}))
""",
    "train": """
from safetensors.numpy import save_file
rows = json.loads(Path('data/clean/rows.json').read_text())
Path('data/model').mkdir(); Path('data/model/model.json').write_text('{}')
save_file({'kernel': np.array(rows, np.float32) + np.float32(extra)}, 'data/model/weights.safetensors')
Path('data/reports/train.json').write_text(json.dumps({'seconds': time.monotonic(), 'backend': 'tensorflow'}))
Path('init.txt').write_text(Path('params.yaml').read_text())
""",
    "evaluate": """
from safetensors.numpy import load_file
from pipelines.core import scores
from pipelines.metrics.intervals import Estimate
fid = float(load_file('data/model/weights.safetensors')['kernel'].sum())
drawn = np.full(20, 0.1)
found = {'fid': Estimate(fid, fid, drawn, np.zeros(20), np.zeros((3, 20)))}
scores.write(Path('data/reports/estimates.npz'), scores.Scores('b1', 20, found))
Path('data/reports/metrics.json').write_text(json.dumps({'fid': fid}))
""",
}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that DVC has run and git has committed, all but dvc.lock."""
    folder = tmp_path_factory.mktemp("rebuild") / "project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        files.write(Path("dvc.yaml"), GRAPH)
        for name, code in SCRIPTS.items():
            files.write(Path(f"{name}.py"), BEGIN.format(name=name.upper()) + code)
        shutil.copy(REPOSITORY / "params.yaml", folder)
        files.write(Path(".gitignore"), "/data/\n/logs/\n/init.txt\n")
        git("init", "-q", "-b", "main")
        git("config", "user.name", "Ann")
        git("config", "user.email", "ann@example.org")
        Repo.init(str(folder)).close()
        git("add", "-A")
        git("commit", "-qm", "Begin")
        subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "evaluate"], check=True)
    return folder


class Registry:
    """Version 1, as `register` would have kept it: what was in the project, and what lineage says of it."""

    def __init__(self, folder: Path) -> None:
        self.kept = folder / "kept"
        origin.keep(self.kept / client.WORKSPACE)
        shutil.copy(paths.REPORTS / "estimates.npz", self.kept)
        shutil.copytree(paths.MODEL, self.kept / "model")
        self.known = Lineage(
            model="genloop-digits",
            version=1,
            created=datetime.now(UTC),
            aliases=[],
            commit=git("rev-parse", "HEAD"),
            dirty=True,
            parents=[],
            generation=0,
            benchmark_id="b1",
            events=0,
            raters=0,
            folds=[],
            metrics={},
            verdict=None,
            data={},
            settings={},
            machine={**machine.describe(), "backend": "tensorflow", "versions": {}},
            packages=machine.packages(),
        )

    def artifact(self, of: Version, name: str, folder: Path) -> Path | None:
        return self.kept / name if (self.kept / name).exists() else None

    def fetch(self, params: Params, folder: Path, version: int) -> int:
        shutil.copytree(self.kept / "model", folder)
        return version

    def version(self, params: Params, number: int) -> Version:
        if number != 1:
            raise client.NoVersionError(f"there is no version {number}")
        return Version(number, "run", datetime.now(UTC), {}, {}, {})


@pytest.fixture
def registry(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    folder = tmp_path / "project"
    shutil.copytree(template, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    found = Registry(tmp_path)
    monkeypatch.setattr(lineage, "of", lambda params, number: found.known)
    for name in ("artifact", "fetch", "version"):
        monkeypatch.setattr(client, name, getattr(found, name))
    before = state(folder)
    yield found
    assert state(folder) == before
    assert [line for line in git("worktree", "list").splitlines() if "version-1" in line] == []


def state(folder: Path) -> dict[str, bytes]:
    """All files of the project, its cache included, but for logs and what git and DVC note for themselves."""
    noted = (".git", ".dvc/tmp", "logs", ".dvc/config.local")
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(noted)}


def rebuild(make_params: MakeParams, keep: bool = False) -> rebuilding.Rebuilt:
    return rebuilding.rebuild(make_params(), 1, keep, lambda words: None)


def words(done: rebuilding.Rebuilt) -> dict[str, Any]:
    return {name: made.verdict for name, made in done.stages.items()}


def test_the_same_on_the_same_machine_is_equal_to_the_bit(registry: Registry, make_params: MakeParams) -> None:
    done = rebuild(make_params)
    assert (done.verdict, done.why, done.changes) == ("bit-equal", [], {})
    assert words(done) == {"clean": "bit-equal", "train": "bit-equal", "evaluate": "bit-equal"}
    assert done.weights.equal
    json.dumps(done.as_json())


def test_other_weights_are_judged_by_their_scores_and_explained(
    registry: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.known = replace(registry.known, packages={**machine.packages(), "numpy": "0.1"})
    monkeypatch.setenv("EXTRA_TRAIN", "0.001")
    near = rebuild(make_params)
    assert (near.verdict, words(near)["train"], words(near)["clean"]) == ("metric-equal", "metric-equal", "bit-equal")
    assert near.weights.largest == pytest.approx(0.001, rel=0.01)
    assert near.why == [f"numpy: 0.1 then, {machine.packages()['numpy']} here"]


@pytest.mark.slow
def test_weights_that_score_otherwise_are_different(
    registry: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRA_TRAIN", "5")
    far = rebuild(make_params)
    assert (far.verdict, far.scores["fid"].difference, far.scores["fid"].equal) == ("different", 15.0, False)


@pytest.mark.slow
def test_what_one_stage_makes_otherwise_is_not_laid_to_the_next(
    registry: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRA_CLEAN", "0.001")
    done = rebuild(make_params)
    assert words(done) == {"clean": "different", "train": "bit-equal", "evaluate": "bit-equal"}
    assert done.verdict == "different"
    assert done.stages["clean"].differs == {
        "data/clean": "has files of another content",
        "data/reports/clean.json": "differs in mean",
    }
    assert "a stage depends on more than its inputs" in done.why[0]


@pytest.mark.slow
def test_a_dirty_tree_is_made_again_with_its_changes(
    registry: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings as the run had them; `champion` is whoever was that then."""
    place = registry.kept / client.WORKSPACE / "params.yaml"
    place.write_text(place.read_text().replace("init: scratch", "init: champion").replace("steps: 1000", "steps: 7"))
    registry.known = replace(registry.known, parents=[1])
    done = rebuild(make_params, keep=True)
    assert done.folder is not None
    made = (done.folder / "init.txt").read_text()
    git("worktree", "remove", "--force", str(done.folder))
    assert "init: 1 " in made
    assert "steps: 7\n" in made
    assert done.verdict == "bit-equal"


@pytest.mark.slow
def test_a_stage_that_fails_leaves_nothing(
    registry: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRA_CLEAN", "no number")
    with pytest.raises(StageError, match="clean: stopped with exit code 1"):
        rebuild(make_params)
    assert not list(rebuilding.PLACE.glob("version-1/*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"commit": None}, "made outside of git"),
        ({"commit": "0" * 40}, r"commit 0{40}, which is not in this repository; `git fetch`"),
        ({"parents": [7]}, "went on from another one that is gone: there is no version 7"),
    ],
)
def test_what_cannot_be_made_again_is_said_at_once(
    registry: Registry, make_params: MakeParams, change: dict[str, Any], said: str
) -> None:
    registry.known = replace(registry.known, **change)
    with pytest.raises(InputError, match=said):
        rebuild(make_params)


def test_data_that_nobody_has_any_more_is_said(registry: Registry, make_params: MakeParams) -> None:
    cache = Path(".dvc/cache")
    cache.rename("../cache")
    try:
        with pytest.raises(InputError, match=r"data of version 1 cannot be had: .* there is no remote to ask"):
            rebuild(make_params)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        Path("../cache").rename(cache)


def test_packages_of_a_version_that_did_not_list_them_are_those_of_its_lock(registry: Registry) -> None:
    lock = Path("requirements.lock")
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nkeras==0.2 ; python_version < '4'\nnobody==1\n")
    found = rebuilding.changed(replace(registry.known, packages={}, machine={}), {})
    lock.unlink()
    assert {name: then for name, (then, _) in found.items()} == {"numpy": "0.1", "keras": "0.2"}


def test_what_a_stage_has_learned_counts_by_what_it_reports(registry: Registry) -> None:
    before, now = {"data/clean": "former.dir"}, {"data/clean": "latter.dir"}
    verdicts = {name: rebuilding.made(name, before, now, Path).verdict for name in ("clean", "reference", "approval")}
    assert verdicts == {"clean": "different", "reference": "metric-equal", "approval": "metric-equal"}
    before = {"data/reports/reference.json": "former"}
    assert rebuilding.made("reference", before, {}, Path).verdict == "different"


def test_another_number_of_threads_is_set_as_it_was(registry: Registry) -> None:
    registry.known = replace(registry.known, machine={"threads": 4096, "onednn": "0", "backend": "jax"})
    found = rebuilding.environment(registry.known)
    assert (found["TF_NUM_INTRAOP_THREADS"], found["TF_ENABLE_ONEDNN_OPTS"], found["KERAS_BACKEND"]) == ("4096", "0", "jax")
    assert found["MLFLOW_TRACKING_URI"] == client.uri()
