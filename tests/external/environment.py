"""The Python of examples that need PyTorch, as `make test-external` makes it. Tests skip, and say so, where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.settings.manifest import PYTHON_VARIABLE
from tests.conftest import REPOSITORY

OWN = REPOSITORY / ".venv-external/bin/python"
EXAMPLES = REPOSITORY / "examples/external"
# Threads of PyTorch wait for each other where tests share the processors: one is ten times as fast there.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def python() -> str:
    """Its path; skips the test where there is none."""
    found = os.environ.get(PYTHON_VARIABLE) or (str(OWN) if OWN.exists() else "")
    if not Path(found).is_file():
        pytest.skip(f"no environment with PyTorch: `make test-external` makes one, or {PYTHON_VARIABLE} names its Python")
    return found
