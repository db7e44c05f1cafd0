"""A version made again: real git and DVC over a graph of small scripts, and a registry that is a few lines."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc.repo import Repo

from operations import rebuild as rebuilding
from operations.rebuild import compare, explain, worktree
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.registration import machine, origin
from pipelines.registry.lineage import Lineage
from pipelines.registry.versions import PACKAGES, WORKSPACE, NoVersionError, Version
from tests.conftest import REPOSITORY, MakeParams, project_in
from tests.support import kept_project
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
from pipelines.scoring import scores
from pipelines.metrics.intervals import Estimate
fid = float(load_file('data/model/weights.safetensors')['kernel'].sum())
drawn = np.full(20, 0.1)
found = {'fid': Estimate(fid, fid, drawn, np.zeros(20), np.zeros((3, 20)))}
scores.write(Path('data/reports/estimates.npz'), scores.Scores('b1', 20, found))
Path('data/reports/metrics.json').write_text(json.dumps({'fid': fid}))
""",
}


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that DVC has run and git has committed, all but dvc.lock."""
    folder = tmp_path_factory.mktemp("rebuild") / "project"
    folder.mkdir()
    files.write(folder / "dvc.yaml", GRAPH)
    for name, code in SCRIPTS.items():
        files.write(folder / f"{name}.py", BEGIN.format(name=name.upper()) + code)
    shutil.copy(REPOSITORY / "params.yaml", folder)
    files.write(folder / ".gitignore", "/data/\n/logs/\n/init.txt\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Ann")
    git(folder, "config", "user.email", "ann@example.org")
    Repo.init(str(folder)).close()
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    environment = project_in(folder, PYTHONPATH=str(REPOSITORY)).environment
    environment = {**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "evaluate"], cwd=folder, env=environment, check=True)
    return folder


class KeptVersion:
    """A registry of version 1, as `register` would have kept it: what was in the project, and what lineage says of it."""

    name = "genloop-digits"
    uri = "sqlite:///elsewhere/mlflow.db"

    def __init__(self, project: Project, folder: Path) -> None:
        self.kept = folder / "kept"
        origin.copy_files(project, self.kept / WORKSPACE)
        shutil.copy(project.reports / "estimates.npz", self.kept)
        shutil.copytree(project.model, self.kept / "model")
        self.known = Lineage(
            model=self.name,
            version=1,
            created=datetime.now(UTC),
            aliases=[],
            commit=git(project.root, "rev-parse", "HEAD"),
            no_commit="it was made outside of git",
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

    def artifact(self, version: Version, name: str, folder: Path) -> Path | None:
        if name == PACKAGES:
            files.write(folder / name, json.dumps(self.known.packages))
            return folder / name
        return self.kept / name if (self.kept / name).exists() else None

    def fetch(self, folder: Path, number: int) -> int:
        shutil.copytree(self.kept / "model", folder)
        return number

    def aliases_of(self, number: int) -> list[str]:
        return []

    def version(self, number: int) -> Version:
        if number != 1:
            raise NoVersionError(f"there is no version {number}")
        tags = {
            "genloop.git_commit": self.known.commit or "none",
            "genloop.git_dirty": str(self.known.dirty).lower(),
            **{f"genloop.machine.{name}": json.dumps(value) for name, value in self.known.machine.items()},
        }
        if self.known.parents:
            tags["genloop.parent"] = str(self.known.parents[0])
        return Version(number, "run", self.known.created, tags, {}, {})


@pytest.fixture
def project(template: Path, tmp_path: Path, elsewhere: Path) -> Project:
    shutil.copytree(template, tmp_path / "project", symlinks=True)
    return project_in(tmp_path / "project", PYTHONPATH=str(REPOSITORY))


@pytest.fixture
def registry(project: Project, tmp_path: Path) -> Iterator[KeptVersion]:
    found = KeptVersion(project, tmp_path)
    before = state(project.root)
    yield found
    assert state(project.root) == before
    assert [line for line in git(project.root, "worktree", "list").splitlines() if "version-1" in line] == []


def state(folder: Path) -> dict[str, bytes]:
    """All files of the project, its cache included, but for logs and what git and DVC note for themselves."""
    noted = (".git", ".dvc/tmp", "logs", ".dvc/config.local")
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(noted)}


Rebuild = Callable[..., rebuilding.RebuildResult]


@pytest.fixture
def rebuild(project: Project, registry: KeptVersion, make_params: MakeParams) -> Rebuild:
    """Make version 1 again, with variables of the environment."""

    def make(keep: bool = False, **variables: str) -> rebuilding.RebuildResult:
        given: Any = registry
        return rebuilding.rebuild(project.with_variables(variables), make_params(), given, 1, keep, lambda line: None)

    return make


def matches(done: rebuilding.RebuildResult) -> dict[str, Any]:
    return {name: stage.match for name, stage in done.stages.items()}


def test_the_same_on_the_same_machine_is_equal_to_the_bit(rebuild: Rebuild) -> None:
    done = rebuild()
    assert (done.match, done.reasons, done.changes) == ("bit-equal", [], {})
    assert matches(done) == {"clean": "bit-equal", "train": "bit-equal", "evaluate": "bit-equal"}
    assert done.weights.equal
    json.dumps(done.as_json())


def test_other_weights_are_judged_by_their_scores_and_explained(registry: KeptVersion, rebuild: Rebuild) -> None:
    registry.known = replace(registry.known, packages={**machine.packages(), "numpy": "0.1"})
    near = rebuild(EXTRA_TRAIN="0.001")
    assert (near.match, matches(near)["train"], matches(near)["clean"]) == ("metric-equal", "metric-equal", "bit-equal")
    assert near.weights.largest == pytest.approx(0.001, rel=0.01)
    assert near.reasons == [f"numpy: 0.1 then, {machine.packages()['numpy']} here"]


@pytest.mark.slow
def test_weights_that_score_otherwise_are_different(rebuild: Rebuild) -> None:
    far = rebuild(EXTRA_TRAIN="5")
    assert (far.match, far.scores["fid"].difference, far.scores["fid"].equal) == ("different", 15.0, False)


@pytest.mark.slow
def test_what_one_stage_makes_otherwise_is_not_laid_to_the_next(rebuild: Rebuild) -> None:
    done = rebuild(EXTRA_CLEAN="0.001")
    assert matches(done) == {"clean": "different", "train": "bit-equal", "evaluate": "bit-equal"}
    assert done.match == "different"
    assert done.stages["clean"].differs == {
        "data/clean": "has files with other content",
        "data/reports/clean.json": "differs in mean",
    }
    assert "a stage depends on more than its inputs" in done.reasons[0]


@pytest.mark.slow
def test_a_dirty_tree_is_made_again_with_its_changes(project: Project, registry: KeptVersion, rebuild: Rebuild) -> None:
    """The settings as the run had them; `champion` is whoever was that then."""
    place = registry.kept / WORKSPACE / "params.yaml"
    place.write_text(place.read_text().replace("init: scratch", "init: champion").replace("steps: 2000", "steps: 7"))
    registry.known = replace(registry.known, parents=[1])
    done = rebuild(keep=True)
    assert done.folder is not None
    made = (done.folder / "init.txt").read_text()
    git(project.root, "worktree", "remove", "--force", str(done.folder))
    assert "init: 1 " in made
    assert "steps: 7\n" in made
    assert done.match == "bit-equal"


@pytest.mark.slow
def test_a_stage_that_fails_leaves_nothing(project: Project, rebuild: Rebuild) -> None:
    with pytest.raises(StageError, match="clean: stopped with exit code 1"):
        rebuild(EXTRA_CLEAN="no number")
    assert not list((project.logs / "rebuild").glob("version-1/*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"commit": None}, "no commit, so its code is not known: it was made outside of git"),
        ({"commit": "0" * 40}, r"commit 0{40}, which is not in this repository; `git fetch`"),
        ({"parents": [7]}, "was trained on from a missing version: there is no version 7"),
    ],
)
def test_what_cannot_be_made_again_is_said_at_once(
    registry: KeptVersion, rebuild: Rebuild, change: dict[str, Any], said: str
) -> None:
    registry.known = replace(registry.known, **change)
    with pytest.raises(InputError, match=said):
        rebuild()


def test_why_git_does_not_give_the_commit_is_said(kept: Project, tmp_path: Path) -> None:
    def check(project: Project, commit: str) -> None:
        version: Any = SimpleNamespace(version=1, commit=commit, parents=[])
        registry: Any = None  # asked for parents alone
        worktree.check_rebuildable(project, registry, version)

    def message(project: Project, commit: str) -> str:
        with pytest.raises(InputError) as raised:
            check(project, commit)
        return str(raised.value)

    first = kept_project.git(kept.root, "rev-parse", "HEAD").strip()
    kept_project.git(kept.root, "commit", "-q", "--allow-empty", "-m", "Next")
    kept_project.git(tmp_path, "clone", "-q", "--depth=1", f"file://{kept.root}", "shallow")
    shallow = project_in(tmp_path / "shallow")
    assert message(shallow, first) == (
        f"version 1 was made at commit {first}, which is not in this repository; `git fetch --unshallow` brings older commits"
    )
    kept_project.git(shallow.root, "fetch", "-q", "--unshallow")
    check(shallow, first)
    foreign = kept.with_variables({"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    assert message(foreign, first).endswith(f"git advises: git config --global --add safe.directory {kept.root}")
    shutil.rmtree(shallow.root / ".git")
    alone = shallow.with_variables({"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert message(alone, first).startswith(
        f"version 1 was made at commit {first}, which git cannot give: not a git repository; "
    )


def test_data_that_nobody_has_any_more_is_said(project: Project, rebuild: Rebuild) -> None:
    cache, away = project.root / ".dvc/cache", project.root.parent / "cache"
    cache.rename(away)
    try:
        with pytest.raises(InputError, match=r"data of version 1 is missing: .* there is no remote to ask"):
            rebuild()
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        away.rename(cache)


def test_packages_of_a_version_that_did_not_list_them_are_those_of_its_lock(registry: KeptVersion, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nkeras==0.2 ; python_version < '4'\nnobody==1\n")
    found = explain.changes(replace(registry.known, packages={}, machine={}), {}, lock)
    assert {name: then for name, (then, _) in found.items()} == {"numpy": "0.1", "keras": "0.2"}


def test_what_a_stage_has_learned_counts_by_what_it_reports(project: Project) -> None:
    cache = project.root / "cache"
    before, now = {"data/clean": "former.dir"}, {"data/clean": "latter.dir"}
    names = ("clean", "reference", "approval")
    found = {name: compare.compare_stage(project, cache, name, before, now).match for name in names}
    assert found == {"clean": "different", "reference": "metric-equal", "approval": "metric-equal"}
    before = {"data/reports/reference.json": "former"}
    assert compare.compare_stage(project, cache, "reference", before, {}).match == "different"


def test_another_number_of_threads_is_set_as_it_was(registry: KeptVersion) -> None:
    registry.known = replace(registry.known, machine={"threads": 4096, "onednn": "0", "backend": "jax"})
    given: Any = registry
    found = worktree.environment(given, registry.known)
    assert (found["TF_NUM_INTRAOP_THREADS"], found["TF_ENABLE_ONEDNN_OPTS"], found["KERAS_BACKEND"]) == ("4096", "0", "jax")
    assert found["MLFLOW_TRACKING_URI"] == registry.uri
