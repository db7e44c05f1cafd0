"""Projects with data, and nothing said yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MakeParams
from tests.curation.data import Project


@pytest.fixture
def there(project: Path, make_params: MakeParams) -> Project:
    """Two classes, a and b."""
    return Project(make_params, ["a", "b"])


@pytest.fixture
def without_classes(project: Path, make_params: MakeParams) -> Project:
    return Project(make_params, [])
