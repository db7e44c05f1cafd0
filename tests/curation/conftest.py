"""Projects with data, and no feedback yet."""

from __future__ import annotations

import pytest

from pipelines.core.project import Project
from tests.conftest import MakeParams
from tests.curation.data import Curation


@pytest.fixture
def curation(project: Project, make_params: MakeParams) -> Curation:
    """Two classes, a and b."""
    return Curation(project, make_params, ["a", "b"])


@pytest.fixture
def without_classes(project: Project, make_params: MakeParams) -> Curation:
    return Curation(project, make_params, [])
