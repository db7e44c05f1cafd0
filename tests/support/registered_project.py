"""A project with everything that a backup has to bring back: two versions and a history, events folded and new, data in DVC.

Stages are small scripts, models are flat, and all else is real: git, DVC, MLflow, the event store, folds and moves.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from operations import fold
from pipelines.core import files
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.feedback.events import Sample, parse
from pipelines.feedback.store.event_store import EventStore
from pipelines.feedback.store.tables import metadata
from pipelines.promotion import moves
from pipelines.registration import origin
from pipelines.registry.client import Registry, open_registry
from pipelines.registry.versions import CHAMPION, KEY
from tests.support import flat_model, kept_project
from tests.support.calls import call
from tests.support.votes import vote, votes
from workspace import dvc

GRAPH = """
stages:
  ingest: {cmd: python ingest.py, deps: [ingest.py], outs: [data/raw]}
  clean:
    cmd: python prepare.py
    deps: [prepare.py, data/raw]
    outs:
      - data/clean
      - data/reports/raters.csv: {cache: false}
    metrics: [data/reports/clean.json]
"""
INGEST = """
from pathlib import Path
Path("data/raw").mkdir(parents=True)
for number in range(3):
    Path(f"data/raw/part-{number}.bin").write_bytes(bytes([number]) * 5000)
"""
CLEAN = """
from pathlib import Path
Path("data/clean").mkdir(parents=True)
Path("data/clean/rows.txt").write_text("{rows}")
Path("data/reports").mkdir(exist_ok=True)
Path("data/reports/clean.json").write_text('{{"rows_in": 3}}')
Path("data/reports/raters.csv").write_text("r0,r1")
"""
SEEDS, LABELS = np.arange(4), np.array([0, 1, 2, 0], np.int32)


def make(folder: Path) -> Project:
    kept_project.make(folder)
    project = project_of(folder)
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "ingest.py").write_text(INGEST)
    # An older branch, whose data no other commit needs, and version 1, whose commit no branch has.
    first = run_stages(project, "1 2", "Make version 1")
    params, registry = open_registry(project)
    register(project, registry, "made of one")
    git(folder, "branch", "older")
    run_stages(project, "1 2 3", "Data of a branch that is gone")
    register(project, registry, "made of two")
    git(folder, "reset", "--quiet", "--hard", first)
    run_stages(project, "1 2 3 4", "Go another way")
    registry.set_alias(CHAMPION, 1)
    moves.settle(project, registry)
    moves.move(project, registry, 2, 1, "ann", "promote", "better by far")
    with EventStore.open(project.database_url) as store:
        store.add(votes(0, 6))
        store.add_favourite("r1", Sample(version=1, seed=3, label=0))
    fold.fold(project, params, registry, say)
    with EventStore.open(project.database_url) as store:
        digest = hashlib.sha256(b"an image").hexdigest()
        files.write(project.uploads / digest, b"an image")
        store.add([*votes(6, 5), vote(20, rater="r9", reason=None)])
        upload = {"id": "u1", "type": "upload", "rater": "r2", "at": "2026-02-01T12:00:00Z", "image": digest, "label": 1}
        store.add([parse(upload)])
        store.add([parse({"id": "x1", "type": "erase", "rater": "r8", "at": "2026-02-01T12:00:00Z"})])
    # What is not committed: a change, a new file, one that is gone, a link; and what git ignores.
    params_file = project.params_file
    params_file.write_text(params_file.read_text().replace("steps: 2000", "steps: 77", 1))
    (folder / "notes" / "deep").mkdir(parents=True)
    (folder / "notes" / "deep" / "Ünïcode note.txt").write_text("new")
    (folder / "notes" / "link").symlink_to("deep")
    (folder / "notes" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "notes" / "run.sh").chmod(0o755)
    (folder / "gone.txt").unlink()
    files.write(project.logs / "studio.secret", "s" * 64)
    (project.logs / "studio.secret").chmod(0o600)
    return project


def project_of(folder: Path) -> Project:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GENLOOP", "MLFLOW", "PREFECT"))}
    return Project(folder, own)


def run_stages(project: Project, rows: str, message: str) -> str:
    """Run the stages, and commit; returns the commit."""
    (project.root / "prepare.py").write_text(CLEAN.format(rows=rows))
    (project.root / "gone.txt").write_text(rows)
    environment = {**project.environment, "PATH": f"{Path(sys.executable).parent}:{project.environment['PATH']}"}
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=project.root, env=environment, check=True)
    git(project.root, "add", "-A")
    git(project.root, "commit", "--quiet", "-m", message)
    return git(project.root, "rev-parse", "HEAD")


def register(project: Project, registry: Registry, key: str) -> None:
    """A version with the tags that a real one has."""
    number = flat_model.register(registry)
    registry.tag(number, {KEY: key, "genloop.git_commit": git(project.root, "rev-parse", "HEAD")})
    registry.tag(number, {f"genloop.data.{path}": digest for path, digest in origin.data_hashes(project).items()})


def git(folder: Path, *arguments: str) -> str:
    return kept_project.git(folder, *arguments).strip()


def facts(project: Project) -> dict[str, Any]:
    """All that a restored project must have in common with the one that was saved."""
    _, registry = open_registry(project)
    status = json.loads(call(project, "status", "--json").out)
    return {
        "images": flat_model.greys(registry.load().draw(SEEDS, LABELS)),
        "versions": {number: registry.identity(number) for number in registry.numbers()},
        "history": json.loads(call(project, "history", "--json").out),
        "status": {
            key: value for key, value in status.items() if key in ("champion", "challenger", "events", "stages", "verdicts")
        },
        "rows": rows(project.database_url),
        "data": contents(project.data),
        "artifacts": contents(project.root / "mlruns"),
        "stages": dvc.status(project),
        "refs": refs(project),
        "changes": git(project.root, "status", "--porcelain", "--untracked-files=all"),
        "diff": git(project.root, "diff", "--binary", "HEAD"),
        "files": project_files(project),
        "secret": stat.S_IMODE((project.logs / "studio.secret").stat().st_mode),
    }


def rows(url: str) -> dict[str, list[Any]]:
    """Every row of every table of the database of events."""
    with EventStore.open(url) as store, store.reader.begin() as connection:
        return {
            table.name: sorted(map(repr, map(tuple, connection.execute(select(table))))) for table in metadata.sorted_tables
        }


def contents(folder: Path) -> dict[str, str]:
    """sha256 of every file but databases and locks."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".db" not in path.name and path.suffix != ".lock"
    }


def refs(project: Project) -> set[str]:
    """Commits of branches and of versions that git has, and what HEAD is."""
    _, registry = open_registry(project)
    commits = [registry.version(number).tags["genloop.git_commit"] for number in registry.numbers()]
    known = {commit for commit in commits if git(project.root, "cat-file", "-t", commit) == "commit"}
    branches = git(project.root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags").splitlines()
    return {*known, *branches, git(project.root, "symbolic-ref", "HEAD"), git(project.root, "rev-parse", "HEAD")}


def project_files(project: Project) -> dict[str, Any]:
    """What files of the project are: their bytes and mode, or where a link leads."""
    names = git(project.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    paths = {name: project.root / name for name in names if name}
    return {
        name: os.readlink(path) if path.is_symlink() else (path.read_bytes(), path.stat().st_mode & 0o111)
        for name, path in paths.items()
        if path.is_symlink() or path.is_file()
    }
