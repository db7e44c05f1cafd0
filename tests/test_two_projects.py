"""Two projects in one process: neither sees the other's files, database or registry, nor goes by the working directory."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from commands.status import status
from operations.fold import fold
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION
from pipelines.settings.load import load_params, update_params
from tests.conftest import project_in
from tests.support import sealed_events
from tests.support.kept_project import git
from tests.support.votes import vote

UNKNOWN = {"version": 99, "seed": 0, "label": 0}  # a sample of no version: to know that, the registry is asked


@pytest.fixture
def pair(kept_template: Path, empty_registry: Path, tmp_path: Path, elsewhere: Path) -> list[Project]:
    """Projects that differ in their stages, in their settings, and in what their aliases point to."""
    projects = []
    for number in range(2):
        folder = tmp_path / f"project-{number}"
        shutil.copytree(kept_template, folder)
        shutil.copy(empty_registry, folder)
        (folder / "dvc.yaml").write_text(f"stages: {{stage-{number}: {{cmd: 'true'}}}}\n")
        project = project_in(folder)
        params = update_params(project.params_file, (), [f"train.steps={100 + number}"])
        Registry.open(project, params.registry).set_alias(CHAMPION, 1 + number)
        projects.append(project)
    return projects


def state(project: Project, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    status(project, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_operations_on_two_projects_alternate(pair: list[Project], elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    registries = [Registry.open(project, load_params(project.params_file).registry) for project in pair]
    for turn in range(1, 3):
        for number, project in enumerate(pair):
            events = [vote(10 * turn + n, id=f"{number}-{turn}-{n}", sample=UNKNOWN) for n in range(1 + number)]
            with EventStore.open(project.database_url) as store:
                store.add(events)
        for number, (project, registry) in enumerate(zip(pair, registries, strict=True)):
            each = 1 + number
            waiting = {"new": each, "folded": each * (turn - 1)}
            assert state(project, capsys)["events"] == waiting
            params = load_params(project.params_file)
            assert params.train.steps == 100 + number
            folded = fold(project, params, registry, lambda line: None)
            assert (folded.events, folded.missing) == ({"vote": each}, {"version 99 is not in the registry": 1})
            registry.set_alias(CHALLENGER, 3 + 2 * turn + number)
        for number, project in enumerate(pair):
            found = state(project, capsys)
            versions = [found[alias]["version"] for alias in (CHAMPION, CHALLENGER)]
            assert versions == [1 + number, 3 + 2 * turn + number]
            assert found["stages"] == {f"stage-{number}": "never"}
            assert found["events"] == {"new": 0, "folded": (1 + number) * turn}
            assert {event.id[0] for event in sealed_events.read(project.feedback)} == {str(number)}
            assert git(project.root, "rev-list", "--count", "HEAD") == f"{1 + turn}\n"
    assert dict(os.environ) == before
    assert Path.cwd() == elsewhere
    assert list(elsewhere.iterdir()) == []
