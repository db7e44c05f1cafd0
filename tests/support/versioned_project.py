"""A project as months of work leave it, made in seconds: real git, DVC and MLflow over a graph of shell commands.

| state of the data | in git | in MLflow |
| --- | --- | --- |
| 1 | a commit | version 1 |
| 2 | a commit | nothing |
| 3 | nothing | nothing |
| 4 | a commit, the last one | version 2, the champion; and version 3, which was deleted |

and a fold before the first and the last of them, a study that has ended, one that has not, and runs that are not Genloop's.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from dvc.repo import Repo

from pipelines.core import files
from pipelines.core.project import Project
from pipelines.registration import origin
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION, COMMIT, DATA, KEY, PARENT_RUN, STUDY, TRIAL, WORKSPACE
from pipelines.settings.load import load_params
from tests.support import flat_model

REPOSITORY = Path(__file__).resolve().parents[2]
# Each state has data, a model and reports of its own.
GRAPH = """
stages:
  ingest:
    cmd: mkdir -p data/raw && cp state.txt data/raw/part-1.txt && echo shared > data/raw/part-0.txt
    deps: [state.txt]
    outs: [data/raw]
  train:
    cmd: >-
      mkdir -p data/model data/reports && cp data/raw/part-1.txt data/model/weights.safetensors &&
      cp model.json data/model/ && cp report.json data/reports/train.json
    deps: [data/raw, model.json, report.json]
    outs: [data/model, data/reports/train.json]
  register:
    cmd: "false"
    deps: [data/model]
    outs:
      - data/reports/register.json: {cache: false}
"""


def make(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    for name in (".gitignore", "params.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    files.write(folder / "dvc.yaml", GRAPH)
    spec = {"size": 4, "channels": 1, "classes": len(flat_model.CLASSES)}
    files.write(folder / "model.json", json.dumps({"family": "flat", "classes": flat_model.CLASSES, "spec": spec}))
    files.write(folder / "report.json", "{}")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Ann")
    git(folder, "config", "user.email", "ann@example.org")
    Repo.init(str(folder)).close()
    project = Project(folder, {})
    registry = open_registry(project)
    fold(project, 1)
    for state in (1, 2, 3):
        make_state(project, state)
        if state < 3:
            git(folder, "add", "-A")
            git(folder, "commit", "-qm", f"State {state}")
        if state == 1:
            register(registry)
    fold(project, 2)
    make_state(project, 4)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "State 4")
    registry.set_alias(CHAMPION, register(registry))
    registry.client.delete_model_version(registry.name, str(register(registry)))
    make_studies(registry)


def open_registry(project: Project) -> Registry:
    return Registry.open(project, load_params(project.root / "params.yaml").registry)


def fold(project: Project, number: int) -> None:
    """A sealed file more."""
    files.write(project.feedback / f"events-{number}.parquet", f"fold {number}")
    with Repo(str(project.root)) as repo:
        repo.add([str(project.feedback)])


def make_state(project: Project, state: int) -> None:
    files.write(project.root / "state.txt", f"state {state}")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(project.root), Repo() as repo:
        repo.reproduce(["train"])


def register(registry: Registry) -> int:
    """A version of the model in data/, with what `register` keeps; its number."""
    import mlflow

    project = registry.project
    commit = git(project.root, "rev-parse", "HEAD")
    data = {f"{DATA}{path}": digest for path, digest in origin.data_hashes(project).items()}
    key = f"{len(registry.numbers()):032x}"
    with registry.lock():
        experiment = registry.experiment()
    with registry.fluent(), tempfile.TemporaryDirectory() as temporary, mlflow.start_run(experiment_id=experiment) as run:
        mlflow.set_tags({COMMIT: commit, **data})
        origin.copy_files(project, Path(temporary) / WORKSPACE)
        mlflow.log_artifacts(str(Path(temporary) / WORKSPACE), WORKSPACE)
        given = Path(temporary) / "model"  # as `publish` names it
        shutil.copytree(project.model, given)
        files.write(given / "code/__init__.py", "")
        files.write(given / "code/generator.py", flat_model.CODE)
        made = mlflow.pyfunc.log_model(name="model", **flat_model.as_published(given))
        if not registry.client.search_registered_models(f"name = '{registry.name}'"):
            registry.client.create_registered_model(registry.name)
        tags = {KEY: key, COMMIT: commit, **data}
        version = registry.client.create_model_version(
            registry.name, made.model_uri, run.info.run_id, tags=tags, model_id=made.model_id
        )
    number = int(version.version)
    receipt = {"model": registry.name, "version": number, "alias": None, "key": key, "registry": "sqlite:///mlflow.db"}
    files.write(registry.receipt_file, json.dumps(receipt))
    return number


def make_studies(registry: Registry) -> None:
    client, experiment = registry.client, registry.experiment()
    for name in ("ended", "open"):
        study = client.create_run(experiment, tags={STUDY: name}).info.run_id
        client.log_text(study, "the best settings", "tuned.yaml")
        for number in range(2):
            trial = client.create_run(experiment, tags={TRIAL: f"{name}/{number}", PARENT_RUN: study}).info.run_id
            client.log_text(trial, "scores", "scores.txt")
            client.set_terminated(trial)
        if name == "ended":
            client.set_terminated(study)
    client.log_text(client.create_run(experiment, tags={"mine": "yes"}).info.run_id, "notes", "notes.txt")
    elsewhere = client.create_experiment("elsewhere", artifact_location=f"{registry.project.root.as_uri()}/mlruns/elsewhere")
    client.create_run(elsewhere, tags={COMMIT: "none"})


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
