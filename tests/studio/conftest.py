"""A studio on loopback whose versions draw noise: real server, real database, real code in between, and no network to load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from pipelines.core.project import Project
from pipelines.registry.versions import CHAMPION, VersionBatches
from studio import painter as painters
from tests.conftest import build_params, project_in
from tests.contracts import write_rows
from tests.promotion import fakes
from tests.promotion.fakes import CLASSES, FIRST, PainterRegistry, pixels
from tests.studio.serving import KEYS, SECRET, Studio

LIGHT = 125.0


class StudioRegistry(PainterRegistry):
    """broken: versions that do not load, with what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[int, str] = {}

    def description(self, number: int | None = None) -> dict[str, Any]:
        about = {"family": "gan", "classes": CLASSES, "spec": {"size": 8, "channels": 1, "classes": 2}}
        if self.samplers[number or self.pointers[CHAMPION]].accepts_prompts:
            about |= {"family": "external", "external": {"manifest": {"condition": "prompts"}}}
        return about

    def identity(self, number: int) -> str | None:
        return f"made-{number}"

    def load(self, number: int | None = None) -> Any:
        number = number or self.pointers[CHAMPION]
        if number in self.broken:
            raise OSError(self.broken[number])
        self.version(number)
        painter = self.samplers[number]
        painter.version = number
        return painter

    def training_batches(self) -> dict[int, VersionBatches]:
        return {number: VersionBatches([], self.aliases_of(number)) for number in self.numbers()}


@pytest.fixture
def registry(project: Project, monkeypatch: pytest.MonkeyPatch) -> StudioRegistry:
    """Version 1 is champion, in a project with rows of noise."""
    return make_registry(project, monkeypatch)


def make_registry(project: Project, patch: pytest.MonkeyPatch) -> StudioRegistry:
    fakes.install(patch)
    splits = ["train"] * 70 + ["holdout"] * 30
    write_rows(project.clean, pixels(range(100), 128), [number % 2 for number in range(100)], CLASSES, splits=splits)
    found = StudioRegistry()
    found.add(1, LIGHT)
    found.set_alias(CHAMPION, 1)
    params = build_params(
        {"evaluate.seed": FIRST, "evaluate.samples": 200, "image.size": 8, "studio.min_coverage": 0.0, "studio.token_hours": 1}
    )
    patch.setattr(painters, "open_registry", lambda project: (params, found))
    patch.setattr(painters, "WATCH", 0.1)
    return found


@pytest.fixture
def studio(project: Project, registry: StudioRegistry) -> Iterator[Studio]:
    """Running, with the champion shown."""
    with running_studio(project) as running:
        yield running


@pytest.fixture(scope="module")
def shared_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One for all tests of a module whose requests change nothing: to start one takes seconds."""
    project = project_in(tmp_path_factory.mktemp("studio"))
    with pytest.MonkeyPatch.context() as patch:
        make_registry(project, patch)
        with running_studio(project) as running:
            yield running


@contextmanager
def running_studio(project: Project) -> Iterator[Studio]:
    configured = project.with_variables({"GENLOOP_API_KEYS": KEYS, "GENLOOP_SECRET_KEY": SECRET})
    with Studio(configured) as running:
        running.wait_ready()
        yield running


def bright(images: np.ndarray) -> np.ndarray:
    """(n,) bool: a taste."""
    return images.mean(axis=(1, 2, 3)) > LIGHT
