"""A real project, with votes: saved, gone and made again, it generates the same images and has nothing to run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.settings.load import update_params
from tests.conftest import REPOSITORY
from tests.support.registered_project import contents, rows
from tests.support.votes import vote
from tests.test_loop import TINY, copy_project, git, shell


def genloop(folder: Path, *arguments: str) -> str:
    return shell(folder, "python", "genloop.py", *arguments)


def answers(folder: Path) -> list[Any]:
    history, status = (json.loads(genloop(folder, name, "--json")) for name in ("history", "status"))
    return [history, {name: value for name, value in status.items() if name not in ("disk", "cache_bytes")}]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_real_project_comes_back(tmp_path: Path) -> None:
    folder, new = tmp_path / "project", tmp_path / "new"
    copy_project(folder)
    git(folder, "init", "--quiet")
    git(folder, "config", "user.name", "t")
    git(folder, "config", "user.email", "t@example.org")
    update_params(folder / "params.yaml", settings=[*TINY, "promotion.noise=0"])
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "begin")
    genloop(folder, "run")
    with EventStore.open(Project(folder, {}).database_url) as store:
        store.add([vote(number, value=1 if number % 2 else -1) for number in range(60)])
        genloop(folder, "fold")
        genloop(folder, "run")
        store.add([vote(number) for number in range(60, 75)])
    images = generate(folder, tmp_path / "before.npz")
    before = (answers(folder), contents(folder / "data"), rows(Project(folder, {}).database_url))
    made = json.loads(genloop(folder, "backup", str(tmp_path / "backups"), "--json").partition("\n}")[0] + "\n}")
    assert (made["missing"], made["left_out"]) == ([], [])
    shutil.rmtree(folder)
    shell(tmp_path, "python", str(REPOSITORY / "genloop.py"), "restore", made["folder"], str(new))
    assert (answers(new), contents(new / "data"), rows(Project(new, {}).database_url)) == before
    assert np.array_equal(generate(new, tmp_path / "after.npz"), images)
    assert shell(new, "dvc", "status", "-q") == ""
    said = genloop(new, "run")
    assert "nothing to" in said
    assert git(new, "status", "--porcelain") == ""


def generate(folder: Path, file: Path) -> np.ndarray:
    genloop(folder, "generate", "--count", "20", "--seed", "5", "--out", str(file))
    with np.load(file) as arrays:
        return np.array(arrays["images"])
