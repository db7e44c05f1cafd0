"""Projects with data, and nothing said yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Settings
from tests.curation.data import Project


@pytest.fixture
def there(project: Path, settings: Settings) -> Project:
    """Two classes, a and b."""
    return Project(settings, ["a", "b"])


@pytest.fixture
def without_classes(project: Path, settings: Settings) -> Project:
    return Project(settings, [])
